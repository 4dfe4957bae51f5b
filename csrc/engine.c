/*** Every transfer in flight, behind one descriptor a host can poll.
 *
 * A curl_multi handle is driven by curl_multi_socket_action. Its callbacks only take notes: what a
 * socket is to be watched for, and when a timer is due. `step` acts on the notes: due timers, then
 * the changes of the watched sockets in one go, then epoll_wait. So a request that needs no change
 * costs no system call for it, and a timer of 0 ms never meets timerfd_settime, for which 0 means
 * "never".
 * @module catalog.core.engine */
#include "engine.h"

#include "failure.h"
#include "handle.h"
#include "memory.h"
#include "system.h"

#include <errno.h>
#include <lauxlib.h>
#include <limits.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define ENGINE  "catalog.engine"
#define NEVER   INT64_MAX
#define AT_ONCE 1          /* zero would disarm a timer */
#define SECOND  1000000000 /* nanoseconds */
#define LATE    100000000

/* Connections kept for reuse; libcurl would keep four for each transfer in flight. */
#define IDLE_CONNECTIONS 128L
#define QUARTERS         4
#define EVENTS_A_WAIT    64

/* A host that waits on the descriptor itself has other things to do: it gets its turn after so many
 * events, unless those were cheap, and less than so many nanoseconds have passed. That of an upload
 * reads and sends UPLOAD_BUFFER bytes. */
#define EVENTS_A_TURN 4
#define SHORT_TURN    400000

/* What is known of a descriptor; its number is its place in the table. */
typedef struct {
    uint32_t wanted;     /* EPOLLIN and EPOLLOUT, as libcurl asked last */
    uint32_t registered; /* as epoll knows it; 0: it does not */
    bool ours;           /* opened by cat_engine_open_socket, so its end will be seen */
    bool noted;          /* is in the list of changes */
    int next;            /* the change noted before this one; -1: none */
} watched;

typedef struct {
    cat_flight *first, *last;
} queue;

struct cat_engine {
    lua_State *L; /* the main thread, for its allocator */
    /* A page that a forked child sees as zeros (MADV_WIPEONFORK); in the process that made the
     * engine it holds a one. Asking it costs nothing, where getpid is a system call for each
     * request. */
    const volatile char *here;
    CURLM *multi;
    bool spoilt; /* the multi was out of memory in the middle, and is replaced before it is used */
    int epoll, timer;
    watched *sockets;
    size_t capacity;
    int changes; /* the descriptor whose `wanted` changed last, the first of a list; -1: none */
    int64_t curl_due;  /* when libcurl wants to be called, on the real clock; NEVER: not at all */
    int64_t alarm;     /* when the host wants to be woken, on the real clock; NEVER: not at all */
    bool awake;        /* the descriptor is to be readable, whatever there is to do */
    bool shared;       /* the descriptor was asked for, and is kept up to date */
    int64_t armed_for; /* what `timer` is set to, on the real clock; NEVER: nothing */
    cat_heap deadlines;
    queue flying, finished;
    size_t finish_count; /* grows with each flight that ends */
    int64_t entered;     /* when the last step began */
};

/* The key of the engine in the registry. */
static const char registry_key;

/* --- the process --- */

static size_t page_size(void) {
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* False with errno set. */
static bool settle_here(cat_engine *e) {
    char *page =
        mmap(NULL, page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        return false;
    }
    if (madvise(page, page_size(), MADV_WIPEONFORK) != 0) {
        munmap(page, page_size());
        return false;
    }
    *page = 1;
    e->here = page;
    return true;
}

/* Whether this is the process that made the engine, and not a child it forked. */
static bool at_home(const cat_engine *e) {
    return e->here && *e->here;
}

/* --- time --- */

static int64_t add_time(int64_t at, int64_t more) {
    return more > NEVER - at ? NEVER : at + more;
}

static int64_t nanoseconds(double seconds) {
    return seconds >= 9e9 ? NEVER : seconds > 0 ? (int64_t)(seconds * 1e9) : 0;
}

/* --- sockets --- */

/* Makes room for a descriptor. False when there is no memory. */
static bool reserve(cat_engine *e, size_t descriptor) {
    if (descriptor < e->capacity) {
        return true;
    }
    size_t capacity = e->capacity ? e->capacity : 256, unit = sizeof *e->sockets;
    while (capacity <= descriptor) {
        capacity *= 2;
    }
    watched *grown = cat_resize(e->L, e->sockets, e->capacity * unit, capacity * unit);
    if (!grown) {
        return false;
    }
    memset(grown + e->capacity, 0, (capacity - e->capacity) * unit);
    e->sockets = grown;
    e->capacity = capacity;
    return true;
}

static void apply(cat_engine *e, int descriptor) {
    watched *w = &e->sockets[descriptor];
    if (w->wanted == w->registered) {
        return;
    }
    int operation = w->wanted == 0       ? EPOLL_CTL_DEL
                    : w->registered == 0 ? EPOLL_CTL_ADD
                                         : EPOLL_CTL_MOD;
    struct epoll_event event = {.events = w->wanted, .data.fd = descriptor};
    int result = epoll_ctl(e->epoll, operation, descriptor, &event);
    if (result != 0 && errno == ENOENT && operation == EPOLL_CTL_MOD) {
        result = epoll_ctl(e->epoll, EPOLL_CTL_ADD, descriptor, &event);
    } else if (result != 0 && errno == EEXIST && operation == EPOLL_CTL_ADD) {
        result = epoll_ctl(e->epoll, EPOLL_CTL_MOD, descriptor, &event);
    }
    /* What cannot be watched is driven by libcurl's timers alone, and by the deadline at the
     * latest. */
    w->registered = result == 0 ? w->wanted : 0;
}

static void apply_changes(cat_engine *e) {
    while (e->changes >= 0) {
        int descriptor = e->changes;
        e->changes = e->sockets[descriptor].next;
        e->sockets[descriptor].noted = false;
        apply(e, descriptor);
    }
}

/* CURLMOPT_SOCKETFUNCTION */
static int note_socket(CURL *easy, curl_socket_t socket, int what, void *user, void *assigned) {
    (void)easy, (void)assigned;
    cat_engine *e = user;
    if (socket < 0 || !reserve(e, (size_t)socket)) {
        return 0; /* as in `apply`: the timers remain */
    }
    watched *w = &e->sockets[socket];
    w->wanted = (what & CURL_POLL_REMOVE) ? 0
                                          : ((what & CURL_POLL_IN) ? (uint32_t)EPOLLIN : 0) |
                                                ((what & CURL_POLL_OUT) ? (uint32_t)EPOLLOUT : 0);
    if (w->wanted == 0 && !w->ours) {
        apply(e, socket); /* the resolver's: closed by the next line of its code, unseen by us */
    } else if (!w->noted) {
        w->noted = true;
        w->next = e->changes;
        e->changes = socket;
    }
    return 0;
}

curl_socket_t cat_engine_open_socket(void *user, curlsocktype purpose,
                                     struct curl_sockaddr *address) {
    (void)purpose;
    cat_flight *flight = user;
    cat_engine *e = flight->engine; /* sockets are opened for flights under way only */
    int descriptor = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    flight->socket_error = descriptor < 0 ? errno : 0;
    if (descriptor < 0) {
        return CURL_SOCKET_BAD;
    }
    if (!reserve(e, (size_t)descriptor)) {
        close(descriptor);
        return CURL_SOCKET_BAD;
    }
    e->sockets[descriptor].registered = 0;
    e->sockets[descriptor].ours = true;
    return descriptor;
}

int cat_engine_close_socket(void *user, curl_socket_t socket) {
    cat_engine *e = user;
    if ((size_t)socket < e->capacity) {
        watched *w = &e->sockets[socket];
        w->wanted = 0;
        w->ours = false;
        if (at_home(e)) {
            apply(e, socket); /* closing alone would not, where a forked child has it too */
        }
        w->registered = 0;
    }
    return close(socket);
}

/* --- timers --- */

/* CURLMOPT_TIMERFUNCTION */
static int note_timer(CURLM *multi, long milliseconds, void *user) {
    (void)multi;
    cat_engine *e = user;
    e->curl_due = milliseconds < 0    ? NEVER
                  : milliseconds == 0 ? AT_ONCE
                                      : cat_monotonic() + (int64_t)milliseconds * 1000000;
    return 0;
}

static int64_t next_deadline(const cat_engine *e) {
    return e->deadlines.count ? e->deadlines.entries[0]->at : NEVER;
}

/* When something is due at the latest. */
static int64_t next_due(const cat_engine *e) {
    int64_t due = next_deadline(e) < e->curl_due ? next_deadline(e) : e->curl_due;
    return due < e->alarm ? due : e->alarm;
}

static bool arm(cat_engine *e, int64_t due) {
    struct itimerspec setting = {0};
    if (due == e->armed_for) {
        return true;
    }
    if (due != NEVER) {
        due = due > 0 ? due : AT_ONCE;
        setting.it_value.tv_sec = (time_t)(due / 1000000000);
        setting.it_value.tv_nsec = (long)(due % 1000000000);
    }
    if (timerfd_settime(e->timer, TFD_TIMER_ABSTIME, &setting, NULL) != 0) {
        return false;
    }
    e->armed_for = due;
    return true;
}

/* Brings the descriptor up to date, once a host has asked for it: it is readable while there is
 * something to do. */
static bool expose(cat_engine *e) {
    if (!e->shared) {
        return true;
    }
    apply_changes(e);
    return arm(e, e->finished.first || e->awake ? AT_ONCE : next_due(e));
}

/* --- flights --- */

static void append(queue *q, cat_flight *flight) {
    flight->previous = q->last;
    flight->next = NULL;
    *(q->last ? &q->last->next : &q->first) = flight;
    q->last = flight;
}

static void unlink_flight(queue *q, cat_flight *flight) {
    *(flight->previous ? &flight->previous->next : &q->first) = flight->next;
    *(flight->next ? &flight->next->previous : &q->last) = flight->previous;
    flight->previous = flight->next = NULL;
}

static void land(cat_engine *e, cat_flight *flight, CURLcode result) {
    curl_multi_remove_handle(e->multi, flight->easy);
    cat_heap_remove(&e->deadlines, &flight->deadline);
    unlink_flight(&e->flying, flight);
    append(&e->finished, flight);
    flight->result = result;
    flight->done = true;
    e->finish_count++;
}

static void land_all(cat_engine *e, CURLcode result) {
    while (e->flying.first) {
        land(e, e->flying.first, result);
    }
}

/* libcurl acts on what happened to a descriptor. When it has no memory for that, it does not say
 * which flight that is the end of, and 7.88 divides by zero when it meets the same descriptor
 * again: all flights end, and with them the multi handle. */
static void call_curl(cat_engine *e, curl_socket_t descriptor, int what) {
    int running;
    CURLMcode code = curl_multi_socket_action(e->multi, descriptor, what, &running);
    if (code != CURLM_OK && code != CURLM_BAD_SOCKET) {
        e->spoilt = true;
        land_all(e, code == CURLM_OUT_OF_MEMORY ? CURLE_OUT_OF_MEMORY : CURLE_FAILED_INIT);
        e->curl_due = NEVER;
    }
}

static void run_due_timer(cat_engine *e, int64_t real) {
    if (e->curl_due <= real) {
        e->curl_due = NEVER; /* before the call, which may set the next */
        call_curl(e, CURL_SOCKET_TIMEOUT, 0);
    }
}

static void land_finished(cat_engine *e) {
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(e->multi, &left))) {
        char *flight = NULL;
        CURLcode result = message->data.result; /* the message dies with curl_multi_remove_handle */
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &flight);
        land(e, (cat_flight *)(void *)flight, result);
    }
}

static void put_off(cat_engine *e, cat_flight *flight, int64_t at) {
    cat_heap_remove(&e->deadlines, &flight->deadline);
    flight->deadline.at = at;
    cat_heap_push(&e->deadlines, &flight->deadline);
}

/* A flight that is given up only for standing still is looked at four times in its time. */
static bool goes_on(cat_engine *e, cat_flight *flight, int64_t now) {
    if (!flight->moving) {
        return false;
    }
    bool moved = *flight->moving != flight->seen;
    flight->quiet = moved ? 0 : flight->quiet + 1;
    flight->extended = flight->extended && !moved;
    flight->seen = *flight->moving;
    if (flight->quiet >= QUARTERS) {
        return false;
    }
    put_off(e, flight, add_time(now, flight->allowed / QUARTERS));
    return true;
}

/* Ends the flights whose deadline has passed, once what had happened before was acted on. A host
 * that came back long after a deadline was busy with other work, and so the server may have had no
 * chance: such a deadline is extended once, by a second at the most. */
static void expire(cat_engine *e, int64_t now) {
    while (next_deadline(e) <= now) {
        cat_flight *flight = (cat_flight *)(void *)e->deadlines.entries[0];
        bool late = flight->deadline.at <= e->entered - LATE;
        if (goes_on(e, flight, now)) {
            continue;
        }
        if (late && !flight->extended) {
            flight->extended = true;
            put_off(e, flight, now + (flight->allowed < SECOND ? flight->allowed : SECOND));
            continue;
        }
        flight->late = true;
        land(e, flight, CURLE_OPERATION_TIMEDOUT);
    }
}

/* NULL when there is no memory. */
static CURLM *make_multi(cat_engine *e) {
    CURLM *multi = curl_multi_init();
    if (multi && (curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, note_socket) != CURLM_OK ||
                  curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, e) != CURLM_OK ||
                  curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, note_timer) != CURLM_OK ||
                  curl_multi_setopt(multi, CURLMOPT_TIMERDATA, e) != CURLM_OK ||
                  curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, IDLE_CONNECTIONS) != CURLM_OK)) {
        curl_multi_cleanup(multi);
        return NULL;
    }
    return multi;
}

/* False when there is no memory. */
static bool renew(cat_engine *e) {
    CURLM *multi = make_multi(e);
    if (!multi) {
        return false;
    }
    curl_multi_cleanup(e->multi);
    e->multi = multi;
    e->curl_due = NEVER;
    e->spoilt = false;
    return true;
}

int cat_engine_submit(lua_State *L, cat_engine *e, cat_flight *flight, int index, double seconds) {
    if (!e->multi) {
        return cat_failure(L, "cancelled", "the engine is closed");
    }
    if (!at_home(e)) {
        return cat_failure(L, "cancelled",
                           "this call belongs to the process that this one was forked from");
    }
    index = lua_absindex(L, index);
    if (!cat_heap_reserve(e->L, &e->deadlines) || (e->spoilt && !renew(e))) {
        return luaL_error(L, "not enough memory");
    }
    lua_rawgetp(L, LUA_REGISTRYINDEX, &registry_key);
    lua_getiuservalue(L, -1, 1);
    lua_pushvalue(L, index);
    lua_rawsetp(L, -2, flight);
    lua_pop(L, 2);
    CURLMcode code = curl_multi_add_handle(e->multi, flight->easy);
    if (code == CURLM_OUT_OF_MEMORY) {
        return luaL_error(L, "not enough memory");
    }
    if (code != CURLM_OK) {
        return cat_failure(L, "protocol", "libcurl refuses the transfer: %s",
                           curl_multi_strerror(code));
    }
    flight->engine = e;
    flight->done = flight->late = flight->extended = false;
    flight->socket_error = 0;
    flight->allowed = nanoseconds(seconds);
    flight->quiet = 0;
    flight->seen = 0;
    flight->deadline.at =
        add_time(cat_monotonic(), flight->moving ? flight->allowed / QUARTERS : flight->allowed);
    append(&e->flying, flight);
    cat_heap_push(&e->deadlines, &flight->deadline);
    expose(e);
    return 0;
}

bool cat_engine_forget(cat_flight *flight) {
    cat_engine *e = flight->engine;
    if (!e) {
        return !flight->leaked;
    }
    flight->engine = NULL;
    if (flight->done) {
        unlink_flight(&e->finished, flight);
        return true;
    }
    if (!at_home(e)) {
        return false;
    }
    curl_multi_remove_handle(e->multi, flight->easy);
    cat_heap_remove(&e->deadlines, &flight->deadline);
    unlink_flight(&e->flying, flight);
    expose(e);
    return true;
}

void cat_engine_cancel(cat_engine *e, const void *owner) {
    if (!at_home(e)) {
        return;
    }
    for (cat_flight *flight = e->flying.first, *next; flight; flight = next) {
        next = flight->next;
        if (flight->owner == owner) {
            land(e, flight, CURLE_ABORTED_BY_CALLBACK);
        }
    }
    expose(e);
}

/* --- one step --- */

/* epoll_wait's milliseconds from now to `due`: rounded up, so that nothing is woken early to spin.
 */
static int milliseconds_to(int64_t due, int64_t real) {
    if (due <= real) {
        return 0;
    }
    int64_t left = (due - real - 1) / 1000000 + 1;
    return left < INT_MAX ? (int)left : INT_MAX;
}

static void act_on(cat_engine *e, const struct epoll_event *event) {
    int descriptor = event->data.fd, what = 0;
    if (descriptor == e->timer) {
        arm(e, NEVER); /* it only wakes a host; this is the call it woke it for */
        return;
    }
    /* A note of this same round may have taken interest back. */
    if (e->sockets[descriptor].wanted == 0 || e->spoilt) {
        return;
    }
    what |= event->events & (uint32_t)EPOLLIN ? CURL_CSELECT_IN : 0;
    what |= event->events & (uint32_t)EPOLLOUT ? CURL_CSELECT_OUT : 0;
    what |= event->events & (uint32_t)(EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0;
    call_curl(e, descriptor, what);
}

/* Waits until `limit` (real) at most, and acts on what happens, on `most` events at a time. Leaves
 * in *most how many there were. Returns 0, or the error of the wait. */
static int turn(cat_engine *e, int64_t limit, int *most) {
    struct epoll_event events[EVENTS_A_WAIT];
    int wanted = *most;
    *most = 0;
    size_t before = e->finish_count;
    int64_t real = cat_monotonic();
    run_due_timer(e, real);
    land_finished(e);
    if (e->finish_count != before) {
        return 0;
    }
    apply_changes(e);
    int64_t due = next_due(e);
    int wait = milliseconds_to(due < limit ? due : limit, real);
    int count = epoll_wait(e->epoll, events, wanted, wait);
    if (count < 0) {
        return errno;
    }
    *most = count;
    for (int i = 0; i < count; i++) {
        act_on(e, &events[i]);
    }
    land_finished(e);
    real = cat_monotonic();
    /* There may be more that has happened, but not for ever: an upload can always go on. */
    if (count < wanted || add_time(next_deadline(e), SECOND) <= real) {
        expire(e, real);
    }
    return 0;
}

/* Goes on until something is done, or `limit` (real). Returns as `turn`. */
static int run(cat_engine *e, int64_t limit) {
    size_t before = e->finish_count;
    int error, events;
    do {
        events = EVENTS_A_WAIT;
        error = turn(e, limit, &events);
    } while (error == 0 && e->finish_count == before && cat_monotonic() < limit);
    return error;
}

/* What can be done at once, and soon. Returns as `turn`. */
static int run_briefly(cat_engine *e, int64_t began) {
    int error, events;
    do {
        events = EVENTS_A_TURN;
        error = turn(e, began, &events);
    } while (error == 0 && events == EVENTS_A_TURN && cat_monotonic() < began + SHORT_TURN);
    return error;
}

static cat_engine *check_engine(lua_State *L) {
    return luaL_checkudata(L, 1, ENGINE);
}

/* Raises unless the engine is open and this is the process that made it. */
static cat_engine *check_usable(lua_State *L) {
    cat_engine *e = check_engine(L);
    if (!e->multi) {
        luaL_error(L, "the engine is closed");
    }
    if (!at_home(e)) {
        luaL_error(L, "this engine was made before a fork; the child has another");
    }
    return e;
}

/* Pushes the transfer of the first finished flight, which is forgotten; false when there is none.
 * The table of transfers is on the top. */
static bool push_finished(lua_State *L, cat_engine *e) {
    for (cat_flight *flight; (flight = e->finished.first);) {
        cat_engine_forget(flight);
        if (lua_rawgetp(L, -1, flight) != LUA_TNIL) {
            return true;
        }
        lua_pop(L, 1); /* dropped, and about to be collected */
    }
    return false;
}

/* Moves finished transfers into the list at 3, as many as it has room for: that takes no memory, so
 * none is lost. Returns how many. */
static lua_Integer collect_into(lua_State *L, cat_engine *e) {
    lua_Integer count = 0, room = (lua_Integer)lua_rawlen(L, 3);
    lua_getiuservalue(L, 1, 1);
    while (count < room && push_finished(L, e)) {
        lua_rawseti(L, 3, ++count);
    }
    lua_pop(L, 1);
    return count;
}

/*** Lets the transfers in flight go on, until one is done, the time is over, the alarm is due, or a
 * signal arrives.
 * @function engine:step
 * @tparam[opt=0] number seconds how long to wait at the most; 0: only what can be done at once
 * @tparam ?table list whose elements are replaced by finished transfers, as by `collect`; there is
 * no wait where some were finished before
 * @treturn integer how many transfers were done in this step, or how many are in the list
 * @raise the engine is closed, or belongs to the process this one was forked from */
static int engine_step(lua_State *L) {
    cat_engine *e = check_usable(L);
    bool listed = lua_type(L, 3) == LUA_TTABLE;
    bool waits = !listed || !e->finished.first;
    int64_t wait = waits ? nanoseconds(luaL_optnumber(L, 2, 0)) : 0;
    size_t before = e->finish_count;
    e->entered = cat_monotonic();
    int64_t limit = add_time(e->entered, wait);
    limit = limit < e->alarm ? limit : e->alarm;
    int error = wait > 0 ? run(e, limit) : run_briefly(e, e->entered);
    lua_Integer count = listed ? collect_into(L, e) : (lua_Integer)(e->finish_count - before);
    if (!expose(e)) {
        return luaL_error(L, "cannot set the timer: %s", strerror(errno));
    }
    if (error != 0 && error != EINTR) { /* EINTR: a signal handler of the host wants its turn */
        return luaL_error(L, "cannot wait for transfers: %s", strerror(error));
    }
    lua_pushinteger(L, count);
    return 1;
}

/*** The descriptor a host polls for reading; when it is readable, `step` has work. It stays
 * readable until every finished transfer was collected. Once it was asked for it is kept up to
 * date.
 * @function engine:fd
 * @treturn integer
 * @raise as `step` */
static int engine_fd(lua_State *L) {
    cat_engine *e = check_usable(L);
    if (!e->shared) {
        e->shared = true;
        expose(e);
    }
    lua_pushinteger(L, e->epoll);
    return 1;
}

/*** Sets when a host that waits is woken, also if no transfer asks for it.
 * @function engine:alarm
 * @tparam ?number at seconds, as of `core.system.monotonic`; nil: never */
static int engine_alarm(lua_State *L) {
    cat_engine *e = check_engine(L);
    e->alarm = lua_isnoneornil(L, 2) ? NEVER : nanoseconds(luaL_checknumber(L, 2));
    expose(e);
    return 0;
}

/*** Makes the descriptor readable, or no longer for this reason. For those who wait on it and have
 * something else to hear of; `step` does not mind.
 * @function engine:wake
 * @tparam boolean on */
static int engine_wake(lua_State *L) {
    cat_engine *e = check_engine(L);
    e->awake = lua_toboolean(L, 2);
    expose(e);
    return 0;
}

/*** Whether no transfer is in flight, nor finished and not collected.
 * @function engine:idle
 * @treturn boolean */
static int engine_idle(lua_State *L) {
    const cat_engine *e = check_engine(L);
    lua_pushboolean(L, !e->flying.first && !e->finished.first);
    return 1;
}

/*** Gives a finished transfer nobody has asked for its reply yet, each once, in the order they were
 * done.
 * @function engine:collect
 * @treturn ?transfer nil when there is none */
static int engine_collect(lua_State *L) {
    cat_engine *e = check_engine(L);
    lua_getiuservalue(L, 1, 1);
    if (!push_finished(L, e)) {
        expose(e);
        lua_pushnil(L);
    }
    return 1;
}

static void abandon(cat_engine *e, bool ours) {
    if (ours) {
        land_all(e, CURLE_ABORTED_BY_CALLBACK);
    }
    for (cat_flight *flight; (flight = e->flying.first);) {
        unlink_flight(&e->flying, flight);
        flight->engine = NULL;
        flight->leaked = true;
    }
    while (e->finished.first) {
        cat_engine_forget(e->finished.first);
    }
}

/* Ends the transfers in flight, as cancelled, and frees everything. In a forked child the handles
 * are left as they are, and leak: to close them would take leave of the parent's servers in the
 * parent's name. */
static int engine_gc(lua_State *L) {
    cat_engine *e = check_engine(L);
    bool ours = at_home(e);
    abandon(e, ours);
    if (e->multi && ours) {
        curl_multi_cleanup(e->multi); /* closes its sockets by cat_engine_close_socket */
    }
    e->multi = NULL;
    if (e->epoll >= 0) {
        close(e->epoll);
    }
    if (e->timer >= 0) {
        close(e->timer);
    }
    e->epoll = e->timer = -1;
    if (e->here) {
        munmap((void *)(uintptr_t)e->here, page_size());
    }
    e->here = NULL;
    cat_heap_free(e->L, &e->deadlines);
    if (e->sockets) {
        cat_resize(e->L, e->sockets, e->capacity * sizeof *e->sockets, 0);
    }
    e->sockets = NULL;
    e->capacity = 0;
    return 0;
}

static int engine_tostring(lua_State *L) {
    cat_engine *e = check_engine(L);
    lua_pushfstring(L, "catalog.engine (%s)", e->multi ? "open" : "closed");
    return 1;
}

/* A userdata that owns nothing yet, with its metatable and its table of transfers (weak: who drops
 * a transfer is rid of it). */
static cat_engine *push_closed(lua_State *L) {
    cat_engine *e = lua_newuserdatauv(L, sizeof *e, 1);
    memset(e, 0, sizeof *e);
    e->epoll = e->timer = e->changes = -1;
    e->curl_due = e->alarm = e->armed_for = NEVER;
    e->L = cat_main_thread(L);
    luaL_setmetatable(L, ENGINE);
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_setiuservalue(L, -2, 1);
    return e;
}

static bool watch_timer(cat_engine *e) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = e->timer};
    return epoll_ctl(e->epoll, EPOLL_CTL_ADD, e->timer, &event) == 0;
}

/* False with errno set. */
static bool open_engine(cat_engine *e) {
    if (!settle_here(e)) {
        return false;
    }
    e->epoll = epoll_create1(EPOLL_CLOEXEC);
    e->timer = e->epoll < 0 ? -1 : timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (e->timer < 0 || !watch_timer(e)) {
        return false;
    }
    e->multi = make_multi(e);
    errno = ENOMEM;
    return e->multi != NULL;
}

cat_engine *cat_engine_push(lua_State *L) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &registry_key) == LUA_TUSERDATA) {
        cat_engine *known = lua_touserdata(L, -1);
        if (known->multi && at_home(known)) {
            return known;
        }
    }
    lua_pop(L, 1);
    cat_engine *e = push_closed(L);
    if (!open_engine(e)) {
        int why = errno;
        lua_pop(L, 1);
        if (why == ENOMEM) {
            luaL_error(L, "not enough memory");
        }
        cat_failure(L, "limit", "cannot open what transfers are waited for with: %s",
                    cat_no_descriptors(why) ? CAT_NO_DESCRIPTORS : strerror(why));
        return NULL;
    }
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &registry_key);
    return e;
}

/*** The engine of this Lua state; clients share it.
 * @function get
 * @treturn[1] engine
 * @treturn[2] nil
 * @treturn[2] table error of kind `limit`: no descriptors are left */
static int engine_get(lua_State *L) {
    return cat_engine_push(L) ? 1 : 2;
}

int cat_engine_open(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"step", engine_step}, {"fd", engine_fd},           {"alarm", engine_alarm},
        {"wake", engine_wake}, {"collect", engine_collect}, {"idle", engine_idle},
        {NULL, NULL}};
    static const luaL_Reg events[] = {
        {"__gc", engine_gc}, {"__close", engine_gc}, {"__tostring", engine_tostring}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"get", engine_get}, {NULL, NULL}};
    cat_handle(L, ENGINE, events, methods);
    luaL_newlib(L, functions);
    return 1;
}
