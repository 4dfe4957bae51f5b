/* One HTTP exchange: request, reply, timings. */
#ifndef CAT_TRANSFER_H
#define CAT_TRANSFER_H

#include <lua.h>

/* Pushes the table of functions that Lua sees as core.transfer; returns 1. */
int cat_transfer_open(lua_State *L);

#endif
