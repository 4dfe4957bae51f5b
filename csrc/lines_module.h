/* JSON lines, for Lua. */
#ifndef CAT_LINES_MODULE_H
#define CAT_LINES_MODULE_H

#include <lua.h>

/* Pushes the table of functions that Lua sees as core.lines; returns 1. */
int cat_lines_open(lua_State *L);

#endif
