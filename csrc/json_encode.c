/* Lua value -> JSON.
 *
 * The encoder is ours: lua-cjson 2.1.0 prints integers with 14 digits and knows no empty array. It
 * writes into a buffer that belongs to the state and is used again, and reads tables raw, so that
 * no Lua code runs and nothing is allocated by Lua while it is under way. */
#include "json_encode.h"

#include "failure.h"
#include "handle.h"
#include "json_path.h"
#include "memory.h"
#include "number.h"
#include "plain.h"
#include "utf8.h"

#include <lauxlib.h>
#include <locale.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define OUTPUT      "catalog.json"
#define KEPT_BUFFER 1048576 /* bytes that are kept from one call to the next */

/* The text that is written. Each state has one, made once, whose user value is the array tags. */
typedef struct {
    char *text;
    size_t length, capacity;
    locale_t c_locale; /* numbers have points in it */
} output;

enum { ARRAY_TAGS = 1 };

/* One call of the encoder. */
typedef struct {
    lua_State *L;
    output *out;
    const char *root; /* what paths begin with */
    int array_tags;   /* index of the set */
} encoder;

/* The key of the output in the registry. */
static const char registry_key;

/* --- the buffer --- */

static void grow(lua_State *L, output *out, size_t more) {
    size_t capacity = out->capacity ? out->capacity : 1024;
    while (capacity - out->length < more) {
        capacity *= 2;
    }
    char *grown = cat_resize(L, out->text, out->capacity, capacity);
    if (!grown) {
        cat_oom(L);
    }
    out->text = grown;
    out->capacity = capacity;
}

/* Makes room for so many bytes more. */
static inline void reserve(lua_State *L, output *out, size_t more) {
    if (more > out->capacity - out->length) {
        grow(L, out, more);
    }
}

/* Appends where room was reserved. */
static void append(output *out, const char *text, size_t length) {
    memcpy(out->text + out->length, text, length);
    out->length += length;
}

static void add_char(lua_State *L, output *out, char character) {
    reserve(L, out, 1);
    out->text[out->length++] = character;
}

static void add_text(lua_State *L, output *out, const char *text, size_t length) {
    reserve(L, out, length);
    append(out, text, length);
}

/* Pushes nil and the error: what stands at `at` cannot be sent. Always false. */
static bool fail_at(encoder *e, const cat_path_node *at, const char *why) {
    luaL_checkstack(e->L, 12, "no room for an error");
    cat_json_push_path(e->L, e->root, at);
    cat_failure(e->L, "data", "%s %s", lua_tostring(e->L, -1), why);
    return false;
}

/* --- strings --- */

/* The bytes that are not copied as they are: those to be escaped, and those of longer characters,
 * which are checked. */
static const bool special[256] = {
    [0 ... 0x1f] = true, ['"'] = true, ['\\'] = true, [0x80 ... 0xff] = true};

/* Appends the escape of a byte; room for it was reserved. */
static void append_escape(output *out, unsigned char byte) {
    static const char digits[] = "0123456789abcdef";
    static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (const char *s = shorts; *s; s += 2) {
        if ((unsigned char)*s == byte) {
            append(out, (const char[]){'\\', s[1]}, 2);
            return;
        }
    }
    append(out, (const char[]){'\\', 'u', '0', '0', digits[byte >> 4], digits[byte & 15]}, 6);
}

/* Copies a short string, and says whether it is plain. Where its words overlap, what is copied
 * twice is the same. */
static inline bool copy_short(char *to, const char *from, size_t length) {
    if (length >= 8) {
        uint64_t first, last;
        memcpy(&first, from, 8);
        memcpy(&last, from + length - 8, 8);
        memcpy(to, &first, 8);
        memcpy(to + length - 8, &last, 8);
        return !(cat_plain_marks(first) | cat_plain_marks(last));
    }
    if (length >= 4) {
        uint32_t first, last;
        memcpy(&first, from, 4);
        memcpy(&last, from + length - 4, 4);
        memcpy(to, &first, 4);
        memcpy(to + length - 4, &last, 4);
        return !cat_plain_marks((uint64_t)first << 32 | last);
    }
    bool is_plain = true;
    for (size_t i = 0; i < length; i++) {
        to[i] = from[i];
        is_plain = is_plain && !special[(unsigned char)from[i]];
    }
    return is_plain;
}

/* So long a string is copied by two words. */
#define SHORT 16

/* What may surround a string besides its quotes: a comma or brace before it, a colon after it. */
#define AROUND 2

/* Adds the string with its quotes; room for AROUND bytes is left. Returns 0, or the position (from
 * 1) of the byte that is not UTF-8. */
static size_t add_string(lua_State *L, output *out, const char *text, size_t length) {
    const unsigned char *s = (const unsigned char *)text;
    reserve(L, out, length + 2 + AROUND);
    out->text[out->length++] = '"';
    if (length <= SHORT && copy_short(out->text + out->length, text, length)) {
        out->text[out->length + length] = '"';
        out->length += length + 1;
        return 0;
    }
    for (size_t i = 0;;) {
        size_t run = cat_plain_run(s + i, length - i);
        append(out, text + i, run);
        i += run;
        if (i == length) {
            break;
        }
        if (s[i] < 0x80) { /* the rest as it is, and what follows, still fit */
            reserve(L, out, 6 + (length - i) + 1 + AROUND);
            append_escape(out, s[i++]);
            continue;
        }
        size_t count = cat_utf8_character(s + i, length - i);
        if (count == 0) {
            return i + 1;
        }
        append(out, text + i, count);
        i += count;
    }
    out->text[out->length++] = '"';
    return 0;
}

/* --- values --- */

static bool encode_value(encoder *e, const cat_path_node *at);

static bool is_tagged(encoder *e) {
    if (!lua_getmetatable(e->L, -1)) {
        return false;
    }
    bool tagged = lua_rawget(e->L, e->array_tags) != LUA_TNIL;
    lua_pop(e->L, 1);
    return tagged;
}

/* Says what is wrong with the key at -2: the table has others, so it is neither list nor object. */
static bool fail_key(encoder *e, const cat_path_node *at) {
    char why[100];
    int type = lua_type(e->L, -2);
    if (type == LUA_TSTRING || lua_isinteger(e->L, -2)) {
        return fail_at(e, at, "has both list entries and named fields, and JSON has no such value");
    }
    snprintf(why, sizeof why, "has a key that is a %s; keys are strings, or 1, 2, 3 and so on",
             type == LUA_TNUMBER ? "float" : lua_typename(e->L, type));
    return fail_at(e, at, why);
}

/* How many entries the table on top has, all of whose keys are integers from 1 on; -1: it was
 * refused. */
static lua_Integer count_entries(encoder *e, const cat_path_node *at) {
    lua_Integer count = 0;
    for (lua_pushnil(e->L); lua_next(e->L, -2); lua_pop(e->L, 1)) {
        if (!lua_isinteger(e->L, -2)) {
            fail_key(e, at);
            return -1;
        }
        if (lua_tointeger(e->L, -2) < 1) {
            fail_at(e, at, "has the key 0 or a negative one; a list begins at 1");
            return -1;
        }
        count++;
    }
    return count;
}

/* Encodes the list on top by its numbers, after its keys were found in another order. */
static bool encode_by_number(encoder *e, const cat_path_node *at, const void *table) {
    lua_Integer count = count_entries(e, at);
    if (count < 0) {
        return false;
    }
    add_char(e->L, e->out, '[');
    for (lua_Integer i = 1; i <= count; i++) {
        cat_path_node here = {at, table, NULL, i, at ? at->depth + 1 : 1};
        if (lua_rawgeti(e->L, -1, i) == LUA_TNIL) {
            return fail_at(e, &here, "is missing; a list has no holes (catalog.null is a value)");
        }
        if (i > 1) {
            add_char(e->L, e->out, ',');
        }
        if (!encode_value(e, &here)) {
            return false;
        }
        lua_pop(e->L, 1);
    }
    add_char(e->L, e->out, ']');
    return true;
}

/* The first pair of the list is on the stack, above it. Lists keep their entries in order as a
 * rule, so they are written while they are gone through. */
static bool encode_list(encoder *e, const cat_path_node *at, const void *table) {
    size_t start = e->out->length;
    lua_Integer number = 1;
    do {
        cat_path_node here = {at, table, NULL, number, at ? at->depth + 1 : 1};
        if (!lua_isinteger(e->L, -2) || lua_tointeger(e->L, -2) != number) {
            lua_pop(e->L, 2);
            e->out->length = start;
            return encode_by_number(e, at, table);
        }
        add_char(e->L, e->out, number == 1 ? '[' : ',');
        if (!encode_value(e, &here)) {
            return false;
        }
        lua_pop(e->L, 1);
        number++;
    } while (lua_next(e->L, -2));
    add_char(e->L, e->out, ']');
    return true;
}

/* The first pair of the object is on the stack, above it. */
static bool encode_object(encoder *e, const cat_path_node *at, const void *table) {
    char before = '{';
    do {
        size_t length;
        if (lua_type(e->L, -2) != LUA_TSTRING) {
            return fail_key(e, at);
        }
        const char *name = lua_tolstring(e->L, -2, &length);
        cat_path_node here = {at, table, name, 0, at ? at->depth + 1 : 1};
        add_char(e->L, e->out, before);
        if (add_string(e->L, e->out, name, length) != 0) {
            return fail_at(e, at, "has a key that is not UTF-8");
        }
        e->out->text[e->out->length++] = ':'; /* AROUND a string there is room */
        if (!encode_value(e, &here)) {
            return false;
        }
        before = ',';
        lua_pop(e->L, 1);
    } while (lua_next(e->L, -2));
    add_char(e->L, e->out, '}');
    return true;
}

static bool encode_table(encoder *e, const cat_path_node *at) {
    const void *table = lua_topointer(e->L, -1);
    if (at && at->depth > CAT_JSON_MAX_DEPTH - 1) {
        return fail_at(e, NULL, "is nested more than 512 tables deep");
    }
    for (const cat_path_node *above = at; above; above = above->parent) {
        if (above->table == table) {
            return fail_at(e, at, "is a table that it is itself part of, and JSON has no cycles");
        }
    }
    luaL_checkstack(e->L, 6, "a value nested so deeply");
    bool tagged = is_tagged(e);
    lua_pushnil(e->L);
    if (!lua_next(e->L, -2)) {
        add_text(e->L, e->out, tagged ? "[]" : "{}", 2);
        return true;
    }
    return tagged || lua_type(e->L, -2) == LUA_TNUMBER ? encode_list(e, at, table)
                                                       : encode_object(e, at, table);
}

static bool encode_string(encoder *e, const cat_path_node *at) {
    size_t length;
    char why[80];
    const char *text = lua_tolstring(e->L, -1, &length);
    size_t bad = add_string(e->L, e->out, text, length);
    if (bad == 0) {
        return true;
    }
    snprintf(why, sizeof why, "is not UTF-8 (byte %zu of %zu)", bad, length);
    return fail_at(e, at, why);
}

static bool encode_number(encoder *e, const cat_path_node *at) {
    output *out = e->out;
    char *to, *end;
    reserve(e->L, out, CAT_NUMBER_ROOM);
    to = out->text + out->length;
    if (lua_isinteger(e->L, -1)) {
        end = cat_number_integer(to, lua_tointeger(e->L, -1));
    } else {
        double value = lua_tonumber(e->L, -1);
        if (!isfinite(value)) {
            return fail_at(e, at,
                           isnan(value) ? "is NaN, which JSON cannot hold"
                                        : "is infinite, which JSON cannot hold");
        }
        end = cat_number_float(to, value, out->c_locale);
    }
    out->length += (size_t)(end - to);
    return true;
}

static bool encode_light(encoder *e, const cat_path_node *at) {
    if (lua_touserdata(e->L, -1) == NULL) {
        add_text(e->L, e->out, "null", 4);
        return true;
    }
    lua_pushvalue(e->L, -1);
    bool tagged = lua_rawget(e->L, e->array_tags) != LUA_TNIL;
    lua_pop(e->L, 1);
    if (tagged) {
        add_text(e->L, e->out, "[]", 2);
        return true;
    }
    return fail_at(e, at, "is a userdata, which JSON cannot hold");
}

/* Encodes the value on top of the stack, which stays there. False: nil and an error are on top
 * instead. */
static bool encode_value(encoder *e, const cat_path_node *at) {
    char why[80];
    switch (lua_type(e->L, -1)) {
    case LUA_TBOOLEAN:
        if (lua_toboolean(e->L, -1)) {
            add_text(e->L, e->out, "true", 4);
        } else {
            add_text(e->L, e->out, "false", 5);
        }
        return true;
    case LUA_TNUMBER:
        return encode_number(e, at);
    case LUA_TSTRING:
        return encode_string(e, at);
    case LUA_TTABLE:
        return encode_table(e, at);
    case LUA_TLIGHTUSERDATA:
        return encode_light(e, at);
    default:
        snprintf(why, sizeof why, "is a %s, which JSON cannot hold", luaL_typename(e->L, -1));
        return fail_at(e, at, why);
    }
}

/* --- the state's output --- */

static output *get_output(lua_State *L) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &registry_key);
    return lua_touserdata(L, -1);
}

/* Encodes the value at `index` into the state's output. `good` becomes false when nil and an error
 * are on top of the stack. */
static output *encode_into(lua_State *L, int index, const char *root, bool *good) {
    int top = lua_gettop(L);
    index = lua_absindex(L, index);
    encoder e = {L, get_output(L), root, 0};
    lua_getiuservalue(L, -1, ARRAY_TAGS);
    e.array_tags = lua_gettop(L);
    lua_pushvalue(L, index);
    e.out->length = 0;
    *good = encode_value(&e, NULL);
    if (*good) {
        lua_settop(L, top);
    }
    return e.out;
}

static void free_text(lua_State *L, output *out) {
    if (out->text) {
        cat_resize(L, out->text, out->capacity, 0);
    }
    out->text = NULL;
    out->length = out->capacity = 0;
}

int cat_json_encode(lua_State *L, int index, const char *root) {
    bool good;
    output *out = encode_into(L, index, root, &good);
    if (!good) {
        return 2;
    }
    lua_pushlstring(L, out->text, out->length);
    if (out->capacity > KEPT_BUFFER) {
        free_text(L, out);
    }
    return 1;
}

const char *cat_json_text(lua_State *L, int index, const char *root, size_t *length) {
    bool good;
    output *out = encode_into(L, index, root, &good);
    *length = out->length;
    return good ? out->text : NULL;
}

static int output_gc(lua_State *L) {
    output *out = cat_handle_self(L, OUTPUT);
    free_text(L, out);
    if (out->c_locale) {
        freelocale(out->c_locale);
    }
    out->c_locale = (locale_t)0;
    return 0;
}

void cat_json_make_encoder(lua_State *L) {
    static const luaL_Reg events[] = {{"__gc", output_gc}, {NULL, NULL}};
    cat_handle(L, OUTPUT, events, NULL);
    output *out = lua_newuserdatauv(L, sizeof *out, ARRAY_TAGS);
    memset(out, 0, sizeof *out);
    luaL_setmetatable(L, OUTPUT);
    out->c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!out->c_locale) {
        cat_oom(L);
    }
    lua_insert(L, -2);
    lua_setiuservalue(L, -2, ARRAY_TAGS);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &registry_key);
}
