/* A file that is read while others write it. */
#ifndef CAT_TAIL_H
#define CAT_TAIL_H

#include <lua.h>

/* Pushes the table of functions that Lua sees as core.tail; returns 1. */
int cat_tail_open(lua_State *L);

#endif
