/* What plain Lua lacks and we need of the system. */
#ifndef CAT_SYSTEM_H
#define CAT_SYSTEM_H

#include <lua.h>
#include <stdint.h>

/* Nanoseconds of a clock that only goes forward. */
int64_t cat_monotonic(void);

/* Pushes the table of functions that Lua sees as core.system; returns 1. */
int cat_system_open(lua_State *L);

#endif
