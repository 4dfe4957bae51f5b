/* The harness of the fuzz targets.
 *
 * FUZZ_TARGET names a script, spec/fuzz/<target>.lua. It is given a table of functions (below) and
 * returns a function that is called with each input. An error that this raises is a crash: a target
 * returns as usual for input that is merely bad.
 *
 * libFuzzer sees the C of the module by its instrumentation. What the Lua scripts do it sees by a
 * hook that counts their lines, in the emulator's state too. */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <lauxlib.h>
#include <lualib.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define COLLECT_EVERY 256 /* inputs */

/* Milliseconds without a byte after which no more is sent. Not at once: of requests that wait
 * libmicrohttpd does nothing once it knows that no more will come, and when it hears of that
 * together with the last bytes it overlooks it, hence the reset below. */
#define QUIET 4

/* --- coverage of Lua --- */

#define COUNTERS 65536

__attribute__((section("__libfuzzer_extra_counters"))) static uint8_t counters[COUNTERS];

/* Counts the steps from line to line. */
__attribute__((no_sanitize("coverage"))) static void note_line(lua_State *L, lua_Debug *at) {
    static _Thread_local uint32_t last;
    uint32_t here = (uint32_t)at->currentline * 2654435761u;
    lua_getinfo(L, "S", at);
    for (size_t i = 0; i < at->srclen; i++) {
        here = (here ^ (unsigned char)at->source[i]) * 16777619u;
    }
    uint8_t *counter = &counters[(here ^ (last >> 1)) % COUNTERS];
    *counter = *counter < UINT8_MAX ? (uint8_t)(*counter + 1) : UINT8_MAX;
    last = here;
}

/* Stands before the library's, for the emulator too, which makes a state of its own. */
lua_State *luaL_newstate(void) {
    union {
        void *address;
        lua_State *(*call)(void);
    } next = {.address = dlsym(RTLD_NEXT, "luaL_newstate")};
    lua_State *L = next.call();
    if (L) {
        lua_sethook(L, note_line, LUA_MASKLINE, 0);
    }
    return L;
}

/* --- fuzz.exchange: bytes to a server, and what comes back --- */

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Connects to a port of the loopback, each time from another address of it: the ports of one would
 * soon be waiting for late packets, all of them. -1 with errno set. */
static int connect_to(uint16_t port) {
    static uint32_t count;
    struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET};
    int on = 1, descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    from.sin_addr.s_addr = htonl(0x7f010001u + count++ % 0xffff);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(port);
    if (descriptor >= 0 &&
        (setsockopt(descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) != 0 ||
         bind(descriptor, (struct sockaddr *)&from, sizeof from) != 0 ||
         connect(descriptor, (struct sockaddr *)&to, sizeof to) != 0)) {
        close(descriptor);
        return -1;
    }
    return descriptor;
}

/* Sends all, or what the other side wants of it. */
static void send_all(int descriptor, const char *bytes, size_t length) {
    while (length > 0) {
        ssize_t sent = send(descriptor, bytes, length, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR) {
            return;
        }
        bytes += sent > 0 ? sent : 0;
        length -= sent > 0 ? (size_t)sent : 0;
    }
}

/* Waits until something can be read. False when that takes too long. */
static bool await(int descriptor, int64_t milliseconds) {
    struct pollfd polled = {.fd = descriptor, .events = POLLIN};
    int64_t ends = now_ms() + milliseconds, left = milliseconds;
    while (left > 0) {
        if (poll(&polled, 1, (int)left) > 0) {
            return true;
        }
        left = ends - now_ms(); /* a signal may have been in between */
    }
    return false;
}

/* Reads to the end. False when nothing comes for so long. */
static bool read_all(int descriptor, int64_t milliseconds, luaL_Buffer *into) {
    while (await(descriptor, milliseconds)) {
        ssize_t got = recv(descriptor, luaL_prepbuffer(into), LUAL_BUFFERSIZE, MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN)) {
            return true;
        }
        luaL_addsize(into, got > 0 ? (size_t)got : 0);
    }
    return false;
}

/* fuzz.exchange(port, bytes, milliseconds): what comes back, and whether the server closed before
 * it was quiet for so long. */
static int fuzz_exchange(lua_State *L) {
    size_t length;
    uint16_t port = (uint16_t)luaL_checkinteger(L, 1);
    const char *bytes = luaL_checklstring(L, 2, &length);
    int64_t milliseconds = luaL_checkinteger(L, 3);
    struct linger reset = {.l_onoff = 1};
    luaL_Buffer answer;
    int descriptor = connect_to(port);
    if (descriptor < 0) {
        return luaL_error(L, "cannot connect: %s", strerror(errno));
    }
    send_all(descriptor, bytes, length);
    luaL_buffinit(L, &answer);
    bool ended = read_all(descriptor, QUIET, &answer);
    if (!ended) {
        shutdown(descriptor, SHUT_WR);
        ended = read_all(descriptor, milliseconds, &answer);
    }
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(descriptor);
    luaL_pushresult(&answer);
    lua_pushboolean(L, ended);
    return 2;
}

/* --- fuzz.serve: a server that says what it is told to --- */

static struct {
    pthread_mutex_t lock;
    int listener; /* -1: not begun */
    uint16_t port;
    char *bytes;
    size_t length;
} replies = {.lock = PTHREAD_MUTEX_INITIALIZER, .listener = -1};

/* Reads a request without a body; nothing may be left, or closing would be a reset. */
static bool read_request(int connection) {
    char bytes[4096];
    size_t length = 0;
    while (length < sizeof bytes - 1) {
        ssize_t got = recv(connection, bytes + length, sizeof bytes - 1 - length, 0);
        if (got <= 0) {
            return false;
        }
        length += (size_t)got;
        bytes[length] = '\0';
        if (strstr(bytes, "\r\n\r\n")) {
            return true;
        }
    }
    return false;
}

static void *run_replies(void *unused) {
    int connection;
    while ((connection = accept4(replies.listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        if (read_request(connection)) {
            pthread_mutex_lock(&replies.lock);
            send_all(connection, replies.bytes, replies.length);
            pthread_mutex_unlock(&replies.lock);
        }
        close(connection);
    }
    return unused;
}

/* Listens on the loopback, and answers on a thread that takes no signals: those are libFuzzer's. */
static bool begin_replies(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    sigset_t all, before;
    pthread_t thread;
    replies.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (replies.listener < 0 ||
        bind(replies.listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(replies.listener, 64) != 0 ||
        getsockname(replies.listener, (struct sockaddr *)&address, &length) != 0) {
        return false;
    }
    replies.port = ntohs(address.sin_port);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool begun = pthread_create(&thread, NULL, run_replies, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return begun;
}

/* fuzz.serve(bytes): gives the port of a server that answers every request with them and closes. */
static int fuzz_serve(lua_State *L) {
    size_t length;
    const char *bytes = luaL_checklstring(L, 1, &length);
    if (replies.listener < 0 && !begin_replies()) {
        return luaL_error(L, "cannot serve: %s", strerror(errno));
    }
    pthread_mutex_lock(&replies.lock);
    free(replies.bytes);
    replies.bytes = malloc(length + 1);
    replies.length = replies.bytes ? length : 0;
    if (replies.bytes) {
        memcpy(replies.bytes, bytes, length);
    }
    pthread_mutex_unlock(&replies.lock);
    lua_pushinteger(L, replies.port);
    return 1;
}

/* --- the target --- */

static lua_State *state;

static int explain(lua_State *L) {
    luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
    return 1;
}

/* Calls the function below `given` arguments; what fails is a crash. */
static void call(int given, int wanted) {
    int handler = lua_gettop(state) - given;
    lua_pushcfunction(state, explain);
    lua_insert(state, handler);
    if (lua_pcall(state, given, wanted, handler) != LUA_OK) {
        fprintf(stderr, "\n%s\n", lua_tostring(state, -1));
        abort();
    }
    lua_remove(state, handler);
}

/* What the target has started ends with its state. */
static void finish(void) {
    lua_close(state);
    state = NULL;
}

int LLVMFuzzerInitialize(int *count, char ***words);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *count, char ***words) {
    static const luaL_Reg functions[] = {
        {"exchange", fuzz_exchange}, {"serve", fuzz_serve}, {NULL, NULL}};
    (void)count, (void)words;
    const char *target = getenv("FUZZ_TARGET");
    state = luaL_newstate();
    if (!state || !target) {
        fprintf(stderr, "FUZZ_TARGET is the script of a target: spec/fuzz/reply.lua\n");
        exit(2);
    }
    luaL_openlibs(state);
    if (luaL_loadfile(state, target) != LUA_OK) {
        fprintf(stderr, "%s\n", lua_tostring(state, -1));
        exit(2);
    }
    luaL_newlib(state, functions);
    call(1, 1);
    atexit(finish);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static unsigned count;
    lua_pushvalue(state, 1);
    lua_pushlstring(state, (const char *)data, size);
    call(1, 0);
    if (++count % COLLECT_EVERY == 0) {
        lua_gc(state, LUA_GCCOLLECT);
    }
    return 0;
}
