/* An append-only file of lines. */
#ifndef CAT_JOURNAL_H
#define CAT_JOURNAL_H

#include <lua.h>

/* Pushes the table of functions that Lua sees as core.journal; returns 1. */
int cat_journal_open(lua_State *L);

#endif
