/* Standard input, and pipes that have a name. */
#ifndef CAT_PIPE_H
#define CAT_PIPE_H

#include <lua.h>

/* Pushes the table of functions that Lua sees as core.pipe; returns 1. */
int cat_pipe_open(lua_State *L);

#endif
