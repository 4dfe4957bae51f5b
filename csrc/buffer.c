/*** Bytes that are gathered to be sent: a part of a file that is being written.
 * @module catalog.core.buffer */
#include "buffer.h"

#include "failure.h"
#include "handle.h"
#include "json_encode.h"
#include "memory.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

static cat_buffer *check_buffer(lua_State *L) {
    return cat_handle_self(L, CAT_BUFFER);
}

/* A buffer that may change: no transfer is reading it. */
static cat_buffer *check_idle(lua_State *L) {
    cat_buffer *buffer = check_buffer(L);
    luaL_argcheck(L, buffer->users == 0, 1, "the buffer is being sent");
    return buffer;
}

/* Makes room for so many bytes more; raises when there is no memory. */
static void need(lua_State *L, cat_buffer *buffer, size_t more) {
    if (!cat_buffer_reserve(buffer, more)) {
        cat_oom(L);
    }
}

static void append(lua_State *L, cat_buffer *buffer, const char *text, size_t length) {
    need(L, buffer, length);
    if (length > 0) {
        memcpy(buffer->text + buffer->length, text, length);
        buffer->length += length;
    }
}

/*** Appends bytes.
 * @function buffer:append
 * @tparam string text
 * @tparam[opt=1] integer from the first byte of it
 * @tparam[opt=#text] integer to the last */
static int buffer_append(lua_State *L) {
    cat_buffer *buffer = check_idle(L);
    size_t length;
    const char *text = luaL_checklstring(L, 2, &length);
    lua_Integer from = luaL_optinteger(L, 3, 1), to = luaL_optinteger(L, 4, (lua_Integer)length);
    luaL_argcheck(L, from >= 1 && to <= (lua_Integer)length && from - 1 <= to, 3, "no such range");
    append(L, buffer, text + from - 1, (size_t)(to - from + 1));
    return 0;
}

/*** Appends a line, unless the buffer has something and it would grow beyond `most` bytes.
 * @function buffer:add_line
 * @tparam string line without a line break
 * @tparam integer most bytes
 * @treturn boolean whether there was room for it */
static int buffer_add_line(lua_State *L) {
    cat_buffer *buffer = check_idle(L);
    size_t length;
    const char *line = luaL_checklstring(L, 2, &length);
    lua_Integer most = luaL_checkinteger(L, 3);
    bool fits = buffer->length == 0 || buffer->length + length + 1 <= (size_t)most;
    if (fits) {
        need(L, buffer, length + 1);
        append(L, buffer, line, length);
        append(L, buffer, "\n", 1);
    }
    lua_pushboolean(L, fits);
    return 1;
}

/* Pushes nil and the error of a value that cannot be encoded. The path to it begins with its
 * number, which is made into text only now: most records are fine. */
static int refuse(lua_State *L) {
    size_t length;
    char root[40];
    snprintf(root, sizeof root, "records[" LUA_INTEGER_FMT "]",
             (LUAI_UACINT)luaL_checkinteger(L, 3));
    lua_settop(L, 3);
    cat_json_text(L, 2, root, &length);
    return 2;
}

/* What a value is that is no object, given its JSON. */
static const char *kind_of(lua_State *L, int index, char first) {
    return first == '[' ? "list" : first == 'n' ? "null" : luaL_typename(L, index);
}

/* Pushes nil and the error of a value that is no object. */
static int refuse_kind(lua_State *L, char first) {
    return cat_failure(L, "data",
                       "records[%I] is a %s, and a record is an object: a table with string keys",
                       (LUAI_UACINT)luaL_checkinteger(L, 3), kind_of(L, 2, first));
}

/*** Appends an object as a line of JSON, unless the buffer has something and it would grow beyond
 * `most` bytes.
 * @function buffer:encode
 * @param value anything else than a table with string keys is refused
 * @tparam integer number of the record, for the path in a message
 * @tparam integer most bytes
 * @treturn[1] integer how many bytes it holds now; or false: there is no room for it
 * @treturn[2] nil
 * @treturn[2] table error of kind `data` */
static int buffer_encode(lua_State *L) {
    cat_buffer *buffer = check_idle(L);
    lua_Integer most = luaL_checkinteger(L, 4);
    size_t length;
    const char *text = cat_json_text(L, 2, NULL, &length);
    if (!text) {
        return refuse(L);
    }
    if (*text != '{') {
        return refuse_kind(L, *text);
    }
    if (buffer->length > 0 && buffer->length + length + 1 > (size_t)most) {
        lua_pushboolean(L, 0);
        return 1;
    }
    need(L, buffer, length + 1);
    append(L, buffer, text, length);
    append(L, buffer, "\n", 1);
    lua_pushinteger(L, (lua_Integer)buffer->length);
    return 1;
}

/*** How much it holds.
 * @function buffer:length
 * @treturn integer bytes */
static int buffer_length(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)check_buffer(L)->length);
    return 1;
}

/*** Empties it; it keeps its memory.
 * @function buffer:reset */
static int buffer_reset(lua_State *L) {
    check_idle(L)->length = 0;
    return 0;
}

static int buffer_gc(lua_State *L) {
    cat_buffer *buffer = check_buffer(L);
    if (buffer->text) {
        cat_resize(buffer->L, buffer->text, buffer->capacity, 0);
    }
    buffer->text = NULL;
    buffer->length = buffer->capacity = 0;
    return 0;
}

/*** A buffer with nothing in it.
 * @function new
 * @tparam integer usual how many bytes it is to hold; it may become larger
 * @treturn buffer */
static int buffer_new(lua_State *L) {
    lua_Integer usual = luaL_checkinteger(L, 1);
    cat_buffer *buffer = lua_newuserdatauv(L, sizeof *buffer, 0);
    memset(buffer, 0, sizeof *buffer);
    buffer->L = cat_main_thread(L);
    buffer->usual = usual > CAT_BUFFER_FIRST ? (size_t)usual : CAT_BUFFER_FIRST;
    luaL_setmetatable(L, CAT_BUFFER);
    return 1;
}

int cat_buffer_open(lua_State *L) {
    static const luaL_Reg methods[] = {{"append", buffer_append}, {"add_line", buffer_add_line},
                                       {"encode", buffer_encode}, {"length", buffer_length},
                                       {"reset", buffer_reset},   {NULL, NULL}};
    static const luaL_Reg functions[] = {{"new", buffer_new}, {NULL, NULL}};
    static const luaL_Reg events[] = {{"__gc", buffer_gc}, {NULL, NULL}};
    cat_handle(L, CAT_BUFFER, events, methods);
    luaL_newlib(L, functions);
    return 1;
}
