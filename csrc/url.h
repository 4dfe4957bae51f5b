/* URLs and header lines: what may go into them, and how. */
#ifndef CAT_URL_H
#define CAT_URL_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

/* Whether a text can be part of a header line: no control characters. */
bool cat_url_printable(const char *text, size_t length);

/* Pushes the table of functions that Lua sees as core.url; returns 1. */
int cat_url_open(lua_State *L);

#endif
