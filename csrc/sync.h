/* What was written is brought onto the disk, by a thread: a host's loop goes on meanwhile. */
#ifndef CAT_SYNC_H
#define CAT_SYNC_H

#include <lua.h>

/* Pushes the table of functions that Lua sees as core.sync; returns 1. */
int cat_sync_open(lua_State *L);

#endif
