/* Signals that end a program, as errors of Lua or as what is waited for. */
#ifndef CAT_SIGNALS_H
#define CAT_SIGNALS_H

#include <lua.h>

/* The function that Lua sees as core.system.raise_signals. */
int cat_raise_signals(lua_State *L);

/* The function that Lua sees as core.system.catch_signals. */
int cat_catch_signals(lua_State *L);

#endif
