/* Creating a batch: options -> JSON payload; reply -> Lua table. */
#ifndef CAT_BATCH_H
#define CAT_BATCH_H

#include <lua.h>

/* Pushes the table of functions that Lua sees as core.batch; returns 1. */
int cat_batch_open(lua_State *L);

#endif
