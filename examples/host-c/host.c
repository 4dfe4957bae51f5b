/* A host with a poll(2) loop of its own, in one thread, that scripts ingestion in Lua while it
 * serves something else (lines.c): each line that arrives on a TCP port of the loopback is answered
 * at once.
 *
 *   make host-c
 *   build/host-c build/catalog_bundle.lua examples/host-c/ingest.lua PORT DATASET FILE...
 *
 * with the environment as in the README; PORT 0 is a free one. The script is run once, with
 * DATASET, and returns a function, which is called with each FILE, a few at a time, each call in a
 * coroutine of its own. Where a call waits, its coroutine yields to this loop (the functions
 * loop_...): the script is plain and sequential, and nobody who talks to the port waits for it. The
 * program ends with the last file; 0: all are in.
 *
 * There is nothing of the module but libcatalog.a, linked, and the bundle, a file. LUA_PATH plays
 * no part; lua-cjson is found by LUA_CPATH. */
#include "catalog.h"
#include "lines.h"

#include <errno.h>
#include <lauxlib.h>
#include <lualib.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT_ONCE 4 /* files */
#define XPCALL  3 /* what `begin` gives xpcall: a function, its handler, its argument */

typedef struct host host;

/* A coroutine of the loop. It lives in the registry, with its thread, until it is over. */
typedef struct task {
    host *host;
    lua_State *thread;
    enum { RUNNING, READY, SUSPENDED } state;
    struct task *next; /* in the list of those that are READY */
} task;

struct host {
    const char *bundle, *script, *dataset;
    char **files; /* those that are not begun, and NULL */
    int tasks;    /* not over */
    bool failed;  /* a task */
    task *ready, **ready_end;
    int watched; /* the module's descriptor, while it wants to be called; -1: it does not */
    lines service;
    struct pollfd *polled;
};

/* --- coroutines --- */

/* Each thread of a Lua state has room for a pointer, which a new one copies from the main thread.
 * So a coroutine that Lua code makes for itself has none, and is not mistaken for one of ours. */
static task **task_of(lua_State *thread) {
    return (task **)lua_getextraspace(thread);
}

static void make_ready(task *t) {
    host *h = t->host;
    t->state = READY;
    t->next = NULL;
    *h->ready_end = t;
    h->ready_end = &t->next;
}

/* Makes a task of the function on the top, and its argument or nil below it; pops both. What the
 * function has to be closed (`local batch <close>`) is closed by xpcall, in the coroutine, where
 * closing may wait like any other call. */
static void begin(lua_State *L, host *h) {
    task *t = lua_newuserdatauv(L, sizeof *t, 1);
    *t = (task){.host = h, .thread = lua_newthread(L)};
    lua_setiuservalue(L, -2, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, t);
    lua_getglobal(L, "xpcall");
    lua_insert(L, -2);
    lua_getglobal(L, "debug");
    lua_getfield(L, -1, "traceback"); /* which leaves errors that are tables as they are */
    lua_remove(L, -2);
    lua_rotate(L, -4, -1); /* argument, xpcall, function, traceback: the argument goes last */
    lua_xmove(L, t->thread, XPCALL + 1);
    *task_of(t->thread) = t;
    h->tasks++;
    make_ready(t);
}

/* Ends a task, whose xpcall gave true, or false and an error, or whose thread ended in one. */
static void end(lua_State *L, task *t, int status, int results) {
    if (status != LUA_OK || !lua_toboolean(t->thread, -results)) {
        lua_xmove(t->thread, L, 1);
        fprintf(stderr, "host-c: %s\n", luaL_tolstring(L, -1, NULL));
        lua_pop(L, 2);
        t->host->failed = true;
    }
    t->host->tasks--;
    *task_of(t->thread) = NULL;
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, t);
}

static void go_on(lua_State *L, task *t) {
    int results = 0, arguments = lua_status(t->thread) == LUA_OK ? XPCALL : 0;
    t->state = RUNNING;
    int status = lua_resume(t->thread, L, arguments, &results);
    if (status != LUA_YIELD) {
        end(L, t, status, results);
        return;
    }
    lua_pop(t->thread, results);
    if (t->state == RUNNING) {
        make_ready(t); /* it yielded by itself, and has another turn */
    }
}

/* One turn for each task that is ready now. */
static void run_ready(lua_State *L, host *h) {
    task *t = h->ready;
    h->ready = NULL;
    h->ready_end = &h->ready;
    for (task *next; t; t = next) {
        next = t->next; /* it may be ready again, and in the new list */
        go_on(L, t);
    }
}

/* --- the adapter: what the module calls where it waits, as lua/catalog/loop.lua says --- */

/* watch(fd, callback): `turn` calls it whenever the descriptor can be read, until it returns false.
 * The module has one descriptor, for all of its transfers and timers. */
static int loop_watch(lua_State *L) {
    host *h = lua_touserdata(L, lua_upvalueindex(1));
    int descriptor = (int)luaL_checkinteger(L, 1);
    lua_settop(L, 2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &h->watched);
    h->watched = descriptor;
    return 0;
}

static int loop_suspend(lua_State *L) {
    task *t = *task_of(L);
    if (!t || !lua_isyieldable(L)) {
        return luaL_error(L, "this is no coroutine of the host's that can wait");
    }
    t->state = SUSPENDED;
    return lua_yieldk(L, 0, 0, NULL);
}

/* resume(thread): it goes on in its turn, and not from within the coroutine that calls this. */
static int loop_resume(lua_State *L) {
    lua_State *thread = lua_tothread(L, 1);
    luaL_argexpected(L, thread, 1, "thread");
    task *t = *task_of(thread);
    if (t && t->state == SUSPENDED) {
        make_ready(t);
    }
    return 0;
}

/* current(): this loop runs whenever Lua does; and whether the coroutine is one of its own. */
static int loop_current(lua_State *L) {
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushboolean(L, *task_of(L) != NULL);
    return 2;
}

/* --- the script --- */

static int answered(lua_State *L) {
    host *h = lua_touserdata(L, lua_upvalueindex(1));
    lua_pushinteger(L, (lua_Integer)h->service.answered);
    return 1;
}

/* The globals of the script, which are to keep it simple, not to lock it in. */
static void push_globals(lua_State *L) {
    static const char *const names[] = {"assert",   "error",    "ipairs", "math",   "pairs",
                                        "pcall",    "print",    "select", "string", "table",
                                        "tonumber", "tostring", "type"};
    lua_newtable(L);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        lua_getglobal(L, names[i]);
        lua_setfield(L, -2, names[i]);
    }
}

/* Runs the bundle, which finds the core among what is preloaded. */
static void push_module(lua_State *L, const host *h) {
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, luaopen_catalog_core);
    lua_setfield(L, -2, "catalog.core");
    lua_pop(L, 1);
    if (luaL_loadfile(L, h->bundle) != LUA_OK) {
        lua_error(L);
    }
    lua_call(L, 0, 1);
}

static void push_host(lua_State *L, host *h) {
    static const luaL_Reg loop[] = {{"watch", loop_watch},
                                    {"suspend", loop_suspend},
                                    {"resume", loop_resume},
                                    {"current", loop_current},
                                    {NULL, NULL}};
    static const luaL_Reg functions[] = {{"answered", answered}, {NULL, NULL}};
    luaL_newlibtable(L, functions);
    lua_pushlightuserdata(L, h);
    luaL_setfuncs(L, functions, 1);
    luaL_newlibtable(L, loop);
    lua_pushlightuserdata(L, h);
    luaL_setfuncs(L, loop, 1);
    lua_setfield(L, -2, "loop");
}

/* Leaves the function on the stack that the script gives for each file. */
static void load_script(lua_State *L, host *h) {
    if (luaL_loadfilex(L, h->script, "t") != LUA_OK) {
        lua_error(L);
    }
    push_globals(L);
    lua_setupvalue(L, -2, 1); /* _ENV */
    push_module(L, h);
    push_host(L, h);
    lua_pushstring(L, h->dataset);
    lua_call(L, 3, 1);
    if (!lua_isfunction(L, -1)) {
        luaL_error(L, "%s gives no function", h->script);
    }
}

/* --- the loop --- */

/* The module's descriptor can be read. What its callback raises is what a task has raised that
 * nobody waits for. */
static void call_watch(lua_State *L, host *h) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &h->watched);
    if (lua_pcall(L, 0, 1, 0) != LUA_OK) {
        fprintf(stderr, "host-c: %s\n", luaL_tolstring(L, -1, NULL));
        lua_pop(L, 1);
        h->failed = true;
    } else if (!lua_toboolean(L, -1)) {
        h->watched = -1;
    }
    lua_pop(L, 1);
}

/* Waits until something happens, unless a task is ready, and acts on it. What is polled: the
 * service's descriptors, then the module's; poll(2) passes over one that is -1. */
static void turn(lua_State *L, host *h) {
    size_t served = lines_count(&h->service), count = served + 1;
    struct pollfd *p = realloc(h->polled, count * sizeof *p);
    if (!p) {
        luaL_error(L, "not enough memory");
        return;
    }
    h->polled = p;
    int patience = lines_list(&h->service, p);
    p[served] = (struct pollfd){.fd = h->watched, .events = POLLIN};
    if (poll(h->polled, count, h->ready ? 0 : patience) < 0) {
        if (errno != EINTR) {
            luaL_error(L, "poll: %s", strerror(errno));
        }
        return;
    }
    lines_serve(&h->service, h->polled);
    if (h->polled[served].revents) {
        call_watch(L, h);
    }
}

/* All that needs Lua, in one protected call. */
static int run(lua_State *L) {
    host *h = lua_touserdata(L, 1);
    *task_of(L) = NULL;
    luaL_openlibs(L);
    lua_warning(L, "@on", 0);
    load_script(L, h);
    do {
        run_ready(L, h);
        for (; *h->files && h->tasks < AT_ONCE; h->files++) {
            lua_pushstring(L, *h->files);
            lua_pushvalue(L, 2);
            begin(L, h);
        }
        if (h->tasks > 0) {
            turn(L, h);
        }
    } while (h->tasks > 0);
    return 0;
}

static int explain(lua_State *L) {
    luaL_tolstring(L, 1, NULL);
    return 1;
}

static bool run_lua(host *h) {
    lua_State *L = luaL_newstate();
    if (!L) {
        fprintf(stderr, "host-c: not enough memory\n");
        return false;
    }
    lua_pushcfunction(L, explain);
    lua_pushcfunction(L, run);
    lua_pushlightuserdata(L, h);
    bool fine = lua_pcall(L, 1, 0, 1) == LUA_OK;
    if (!fine) {
        fprintf(stderr, "host-c: %s\n", lua_tostring(L, -1));
    }
    lua_close(L);
    return fine && !h->failed;
}

int main(int count, char **words) {
    if (count < 6) {
        fprintf(stderr, "usage: host-c BUNDLE SCRIPT PORT DATASET FILE...\n");
        return 2;
    }
    host h = {.bundle = words[1],
              .script = words[2],
              .dataset = words[4],
              .files = words + 5,
              .watched = -1,
              .service = {.listener = -1}};
    h.ready_end = &h.ready;
    /* A line at a time, also into a pipe. A server that is gone is an error, not a signal: the
     * module leaves signals alone, which are the host's. */
    bool fine = setvbuf(stdout, NULL, _IOLBF, 0) == 0 && signal(SIGPIPE, SIG_IGN) != SIG_ERR;
    if (!fine || !lines_open(&h.service, words[3])) {
        fprintf(stderr, "host-c: cannot listen on port %s: %s\n", words[3], strerror(errno));
        fine = false;
    }
    fine = fine && printf("listening on 127.0.0.1:%d\n", h.service.port) > 0 && run_lua(&h);
    lines_close(&h.service);
    free(h.polled);
    return fine ? 0 : 1;
}
