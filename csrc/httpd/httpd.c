/*** The emulator's HTTP: libmicrohttpd on a thread of its own, with a Lua state of its own that
 * says what to answer.
 *
 * The thread polls libmicrohttpd's epoll descriptor and a descriptor that wakes it (thread.c). A
 * delayed answer suspends its request until it is due (request.c); nothing here sleeps. Lua is only
 * ever entered by lua_pcall (handler.c), so no error jumps across libmicrohttpd. Clients that close
 * are noticed, and those that keep quiet make room for others (connection.c).
 * @module catalog.httpd */
#include "httpd.h"

#include "../handle.h"
#include "../memory.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define SERVER       "catalog.httpd"
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
        thread_stop(s);
    }
    if (s->daemon) {
        MHD_stop_daemon(s->daemon); /* closes the listener too */
        s->daemon = NULL;
        s->listener = -1;
    }
    close_fd(&s->listener);
    close_fd(&s->wake);
    close_fd(&s->hangups);
    if (s->L) {
        lua_close(s->L);
        s->L = NULL;
    }
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
    const char *why = handler_load(s, &source);
    return why ? fail(L, "the emulator cannot start", why) : 0;
}

/* Listens on the loopback. False with errno set. */
static bool bind_port(server *s, uint16_t port) {
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

static int open_listener(lua_State *L, server *s, lua_Integer port) {
    bool exists = port >= 0 && port <= 65535;
    if (exists && bind_port(s, (uint16_t)port)) {
        return 0;
    }
    const char *why = exists ? strerror(errno) : "no such port";
    lua_pushfstring(L, "cannot listen on port %I", (LUAI_UACINT)port);
    return fail(L, lua_tostring(L, -1), why);
}

static int open_descriptors(lua_State *L, server *s) {
    s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->hangups = epoll_create1(EPOLL_CLOEXEC);
    return s->wake < 0 || s->hangups < 0 ? fail(L, "cannot start the server", strerror(errno)) : 0;
}

static int start_daemon(lua_State *L, server *s, const char *cert, const char *key, bool strict) {
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)cert},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)key},
        {MHD_OPTION_END, 0, NULL},
    };
    unsigned int flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | (cert ? MHD_USE_TLS : 0u);
    s->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, s, MHD_OPTION_LISTEN_SOCKET, s->listener,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned int)MAX_CONNECTIONS,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)IDLE_SECONDS, MHD_OPTION_URI_LOG_CALLBACK,
        on_target, s, MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, s, DISCIPLINE, strict ? STRICT : LENIENT, MHD_OPTION_ARRAY,
        cert ? tls : tls + 2, MHD_OPTION_END);
    if (s->daemon) {
        return 0;
    }
    return fail(L, "cannot start the server",
                cert ? "are the certificate and the key in PEM, and do they belong together?"
                     : strerror(errno));
}

static int start_thread(lua_State *L, server *s) {
    int error = thread_start(s);
    return error ? fail(L, "cannot start the server", strerror(error)) : 0;
}

/* Pushes a server that has nothing yet: what it gets from here on, server_stop gives back. */
static server *new_server(lua_State *L) {
    server *s = lua_newuserdatauv(L, sizeof *s, 0);
    memset(s, 0, sizeof *s);
    s->listener = s->wake = s->hangups = -1;
    s->process = getpid();
    luaL_setmetatable(L, SERVER);
    return s;
}

/*** Starts a server on the loopback.
 * @function start
 * @tparam table options `port` (0: any that is free); `module`, whose value is a function that is
 * called with `settings` (a string) in the server's own state and gives the handler, the spooler
 * and what is called with each message of `server:post`; `max_body` and `max_file` (bytes, in
 * memory and in files); `strict`; `cert` and `key` (PEM texts). The handler is called with `{
 * method, version, target, headers, body, too_large, spaced }` (`spaced`: a header has a space
 * before its colon) and gives status, headers, body (a string or `{ file = path, first, length }`),
 * and a delay in milliseconds or nil. The spooler is called with the same, without a body, when the
 * headers are there; it gives the path of a file for the body, or nil; after how many bytes of the
 * body the connection is dropped, or nil; and whether the handler is asked at once, before the body
 * has come. With a file the handler gets `body_file`, `body_size` and `unwritten` (true: not all of
 * it could be written), and may move the file
 * @treturn[1] server
 * @treturn[2] nil
 * @treturn[2] string why not */
static int httpd_start(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    server *s = new_server(L);
    lua_getfield(L, 1, "port");
    lua_Integer port = luaL_optinteger(L, -1, 0);
    lua_getfield(L, 1, "max_body");
    s->max_memory = (size_t)luaL_checkinteger(L, -1);
    lua_getfield(L, 1, "max_file");
    s->max_file = (size_t)luaL_checkinteger(L, -1);
    lua_getfield(L, 1, "strict");
    bool strict = lua_toboolean(L, -1);
    const char *cert = field(L, 1, "cert"), *key = field(L, 1, "key");
    int failed = open_state(L, s);
    failed = failed ? failed : open_listener(L, s, port);
    failed = failed ? failed : open_descriptors(L, s);
    failed = failed ? failed : start_daemon(L, s, cert, key, strict);
    failed = failed ? failed : start_thread(L, s);
    if (!failed) {
        lua_settop(L, 2);
    }
    return failed ? failed : 1;
}

/* --- what a server can do --- */

/*** The port the server listens on.
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
                                       {"stop", server_stop},
                                       {NULL, NULL}};
    static const luaL_Reg events[] = {
        {"__gc", server_stop}, {"__close", server_stop}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"start", httpd_start}, {NULL, NULL}};
    cat_handle(L, SERVER, events, methods);
    luaL_newlib(L, functions);
    return 1;
}
