/* Bytes that are gathered to be sent. */
#ifndef CAT_BUFFER_H
#define CAT_BUFFER_H

#include "memory.h"

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#define CAT_BUFFER       "catalog.buffer"
#define CAT_BUFFER_FIRST 65536 /* bytes that one gets at first */

typedef struct {
    lua_State *L; /* the main thread, for its allocator */
    char *text;
    size_t length, capacity;
    size_t usual; /* what it is to hold */
    int users;    /* transfers that send it: it must not move */
} cat_buffer;

/* Makes room for so many bytes more; false: there is no memory. A small buffer stays small; one
 * that grows gets at once what it was made for, whose pages cost nothing until they are used, and
 * is not moved about. */
static inline bool cat_buffer_reserve(cat_buffer *buffer, size_t more) {
    if (more <= buffer->capacity - buffer->length) {
        return true;
    }
    size_t capacity = buffer->length + more <= CAT_BUFFER_FIRST ? CAT_BUFFER_FIRST : buffer->usual;
    while (capacity - buffer->length < more) {
        capacity *= 2;
    }
    char *grown = cat_resize(buffer->L, buffer->text, buffer->capacity, capacity);
    if (!grown) {
        return false;
    }
    buffer->text = grown;
    buffer->capacity = capacity;
    return true;
}

/* Pushes the table of functions that Lua sees as core.buffer; returns 1. */
int cat_buffer_open(lua_State *L);

#endif
