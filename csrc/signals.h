/* Signals that end a program, as errors of Lua. */
#ifndef CAT_SIGNALS_H
#define CAT_SIGNALS_H

#include <lua.h>

/* The function that Lua sees as core.system.raise_signals. */
int cat_raise_signals(lua_State *L);

#endif
