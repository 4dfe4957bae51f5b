/* The error object: what every call returns after nil. */
#ifndef CAT_FAILURE_H
#define CAT_FAILURE_H

#include <errno.h>
#include <lua.h>
#include <stdbool.h>

/* What to say when a process has opened as much as it may, or all of them have. */
#define CAT_NO_DESCRIPTORS                                                                         \
    "too many files and connections are open; raise the limit (ulimit -n), or lower parallel"

static inline bool cat_no_descriptors(int error) {
    return error == EMFILE || error == ENFILE;
}

/* Pushes nil and an error table of `kind` whose message is formatted as by lua_pushfstring,
 * with control characters shown as `\n`, `\x1b`.
 * Returns 2, so that a function can end in `return cat_failure(...)`. */
int cat_failure(lua_State *L, const char *kind, const char *format, ...);

/* Pushes the table of functions that Lua sees as core.failure; returns 1. */
int cat_failure_open(lua_State *L);

#endif
