/* What the bench needs of the system and plain Lua lacks. */
#include "bench.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <malloc.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RECORDER "bench.recorder"

enum { MOST_RECORDS = 4, MOST_BYTES = 8192, MOST_ARGUMENTS = 16, MOST_PORTS = 16, BACKLOG = 4096 };

static double read_clock(clockid_t id) {
    struct timespec now;
    clock_gettime(id, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

bench_moment bench_now(void) {
    return (bench_moment){.wall = read_clock(CLOCK_MONOTONIC),
                          .cpu = read_clock(CLOCK_PROCESS_CPUTIME_ID)};
}

/* bare.now(): the seconds of wall and of CPU, by the clocks that the bare loops use. */
static int tools_now(lua_State *L) {
    bench_moment now = bench_now();
    lua_pushnumber(L, now.wall);
    lua_pushnumber(L, now.cpu);
    return 2;
}

/* Memory and descriptors. */

/* bare.allocated(): the bytes that malloc has given out in this process, large ones included. */
static int tools_allocated(lua_State *L) {
    struct mallinfo2 all = mallinfo2();
    lua_pushinteger(L, (lua_Integer)all.uordblks + (lua_Integer)all.hblkhd);
    return 1;
}

/* bare.trim(): malloc gives back to the system what it can. */
static int tools_trim(lua_State *L) {
    (void)L;
    malloc_trim(0);
    return 0;
}

/* bare.descriptors(): lets this process have as many as it may; returns how many that is. */
static int tools_descriptors(lua_State *L) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return luaL_error(L, "the limit of descriptors is not known");
    }
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    lua_pushinteger(L, (lua_Integer)limit.rlim_cur);
    return 1;
}

/* Files. */

/* bare.create(path): the descriptor of a new file. */
static int tools_create(lua_State *L) {
    int file = open(luaL_checkstring(L, 1), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0) {
        return luaL_error(L, "the file cannot be made");
    }
    lua_pushinteger(L, file);
    return 1;
}

/* bare.append(descriptor, text): it is on the disk when this returns. */
static int tools_append(lua_State *L) {
    size_t length;
    int file = (int)luaL_checkinteger(L, 1);
    const char *text = luaL_checklstring(L, 2, &length);
    while (length > 0) {
        ssize_t count = write(file, text, length);
        if (count < 0) {
            return luaL_error(L, "the file cannot be written");
        }
        text += count;
        length -= (size_t)count;
    }
    return fdatasync(file) == 0 ? 0 : luaL_error(L, "the file cannot be synced");
}

/* Ports. */

static struct sockaddr_in loopback(lua_Integer port) {
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* A socket bound to a port, 0 for one of the system's choice; or -1. */
static int bound_socket(lua_Integer port) {
    struct sockaddr_in address = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static lua_Integer port_of(int fd) {
    struct sockaddr_in address = {0};
    socklen_t size = sizeof address;
    getsockname(fd, (struct sockaddr *)&address, &size);
    return ntohs(address.sin_port);
}

/* bare.ports(count): ports of the loopback that nobody has, in a table. */
static int tools_ports(lua_State *L) {
    lua_Integer count = luaL_checkinteger(L, 1);
    int fds[MOST_PORTS];
    luaL_argcheck(L, count >= 1 && count <= MOST_PORTS, 1, "1 to 16 expected");
    lua_createtable(L, (int)count, 0);
    for (lua_Integer i = 0; i < count; i++) { /* all are held, so that no two are the same */
        fds[i] = bound_socket(0);
    }
    for (lua_Integer i = 0; i < count; i++) {
        lua_pushinteger(L, port_of(fds[i]));
        lua_rawseti(L, -2, i + 1);
    }
    bool all = true;
    for (lua_Integer i = 0; i < count; i++) {
        all = all && fds[i] >= 0;
        close(fds[i]);
    }
    return all ? 1 : luaL_error(L, "no free ports");
}

static bool answers(lua_Integer port) {
    struct sockaddr_in address = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool connected = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    close(fd);
    return connected;
}

/* bare.await_port(port, seconds): whether somebody listened there within that time. */
static int tools_await_port(lua_State *L) {
    lua_Integer port = luaL_checkinteger(L, 1);
    double until = bench_now().wall + luaL_checknumber(L, 2);
    bool found = answers(port);
    while (!found && bench_now().wall < until) {
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
        found = answers(port);
    }
    lua_pushboolean(L, found);
    return 1;
}

/* Processes. */

/* bare.spawn(path, ...): starts a program that the system ends when we end, however we end. */
static int tools_spawn(lua_State *L) {
    int count = lua_gettop(L);
    const char *path = luaL_checkstring(L, 1);
    char *arguments[MOST_ARGUMENTS + 1] = {NULL};
    luaL_argcheck(L, count <= MOST_ARGUMENTS, count, "too many arguments");
    for (int i = 0; i < count; i++) {
        arguments[i] = (char *)(uintptr_t)luaL_checkstring(L, i + 1); /* execv does not write */
    }
    pid_t parent = getpid();
    pid_t child = fork();
    if (child < 0) {
        return luaL_error(L, "cannot start %s", path);
    }
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() == parent) { /* it may have ended before prctl */
            execv(path, arguments);
        }
        _exit(127);
    }
    lua_pushinteger(L, child);
    return 1;
}

/* bare.stop(pid): ends a program that bare.spawn started, and waits for its end. */
static int tools_stop(lua_State *L) {
    pid_t child = (pid_t)luaL_checkinteger(L, 1);
    luaL_argcheck(L, child > 1, 1, "a process id expected");
    kill(child, SIGTERM);
    waitpid(child, NULL, 0);
    return 0;
}

/* bare.over(pid, wait): whether a program that bare.spawn started has ended, which it waits for
 * when `wait` is true; raises when it has failed. */
static int tools_over(lua_State *L) {
    pid_t child = (pid_t)luaL_checkinteger(L, 1);
    luaL_argcheck(L, child > 1, 1, "a process id expected");
    int status = 0;
    pid_t ended = waitpid(child, &status, lua_toboolean(L, 2) ? 0 : WNOHANG);
    if (ended < 0 || (ended == child && status != 0)) {
        return luaL_error(L, "a program failed");
    }
    lua_pushboolean(L, ended == child);
    return 1;
}

/* The silent server. */

/* Takes connections until `count` have sent something; returns the last that asked for the bell, or
 * -1. */
static int hold(int listener, int *held, lua_Integer count) {
    static const char sign[] = "/bell HTTP";
    char bytes[MOST_BYTES];
    int bell = -1;
    for (lua_Integer heard = 0; heard < count;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0) {
            return -1;
        }
        ssize_t got = recv(fd, bytes, sizeof bytes, 0);
        if (got <= 0) {
            close(fd); /* somebody looked whether we are there */
            continue;
        }
        held[heard++] = fd;
        bell = memmem(bytes, (size_t)got, sign, strlen(sign)) ? fd : bell;
    }
    return bell;
}

/* Waits for the other side to end all of them. */
static void let_go(const int *held, lua_Integer count) {
    char bytes[MOST_BYTES];
    for (lua_Integer i = 0; i < count; i++) {
        while (recv(held[i], bytes, sizeof bytes, 0) > 0) {
        }
        close(held[i]);
    }
}

/* bare.silence(port, groups, count, answer): a server that never answers; but when a group of
 * `count` requests is there, the one among them for `/bell` gets `answer`, for a sign. When there
 * are so many groups, it waits until all are ended, and begins anew. */
static int tools_silence(lua_State *L) {
    size_t length;
    lua_Integer port = luaL_checkinteger(L, 1), groups = luaL_checkinteger(L, 2);
    lua_Integer count = luaL_checkinteger(L, 3);
    const char *answer = luaL_checklstring(L, 4, &length);
    int *held = lua_newuserdatauv(L, (size_t)(groups * count) * sizeof *held, 0);
    int listener = bound_socket(port);
    if (listener < 0 || listen(listener, BACKLOG) != 0) {
        return luaL_error(L, "the server does not start");
    }
    for (;;) {
        for (lua_Integer i = 0; i < groups; i++) {
            int bell = hold(listener, held + i * count, count);
            if (bell < 0) {
                return luaL_error(L, "the server takes no more connections, or has no bell");
            }
            send(bell, answer, length, MSG_NOSIGNAL);
            shutdown(bell, SHUT_WR);
        }
        let_go(held, groups * count);
    }
}

/* The recorder: a server, on a thread of its own, that keeps each request to the byte and gives
 * every one the same answer on a connection it then closes. */

typedef struct {
    size_t length;
    char bytes[MOST_BYTES]; /* ends in a zero */
} record;

typedef struct {
    int listener;
    bool running;
    pthread_t thread;
    char *answer;
    size_t answer_length, count;
    record records[MOST_RECORDS];
} recorder;

static bool is_whole(const record *one) {
    const char *end = strstr(one->bytes, "\r\n\r\n");
    const char *field = strcasestr(one->bytes, "\r\nContent-Length:");
    if (!end) {
        return false;
    }
    size_t body =
        field && field < end ? strtoul(field + strlen("\r\nContent-Length:"), NULL, 10) : 0;
    return (size_t)(end + 4 - one->bytes) + body <= one->length;
}

static void read_request(int fd, record *one) {
    while (!is_whole(one) && one->length < MOST_BYTES - 1) {
        ssize_t got = recv(fd, one->bytes + one->length, MOST_BYTES - 1 - one->length, 0);
        if (got <= 0) {
            return;
        }
        one->length += (size_t)got;
    }
}

static void *serve(void *user) {
    recorder *self = user;
    int fd;
    while (self->count < MOST_RECORDS && (fd = accept(self->listener, NULL, NULL)) >= 0) {
        struct timeval patience = {.tv_sec = 5};
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        read_request(fd, &self->records[self->count++]);
        send(fd, self->answer, self->answer_length, MSG_NOSIGNAL);
        close(fd);
    }
    return NULL;
}

/* bare.recorder(answer): starts one; `answer` is what it sends, status line and all. */
static int tools_recorder(lua_State *L) {
    size_t length;
    const char *answer = luaL_checklstring(L, 1, &length);
    recorder *self = lua_newuserdatauv(L, sizeof *self, 0);
    memset(self, 0, sizeof *self);
    self->listener = -1;
    luaL_setmetatable(L, RECORDER);
    self->listener = bound_socket(0);
    self->answer = malloc(length + 1);
    if (!self->answer || self->listener < 0 || listen(self->listener, MOST_RECORDS) != 0) {
        return luaL_error(L, "the recorder does not start");
    }
    memcpy(self->answer, answer, length);
    self->answer_length = length;
    self->running = pthread_create(&self->thread, NULL, serve, self) == 0;
    return 1;
}

static int recorder_port(lua_State *L) {
    recorder *self = luaL_checkudata(L, 1, RECORDER);
    lua_pushinteger(L, port_of(self->listener));
    return 1;
}

static void stop_recorder(recorder *self) {
    if (self->running) {
        shutdown(self->listener, SHUT_RDWR); /* wakes it from accept */
        pthread_join(self->thread, NULL);
        self->running = false;
    }
}

/* recorder:stop(): ends it; returns the requests it got. */
static int recorder_stop(lua_State *L) {
    recorder *self = luaL_checkudata(L, 1, RECORDER);
    stop_recorder(self);
    for (size_t i = 0; i < self->count; i++) {
        lua_pushlstring(L, self->records[i].bytes, self->records[i].length);
    }
    return (int)self->count;
}

static int recorder_gc(lua_State *L) {
    recorder *self = luaL_checkudata(L, 1, RECORDER);
    stop_recorder(self);
    if (self->listener >= 0) {
        close(self->listener);
        self->listener = -1;
    }
    free(self->answer);
    self->answer = NULL;
    return 0;
}

void bench_tools_open(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"port", recorder_port}, {"stop", recorder_stop}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"now", tools_now},
                                         {"create", tools_create},
                                         {"append", tools_append},
                                         {"ports", tools_ports},
                                         {"await_port", tools_await_port},
                                         {"spawn", tools_spawn},
                                         {"stop", tools_stop},
                                         {"over", tools_over},
                                         {"allocated", tools_allocated},
                                         {"trim", tools_trim},
                                         {"descriptors", tools_descriptors},
                                         {"silence", tools_silence},
                                         {"recorder", tools_recorder},
                                         {NULL, NULL}};
    luaL_newmetatable(L, RECORDER);
    lua_pushcfunction(L, recorder_gc);
    lua_setfield(L, -2, "__gc");
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    luaL_setfuncs(L, functions, 0);
    lua_pushliteral(L, LUA_RELEASE);
    lua_setfield(L, -2, "lua_version");
}
