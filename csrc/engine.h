/* The engine: a multi as a userdata, one a Lua state. */
#ifndef CAT_ENGINE_H
#define CAT_ENGINE_H

#include "multi.h"

#include <lua.h>

/* Pushes the engine of this state, made at the first call, and returns it; or pushes nil and an
 * error and returns NULL. */
cat_multi *cat_engine_push(lua_State *L);

/* Submits an op whose easy handle is ready, see cat_multi_add. The userdata at `index` is what
 * engine:next_completed() gives when it is done. Returns 0; or pushes nil and an error and returns
 * 2. */
int cat_engine_submit(lua_State *L, cat_multi *engine, cat_op *op, int index, double seconds);

/* The same for an op that is done once a descriptor is readable, see cat_multi_listen. */
int cat_engine_listen(lua_State *L, cat_multi *engine, cat_op *op, int index);

/* Pushes the table of functions that Lua sees as core.engine; returns 1. */
int cat_engine_open(lua_State *L);

/* Lets all ops of the engine go on until one of them is done, or a signal arrives: for where nobody
 * else has anything to do meanwhile. Returns whether it is done; raises what went wrong. */
bool cat_engine_wait(lua_State *L, cat_multi *engine, const cat_op *op);

#endif
