/* Bytes that are gathered to be sent. */
#ifndef CAT_BUFFER_H
#define CAT_BUFFER_H

#include <lua.h>
#include <stddef.h>

#define CAT_BUFFER "catalog.buffer"

typedef struct {
    lua_State *L; /* the main thread, for its allocator */
    char *text;
    size_t length, capacity;
    size_t usual; /* what it is to hold */
    int users;    /* transfers that send it: it must not move */
} cat_buffer;

/* Pushes the table of functions that Lua sees as core.buffer; returns 1. */
int cat_buffer_open(lua_State *L);

#endif
