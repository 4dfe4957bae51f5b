/* What plain Lua lacks and we need of the file system. */
#ifndef CAT_FS_H
#define CAT_FS_H

#include <lua.h>

/* Pushes the table of functions that Lua sees as core.fs; returns 1. */
int cat_fs_open(lua_State *L);

#endif
