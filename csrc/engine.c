/*** Every transfer in flight, behind one descriptor a host can poll.
 * @module catalog.core.engine */
#include "engine.h"

#include "failure.h"
#include "handle.h"
#include "memory.h"

#include <errno.h>
#include <lauxlib.h>
#include <string.h>

#define ENGINE "catalog.engine"

/* The key of the engine in the registry. */
static const char registry_key;

static cat_multi *check_engine(lua_State *L) {
    return cat_handle_self(L, ENGINE);
}

/* Raises unless the engine is open and this is the process that made it. */
static void require_usable(lua_State *L, const cat_multi *engine) {
    if (!engine->handle) {
        luaL_error(L, "the engine is closed");
    }
    if (!cat_multi_is_usable(engine)) {
        luaL_error(L, "this engine was made before a fork; the child has another");
    }
}

static cat_multi *check_usable(lua_State *L) {
    cat_multi *engine = check_engine(L);
    require_usable(L, engine);
    return engine;
}

/* Takes note of whose an op is: of the userdata at `index`. Returns 0; or pushes nil and an error
 * and returns 2. */
static int remember(lua_State *L, const cat_multi *engine, const cat_op *op, int index) {
    if (!engine->handle) {
        return cat_failure(L, "cancelled", "the engine is closed");
    }
    if (!cat_multi_is_usable(engine)) {
        return cat_failure(L, "cancelled",
                           "this call belongs to the process that this one was forked from");
    }
    index = lua_absindex(L, index);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &registry_key);
    lua_getiuservalue(L, -1, 1);
    lua_pushvalue(L, index);
    lua_rawsetp(L, -2, op);
    lua_pop(L, 2);
    return 0;
}

int cat_engine_submit(lua_State *L, cat_multi *engine, cat_op *op, int index, double seconds) {
    int failed = remember(L, engine, op, index);
    if (failed) {
        return failed;
    }
    CURLMcode code = cat_multi_add(engine, op, cat_nanoseconds(seconds));
    if (code == CURLM_OUT_OF_MEMORY) {
        return cat_oom(L);
    }
    if (code != CURLM_OK) {
        return cat_failure(L, "protocol", "libcurl refuses the transfer: %s",
                           curl_multi_strerror(code));
    }
    return 0;
}

int cat_engine_listen(lua_State *L, cat_multi *engine, cat_op *op, int index) {
    int failed = remember(L, engine, op, index);
    if (failed) {
        return failed;
    }
    if (!cat_multi_listen(engine, op)) {
        int why = errno;
        return why == ENOMEM
                   ? cat_oom(L)
                   : cat_failure(L, "config", "the descriptor %d cannot be waited for: %s",
                                 op->descriptor, strerror(why));
    }
    return 0;
}

/* Pushes the transfer of the first completed op, which is removed; false when there is none. The
 * table of transfers is on the top. */
static bool push_completed(lua_State *L, cat_multi *engine) {
    for (cat_op *op; (op = engine->completed.first);) {
        cat_multi_remove(op);
        if (lua_rawgetp(L, -1, op) != LUA_TNIL) {
            return true;
        }
        lua_pop(L, 1); /* dropped, and about to be collected */
    }
    return false;
}

/* Moves completed transfers into the list at 3, as many as it has room for: that takes no memory,
 * so none is lost. Returns how many. */
static lua_Integer collect_into(lua_State *L, cat_multi *engine) {
    lua_Integer count = 0, room = (lua_Integer)lua_rawlen(L, 3);
    lua_getiuservalue(L, 1, 1);
    while (count < room && push_completed(L, engine)) {
        lua_rawseti(L, 3, ++count);
    }
    lua_pop(L, 1);
    return count;
}

/* What follows a step whose wait gave `error`: the descriptor is brought up to date. Raises what
 * went wrong but EINTR, with which a signal handler of the host wants its turn. */
static void end_step(lua_State *L, cat_multi *engine, int error) {
    if (!cat_multi_update(engine)) {
        luaL_error(L, "cannot set the timer: %s", strerror(errno));
    }
    if (error != 0 && error != EINTR) {
        luaL_error(L, "cannot wait for transfers: %s", strerror(error));
    }
}

bool cat_engine_wait(lua_State *L, cat_multi *engine, const cat_op *op) {
    require_usable(L, engine);
    for (int error = 0; error == 0 && !op->done;) {
        error = cat_multi_step(engine, CAT_NEVER);
        end_step(L, engine, error);
    }
    return op->done;
}

/*** Lets the transfers in flight go on, until one is done, the time is over, the timer is due, or a
 * signal arrives.
 * @function engine:step
 * @tparam[opt=0] number seconds how long to wait at the most; 0: only what can be done at once
 * @tparam ?table list whose elements are replaced by completed transfers, as by `next_completed`;
 * there is no wait where some were completed before
 * @treturn integer how many transfers were done in this step, or how many are in the list
 * @raise the engine is closed, or belongs to the process this one was forked from */
static int engine_step(lua_State *L) {
    cat_multi *engine = check_usable(L);
    bool listed = lua_type(L, 3) == LUA_TTABLE;
    bool waits = !listed || !engine->completed.first;
    size_t before = engine->completed_count;
    int error = cat_multi_step(engine, waits ? cat_nanoseconds(luaL_optnumber(L, 2, 0)) : 0);
    lua_Integer count =
        listed ? collect_into(L, engine) : (lua_Integer)(engine->completed_count - before);
    end_step(L, engine, error);
    lua_pushinteger(L, count);
    return 1;
}

/*** The descriptor a host polls for reading; when it is readable, `step` has work. It stays
 * readable until every completed transfer was collected. Once it was asked for it is kept up to
 * date.
 * @function engine:fd
 * @treturn integer
 * @raise as `step` */
static int engine_fd(lua_State *L) {
    cat_multi *engine = check_usable(L);
    if (!engine->shared) {
        engine->shared = true;
        cat_multi_update(engine);
    }
    lua_pushinteger(L, engine->poller.epoll);
    return 1;
}

/*** Sets when a host that waits is woken, also if no transfer asks for it.
 * @function engine:set_timer
 * @tparam ?number at seconds, as of `core.system.monotonic`; nil: never */
static int engine_set_timer(lua_State *L) {
    cat_multi *engine = check_engine(L);
    engine->host_due = lua_isnoneornil(L, 2) ? CAT_NEVER : cat_nanoseconds(luaL_checknumber(L, 2));
    cat_multi_update(engine);
    return 0;
}

/*** Makes the descriptor readable, or no longer for this reason. For those who wait on it and have
 * something else to hear of; `step` does not mind.
 * @function engine:wake
 * @tparam boolean on */
static int engine_wake(lua_State *L) {
    cat_multi *engine = check_engine(L);
    engine->wake_pending = lua_toboolean(L, 2);
    cat_multi_update(engine);
    return 0;
}

/*** Whether no transfer is in flight, nor completed and not collected.
 * @function engine:idle
 * @treturn boolean */
static int engine_idle(lua_State *L) {
    const cat_multi *engine = check_engine(L);
    lua_pushboolean(L, !engine->active.first && !engine->completed.first);
    return 1;
}

/*** Gives a completed transfer nobody has asked for its reply yet, each once, in the order they
 * were done.
 * @function engine:next_completed
 * @treturn ?transfer nil when there is none */
static int engine_next_completed(lua_State *L) {
    cat_multi *engine = check_engine(L);
    lua_getiuservalue(L, 1, 1);
    if (!push_completed(L, engine)) {
        cat_multi_update(engine);
        lua_pushnil(L);
    }
    return 1;
}

static int engine_gc(lua_State *L) {
    cat_multi_close(check_engine(L));
    return 0;
}

static int engine_tostring(lua_State *L) {
    lua_pushfstring(L, "catalog.engine (%s)", check_engine(L)->handle ? "open" : "closed");
    return 1;
}

/* A userdata that owns nothing yet, with its metatable and its table of transfers (weak: who drops
 * a transfer is rid of it). */
static cat_multi *push_closed(lua_State *L) {
    cat_multi *engine = lua_newuserdatauv(L, sizeof *engine, 1);
    cat_multi_init(engine, cat_main_thread(L));
    luaL_setmetatable(L, ENGINE);
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_setiuservalue(L, -2, 1);
    return engine;
}

cat_multi *cat_engine_push(lua_State *L) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &registry_key) == LUA_TUSERDATA) {
        cat_multi *known = lua_touserdata(L, -1);
        if (cat_multi_is_usable(known)) {
            return known;
        }
    }
    lua_pop(L, 1);
    cat_multi *engine = push_closed(L);
    if (!cat_multi_open(engine)) {
        int why = errno;
        lua_pop(L, 1);
        if (why == ENOMEM) {
            cat_oom(L);
        }
        cat_failure(L, "limit", "cannot open what transfers are waited for with: %s",
                    cat_no_descriptors(why) ? CAT_NO_DESCRIPTORS : strerror(why));
        return NULL;
    }
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &registry_key);
    return engine;
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
    static const luaL_Reg methods[] = {{"step", engine_step},
                                       {"fd", engine_fd},
                                       {"set_timer", engine_set_timer},
                                       {"wake", engine_wake},
                                       {"next_completed", engine_next_completed},
                                       {"idle", engine_idle},
                                       {NULL, NULL}};
    static const luaL_Reg events[] = {
        {"__gc", engine_gc}, {"__close", engine_gc}, {"__tostring", engine_tostring}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"get", engine_get}, {NULL, NULL}};
    cat_handle(L, ENGINE, events, methods);
    luaL_newlib(L, functions);
    return 1;
}
