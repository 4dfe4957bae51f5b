/* A file that is to be sent. */
#ifndef CAT_FILE_H
#define CAT_FILE_H

#include <lua.h>
#include <stdint.h>

#define CAT_FILE "catalog.file"

typedef struct {
    int descriptor;               /* -1: closed */
    int64_t size;                 /* when it was opened */
    int64_t seconds, nanoseconds; /* of its last change, when it was opened */
} cat_file;

/* Pushes a file that is closed, and gets a descriptor that is open for reading. */
cat_file *cat_file_push(lua_State *L);

/* Pushes the table of functions that Lua sees as core.file; returns 1. */
int cat_file_open(lua_State *L);

#endif
