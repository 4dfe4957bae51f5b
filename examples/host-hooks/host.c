/* A host that has nothing but hooks, as log shippers that can be scripted in Lua do: no coroutine
 * may yield to it, it watches no descriptor for a script, and its timers are whole seconds.
 *
 *   make host-c
 *   build/host-hooks examples/host-hooks/hooks.lua DATASET SPOOL <FILE
 *
 * with the environment as in the README, and LUA_PATH and LUA_CPATH such that Lua finds the module.
 * The script returns a table of functions:
 *
 *   init(dataset, spool)   once; gives how many lines of the input were taken in earlier runs
 *   process(event)         for each further line, { message = line, number = n }; false: not now
 *   timer()                each second
 *   shutdown()             at the end of the input, at SIGTERM and at SIGINT
 *
 * A line that `process` has no room for is held, and offered again after the next second. Nothing
 * more is read meanwhile: whoever writes into our pipe waits. 0: all that was taken is on disk. */
#include <errno.h>
#include <lauxlib.h>
#include <lualib.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000 /* milliseconds */

typedef struct {
    char *bytes;
    size_t size, first, end; /* what is read and not taken lies from `first` to `end` */
    bool over;
} input;

typedef struct {
    const char *script, *dataset, *spool;
    input input;
    lua_Integer number, before; /* of the line that is next; so many were taken in earlier runs */
    bool refused;               /* that line, since the last tick */
    long long tick;             /* when the timer is due, in milliseconds */
} host;

static volatile sig_atomic_t told_to_end;

static void note_signal(int number) {
    (void)number;
    told_to_end = 1;
}

static long long now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail: the clock is there, and so is `t` */
    return (long long)t.tv_sec * SECOND + t.tv_nsec / 1000000;
}

/* --- the input --- */

/* The next line and its length, without its newline; NULL: it is not there yet, or never. */
static const char *next_line(const input *in, size_t *length) {
    size_t there = in->end - in->first;
    const char *line = in->bytes + in->first,
               *newline = there > 0 ? memchr(line, '\n', there) : NULL;
    if (newline) {
        *length = (size_t)(newline - line);
        return line;
    }
    *length = there;
    return in->over && there > 0 ? line : NULL;
}

static void take_line(input *in, size_t length) {
    in->first += length + 1;
    if (in->first > in->end) {
        in->first = in->end; /* the last one may have no newline */
    }
}

/* Makes room for more, which may move what is there. */
static bool make_room(input *in) {
    if (in->first > 0) {
        memmove(in->bytes, in->bytes + in->first, in->end - in->first);
        in->end -= in->first;
        in->first = 0;
    }
    if (in->end < in->size) {
        return true;
    }
    size_t size = in->size > 0 ? 2 * in->size : 65536;
    char *bytes = realloc(in->bytes, size);
    if (!bytes) {
        return false;
    }
    in->bytes = bytes;
    in->size = size;
    return true;
}

static void read_more(lua_State *L, input *in) {
    if (!make_room(in)) {
        luaL_error(L, "not enough memory");
    }
    ssize_t count = read(STDIN_FILENO, in->bytes + in->end, in->size - in->end);
    if (count < 0 && errno != EINTR && errno != EAGAIN) {
        luaL_error(L, "cannot read the input: %s", strerror(errno));
    }
    in->over = count == 0;
    in->end += count > 0 ? (size_t)count : 0;
}

/* --- the hooks --- */

/* Pushes a hook; the script's table is at index 2. */
static void push_hook(lua_State *L, const char *name) {
    if (lua_getfield(L, 2, name) != LUA_TFUNCTION) {
        luaL_error(L, "the script has no function '%s'", name);
    }
}

/* Leaves the script's table at index 2. */
static void begin(lua_State *L, host *h) {
    if (luaL_loadfile(L, h->script) != LUA_OK) {
        lua_error(L);
    }
    lua_call(L, 0, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    push_hook(L, "init");
    lua_pushstring(L, h->dataset);
    lua_pushstring(L, h->spool);
    lua_call(L, 2, 1);
    h->before = luaL_checkinteger(L, -1);
    lua_pop(L, 1);
    h->number = 1;
    h->tick = now() + SECOND;
}

/* Gives a line to the script. False: it has no room for it. */
static bool process(lua_State *L, lua_Integer number, const char *line, size_t length) {
    push_hook(L, "process");
    lua_createtable(L, 0, 2);
    lua_pushlstring(L, line, length);
    lua_setfield(L, -2, "message");
    lua_pushinteger(L, number);
    lua_setfield(L, -2, "number");
    lua_call(L, 1, 1);
    bool taken = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return taken;
}

static void call_hook(lua_State *L, const char *name) {
    push_hook(L, name);
    lua_call(L, 0, 0);
}

/* --- the loop --- */

static void call_timer(lua_State *L, host *h) {
    if (now() < h->tick) {
        return;
    }
    call_hook(L, "timer");
    h->tick = now() + SECOND;
    h->refused = false;
}

/* Waits for the next second, and for more input unless there is a line that was refused. */
static void wait_for_more(lua_State *L, host *h) {
    bool reads = !h->refused && !h->input.over;
    struct pollfd p = {.fd = reads ? STDIN_FILENO : -1, .events = POLLIN};
    long long left = h->tick - now();
    if (poll(&p, 1, left > 0 ? (int)left : 0) < 0 && errno != EINTR) {
        luaL_error(L, "poll: %s", strerror(errno));
    }
    if (p.revents) {
        read_more(L, &h->input);
    }
}

/* One line, or one wait. False: there is nothing more. */
static bool turn(lua_State *L, host *h) {
    size_t length = 0;
    const char *line = next_line(&h->input, &length);
    if (!line && h->input.over) {
        return false;
    }
    call_timer(L, h);
    if (!line || h->refused) {
        wait_for_more(L, h);
    } else if (h->number <= h->before || process(L, h->number, line, length)) {
        take_line(&h->input, length);
        h->number++;
    } else {
        h->refused = true;
    }
    return true;
}

/* All that needs Lua, in one protected call. */
static int run(lua_State *L) {
    host *h = lua_touserdata(L, 1);
    luaL_openlibs(L);
    lua_warning(L, "@on", 0);
    begin(L, h);
    while (!told_to_end && turn(L, h)) {
    }
    call_hook(L, "shutdown");
    return 0;
}

static int explain(lua_State *L) {
    luaL_tolstring(L, 1, NULL);
    return 1;
}

static bool run_lua(host *h) {
    lua_State *L = luaL_newstate();
    if (!L) {
        fprintf(stderr, "host-hooks: not enough memory\n");
        return false;
    }
    lua_pushcfunction(L, explain);
    lua_pushcfunction(L, run);
    lua_pushlightuserdata(L, h);
    bool fine = lua_pcall(L, 1, 0, 1) == LUA_OK;
    if (!fine) {
        fprintf(stderr, "host-hooks: %s\n", lua_tostring(L, -1));
    }
    lua_close(L);
    return fine;
}

/* A server that is gone is an error, not a signal: the module leaves signals to its host. */
static bool handle_signals(void) {
    struct sigaction ends = {.sa_handler = note_signal}, ignored = {.sa_handler = SIG_IGN};
    return sigaction(SIGTERM, &ends, NULL) == 0 && sigaction(SIGINT, &ends, NULL) == 0 &&
           sigaction(SIGPIPE, &ignored, NULL) == 0;
}

int main(int count, char **words) {
    if (count != 4) {
        fprintf(stderr, "usage: host-hooks SCRIPT DATASET SPOOL <FILE\n");
        return 2;
    }
    host h = {.script = words[1], .dataset = words[2], .spool = words[3]};
    bool fine = handle_signals() && run_lua(&h);
    free(h.input.bytes);
    return fine ? 0 : 1;
}
