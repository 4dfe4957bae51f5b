/* libcurl without us: the loops that the module is measured against.
 *
 * Both are written as well as we know how. Handles, headers and connections are kept from one
 * request to the next; the loop for many at a time keeps libcurl's timer in a variable, not in a
 * timerfd, and tells epoll only what has really changed since the last wait. */
#include "bench.h"

#include <curl/curl.h>
#include <errno.h>
#include <lauxlib.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define TARGET "bench.target"

enum {
    MOST_WIDTH = 64,
    MOST_REPLY = 8192,
    MOST_SOCKETS = 1024,
    MOST_EVENTS = 64,
    PATIENCE = 10000
};

typedef struct {
    CURL *easy;
    bool flying; /* it is in the multi handle */
    size_t length;
    char reply[MOST_REPLY];
} exchange;

/* A socket: what libcurl wants to hear of, and what epoll was told. */
typedef struct {
    uint32_t wanted, told;
    bool changed;
} watch;

/* One request, and all that is needed to send it again and again. */
typedef struct {
    struct curl_slist *headers;
    CURLM *multi;
    int epoll;
    int64_t due; /* libcurl's timer in nanoseconds of the monotonic clock; 0: now, -1: none */
    size_t changes;
    int changed[MOST_SOCKETS];
    watch watches[MOST_SOCKETS];
    exchange alone; /* of the sequential loop */
    exchange many[MOST_WIDTH];
} target;

static int64_t nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* libcurl's callbacks. */

static size_t on_reply(char *bytes, size_t unit, size_t count, void *user) {
    exchange *one = user;
    size_t size = unit * count;
    if (size > MOST_REPLY - one->length) {
        return 0;
    }
    memcpy(one->reply + one->length, bytes, size);
    one->length += size;
    return size;
}

static void change(target *self, int fd, uint32_t wanted) {
    watch *at = &self->watches[fd];
    at->wanted = wanted;
    if (!at->changed) {
        at->changed = true;
        self->changed[self->changes++] = fd;
    }
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *unused) {
    (void)easy;
    (void)unused;
    if (fd < 0 || fd >= MOST_SOCKETS) {
        return -1;
    }
    bool in = what == CURL_POLL_IN || what == CURL_POLL_INOUT;
    bool out = what == CURL_POLL_OUT || what == CURL_POLL_INOUT;
    change(user, fd, (in ? EPOLLIN : 0U) | (out ? EPOLLOUT : 0U));
    return 0;
}

/* The number of a closed socket may come back: epoll has forgotten it, and so must we. */
static int on_close(void *user, curl_socket_t fd) {
    target *self = user;
    if (fd >= 0 && fd < MOST_SOCKETS) {
        self->watches[fd].wanted = self->watches[fd].told = 0;
    }
    return close(fd);
}

static int on_timer(CURLM *multi, long milliseconds, void *user) {
    (void)multi;
    target *self = user;
    if (milliseconds > 0) {
        self->due = nanoseconds() + milliseconds * INT64_C(1000000);
    } else {
        self->due = milliseconds == 0 ? 0 : -1;
    }
    return 0;
}

/* Making a target. */

static void check_easy(lua_State *L, CURLcode code) {
    if (code != CURLE_OK) {
        luaL_error(L, "libcurl: %s", curl_easy_strerror(code));
    }
}

static void check_multi(lua_State *L, CURLMcode code) {
    if (code != CURLM_OK) {
        luaL_error(L, "libcurl: %s", curl_multi_strerror(code));
    }
}

static void read_headers(lua_State *L, target *self, int index) {
    lua_Integer count = luaL_len(L, index);
    for (lua_Integer i = 1; i <= count; i++) {
        lua_geti(L, index, i);
        struct curl_slist *longer = curl_slist_append(self->headers, luaL_checkstring(L, -1));
        if (!longer) {
            luaL_error(L, "not enough memory");
        }
        self->headers = longer;
        lua_pop(L, 1);
    }
}

static void make_exchange(lua_State *L, target *self, exchange *one) {
    size_t length;
    const char *body = luaL_checklstring(L, 3, &length);
    CURL *easy = one->easy = curl_easy_init();
    if (!easy) {
        luaL_error(L, "not enough memory");
    }
    check_easy(L, curl_easy_setopt(easy, CURLOPT_URL, luaL_checkstring(L, 1)));
    check_easy(L, curl_easy_setopt(easy, CURLOPT_HTTPHEADER, self->headers));
    check_easy(L, curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)length));
    check_easy(L, curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, body));
    check_easy(L, curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_reply));
    check_easy(L, curl_easy_setopt(easy, CURLOPT_WRITEDATA, one));
    check_easy(L, curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close));
    check_easy(L, curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, self));
    check_easy(L, curl_easy_setopt(easy, CURLOPT_PRIVATE, one));
    check_easy(L, curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1));
    check_easy(L, curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L));
    check_easy(L, curl_easy_setopt(easy, CURLOPT_PROXY, ""));
}

static void make_multi(lua_State *L, target *self) {
    self->epoll = epoll_create1(EPOLL_CLOEXEC);
    self->multi = curl_multi_init();
    if (self->epoll < 0 || !self->multi) {
        luaL_error(L, "no epoll descriptor, or not enough memory");
    }
    check_multi(L, curl_multi_setopt(self->multi, CURLMOPT_SOCKETFUNCTION, on_socket));
    check_multi(L, curl_multi_setopt(self->multi, CURLMOPT_SOCKETDATA, self));
    check_multi(L, curl_multi_setopt(self->multi, CURLMOPT_TIMERFUNCTION, on_timer));
    check_multi(L, curl_multi_setopt(self->multi, CURLMOPT_TIMERDATA, self));
}

/* bare.target(url, header lines, body): a request that can be sent in two ways. */
static int bare_target(lua_State *L) {
    luaL_checkstring(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    luaL_checkstring(L, 3);
    lua_settop(L, 3);
    target *self = lua_newuserdatauv(L, sizeof *self, 0);
    memset(self, 0, sizeof *self);
    self->epoll = -1;
    self->due = -1;
    luaL_setmetatable(L, TARGET);
    read_headers(L, self, 2);
    make_multi(L, self);
    make_exchange(L, self, &self->alone);
    for (size_t i = 0; i < MOST_WIDTH; i++) {
        make_exchange(L, self, &self->many[i]);
    }
    return 1;
}

static void land(target *self, exchange *one) {
    if (one->flying) {
        curl_multi_remove_handle(self->multi, one->easy);
        one->flying = false;
    }
}

static int target_gc(lua_State *L) {
    target *self = luaL_checkudata(L, 1, TARGET);
    for (size_t i = 0; i < MOST_WIDTH; i++) {
        land(self, &self->many[i]);
        curl_easy_cleanup(self->many[i].easy);
        self->many[i].easy = NULL;
    }
    curl_easy_cleanup(self->alone.easy);
    self->alone.easy = NULL;
    curl_multi_cleanup(self->multi);
    self->multi = NULL;
    curl_slist_free_all(self->headers);
    self->headers = NULL;
    if (self->epoll >= 0) {
        close(self->epoll);
        self->epoll = -1;
    }
    return 0;
}

/* What went wrong with an exchange, or NULL. */
static const char *fault(const exchange *one, CURLcode code) {
    long status = 0;
    if (code != CURLE_OK) {
        return curl_easy_strerror(code);
    }
    curl_easy_getinfo(one->easy, CURLINFO_RESPONSE_CODE, &status);
    bool good = (status == 200 || status == 201) && one->length > 0;
    return good ? NULL : "the answer is neither a 200 nor a 201 with a body";
}

/* target:sequential(count): one after another. */
static int target_sequential(lua_State *L) {
    target *self = luaL_checkudata(L, 1, TARGET);
    lua_Integer count = luaL_checkinteger(L, 2);
    for (lua_Integer i = 0; i < count; i++) {
        self->alone.length = 0;
        const char *why = fault(&self->alone, curl_easy_perform(self->alone.easy));
        if (why) {
            return luaL_error(L, "bare libcurl, sequential: %s", why);
        }
    }
    return 0;
}

/* Many at a time. */

typedef struct {
    lua_Integer to_start, to_finish;
    const char *why; /* NULL while all is well */
} progress;

static void take_off(target *self, exchange *one, progress *state) {
    CURLMcode code = curl_multi_add_handle(self->multi, one->easy);
    one->length = 0;
    one->flying = code == CURLM_OK;
    state->to_start--;
    if (!one->flying) {
        state->why = curl_multi_strerror(code);
    }
}

static void collect(target *self, progress *state) {
    int left;
    CURLMsg *message;
    while (!state->why && (message = curl_multi_info_read(self->multi, &left))) {
        exchange *one = NULL;
        CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&one);
        land(self, one); /* `message` is gone now */
        state->to_finish--;
        state->why = fault(one, code);
        if (!state->why && state->to_start > 0) {
            take_off(self, one, state);
        }
    }
}

static void act(target *self, curl_socket_t fd, int events, progress *state) {
    int running;
    CURLMcode code = curl_multi_socket_action(self->multi, fd, events, &running);
    if (code != CURLM_OK) {
        state->why = curl_multi_strerror(code);
    }
}

static void run_timer(target *self, progress *state) {
    if (self->due == 0 || (self->due > 0 && self->due <= nanoseconds())) {
        self->due = -1; /* before the call, which may set it again */
        act(self, CURL_SOCKET_TIMEOUT, 0, state);
    }
}

static void tell_epoll(target *self) {
    for (size_t i = 0; i < self->changes; i++) {
        int fd = self->changed[i];
        watch *at = &self->watches[fd];
        at->changed = false;
        if (at->wanted != at->told) {
            struct epoll_event event = {.events = at->wanted, .data.fd = fd};
            int how = at->told ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
            epoll_ctl(self->epoll, at->wanted ? how : EPOLL_CTL_DEL, fd, &event);
            at->told = at->wanted;
        }
    }
    self->changes = 0;
}

static int milliseconds_left(const target *self) {
    if (self->due < 0) {
        return PATIENCE;
    }
    int64_t left = self->due == 0 ? 0 : (self->due - nanoseconds() + 999999) / 1000000;
    return left < 0 ? 0 : left > PATIENCE ? PATIENCE : (int)left;
}

static void wait_and_act(target *self, progress *state) {
    struct epoll_event events[MOST_EVENTS];
    bool timed = self->due >= 0;
    tell_epoll(self);
    int count = epoll_wait(self->epoll, events, MOST_EVENTS, milliseconds_left(self));
    if (count < 0 && errno != EINTR) {
        state->why = strerror(errno);
    } else if (count == 0 && !timed) {
        state->why = "nothing happened for ten seconds";
    }
    for (int i = 0; i < count && !state->why; i++) {
        uint32_t got = events[i].events;
        int bits = (got & EPOLLIN ? CURL_CSELECT_IN : 0) | (got & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                   (got & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
        act(self, events[i].data.fd, bits, state);
    }
}

/* target:inflight(count, width): `width` of them at a time. */
static int target_inflight(lua_State *L) {
    target *self = luaL_checkudata(L, 1, TARGET);
    lua_Integer count = luaL_checkinteger(L, 2);
    lua_Integer width = luaL_checkinteger(L, 3);
    luaL_argcheck(L, width >= 1 && width <= MOST_WIDTH, 3, "1 to 64 expected");
    progress state = {.to_start = count, .to_finish = count, .why = NULL};
    for (lua_Integer i = 0; i < width && state.to_start > 0 && !state.why; i++) {
        take_off(self, &self->many[i], &state);
    }
    while (state.to_finish > 0 && !state.why) {
        run_timer(self, &state);
        collect(self, &state);
        if (self->due != 0 && state.to_finish > 0 && !state.why) {
            wait_and_act(self, &state);
            collect(self, &state);
        }
    }
    for (lua_Integer i = 0; i < width; i++) {
        land(self, &self->many[i]);
    }
    if (state.why) {
        return luaL_error(L, "bare libcurl, in flight: %s", state.why);
    }
    return 0;
}

int luaopen_bench_bare(lua_State *L);

int luaopen_bench_bare(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"sequential", target_sequential}, {"inflight", target_inflight}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"target", bare_target}, {NULL, NULL}};
    curl_global_init(CURL_GLOBAL_ALL);
    luaL_newmetatable(L, TARGET);
    lua_pushcfunction(L, target_gc);
    lua_setfield(L, -2, "__gc");
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    luaL_newlib(L, functions);
    bench_tools_open(L);
    bench_get_open(L);
    lua_pushstring(L, curl_version_info(CURLVERSION_NOW)->version);
    lua_setfield(L, -2, "curl_version");
    return 1;
}
