/*** The emulator's HTTP: libmicrohttpd on a thread of its own, with a Lua state of its own that
 * says what to answer.
 *
 * The thread polls libmicrohttpd's epoll descriptor and a descriptor that wakes it to stop. A
 * delayed answer suspends its connection until it is due; nothing here sleeps. Lua is only ever
 * entered by lua_pcall, so no error jumps across libmicrohttpd. Clients that close are noticed
 * (see `note_hangups`), and those that keep quiet make room for others (see `make_room`).
 * @module catalog.emulator.httpd */
#include "../handle.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <lualib.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SERVER       "catalog.emulator.httpd"
#define MOST_HEADERS 128
#define CONNECTIONS  16384
#define IDLE_SECONDS 300

/* So long a client has to have kept quiet before its connection is closed for the sake of others,
 * milliseconds. */
#define QUIET_MS 500

/* What is read of a body at a time is a good part of this, bytes. */
#define CONNECTION_MEMORY 262144

/* How much libmicrohttpd takes of what RFC 9112 forbids. When lenient, it takes a space before a
 * colon: 0.9.75 does so by default, newer ones at the lowest level only. The handler is told of
 * the space. */
#if MHD_VERSION >= 0x00097701
#define DISCIPLINE MHD_OPTION_CLIENT_DISCIPLINE_LVL
#define LENIENT    (-3)
#else
#define DISCIPLINE MHD_OPTION_STRICT_FOR_CLIENT
#define LENIENT    0
#endif
#define STRICT 1

typedef struct server server;

/* One connection. While the server waits for bytes of its client it is in the server's list, in
 * which the client that has been quiet for the longest time comes first. */
typedef struct connection {
    server *of;
    int fd;
    bool listed;
    int64_t heard; /* when the client was, milliseconds */
    struct connection *previous, *next;
} connection;

/* One request, from its first line to the end of its answer. */
typedef struct request {
    server *of;
    struct MHD_Connection *connection;
    connection *on;
    char *target; /* as sent: libmicrohttpd decodes the path, and cuts it at %00 */
    char *body;
    size_t length, capacity;
    char *spool; /* the file that takes the body, or NULL: memory does */
    int spool_fd;
    int spool_error;  /* an errno: it cannot be written */
    bool begun, over; /* over: the body is larger than is kept, and the rest is thrown away */
    bool at_once;     /* it is answered before its body has come */
    bool known;       /* its table is in the registry of the thread's state, by its address */
    int64_t received, limit; /* bytes of the body; at how many the connection is dropped, or -1 */
    bool dropped; /* the connection is closed instead of an answer, after these bytes, which no API
                     could send: */
    char *raw;
    size_t raw_length, raw_sent, piece; /* so many at a time, */
    int64_t every;                      /* with so many milliseconds in between */
    unsigned int status;
    struct MHD_Response *response; /* the answer, once there is one */
    int64_t due;                   /* when the answer may go out, milliseconds */
    bool waiting;                  /* suspended, and in the list of the server */
    struct request *previous, *next;
} request;

struct server {
    lua_State *L; /* the thread's; what it calls is in the registry, by the addresses of the keys */
    struct MHD_Daemon *daemon;
    pid_t process; /* that has started it, and not a child it forked */
    int listener, wake;
    int hangups; /* an epoll descriptor: tells which clients have closed */
    connection *quietest, *liveliest;
    uint64_t changes; /* how many connections were opened and closed */
    uint16_t port;
    size_t most;      /* bytes of a body that are kept in memory */
    size_t most_file; /* and in a file */
    pthread_t thread;
    bool running;
    request *waiting;
    pthread_mutex_t lock; /* guards what another thread tells this one: */
    pthread_cond_t heard;
    const char *told; /* NULL: nothing, or it was heard */
    size_t told_length;
    bool ending; /* set by the other thread, known to this one once it has been woken */
};

/* Called with a request whose headers are there, with one that is there as a whole, and with what
 * the server is told. */
static const char begin_key, handle_key, tell_key;

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* --- connections --- */

static void unlist(connection *c) {
    if (c->listed) {
        *(c->previous ? &c->previous->next : &c->of->quietest) = c->next;
        *(c->next ? &c->next->previous : &c->of->liveliest) = c->previous;
        c->listed = false;
    }
}

/* The client was heard of, and more of it is waited for. */
static void hear(connection *c) {
    server *s = c->of;
    unlist(c);
    c->heard = now_ms();
    c->listed = true;
    c->previous = s->liveliest;
    c->next = NULL;
    *(s->liveliest ? &s->liveliest->next : &s->quietest) = c;
    s->liveliest = c;
}

/* Makes the `connection` of a new one. NULL: there is no memory. */
static connection *open_connection(server *s, int fd) {
    connection *c = calloc(1, sizeof *c);
    if (c) {
        struct epoll_event closed = {.events = EPOLLRDHUP, .data.ptr = c};
        c->of = s;
        c->fd = fd;
        epoll_ctl(s->hangups, EPOLL_CTL_ADD, fd, &closed); /* without it there is the time-out */
        hear(c);
    }
    return c;
}

static void close_connection(connection *c) {
    /* explicitly: a forked child may have the socket, and closing ours would not take it away */
    epoll_ctl(c->of->hangups, EPOLL_CTL_DEL, c->fd, NULL);
    unlist(c);
    free(c);
}

/* MHD_OPTION_NOTIFY_CONNECTION */
static void note_connection(void *user, struct MHD_Connection *with, void **context,
                            enum MHD_ConnectionNotificationCode code) {
    server *s = user;
    s->changes++;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        int fd = MHD_get_connection_info(with, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        *context = open_connection(s, fd);
        if (!*context) {
            shutdown(fd, SHUT_RDWR);
        }
    } else if (*context) {
        close_connection(*context);
        *context = NULL;
    }
}

/* Tells libmicrohttpd of clients that have closed. It is told of changes only, and does not look
 * for more after it has read less than it asked for: when the end of the stream came with the last
 * bytes, it would hear no more of the connection until the time-out. To close our side for reading
 * is a change, and loses nothing once all was read. */
static void note_hangups(server *s) {
    struct epoll_event events[64];
    const int most = sizeof events / sizeof *events;
    int count = most;
    for (int seen = 0; count == most && seen <= CONNECTIONS; seen += most) {
        count = epoll_wait(s->hangups, events, most, 0);
        for (int i = 0; i < count; i++) {
            connection *c = events[i].data.ptr;
            char byte;
            if (recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0) {
                shutdown(c->fd, SHUT_RD);
                epoll_ctl(s->hangups, EPOLL_CTL_DEL, c->fd, NULL);
            }
        }
    }
}

/* Called when somebody knocks whom libmicrohttpd does not let in, because it has all the
 * connections or descriptors there may be: closes the connection whose client has been quiet for
 * the longest time. Returns in how many milliseconds it will have been quiet for long enough, or
 * -1. */
static int64_t make_room(server *s) {
    connection *c = s->quietest;
    int64_t left = c ? c->heard + QUIET_MS - now_ms() : -1;
    if (c && left <= 0) {
        unlist(c);
        shutdown(c->fd, SHUT_RDWR); /* libmicrohttpd hears of it, and closes it */
        return -1;
    }
    return left;
}

/* --- requests --- */

/* MHD_OPTION_URI_LOG_CALLBACK: the first that is heard of a request; what it gives is the request's
 * own. */
static void *begin(void *user, const char *target, struct MHD_Connection *with) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(with, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    request *r = info->socket_context ? calloc(1, sizeof *r) : NULL;
    if (r) {
        r->of = user;
        r->connection = with;
        r->on = info->socket_context;
        r->target = strdup(target);
        r->spool_fd = -1;
        r->limit = -1;
    }
    return r;
}

/* Suspends a request until it is due. False: the server is about to end, and nothing waits. */
static bool hold(request *r, int64_t due) {
    server *s = r->of;
    if (s->ending) {
        return false;
    }
    r->due = due;
    r->waiting = true;
    r->previous = NULL;
    r->next = s->waiting;
    if (s->waiting) {
        s->waiting->previous = r;
    }
    s->waiting = r;
    MHD_suspend_connection(r->connection);
    return true;
}

static void unlink_waiting(request *r) {
    if (r->waiting) {
        *(r->previous ? &r->previous->next : &r->of->waiting) = r->next;
        if (r->next) {
            r->next->previous = r->previous;
        }
        r->waiting = false;
    }
}

static void close_spool(request *r) {
    if (r->spool_fd >= 0) {
        close(r->spool_fd);
        r->spool_fd = -1;
    }
}

/* MHD_OPTION_NOTIFY_COMPLETED */
static void end(void *user, struct MHD_Connection *with, void **state,
                enum MHD_RequestTerminationCode code) {
    (void)user, (void)with, (void)code;
    request *r = *state;
    *state = NULL;
    if (r) {
        unlink_waiting(r);
        hear(r->on); /* it may go on with another */
        if (r->known) {
            lua_pushnil(r->of->L); /* takes a key away, which allocates nothing */
            lua_rawsetp(r->of->L, LUA_REGISTRYINDEX, r);
        }
        if (r->response) {
            MHD_destroy_response(r->response);
        }
        close_spool(r);
        if (r->spool) {
            unlink(r->spool); /* what was not wanted; what was is elsewhere by now */
        }
        free(r->spool);
        free(r->raw);
        free(r->target);
        free(r->body);
        free(r);
    }
}

/* Writes bytes of a body to its file. What is more than is kept, and all after a fault, is dropped.
 */
static void spill(request *r, const char *bytes, size_t size) {
    r->over = r->over || size > r->of->most_file - r->length;
    while (size > 0 && !r->over && !r->spool_error) {
        ssize_t written = write(r->spool_fd, bytes, size);
        if (written < 0 && errno != EINTR) {
            r->spool_error = errno;
            return;
        }
        bytes += written > 0 ? written : 0;
        size -= written > 0 ? (size_t)written : 0;
        r->length += written > 0 ? (size_t)written : 0;
    }
}

/* False when there is no memory. What is more than is kept is dropped. */
static bool take(request *r, const char *bytes, size_t size) {
    if (r->spool) {
        spill(r, bytes, size);
        return true;
    }
    if (r->over || size > r->of->most - r->length) {
        r->over = true;
        return true;
    }
    if (size > r->capacity - r->length) {
        size_t capacity = r->capacity ? r->capacity : 1024;
        while (capacity - r->length < size) {
            capacity *= 2;
        }
        char *grown = realloc(r->body, capacity);
        if (!grown) {
            return false;
        }
        r->body = grown;
        r->capacity = capacity;
    }
    memcpy(r->body + r->length, bytes, size);
    r->length += size;
    return true;
}

/* --- asking Lua --- */

typedef struct {
    const char *names[MOST_HEADERS], *values[MOST_HEADERS];
    int count;
} header_list;

static enum MHD_Result note_header(void *user, enum MHD_ValueKind kind, const char *name,
                                   const char *value) {
    (void)kind;
    header_list *list = user;
    if (list->count == MOST_HEADERS) {
        return MHD_NO;
    }
    list->names[list->count] = name;
    list->values[list->count++] = value ? value : "";
    return MHD_YES;
}

/* Pushes a header's name in lower case, without the space that the guide's curl puts before the
 * colon. True when there was one. */
static bool push_name(lua_State *L, const char *name) {
    luaL_Buffer lower;
    size_t length = strlen(name);
    while (length > 0 && isspace((unsigned char)name[length - 1])) {
        length--;
    }
    luaL_buffinitsize(L, &lower, length);
    for (size_t i = 0; i < length; i++) {
        luaL_addchar(&lower, (char)tolower((unsigned char)name[i]));
    }
    luaL_pushresult(&lower);
    return name[length] != '\0';
}

/* Pushes the table of headers; what stands more than once is joined by commas. True when there is a
 * space before a colon. */
static bool push_headers(lua_State *L, const header_list *list) {
    bool spaced = false;
    lua_createtable(L, 0, list->count);
    for (int i = 0; i < list->count; i++) {
        spaced |= push_name(L, list->names[i]);
        lua_pushvalue(L, -1);
        if (lua_rawget(L, -3) == LUA_TSTRING) {
            lua_pushfstring(L, "%s, %s", lua_tostring(L, -1), list->values[i]);
            lua_remove(L, -2);
        } else {
            lua_pop(L, 1);
            lua_pushstring(L, list->values[i]);
        }
        lua_rawset(L, -3);
    }
    return spaced;
}

typedef struct {
    request *r;
    const char *method, *version;
    header_list headers;
} question;

/* Pushes the table of a request whose headers are there. */
static void push_request(lua_State *L, const question *q) {
    lua_createtable(L, 0, 8);
    lua_pushstring(L, q->method);
    lua_setfield(L, -2, "method");
    lua_pushstring(L, q->version);
    lua_setfield(L, -2, "version");
    lua_pushstring(L, q->r->target);
    lua_setfield(L, -2, "target");
    bool spaced = push_headers(L, &q->headers);
    lua_setfield(L, -2, "headers");
    lua_pushboolean(L, spaced);
    lua_setfield(L, -2, "spaced");
}

/* Adds the body to the table on top. */
static void add_body(lua_State *L, const request *r) {
    if (r->spool) {
        lua_pushstring(L, r->spool);
        lua_setfield(L, -2, "body_file");
        lua_pushinteger(L, (lua_Integer)r->length);
        lua_setfield(L, -2, "body_size");
        lua_pushboolean(L, r->spool_error != 0);
        lua_setfield(L, -2, "unwritten");
    } else {
        lua_pushlstring(L, r->body ? r->body : "", r->length);
        lua_setfield(L, -2, "body");
    }
    lua_pushboolean(L, r->over);
    lua_setfield(L, -2, "too_large");
}

/* The response that is a file, or so many bytes of it. */
static void respond_with_file(lua_State *L, request *r, const char *path, lua_Integer first,
                              lua_Integer length) {
    struct stat found;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &found) == 0) {
        uint64_t size = (uint64_t)(length < 0 ? found.st_size - first : length);
        r->response = MHD_create_response_from_fd_at_offset64(size, fd, (uint64_t)first);
        /* closes it at its end */
    }
    if (fd >= 0 && !r->response) {
        close(fd);
    }
    if (!r->response) {
        luaL_error(L, "cannot read %s: %s", path, strerror(errno));
    }
}

static void respond_with_text(lua_State *L, request *r) {
    size_t length;
    const char *body = luaL_checklstring(L, 3, &length);
    r->response =
        MHD_create_response_from_buffer(length, (void *)(uintptr_t)body, MHD_RESPMEM_MUST_COPY);
    if (!r->response) {
        luaL_error(L, "not enough memory");
    }
}

/* An answer that breaks HTTP, the table at 3: some bytes as they are, perhaps none, and the end of
 * the connection. */
static void break_off(lua_State *L, request *r) {
    size_t length;
    const char *bytes = luaL_checklstring(L, -1, &length);
    r->raw = malloc(length ? length : 1);
    if (!r->raw) {
        luaL_error(L, "not enough memory");
        return; /* never reached, but an analyzer cannot know */
    }
    memcpy(r->raw, bytes, length);
    r->raw_length = length;
    r->dropped = true;
    lua_getfield(L, 3, "piece");
    r->piece = (size_t)luaL_optinteger(L, -1, (lua_Integer)length);
    lua_getfield(L, 3, "every_ms");
    r->every = luaL_optinteger(L, -1, 0);
}

/* Makes the response of a status, a table of headers and a body, at 1, 2 and 3. The body is a
 * string, or { file = path, first, length } (without the last two: all of it), or { raw = bytes,
 * piece, every_ms }, which go out as they are before the connection is closed, all at once or by
 * and by. */
static void make_response(lua_State *L, request *r) {
    r->status = (unsigned int)luaL_checkinteger(L, 1);
    if (lua_istable(L, 3) && lua_getfield(L, 3, "raw") == LUA_TSTRING) {
        break_off(L, r);
        return;
    }
    if (lua_istable(L, 3)) {
        lua_settop(L, 4);
        lua_getfield(L, 3, "file");
        lua_getfield(L, 3, "first");
        lua_getfield(L, 3, "length");
        respond_with_file(L, r, luaL_checkstring(L, -3), luaL_optinteger(L, -2, 0),
                          luaL_optinteger(L, -1, -1));
    } else {
        respond_with_text(L, r);
    }
    lua_settop(L, 4);
    for (lua_pushnil(L); lua_next(L, 2); lua_pop(L, 1)) {
        if (MHD_add_response_header(r->response, luaL_checkstring(L, -2),
                                    luaL_checkstring(L, -1)) != MHD_YES) {
            luaL_error(L, "the header %s cannot be sent", lua_tostring(L, -2));
        }
    }
}

/* Called protected: asks the handler, and leaves the answer in the request. */
static int ask(lua_State *L) {
    question *q = lua_touserdata(L, 1);
    lua_settop(L, 0);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &handle_key);
    lua_rawgetp(L, LUA_REGISTRYINDEX, q->r);
    add_body(L, q->r);
    lua_call(L, 1, 4); /* status, headers, body, delay */
    lua_Integer delay = luaL_optinteger(L, 4, 0);
    make_response(L, q->r);
    q->r->due = delay > 0 ? now_ms() + delay : 0;
    return 0;
}

/* Called protected: shows a request whose headers are there, and opens the file its body goes to,
 * if any. */
static int ask_begin(lua_State *L) {
    question *q = lua_touserdata(L, 1);
    lua_settop(L, 0);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &begin_key);
    push_request(L, q);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, q->r);
    q->r->known = true;
    lua_call(L, 1, 3); /* path, limit, whether it is answered at once */
    q->r->limit = luaL_optinteger(L, 2, -1);
    q->r->at_once = lua_toboolean(L, 3);
    if (lua_isnil(L, 1)) {
        return 0;
    }
    const char *path = luaL_checkstring(L, 1);
    q->r->spool_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    q->r->spool_error = q->r->spool_fd < 0 ? errno : 0;
    q->r->spool = strdup(path);
    return q->r->spool ? 0 : luaL_error(L, "not enough memory");
}

/* The handler of errors: makes a text of one, which may be a table. */
static int explain(lua_State *L) {
    luaL_tolstring(L, 1, NULL);
    return 1;
}

/* Calls `ask` or `ask_begin`. NULL, or why it failed, which holds until Lua is entered again. */
static const char *consult(request *r, const char *method, const char *version,
                           lua_CFunction call) {
    lua_State *L = r->of->L;
    question q = {.r = r, .method = method, .version = version};
    MHD_get_connection_values(r->connection, MHD_HEADER_KIND, note_header, &q.headers);
    lua_settop(L, 0);
    /* light C functions and a light userdata: pushing them allocates nothing */
    lua_pushcfunction(L, explain);
    lua_pushcfunction(L, call);
    lua_pushlightuserdata(L, &q);
    if (lua_pcall(L, 1, 0, 1) == LUA_OK) {
        return NULL;
    }
    return lua_tostring(L, -1); /* a text, as `explain` made it, or the message of its own fault */
}

/* The answer when there is none: the handler failed. */
static bool apologise(request *r, const char *why) {
    static const char body[] =
        "{\"type\":\"about:blank\",\"status\":500,\"title\":\"InternalServerError\","
        "\"detail\":\"the emulator failed; its stderr says how\"}";
    fprintf(stderr, "emulator: %s: %s\n", r->target, why);
    if (r->response) {
        MHD_destroy_response(r->response);
    }
    r->status = 500;
    r->response = MHD_create_response_from_buffer(sizeof body - 1, (void *)(uintptr_t)body,
                                                  MHD_RESPMEM_PERSISTENT);
    return r->response && MHD_add_response_header(r->response, "content-type",
                                                  "application/problem+json") == MHD_YES;
}

/* False when there is no answer to be had. */
static bool answer(request *r, const char *method, const char *version) {
    close_spool(r);
    unlist(r->on); /* now the client waits */
    const char *why = consult(r, method, version, ask);
    return why ? apologise(r, why) : true;
}

/* A request begins. False: it comes no further. */
static bool begin_body(request *r, const char *method, const char *version) {
    r->begun = true;
    hear(r->on);
    const char *why = consult(r, method, version, ask_begin);
    if (why) {
        fprintf(stderr, "emulator: %s: %s\n", r->target, why);
    }
    return why == NULL && r->limit != 0;
}

/* Takes a piece of a body. False: the request comes no further. */
static bool take_body(request *r, const char *bytes, size_t *size) {
    size_t count = *size;
    *size = 0;
    hear(r->on);
    r->received += (int64_t)count;
    return take(r, bytes, count) && (r->limit < 0 || r->received < r->limit);
}

/* Writes the next piece past libmicrohttpd, which would not send it. Without TLS only; what does
 * not fit the socket at once is left out. False: there is no more. */
static bool send_raw(request *r) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    size_t left = r->raw_length - r->raw_sent, count = left < r->piece ? left : r->piece;
    if (info && count > 0) {
        ssize_t sent =
            send(info->connect_fd, r->raw + r->raw_sent, count, MSG_NOSIGNAL | MSG_DONTWAIT);
        (void)sent;
    }
    r->raw_sent += count;
    return count < left;
}

/* Goes on with an answer that breaks HTTP. */
static enum MHD_Result serve_raw(request *r) {
    return send_raw(r) && hold(r, now_ms() + r->every) ? MHD_YES : MHD_NO;
}

/* The access handler: called with the headers, with each piece of the body, when all is there, and
 * once more after a delay. */
static enum MHD_Result serve(void *user, struct MHD_Connection *with, const char *url,
                             const char *method, const char *version, const char *bytes,
                             size_t *size, void **state) {
    (void)user, (void)url;
    request *r = *state;
    if (!r || !r->target) {
        return MHD_NO; /* no memory: the connection is closed */
    }
    if (!r->begun) {
        bool goes_on = begin_body(r, method, version);
        if (!goes_on || !r->at_once) {
            return goes_on ? MHD_YES : MHD_NO;
        }
    }
    if (*size > 0) {
        return take_body(r, bytes, size) ? MHD_YES : MHD_NO;
    }
    if (!r->response && !r->dropped) {
        if (!answer(r, method, version)) {
            return MHD_NO;
        }
        if (r->due > 0 && hold(r, r->due)) {
            return MHD_YES;
        }
    }
    if (r->dropped) {
        return serve_raw(r);
    }
    return MHD_queue_response(with, r->status, r->response);
}

/* --- the thread --- */

/* Resumes the connections whose answers are due; `all`: every one. Returns in how many milliseconds
 * there is something to do: 0 when one was resumed, which libmicrohttpd does not say by its
 * timeout; -1: there is nothing. */
static int64_t resume_due(server *s, bool all) {
    int64_t now = now_ms(), soonest = -1;
    for (request *r = s->waiting, *next; r; r = next) {
        next = r->next;
        if (all || r->due <= now) {
            unlink_waiting(r);
            MHD_resume_connection(r->connection);
            soonest = 0;
        } else if (soonest < 0 || r->due - now < soonest) {
            soonest = r->due - now;
        }
    }
    return soonest;
}

/* The lesser of two numbers of milliseconds; -1 is none. */
static int64_t sooner(int64_t a, int64_t b) {
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

static int wait_limit(server *s, int64_t next_answer, int64_t next_room) {
    MHD_UNSIGNED_LONG_LONG idle;
    int64_t limit = sooner(next_answer, next_room);
    if (MHD_get_timeout(s->daemon, &idle) == MHD_YES) {
        limit = sooner(limit, (int64_t)idle);
    }
    return limit > 60000 ? 60000 : (int)limit;
}

/* Called protected: hands on what the server was told. */
static int hand_on(lua_State *L) {
    const server *s = lua_touserdata(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &tell_key);
    lua_pushlstring(L, s->told, s->told_length);
    lua_call(L, 1, 0);
    return 0;
}

/* Hears what another thread has to say. False: that this one is to end. */
static bool listen_to(server *s) {
    uint64_t count;
    ssize_t got = read(s->wake, &count, sizeof count);
    (void)got;
    pthread_mutex_lock(&s->lock);
    bool goes_on = !s->ending;
    if (s->told) {
        lua_settop(s->L, 0);
        lua_pushcfunction(s->L, hand_on);
        lua_pushlightuserdata(s->L, s);
        if (lua_pcall(s->L, 1, 0, 0) != LUA_OK) {
            fprintf(stderr, "emulator: %s\n", lua_tostring(s->L, -1));
        }
        s->told = NULL;
        pthread_cond_signal(&s->heard);
    }
    pthread_mutex_unlock(&s->lock);
    return goes_on;
}

static void *run(void *user) {
    server *s = user;
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    struct pollfd polled[3] = {{.fd = info->epoll_fd, .events = POLLIN},
                               {.fd = s->wake, .events = POLLIN},
                               {.fd = s->listener, .events = POLLIN}};
    while (!(polled[1].revents & POLLIN) || listen_to(s)) {
        uint64_t before = s->changes;
        MHD_run(s->daemon);
        bool refused = (polled[2].revents & POLLIN) && s->changes == before;
        int64_t room = refused ? make_room(s) : -1;
        polled[2].fd = refused ? -1 : s->listener; /* or poll would return at once */
        note_hangups(s);
        int64_t next = resume_due(s, false);
        if (poll(polled, 3, wait_limit(s, next, room)) < 0 && errno != EINTR) {
            break;
        }
        resume_due(s, false);
    }
    resume_due(s, true); /* libmicrohttpd cannot stop while connections are suspended */
    MHD_run(s->daemon);
    return NULL;
}

/* --- starting and stopping --- */

static server *check_server(lua_State *L) {
    return luaL_checkudata(L, 1, SERVER);
}

static bool is_ours(const server *s) {
    return s->process == getpid();
}

static void wake(server *s) {
    uint64_t one = 1;
    ssize_t written = write(s->wake, &one, sizeof one); /* an eventfd takes it */
    (void)written;
}

/*** Ends the server. In a forked child, which has no thread of the server's, what the parent uses
 * is left as it is.
 * @function server:stop
 * @treturn boolean whether the server was this process's own */
static int server_stop(lua_State *L) {
    server *s = check_server(L);
    bool ours = is_ours(s);
    lua_pushboolean(L, ours);
    if (!ours) {
        return 1;
    }
    if (s->running) {
        pthread_mutex_lock(&s->lock);
        s->ending = true;
        pthread_mutex_unlock(&s->lock);
        wake(s);
        pthread_join(s->thread, NULL);
        pthread_mutex_destroy(&s->lock);
        pthread_cond_destroy(&s->heard);
        s->running = false;
    }
    if (s->daemon) {
        MHD_stop_daemon(s->daemon); /* closes the listener too */
        s->daemon = NULL;
        s->listener = -1;
    }
    if (s->listener >= 0) {
        close(s->listener);
        s->listener = -1;
    }
    if (s->wake >= 0) {
        close(s->wake);
        s->wake = -1;
    }
    if (s->hangups >= 0) {
        close(s->hangups);
        s->hangups = -1;
    }
    if (s->L) {
        lua_close(s->L);
        s->L = NULL;
    }
    return 1;
}

static int fail(lua_State *L, const char *what, const char *why) {
    lua_pushnil(L);
    lua_pushfstring(L, "%s: %s", what, why);
    return 2;
}

/* Listens on the loopback. False with errno set. */
static bool listen_on(server *s, uint16_t port) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int on = 1;
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->listener < 0 || setsockopt(s->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(s->listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(s->listener, 1024) != 0 ||
        getsockname(s->listener, (struct sockaddr *)&address, &length) != 0) {
        return false;
    }
    s->port = ntohs(address.sin_port);
    return true;
}

static bool start_daemon(server *s, const char *cert, const char *key, bool strict) {
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)cert},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)key},
        {MHD_OPTION_END, 0, NULL},
    };
    unsigned int flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | (cert ? MHD_USE_TLS : 0u);
    s->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, serve, s, MHD_OPTION_LISTEN_SOCKET, s->listener,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned int)CONNECTIONS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_MEMORY, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)IDLE_SECONDS,
        MHD_OPTION_URI_LOG_CALLBACK, begin, s, MHD_OPTION_NOTIFY_COMPLETED, end, s,
        MHD_OPTION_NOTIFY_CONNECTION, note_connection, s, DISCIPLINE, strict ? STRICT : LENIENT,
        MHD_OPTION_ARRAY, cert ? tls : tls + 2, MHD_OPTION_END);
    return s->daemon != NULL;
}

/* The thread takes no signals: they are the host's. What a thread does wrong itself is not for
 * others to hear, and a sanitizer's report depends on it. Returns an errno. */
static int start_thread(server *s) {
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    sigset_t all, before;
    sigfillset(&all);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        sigdelset(&all, own[i]);
    }
    pthread_mutex_init(&s->lock, NULL); /* neither can fail with Linux's defaults */
    pthread_cond_init(&s->heard, NULL);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&s->thread, NULL, run, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    s->running = error == 0;
    return error;
}

typedef struct {
    server *s;
    const char *path, *cpath, *module, *settings;
} preparation;

/* Called protected in the thread's state: loads the handler. */
static int prepare(lua_State *L) {
    preparation *p = lua_touserdata(L, 1);
    luaL_openlibs(L);
    lua_getglobal(L, "package");
    lua_pushstring(L, p->path);
    lua_setfield(L, -2, "path");
    lua_pushstring(L, p->cpath);
    lua_setfield(L, -2, "cpath");
    lua_getglobal(L, "require");
    lua_pushstring(L, p->module);
    lua_call(L, 1, 1);
    lua_pushstring(L, p->settings);
    lua_call(L, 1, 3);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &tell_key);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &begin_key);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &handle_key);
    return 0;
}

static const char *field(lua_State *L, int index, const char *name) {
    lua_getfield(L, index, name);
    return luaL_optstring(L, -1, NULL);
}

/* Makes the thread's state. Pushes nothing and returns 0, or a failure. */
static int open_state(lua_State *L, server *s) {
    lua_getglobal(L, "package");
    int package = lua_gettop(L);
    preparation p = {s, field(L, package, "path"), field(L, package, "cpath"),
                     field(L, 1, "module"), field(L, 1, "settings")};
    s->L = luaL_newstate();
    if (!s->L) {
        return luaL_error(L, "not enough memory");
    }
    lua_pushcfunction(s->L, prepare);
    lua_pushlightuserdata(s->L, &p);
    if (lua_pcall(s->L, 1, 0, 0) != LUA_OK) {
        const char *why = lua_tostring(s->L, -1);
        return fail(L, "the emulator cannot start", why ? why : "unknown error");
    }
    return 0;
}

/*** Starts a server on the loopback.
 * @function start
 * @tparam table options `port` (0: any that is free); `module`, whose value is a function that is
 * called with `settings` (a string) in the server's own state and gives the handler and the
 * spooler; `max_body` and `max_file` (bytes, in memory and in files); `strict`; `cert` and `key`
 * (PEM texts). The handler is called with `{ method, version, target, headers, body, too_large,
 * spaced }` (`spaced`: a header has a space before its colon) and gives status, headers, body (a
 * string or `{ file = path, first, length }`), and a delay in milliseconds or nil. The spooler is
 * called with the same, without a body, when the headers are there; it gives the path of a file for
 * the body, or nil; after how many bytes of the body the connection is dropped, or nil; and whether
 * the handler is asked at once, before the body has come. With a file the handler gets `body_file`,
 * `body_size` and `unwritten` (true: not all of it could be written), and may move the file
 * @treturn[1] server
 * @treturn[2] nil
 * @treturn[2] string why not */
static int httpd_start(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    server *s = lua_newuserdatauv(L, sizeof *s, 0);
    memset(s, 0, sizeof *s);
    s->listener = s->wake = s->hangups = -1;
    s->process = getpid();
    luaL_setmetatable(L, SERVER);
    lua_getfield(L, 1, "port");
    lua_Integer port = luaL_optinteger(L, -1, 0);
    lua_getfield(L, 1, "max_body");
    s->most = (size_t)luaL_checkinteger(L, -1);
    lua_getfield(L, 1, "max_file");
    s->most_file = (size_t)luaL_checkinteger(L, -1);
    lua_getfield(L, 1, "strict");
    bool strict = lua_toboolean(L, -1);
    const char *cert = field(L, 1, "cert"), *key = field(L, 1, "key");
    int failed = open_state(L, s);
    if (failed) {
        return failed;
    }
    if (port < 0 || port > 65535 || !listen_on(s, (uint16_t)port)) {
        lua_pushfstring(L, "cannot listen on port %I", (LUAI_UACINT)port);
        return fail(L, lua_tostring(L, -1),
                    port < 0 || port > 65535 ? "no such port" : strerror(errno));
    }
    s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->hangups = epoll_create1(EPOLL_CLOEXEC);
    if (s->wake < 0 || s->hangups < 0) {
        return fail(L, "cannot start the server", strerror(errno));
    }
    if (!start_daemon(s, cert, key, strict)) {
        return fail(L, "cannot start the server",
                    cert ? "are the certificate and the key in PEM, and do "
                           "they belong together?"
                         : strerror(errno));
    }
    int error = start_thread(s);
    if (error != 0) {
        return fail(L, "cannot start the server", strerror(error));
    }
    lua_settop(L, 2);
    return 1;
}

/*** The port the server listens on.
 * @function server:port
 * @treturn integer */
static int server_port(lua_State *L) {
    lua_pushinteger(L, check_server(L)->port);
    return 1;
}

/*** Tells the server's Lua state something, and waits until it has heard it.
 * @function server:tell
 * @tparam string text
 * @treturn boolean whether it runs */
static int server_tell(lua_State *L) {
    server *s = check_server(L);
    size_t length;
    const char *text = luaL_checklstring(L, 2, &length);
    bool runs = s->running && is_ours(s);
    if (runs) {
        pthread_mutex_lock(&s->lock);
        s->told = text;
        s->told_length = length;
        wake(s);
        while (s->told) {
            pthread_cond_wait(&s->heard, &s->lock);
        }
        pthread_mutex_unlock(&s->lock);
    }
    lua_pushboolean(L, runs);
    return 1;
}

/* What ends a server in the foreground. A hang-up that was ignored when the program was started, as
 * nohup does, stays ignored. */
static void ends_of(sigset_t *ends) {
    struct sigaction hangup;
    sigemptyset(ends);
    sigaddset(ends, SIGINT);
    sigaddset(ends, SIGTERM);
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN) {
        sigaddset(ends, SIGHUP);
    }
}

/*** Waits for SIGINT, SIGTERM or SIGHUP, for a server in the foreground. The signal is taken: the
 * caller goes on.
 * @function server:wait
 * @tparam ?function ready called once signals are waited for */
static int server_wait(lua_State *L) {
    sigset_t ends, before;
    int signal;
    check_server(L);
    lua_settop(L, 2);
    ends_of(&ends);
    pthread_sigmask(SIG_BLOCK, &ends, &before);
    int failed = lua_isnil(L, 2) ? LUA_OK : lua_pcall(L, 0, 0, 0);
    if (failed == LUA_OK) {
        sigwait(&ends, &signal);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed == LUA_OK ? 0 : lua_error(L);
}

__attribute__((visibility("default"))) /* all else is hidden */
int luaopen_catalog_emulator_httpd(lua_State *L);

int luaopen_catalog_emulator_httpd(lua_State *L) {
    static const luaL_Reg methods[] = {{"port", server_port},
                                       {"tell", server_tell},
                                       {"wait", server_wait},
                                       {"stop", server_stop},
                                       {NULL, NULL}};
    static const luaL_Reg events[] = {
        {"__gc", server_stop}, {"__close", server_stop}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"start", httpd_start}, {NULL, NULL}};
    cat_handle(L, SERVER, events, methods);
    luaL_newlib(L, functions);
    return 1;
}
