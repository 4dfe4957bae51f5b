/*** A descriptor that is waited for as a transfer is: it is done once the descriptor is readable.
 * Whose the descriptor is closes it, after the listener.
 * @module catalog.core.listener */
#include "listener.h"

#include "engine.h"
#include "handle.h"

#define LISTENER "catalog.listener"

typedef struct {
    cat_op op;
} listener;

static listener *check_listener(lua_State *L) {
    return cat_handle_self(L, LISTENER);
}

/*** Makes a listener, which waits for nothing yet.
 * @function new
 * @tparam integer descriptor one that can be polled
 * @treturn listener */
static int new_listener(lua_State *L) {
    lua_Integer descriptor = luaL_checkinteger(L, 1);
    luaL_argcheck(L, descriptor >= 0 && descriptor <= INT32_MAX, 1, "no descriptor");
    listener *self = lua_newuserdatauv(L, sizeof *self, 1);
    *self = (listener){.op = {.descriptor = (int)descriptor, .done = true}};
    luaL_setmetatable(L, LISTENER);
    return 1;
}

/*** Begins to wait, once more after it was done. The engine, and by it a host's loop, is woken when
 * the descriptor is readable.
 * @function listener:start
 * @treturn[1] boolean true
 * @treturn[2] nil
 * @treturn[2] table error of kind `config`: it cannot be polled; of kind `limit`: no descriptors
 * are left for the engine */
static int listener_start(lua_State *L) {
    listener *self = check_listener(L);
    cat_multi_remove(&self->op);
    lua_settop(L, 1);
    cat_multi *engine = cat_engine_push(L);
    if (!engine) {
        return 2;
    }
    lua_setiuservalue(L, 1, 1); /* it lives as long as what it holds */
    int failed = cat_engine_listen(L, engine, &self->op, 1);
    if (failed) {
        return failed;
    }
    lua_pushboolean(L, 1);
    return 1;
}

/*** Whether it waits for nothing any more: the descriptor was readable, or it was closed.
 * @function listener:done
 * @treturn boolean */
static int listener_done(lua_State *L) {
    const listener *self = check_listener(L);
    lua_pushboolean(L, self->op.done || !self->op.multi);
    return 1;
}

/*** Lets everything that is in flight go on until it is done, or a signal arrives, as
 * `transfer:wait`.
 * @function listener:wait
 * @treturn boolean whether it is done
 * @raise as `engine:step` */
static int listener_wait(lua_State *L) {
    const listener *self = check_listener(L);
    const cat_op *op = &self->op;
    lua_pushboolean(L, op->done || !op->multi || cat_engine_wait(L, op->multi, op));
    return 1;
}

/*** How many bytes of it have left: none, it is no upload.
 * @function listener:sent
 * @treturn integer */
static int listener_sent(lua_State *L) {
    lua_pushinteger(L, 0);
    return 1;
}

/*** Waits no more.
 * @function listener:close */
static int listener_close(lua_State *L) {
    cat_multi_remove(&check_listener(L)->op);
    return 0;
}

int cat_listener_open(lua_State *L) {
    static const luaL_Reg methods[] = {{"start", listener_start}, {"done", listener_done},
                                       {"wait", listener_wait},   {"sent", listener_sent},
                                       {"close", listener_close}, {NULL, NULL}};
    static const luaL_Reg events[] = {
        {"__gc", listener_close}, {"__close", listener_close}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"new", new_listener}, {NULL, NULL}};
    cat_handle(L, LISTENER, events, methods);
    luaL_newlib(L, functions);
    return 1;
}
