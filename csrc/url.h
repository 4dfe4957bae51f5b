/* URLs and header lines: what may go into them, and how. */
#ifndef CAT_URL_H
#define CAT_URL_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

/* Whether a text can be part of a header line: no control characters. */
bool cat_url_printable(const char *text, size_t length);

/* Whether a host, as libcurl has it of a URL, is this machine. An address, not a name that begins
 * like one: 127.0.0.1.example.com is somebody's host. */
bool cat_url_loopback(const char *host);

/* Checks the URL of a proxy, the string at `index`, which is of the option or the variable `name`.
 * Pushes it as it may be shown, without user and password, and returns 1; or pushes nil and an
 * error of kind `config` and returns 2. */
int cat_url_proxy(lua_State *L, int index, const char *name);

/* Whether a text can be one segment of a path: not empty, and neither `.` nor `..`, which a server
 * would take as a step in the path. */
bool cat_url_segment_fits(const char *text);

/* Pushes the table of functions that Lua sees as core.url; returns 1. */
int cat_url_open(lua_State *L);

#endif
