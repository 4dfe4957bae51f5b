/*** HTTP for the emulator and for `catalog serve`: libmicrohttpd, and Lua that says what to answer.
 *
 * The emulator's server has a thread of its own, with a Lua state of its own (thread.c). Another's
 * is turned by the caller's loop (turn.c), calls functions of the caller's, and takes answers
 * later (reply.c). In both a delayed answer suspends its request until it is due (request.c);
 * nothing here sleeps. Lua is only ever entered by lua_pcall (handler.c), so no error jumps across
 * libmicrohttpd. Clients that close are noticed, and those that keep quiet make room for others
 * (connection.c).
 * @module catalog.httpd */
#include "httpd.h"

#include "../handle.h"
#include "../memory.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define SERVER       "catalog.httpd"
#define LOOPBACK     "127.0.0.1"
#define IDLE_SECONDS 300

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

static server *check_server(lua_State *L) {
    return cat_handle_self(L, SERVER);
}

static bool is_ours(const server *s) {
    return s->process == getpid();
}

/* --- stopping --- */

static void close_fd(int *fd) {
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

static void stop_daemon(server *s) {
    if (s->running) {
        thread_stop(s);
    } else if (s->daemon) {
        s->stopping = true;
        finish_requests(s);
    }
    if (s->daemon) {
        MHD_stop_daemon(s->daemon); /* closes the listener too */
        s->daemon = NULL;
        s->listener = -1;
    }
}

/* The state of a thread is the server's; a coroutine of the caller's is not. */
static void close_state(server *s) {
    if (s->L && s->has_thread) {
        lua_close(s->L);
    }
    s->L = NULL;
}

/*** Ends the server; what was not answered is, with 503. In a forked child, which has no thread of
 * the server's, what the parent uses is left as it is.
 * @function server:stop
 * @treturn boolean whether the server was this process's own
 * @raise it is called by a function that the server calls */
static int server_stop(lua_State *L) {
    server *s = check_server(L);
    bool ours = is_ours(s);
    lua_pushboolean(L, ours);
    if (!ours) {
        return 1;
    }
    if (s->turning) {
        return luaL_error(L, "a server cannot be stopped by what it calls");
    }
    stop_daemon(s);
    close_listener(s);
    close_fd(&s->wake);
    close_fd(&s->hangups);
    close_fd(&s->timer);
    close_fd(&s->events);
    close_state(s);
    return 1;
}

/* --- starting: each step gives 0, or how much it has pushed of `nil, why` --- */

static int fail(lua_State *L, const char *what, const char *why) {
    lua_pushnil(L);
    lua_pushfstring(L, "%s: %s", what, why);
    return 2;
}

static const char *field(lua_State *L, int index, const char *name) {
    lua_getfield(L, index, name);
    return luaL_optstring(L, -1, NULL);
}

/* Makes the thread's state and loads the handler into it. */
static int open_state(lua_State *L, server *s) {
    lua_getglobal(L, "package");
    int package = lua_gettop(L);
    handler_source source = {field(L, package, "path"), field(L, package, "cpath"),
                             field(L, 1, "module"), field(L, 1, "settings")};
    s->L = luaL_newstate();
    if (!s->L) {
        return cat_oom(L);
    }
    s->has_thread = true;
    const char *why = handler_load(s, &source);
    lua_pushfstring(L, "the %s cannot start", s->name);
    return why ? fail(L, lua_tostring(L, -1), why) : 0;
}

/* Makes a coroutine of the caller's state, in which the caller's functions are called. The server
 * is at 2. */
static int open_coroutine(lua_State *L, server *s) {
    lua_State *own = lua_newthread(L);
    lua_getfield(L, 1, "open");
    luaL_checktype(L, -1, LUA_TFUNCTION);
    lua_getfield(L, 1, "handle");
    luaL_checktype(L, -1, LUA_TFUNCTION);
    lua_pushnil(L); /* nobody posts messages */
    lua_xmove(L, own, ON_MESSAGE);
    lua_setiuservalue(L, 2, 1);
    s->L = own;
    return 0;
}

static lua_Integer integer(lua_State *L, const char *name, lua_Integer other) {
    lua_getfield(L, 1, name);
    return luaL_optinteger(L, -1, other);
}

/* Pushes how the place is called. */
static void push_place(lua_State *L, const place *where) {
    if (where->descriptor >= 0) {
        lua_pushfstring(L, "descriptor %I", (LUAI_UACINT)where->descriptor);
    } else if (where->path) {
        lua_pushstring(L, where->path);
    } else if (strcmp(where->address, LOOPBACK) == 0) {
        lua_pushfstring(L, "port %I", (LUAI_UACINT)where->port);
    } else {
        lua_pushfstring(L, "%s, port %I", where->address, (LUAI_UACINT)where->port);
    }
}

static int open_listener(lua_State *L, server *s) {
    place where = {.address = field(L, 1, "address"),
                   .path = field(L, 1, "path"),
                   .port = integer(L, "port", 0),
                   .descriptor = integer(L, "descriptor", -1)};
    where.address = where.address ? where.address : LOOPBACK;
    lua_getfield(L, 1, "beyond");
    where.beyond = lua_toboolean(L, -1);
    const char *why = listen_at(s, &where);
    if (!why) {
        return 0;
    }
    lua_pushliteral(L, "cannot listen on ");
    push_place(L, &where);
    lua_concat(L, 2);
    return fail(L, lua_tostring(L, -1), why);
}

static int open_descriptors(lua_State *L, server *s) {
    s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->hangups = epoll_create1(EPOLL_CLOEXEC);
    return s->wake < 0 || s->hangups < 0 ? fail(L, "cannot start the server", strerror(errno)) : 0;
}

static int start_daemon(lua_State *L, server *s) {
    const char *cert = field(L, 1, "cert"), *key = field(L, 1, "key");
    lua_getfield(L, 1, "strict");
    bool strict = lua_toboolean(L, -1);
    unsigned int connections = (unsigned int)integer(L, "connections", MAX_CONNECTIONS);
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)cert},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)key},
        {MHD_OPTION_END, 0, NULL},
    };
    unsigned int flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | (cert ? MHD_USE_TLS : 0u);
    s->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, s, MHD_OPTION_LISTEN_SOCKET, s->listener,
        MHD_OPTION_CONNECTION_LIMIT, connections, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_MEMORY, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)IDLE_SECONDS,
        MHD_OPTION_URI_LOG_CALLBACK, on_target, s, MHD_OPTION_NOTIFY_COMPLETED, on_completed, s,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, s, DISCIPLINE, strict ? STRICT : LENIENT,
        MHD_OPTION_ARRAY, cert ? tls : tls + 2, MHD_OPTION_END);
    if (s->daemon) {
        watch_daemon(s);
        return 0;
    }
    return fail(L, "cannot start the server",
                cert ? "are the certificate and the key in PEM, and do they belong together?"
                     : strerror(errno));
}

/* Starts the thread, or makes what the caller's loop polls. */
static int start_turning(lua_State *L, server *s) {
    int error = s->has_thread ? thread_start(s) : watch_events(s) ? 0 : errno;
    return error ? fail(L, "cannot start the server", strerror(error)) : 0;
}

/* Pushes a server that has nothing yet: what it gets from here on, server_stop gives back. */
static server *new_server(lua_State *L) {
    server *s = lua_newuserdatauv(L, sizeof *s, 1);
    memset(s, 0, sizeof *s);
    s->listener = s->wake = s->hangups = s->events = s->timer = -1;
    s->process = getpid();
    luaL_setmetatable(L, SERVER);
    return s;
}

/* What of the options is no step of its own. */
static void read_settings(lua_State *L, server *s) {
    const char *name = field(L, 1, "name");
    snprintf(s->name, sizeof s->name, "%s", name ? name : "server");
    lua_getfield(L, 1, "max_body");
    s->max_memory = (size_t)luaL_checkinteger(L, -1);
    s->max_file = (size_t)integer(L, "max_file", 0);
    s->max_bodies = (size_t)integer(L, "max_bodies", PTRDIFF_MAX);
    lua_settop(L, 2);
}

/*** Starts a server, on the loopback where nothing else is said.
 * @function start
 * @tparam table options `port` (0: any that is free) and `address` (in numbers), or `path` (of a
 * socket, which is for its owner only), or `descriptor` (one that is listened on); `beyond` (true:
 * it may be one that other machines can reach); `max_body` and `max_file` (bytes, in memory and in
 * files), `max_bodies` (bytes of all bodies in memory together); `connections` (at the most);
 * `strict`; `cert` and `key` (PEM texts); `name` (begins what is said on stderr).
 *
 * With `module`, whose value is a function that is called with `settings` (a string), the server
 * has a thread and a state of its own, and the function gives the handler, the opener and what is
 * called with each message of `server:post`. Else `handle` and `open` are the handler and the
 * opener, and the caller calls `server:turn`.
 *
 * The opener is called with `{ method, version, target, headers, spaced }` (`spaced`: a header has
 * a space before its colon) when the headers are there; it gives the path of a file for the body,
 * or nil; after how many bytes of the body the connection is dropped, or nil; whether the handler
 * is asked at once, before the body has come; whether the body is thrown away; and the coding the
 * body is decoded of, or nil.
 *
 * The handler is called with the same table when all is there, with `body`, `too_large` (the body
 * was, and is not kept), `crowded` (the bodies of all requests are more than is kept) and `damage`
 * (why the body cannot be decoded). With a file it gets `body_file`, `body_size` and `unwritten`
 * (true: not all of it could be written), and may move the file. The handler of a thread gives
 * status, headers, body (a string or `{ file = path, first, length }`), and a delay in milliseconds
 * or nil. The other one is given a reply, too, and calls `reply:send`, now or later.
 * @treturn[1] server
 * @treturn[2] nil
 * @treturn[2] string why not */
static int httpd_start(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    server *s = new_server(L);
    read_settings(L, s);
    int threaded = lua_getfield(L, 1, "module") != LUA_TNIL;
    int failed = threaded ? open_state(L, s) : open_coroutine(L, s);
    failed = failed ? failed : open_listener(L, s);
    failed = failed ? failed : open_descriptors(L, s);
    failed = failed ? failed : start_daemon(L, s);
    failed = failed ? failed : start_turning(L, s);
    if (!failed) {
        lua_settop(L, 2);
    }
    return failed ? failed : 1;
}

/* --- what a server can do --- */

/*** The port the server listens on; 0 where it has none.
 * @function server:port
 * @treturn integer */
static int server_port(lua_State *L) {
    lua_pushinteger(L, check_server(L)->port);
    return 1;
}

/*** Posts a message to the server's Lua state, and waits until it is delivered.
 * @function server:post
 * @tparam string message
 * @treturn boolean whether the server runs */
static int server_post(lua_State *L) {
    server *s = check_server(L);
    size_t length;
    const char *message = luaL_checklstring(L, 2, &length);
    bool runs = s->running && is_ours(s);
    if (runs) {
        thread_post(s, message, length);
    }
    lua_pushboolean(L, runs);
    return 1;
}

/*** What is readable when the server is to be turned.
 * @function server:fd
 * @treturn integer a descriptor; -1 where the server has a thread, or was stopped */
static int server_fd(lua_State *L) {
    lua_pushinteger(L, check_server(L)->events);
    return 1;
}

/*** Lets everything that can be done at once be done. It calls the opener and the handler.
 * @function server:turn
 * @treturn boolean whether the server runs
 * @raise it is called by a function that the server calls */
static int server_turn(lua_State *L) {
    server *s = check_server(L);
    bool runs = s->daemon && s->events >= 0 && is_ours(s);
    if (s->turning) {
        return luaL_error(L, "a server cannot be turned by what it calls");
    }
    if (runs) {
        s->turning = true;
        turn_once(s);
        s->turning = false;
    }
    lua_pushboolean(L, runs);
    return 1;
}

/*** Lets nobody in any more; connections that there are go on. For a server without a thread.
 * @function server:quiesce */
static int server_quiesce(lua_State *L) {
    server *s = check_server(L);
    if (s->daemon && s->events >= 0 && is_ours(s) && s->listener >= 0) {
        epoll_ctl(s->events, EPOLL_CTL_DEL, s->listener, NULL);
        s->polled[POLL_LISTENER].fd = -1;
        MHD_quiesce_daemon(s->daemon); /* leaves the listener to us */
        close_listener(s);
    }
    return 0;
}

/*** How many requests are under way: from their first lines to the ends of their answers. For a
 * server without a thread.
 * @function server:requests
 * @treturn integer */
static int server_requests(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)check_server(L)->requests);
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
int luaopen_catalog_httpd(lua_State *L);

int luaopen_catalog_httpd(lua_State *L) {
    static const luaL_Reg methods[] = {{"port", server_port},
                                       {"post", server_post},
                                       {"wait", server_wait},
                                       {"fd", server_fd},
                                       {"turn", server_turn},
                                       {"quiesce", server_quiesce},
                                       {"requests", server_requests},
                                       {"stop", server_stop},
                                       {NULL, NULL}};
    static const luaL_Reg events[] = {
        {"__gc", server_stop}, {"__close", server_stop}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"start", httpd_start}, {NULL, NULL}};
    cat_handle(L, SERVER, events, methods);
    open_replies(L);
    luaL_newlib(L, functions);
    push_codings(L);
    lua_setfield(L, -2, "codings");
    return 1;
}
