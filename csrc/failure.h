/* The error object: what every call returns after nil. */
#ifndef CAT_FAILURE_H
#define CAT_FAILURE_H

#include <lua.h>

/* Pushes nil and an error table of `kind` whose message is formatted as by lua_pushfstring.
 * Returns 2, so that a function can end in `return cat_failure(...)`. */
int cat_failure(lua_State *L, const char *kind, const char *format, ...);

/* Pushes the table of functions that Lua sees as core.failure; returns 1. */
int cat_failure_open(lua_State *L);

#endif
