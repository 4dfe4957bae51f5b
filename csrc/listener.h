/* A descriptor that is waited for as a transfer is. */
#ifndef CAT_LISTENER_H
#define CAT_LISTENER_H

#include <lua.h>

/* Pushes the table of functions that Lua sees as core.listener; returns 1. */
int cat_listener_open(lua_State *L);

#endif
