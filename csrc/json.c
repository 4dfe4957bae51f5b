/*** Lua value <-> JSON.
 *
 * Encoding is ours: lua-cjson 2.1.0 prints integers with 14 digits and knows no empty array. It
 * writes into a buffer that belongs to the state and is used again, and reads tables raw, so that
 * no Lua code runs and nothing is allocated by Lua while it is under way. Decoding is lua-cjson's,
 * by an instance of our own.
 * @module catalog.core.json */
#include "json.h"

#include "failure.h"
#include "handle.h"
#include "memory.h"

#include <float.h>
#include <langinfo.h>
#include <lauxlib.h>
#include <locale.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY        "catalog.array"
#define CODEC        "catalog.json"
#define DEEPEST      512     /* tables in tables, when encoding */
#define DEEPEST_READ 256     /* the same, when decoding */
#define KEPT_BUFFER  1048576 /* bytes that are kept from one call to the next */

/* What a state needs for JSON, made once. Its user values are lua-cjson's decode function, and the
 * marks: a set of the metatables (and in lua-cjson's successors a light userdata) that make an
 * array of a table. */
typedef struct {
    char *text;
    size_t length, capacity;
    locale_t plain; /* the C locale: numbers have points in it */
    char radix;     /* the decimal point when the decoder was made: lua-cjson remembers it */
    bool integers;  /* this lua-cjson makes integers of numbers without point and exponent */
} codec;

enum { USES_DECODE = 1, USES_MARKS, USES_COUNT = USES_MARKS };

/* The key of the codec in the registry. */
static const char registry_key;

/* --- the buffer --- */

static void grow(lua_State *L, codec *c, size_t more) {
    size_t capacity = c->capacity ? c->capacity : 1024;
    while (capacity - c->length < more) {
        capacity *= 2;
    }
    char *grown = cat_resize(L, c->text, c->capacity, capacity);
    if (!grown) {
        luaL_error(L, "not enough memory");
    }
    c->text = grown;
    c->capacity = capacity;
}

/* Makes room for so many bytes more. */
static inline void need(lua_State *L, codec *c, size_t more) {
    if (more > c->capacity - c->length) {
        grow(L, c, more);
    }
}

static void add(codec *c, const char *text, size_t length) {
    memcpy(c->text + c->length, text, length);
    c->length += length;
}

static void add_char(lua_State *L, codec *c, char character) {
    need(L, c, 1);
    c->text[c->length++] = character;
}

static void add_text(lua_State *L, codec *c, const char *text, size_t length) {
    need(L, c, length);
    add(c, text, length);
}

/* --- where we are, for messages and against cycles --- */

typedef struct place {
    const struct place *parent;
    const void *table;
    const char
        *name; /* the key under which the value stands in `table`; NULL: `number` is its index */
    lua_Integer number; /* the index */
    int depth;
} place;

static bool identifier(const char *name) {
    if (*name >= '0' && *name <= '9') {
        return false;
    }
    for (; *name; name++) {
        bool letter =
            (*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') || *name == '_';
        if (!letter && !(*name >= '0' && *name <= '9')) {
            return false;
        }
    }
    return true;
}

/* Pushes one step of the path: `.name`, `["odd name"]` or `[3]`. */
static void push_step(lua_State *L, const place *at, bool first) {
    if (!at->name) {
        lua_pushfstring(L, "[%I]", (LUAI_UACINT)at->number);
    } else if (!*at->name || !identifier(at->name)) {
        lua_pushfstring(L, "[\"%s\"]", at->name);
    } else {
        lua_pushfstring(L, first ? "%s" : ".%s", at->name);
    }
}

/* Pushes the path from the root to `at`. */
static void push_path(lua_State *L, const char *root, const place *at) {
    const place *steps[DEEPEST + 1];
    int count = 0;
    for (; at; at = at->parent) {
        steps[count++] = at;
    }
    bool named = root && *root;
    luaL_Buffer path;
    luaL_buffinit(L, &path);
    luaL_addstring(&path, named ? root : count ? "" : "the value");
    while (count-- > 0) {
        push_step(L, steps[count], !named && luaL_bufflen(&path) == 0);
        luaL_addvalue(&path);
    }
    luaL_pushresult(&path);
}

typedef struct {
    lua_State *L;
    codec *c;
    const char *root;
    int marks; /* index of the table of cjson's marks */
} encoder;

/* Pushes nil and the error: what stands at `at` cannot be sent. Always false. */
static bool refuse(encoder *e, const place *at, const char *why) {
    luaL_checkstack(e->L, 12, "no room for an error");
    push_path(e->L, e->root, at);
    cat_failure(e->L, "data", "%s %s", lua_tostring(e->L, -1), why);
    return false;
}

/* --- strings --- */

/* What each byte is in a string: 0 plain; 1 to be escaped; 2 to 4 the first of so many bytes; 5
 * never first. */
static const unsigned char byte_class[256] = {
    /* 00 */ 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1,          1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    /* 20 */ 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0,          0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    /* 40 */ 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0,          0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0,
    /* 60 */ 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0,          0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    /* 80 */ 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5,
    5,          5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5,
    /* a0 */ 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5,
    5,          5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5,
    /* c0 */ 5, 5, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    2,          2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    /* e0 */ 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3,
    4,          4, 4, 4, 4, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5,
};

/* Whether `count` bytes at `s` are one character: no overlong form, no surrogate, nothing above
 * U+10FFFF. */
static bool well_formed(const unsigned char *s, size_t count) {
    for (size_t i = 1; i < count; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            return false;
        }
    }
    return !(s[0] == 0xe0 && s[1] < 0xa0) && !(s[0] == 0xed && s[1] > 0x9f) &&
           !(s[0] == 0xf0 && s[1] < 0x90) && !(s[0] == 0xf4 && s[1] > 0x8f);
}

/* How many bytes from `s` on are ASCII, eight at a time. */
static size_t ascii_run(const unsigned char *s, size_t length) {
    const uint64_t tops = 0x8080808080808080u;
    size_t at = 0;
    for (; at + 8 <= length; at += 8) {
        uint64_t eight;
        memcpy(&eight, s + at, 8);
        if (eight & tops) {
            break;
        }
    }
    while (at < length && s[at] < 0x80) {
        at++;
    }
    return at;
}

/* The position (from 1) of the first byte that is no UTF-8, or 0. */
static size_t find_fault(const char *text, size_t length) {
    const unsigned char *s = (const unsigned char *)text;
    for (size_t i = ascii_run(s, length); i < length; i += ascii_run(s + i, length - i)) {
        size_t kind = byte_class[s[i]];
        if (kind == 5 || kind > length - i || !well_formed(s + i, kind)) {
            return i + 1;
        }
        i += kind;
    }
    return 0;
}

static void add_escape(codec *c, unsigned char byte) {
    static const char digits[] = "0123456789abcdef";
    static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (const char *s = shorts; *s; s += 2) {
        if ((unsigned char)*s == byte) {
            add(c, (const char[]){'\\', s[1]}, 2);
            return;
        }
    }
    add(c, (const char[]){'\\', 'u', '0', '0', digits[byte >> 4], digits[byte & 15]}, 6);
}

/* How many bytes from `s` on are plain: no control character, quote, backslash, or part of a longer
 * character. Eight at a time: a byte below 32 borrows from its top bit when 32 is taken off, a
 * quote or backslash becomes 0 and does so too when 1 is taken off. */
static size_t plain_run(const unsigned char *s, size_t length) {
    const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
    size_t at = 0;
    for (; at + 8 <= length; at += 8) {
        uint64_t eight;
        memcpy(&eight, s + at, 8);
        uint64_t quote = eight ^ (ones * '"'), slash = eight ^ (ones * '\\');
        if ((eight | (eight - ones * 32) | (quote - ones) | (slash - ones)) & tops) {
            break;
        }
    }
    while (at < length && byte_class[s[at]] == 0) {
        at++;
    }
    return at;
}

/* What may surround a string besides its quotes: a comma or brace before it, a colon after it. */
#define AROUND 2

/* Adds the string with its quotes; room for AROUND bytes is left. Returns 0, or the position (from
 * 1) of the byte that is no UTF-8. */
static size_t add_string(lua_State *L, codec *c, const char *text, size_t length) {
    const unsigned char *s = (const unsigned char *)text;
    need(L, c, length + 2 + AROUND);
    c->text[c->length++] = '"';
    for (size_t i = 0;;) {
        size_t run = plain_run(s + i, length - i);
        add(c, text + i, run);
        i += run;
        if (i == length) {
            break;
        }
        size_t kind = byte_class[s[i]];
        if (kind == 1) {
            need(L, c,
                 6 + (length - i) + 1 +
                     AROUND); /* the rest as it is, and what follows, still fit */
            add_escape(c, s[i++]);
        } else if (kind == 5 || kind > length - i || !well_formed(s + i, kind)) {
            return i + 1;
        } else {
            add(c, text + i, kind);
            i += kind;
        }
    }
    c->text[c->length++] = '"';
    return 0;
}

/* --- numbers --- */

#define MOST_DIGITS 20

/* Writes the digits of `value`; returns how many they are. */
static int write_digits(unsigned long long value, char digits[MOST_DIGITS]) {
    char backwards[MOST_DIGITS];
    int count = 0;
    do {
        backwards[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    for (int i = 0; i < count; i++) {
        digits[i] = backwards[count - 1 - i];
    }
    return count;
}

/* There is room for MOST_DIGITS. */
static void add_unsigned(codec *c, unsigned long long value) {
    c->length += (size_t)write_digits(value, c->text + c->length);
}

static void add_integer(lua_State *L, codec *c, lua_Integer value) {
    need(L, c, MOST_DIGITS + 1);
    if (value < 0) {
        c->text[c->length++] = '-';
    }
    add_unsigned(c, value < 0 ? 0ULL - (unsigned long long)value : (unsigned long long)value);
}

/* Adds a decimal: the digits (no zeros at either end), with the point after the first `point` of
 * them. In plain notation from 0.00001 to below 1e17, with an exponent beyond. */
static void add_decimal(codec *c, const char *digits, int count, int point) {
    if (point < -4 || point > 17) {
        add(c, digits, 1);
        if (count > 1) {
            c->text[c->length++] = '.';
            add(c, digits + 1, (size_t)count - 1);
        }
        c->text[c->length++] = 'e';
        if (point < 1) {
            c->text[c->length++] = '-';
        }
        add_unsigned(c, (unsigned long long)(point < 1 ? 1 - point : point - 1));
        return;
    }
    if (point <= 0) {
        add(c, "0.00000", (size_t)(2 - point));
        add(c, digits, (size_t)count);
        return;
    }
    int whole = count < point ? count : point;
    add(c, digits, (size_t)whole);
    for (int i = whole; i < point; i++) {
        c->text[c->length++] = '0';
    }
    if (count > point) {
        c->text[c->length++] = '.';
        add(c, digits + point, (size_t)(count - point));
    }
}

/* Most floats people have are decimals with few places: value * 10^places is then a whole number
 * that reads back as the same float, since both it and the power of ten are exact. The first such
 * is the shortest. */
static bool add_short_decimal(codec *c, double value) {
    static const double powers[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8};
    for (int places = 0; places < (int)(sizeof powers / sizeof *powers); places++) {
        double scaled = nearbyint(value * powers[places]);
        if (scaled >= 1e15) {
            return false;
        }
        if (scaled >= 1 && scaled / powers[places] == value) {
            char digits[MOST_DIGITS];
            int count = write_digits((unsigned long long)scaled, digits);
            int point = count - places;
            while (count > 1 && digits[count - 1] == '0') {
                count--;
            }
            add_decimal(c, digits, count, point);
            return true;
        }
    }
    return false;
}

/* Reads the form "d.ddde+xx" of %e into digits without zeros at the end; returns their count. */
static int read_exponent_form(const char *text, char *digits, int *point) {
    int count = 0;
    digits[count++] = text[0];
    const char *at = text + 1;
    if (*at == '.') {
        for (at++; *at >= '0' && *at <= '9'; at++) {
            digits[count++] = *at;
        }
    }
    *point = (int)strtol(at + 1, NULL, 10) + 1;
    while (count > 1 && digits[count - 1] == '0') {
        count--;
    }
    return count;
}

/* The nearest decimal of so many digits need not be the only one of that length that reads back:
 * just above a power of two the floats below are twice as dense, and the next decimal up may be the
 * one. */
static bool next_up_reads_back(char *text, double value, locale_t plain) {
    char *exponent = strchr(text, 'e');
    char *last = exponent ? exponent - 1 : text;
    if (*last < '0' || *last >= '9') {
        return false;
    }
    ++*last;
    if (strtod_l(text, NULL, plain) == value) {
        return true;
    }
    --*last;
    return false;
}

/* Whether the value reads back from its decimal of so many digits, which is left in `text`. */
static bool print_exact(char *text, size_t size, double value, int digits, locale_t plain) {
    snprintf(text, size, "%.*e", digits - 1, value);
    return strtod_l(text, NULL, plain) == value || next_up_reads_back(text, value, plain);
}

/* Prints the shortest form. 17 digits always do, and where 15 do, those of shorter forms are
 * followed by zeros; but below the normal range every length is tried. */
static void print_shortest(char *text, size_t size, double value, locale_t plain) {
    int digits = value < DBL_MIN ? 1 : 15;
    while (!print_exact(text, size, value, digits, plain)) {
        digits++;
    }
}

/* The general case. */
static void add_long_decimal(codec *c, double value) {
    char text[40], digits[MOST_DIGITS];
    int point;
    locale_t before = uselocale(c->plain);
    print_shortest(text, sizeof text, value, c->plain);
    uselocale(before);
    int count = read_exponent_form(text, digits, &point);
    add_decimal(c, digits, count, point);
}

static bool add_float(lua_State *L, codec *c, double value) {
    if (!isfinite(value)) {
        return false;
    }
    need(L, c, 40);
    bool negative = signbit(value);
    if (negative) {
        c->text[c->length++] = '-';
        value = -value;
    }
    if (value == 0) {
        add(c, "0.0", negative ? 3 : 1); /* -0 would read back as an integer, which has no sign */
        return true;
    }
    if (!add_short_decimal(c, value)) {
        add_long_decimal(c, value);
    }
    return true;
}

/* --- values --- */

static bool encode_value(encoder *e, const place *at);

static bool is_marked(encoder *e) {
    if (!lua_getmetatable(e->L, -1)) {
        return false;
    }
    bool marked = lua_rawget(e->L, e->marks) != LUA_TNIL;
    lua_pop(e->L, 1);
    return marked;
}

/* Says what is wrong with the key at -2: the table has others, so it is neither list nor object. */
static bool refuse_key(encoder *e, const place *at) {
    char why[100];
    int type = lua_type(e->L, -2);
    if (type == LUA_TSTRING || lua_isinteger(e->L, -2)) {
        return refuse(e, at, "has both list entries and named fields, and JSON has no such value");
    }
    snprintf(why, sizeof why, "has a key that is a %s; keys are strings, or 1, 2, 3 and so on",
             type == LUA_TNUMBER ? "float" : lua_typename(e->L, type));
    return refuse(e, at, why);
}

/* How many entries the table on top has, all of whose keys are integers from 1 on; -1: it was
 * refused. */
static lua_Integer count_entries(encoder *e, const place *at) {
    lua_Integer count = 0;
    for (lua_pushnil(e->L); lua_next(e->L, -2); lua_pop(e->L, 1)) {
        if (!lua_isinteger(e->L, -2)) {
            refuse_key(e, at);
            return -1;
        }
        if (lua_tointeger(e->L, -2) < 1) {
            refuse(e, at, "has the key 0 or a negative one; a list begins at 1");
            return -1;
        }
        count++;
    }
    return count;
}

/* Encodes the list on top by its numbers, after its keys were found in another order. */
static bool encode_by_number(encoder *e, const place *at, const void *table) {
    lua_Integer count = count_entries(e, at);
    if (count < 0) {
        return false;
    }
    add_char(e->L, e->c, '[');
    for (lua_Integer i = 1; i <= count; i++) {
        place here = {at, table, NULL, i, at ? at->depth + 1 : 1};
        if (lua_rawgeti(e->L, -1, i) == LUA_TNIL) {
            return refuse(e, &here, "is missing; a list has no holes (catalog.null is a value)");
        }
        if (i > 1) {
            add_char(e->L, e->c, ',');
        }
        if (!encode_value(e, &here)) {
            return false;
        }
        lua_pop(e->L, 1);
    }
    add_char(e->L, e->c, ']');
    return true;
}

/* The first pair of the list is on the stack, above it. Lists keep their entries in order as a
 * rule, so they are written while they are gone through. */
static bool encode_list(encoder *e, const place *at, const void *table) {
    size_t start = e->c->length;
    lua_Integer number = 1;
    do {
        place here = {at, table, NULL, number, at ? at->depth + 1 : 1};
        if (!lua_isinteger(e->L, -2) || lua_tointeger(e->L, -2) != number) {
            lua_pop(e->L, 2);
            e->c->length = start;
            return encode_by_number(e, at, table);
        }
        add_char(e->L, e->c, number == 1 ? '[' : ',');
        if (!encode_value(e, &here)) {
            return false;
        }
        lua_pop(e->L, 1);
        number++;
    } while (lua_next(e->L, -2));
    add_char(e->L, e->c, ']');
    return true;
}

/* The first pair of the object is on the stack, above it. */
static bool encode_object(encoder *e, const place *at, const void *table) {
    char before = '{';
    do {
        size_t length;
        if (lua_type(e->L, -2) != LUA_TSTRING) {
            return refuse_key(e, at);
        }
        const char *name = lua_tolstring(e->L, -2, &length);
        place here = {at, table, name, 0, at ? at->depth + 1 : 1};
        add_char(e->L, e->c, before);
        if (add_string(e->L, e->c, name, length) != 0) {
            return refuse(e, at, "has a key that is not UTF-8");
        }
        e->c->text[e->c->length++] = ':'; /* AROUND a string there is room */
        if (!encode_value(e, &here)) {
            return false;
        }
        before = ',';
        lua_pop(e->L, 1);
    } while (lua_next(e->L, -2));
    add_char(e->L, e->c, '}');
    return true;
}

static bool encode_table(encoder *e, const place *at) {
    const void *table = lua_topointer(e->L, -1);
    if (at && at->depth > DEEPEST - 1) {
        return refuse(e, NULL, "is nested more than 512 tables deep");
    }
    for (const place *above = at; above; above = above->parent) {
        if (above->table == table) {
            return refuse(e, at, "is a table that it is itself part of, and JSON has no cycles");
        }
    }
    luaL_checkstack(e->L, 6, "a value nested so deeply");
    bool marked = is_marked(e);
    lua_pushnil(e->L);
    if (!lua_next(e->L, -2)) {
        add_text(e->L, e->c, marked ? "[]" : "{}", 2);
        return true;
    }
    return marked || lua_type(e->L, -2) == LUA_TNUMBER ? encode_list(e, at, table)
                                                       : encode_object(e, at, table);
}

static bool encode_string(encoder *e, const place *at) {
    size_t length;
    char why[80];
    const char *text = lua_tolstring(e->L, -1, &length);
    size_t bad = add_string(e->L, e->c, text, length);
    if (bad == 0) {
        return true;
    }
    snprintf(why, sizeof why, "is not UTF-8 (byte %zu of %zu)", bad, length);
    return refuse(e, at, why);
}

static bool encode_number(encoder *e, const place *at) {
    if (lua_isinteger(e->L, -1)) {
        add_integer(e->L, e->c, lua_tointeger(e->L, -1));
        return true;
    }
    double value = lua_tonumber(e->L, -1);
    if (add_float(e->L, e->c, value)) {
        return true;
    }
    return refuse(e, at,
                  isnan(value) ? "is NaN, which JSON cannot hold"
                               : "is infinite, which JSON cannot hold");
}

static bool encode_light(encoder *e, const place *at) {
    if (lua_touserdata(e->L, -1) == NULL) {
        add_text(e->L, e->c, "null", 4);
        return true;
    }
    lua_pushvalue(e->L, -1);
    bool marked = lua_rawget(e->L, e->marks) != LUA_TNIL;
    lua_pop(e->L, 1);
    if (marked) {
        add_text(e->L, e->c, "[]", 2);
        return true;
    }
    return refuse(e, at, "is a userdata, which JSON cannot hold");
}

/* Encodes the value on top of the stack, which stays there. False: nil and an error are on top
 * instead. */
static bool encode_value(encoder *e, const place *at) {
    char why[80];
    switch (lua_type(e->L, -1)) {
    case LUA_TBOOLEAN:
        if (lua_toboolean(e->L, -1)) {
            add_text(e->L, e->c, "true", 4);
        } else {
            add_text(e->L, e->c, "false", 5);
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
        return refuse(e, at, why);
    }
}

/* --- the codec --- */

static codec *get_codec(lua_State *L) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &registry_key);
    return lua_touserdata(L, -1);
}

/* Encodes the value at `index` into the codec's buffer. False: nil and an error are on top of the
 * stack. */
static codec *encode_into(lua_State *L, int index, const char *root, bool *good) {
    int top = lua_gettop(L);
    index = lua_absindex(L, index);
    encoder e = {L, get_codec(L), root, 0};
    lua_getiuservalue(L, -1, USES_MARKS);
    e.marks = lua_gettop(L);
    lua_pushvalue(L, index);
    e.c->length = 0;
    *good = encode_value(&e, NULL);
    if (*good) {
        lua_settop(L, top);
    }
    return e.c;
}

/* Gives back a buffer that grew beyond what is kept. */
static void shrink(lua_State *L, codec *c) {
    if (c->capacity > KEPT_BUFFER) {
        cat_resize(L, c->text, c->capacity, 0);
        c->text = NULL;
        c->capacity = 0;
    }
}

int cat_json_encode(lua_State *L, int index, const char *root) {
    bool good;
    codec *c = encode_into(L, index, root, &good);
    if (!good) {
        return 2;
    }
    lua_pushlstring(L, c->text, c->length);
    shrink(L, c);
    return 1;
}

const char *cat_json_text(lua_State *L, int index, const char *root, size_t *length) {
    bool good;
    codec *c = encode_into(L, index, root, &good);
    *length = c->length;
    return good ? c->text : NULL;
}

/* Some versions of lua-cjson make every number a float, and what is whole becomes an integer here:
 * only within +-(2^53 - 1), since 2^53 may be a rounded 2^53 + 1. -0.0 stays what it is. */
static bool to_integer(lua_State *L) {
    double value = lua_tonumber(L, -1);
    if (lua_isinteger(L, -1) || !(fabs(value) < 9007199254740992.0) || trunc(value) != value ||
        (value == 0 && signbit(value))) {
        return false;
    }
    lua_pushinteger(L, (lua_Integer)value);
    return true;
}

/* Turns the whole numbers in the table on top into integers. Its depth is limited by the decoder.
 */
static void integers_in(lua_State *L) {
    luaL_checkstack(L, 6, "a reply nested so deeply");
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        int type = lua_type(L, -1);
        if (type == LUA_TTABLE) {
            integers_in(L);
        } else if (type == LUA_TNUMBER && to_integer(L)) {
            lua_pushvalue(L, -3);
            lua_insert(L, -2);
            lua_rawset(L, -5); /* a field that exists may be set while going through them */
        }
    }
}

/* The end of the string that begins before `at`. */
static const char *string_end(const char *at) {
    at += strcspn(at, "\"\\");
    while (*at == '\\' && at[1]) {
        at += 2;
        at += strcspn(at, "\"\\");
    }
    return *at ? at + 1 : at;
}

/* The end of the next number, from `at` on, that may be no integer though it has neither point nor
 * exponent: -0, and what is longer than every number that is exact as a float. NULL: none is left.
 */
static const char *unsafe_number_end(const char *at) {
    while (*(at += strcspn(at, "\"-0123456789"))) {
        if (*at == '"') {
            at = string_end(at + 1);
            continue;
        }
        size_t whole = strspn(at, "-0123456789");
        size_t length = whole + strspn(at + whole, "+-.0123456789eE");
        if (length == whole && (length > DBL_DIG || strncmp(at, "-0", 2) == 0)) {
            return at + length;
        }
        at += length;
    }
    return NULL;
}

/* Pushes the text at `index` with an exponent at each such number: lua-cjson's successors would
 * lose the sign of -0, and make the largest integer of all that are larger. With one, they make
 * floats. */
static void push_with_exponents(lua_State *L, codec *c, int index) {
    const char *text = lua_tostring(L, index), *end = unsafe_number_end(text);
    if (!end) {
        lua_pushvalue(L, index);
        return;
    }
    c->length = 0;
    for (; end; end = unsafe_number_end(text)) {
        add_text(L, c, text, (size_t)(end - text));
        add_text(L, c, "e0", 2);
        text = end;
    }
    add_text(L, c, text, strlen(text));
    lua_pushlstring(L, c->text, c->length);
    shrink(L, c);
}

/* Makes the decoder, and leaves its function as a user value of the codec at `index`. */
static void make_decoder(lua_State *L, codec *c, int index) {
    lua_getglobal(L, "require");
    lua_pushliteral(L, "cjson");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "new");
    lua_call(L, 0, 1);
    lua_getfield(L, -1, "decode_invalid_numbers");
    lua_pushboolean(L, 0);
    lua_call(L, 1, 0);
    lua_getfield(L, -1, "decode_max_depth");
    lua_pushinteger(L, DEEPEST_READ);
    lua_call(L, 1, 0);
    lua_getfield(L, -1, "decode");
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, index, USES_DECODE);
    lua_pushliteral(L, "0");
    lua_call(L, 1, 1);
    c->integers = lua_isinteger(L, -1);
    lua_pop(L, 3);
    c->radix = *nl_langinfo(RADIXCHAR);
}

/* Pushes the string at `index` without the byte order mark that some servers put before it. */
static const char *push_text(lua_State *L, int index, size_t *length) {
    static const char mark[] = "\xef\xbb\xbf";
    size_t skipped = strlen(mark);
    const char *text = lua_tolstring(L, index, length);
    if (*length < skipped || memcmp(text, mark, skipped) != 0) {
        lua_pushvalue(L, index);
        return text;
    }
    *length -= skipped;
    return lua_pushlstring(L, text + skipped, *length);
}

/* Decodes the string at `index`, as cat_json_decode, whatever bytes are in it. */
static int decode_bytes(lua_State *L, int index) {
    size_t length;
    const char *text = push_text(L, index, &length);
    index = lua_gettop(L);
    if (memchr(text, '\0', length)) { /* lua-cjson would read to there, and say nothing */
        return cat_failure(L, "protocol", "it is not JSON: there is a zero byte in it");
    }
    codec *c = get_codec(L);
    /* lua-cjson reads numbers with strtod, and remembers the decimal point of the locale it was
     * made in. */
    if (*nl_langinfo(RADIXCHAR) != c->radix) {
        make_decoder(L, c, lua_gettop(L));
    }
    lua_getiuservalue(L, -1, USES_DECODE);
    if (c->integers) {
        push_with_exponents(L, c, index);
    } else {
        lua_pushvalue(L, index);
    }
    int status = lua_pcall(L, 1, 1, 0);
    if (status == LUA_ERRRUN) {
        return cat_failure(L, "protocol", "it is not JSON: %s", luaL_tolstring(L, -1, NULL));
    }
    if (status != LUA_OK) {
        return lua_error(L);
    }
    if (lua_type(L, -1) == LUA_TTABLE) {
        integers_in(L);
    } else if (lua_type(L, -1) == LUA_TNUMBER) {
        to_integer(L);
    }
    return 1;
}

int cat_json_decode(lua_State *L, int index) {
    size_t length;
    const char *text = lua_tolstring(L, index, &length);
    size_t fault = find_fault(text, length);
    if (fault) {
        return cat_failure(L, "protocol", "it is not JSON: it is not UTF-8 (byte %I of %I)",
                           (LUAI_UACINT)fault, (LUAI_UACINT)length);
    }
    return decode_bytes(L, index);
}

static int codec_gc(lua_State *L) {
    codec *c = luaL_checkudata(L, 1, CODEC);
    if (c->text) {
        cat_resize(L, c->text, c->capacity, 0);
    }
    c->text = NULL;
    c->length = c->capacity = 0;
    if (c->plain) {
        freelocale(c->plain);
    }
    c->plain = (locale_t)0;
    return 0;
}

/*** Encodes a value as JSON.
 * @function encode
 * @param value nil, functions, NaN, cycles, lists with holes, mixed keys and strings that are no
 * UTF-8 are refused
 * @tparam ?string root what the path in a message begins with
 * @treturn[1] string exact for every integer and every finite float, in any locale
 * @treturn[2] nil
 * @treturn[2] table error of kind `data` that names the path: `records[3].person.name is a
 * function, ...` */
static int json_encode(lua_State *L) {
    luaL_checkany(L, 1);
    return cat_json_encode(L, 1, luaL_optstring(L, 2, NULL));
}

/*** Decodes JSON.
 * @function decode
 * @tparam string text
 * @tparam[opt=false] boolean any_bytes true: strings in it need not be UTF-8
 * @return[1] the value; null is `core.json.null`. A whole number within +-(2^53 - 1) is an integer,
 * however it is written (`1000`, `1e3`), and exact. Every other number is the nearest float, as is
 * `-0`: beyond that range digits can be lost, which the text alone still has
 * @treturn[2] nil
 * @treturn[2] table error of kind `protocol` */
static int json_decode(lua_State *L) {
    luaL_checkstring(L, 1);
    return lua_toboolean(L, 2) ? decode_bytes(L, 1) : cat_json_decode(L, 1);
}

void cat_json_mark_array(lua_State *L) {
    luaL_setmetatable(L, ARRAY);
}

/*** Marks a table as an array, also when it is empty.
 * @function array
 * @tparam[opt={}] table list
 * @treturn table the same table
 * @raise it has a metatable of another kind */
static int json_array(lua_State *L) {
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    if (lua_getmetatable(L, 1)) {
        luaL_getmetatable(L, ARRAY);
        luaL_argcheck(L, lua_rawequal(L, -1, -2), 1, "the table has a metatable already");
        lua_settop(L, 1);
    }
    cat_json_mark_array(L);
    return 1;
}

static int refuse_change(lua_State *L) {
    return luaL_error(L,
                      "catalog.empty_array cannot be changed; catalog.array{} gives a new array");
}

/* Adds the value on top to the set of marks below the codec's table of functions; pops it. */
static void add_mark(lua_State *L, int marks) {
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
    } else {
        lua_pushboolean(L, 1);
        lua_rawset(L, marks);
    }
}

/* The set of marks: ours, and those that some versions of lua-cjson have. */
static void push_marks(lua_State *L) {
    static const char *const theirs[] = {"array_mt", "empty_array_mt", "empty_array"};
    lua_newtable(L);
    int marks = lua_gettop(L);
    luaL_newmetatable(L, ARRAY);
    add_mark(L, marks);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "cjson");
    lua_call(L, 1, 1);
    for (size_t i = 0; i < sizeof theirs / sizeof *theirs; i++) {
        lua_getfield(L, -1, theirs[i]);
        add_mark(L, marks);
    }
    lua_settop(L, marks);
}

/* Pushes catalog.empty_array, whose metatable is a mark. */
static void push_empty_array(lua_State *L, int marks) {
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, refuse_change);
    lua_setfield(L, -2, "__newindex");
    lua_pushvalue(L, -1);
    add_mark(L, marks);
    lua_setmetatable(L, -2);
}

/* Makes the state's codec and leaves it in the registry. */
static void make_codec(lua_State *L) {
    static const luaL_Reg events[] = {{"__gc", codec_gc}, {NULL, NULL}};
    cat_handle(L, CODEC, events, NULL);
    codec *c = lua_newuserdatauv(L, sizeof *c, USES_COUNT);
    memset(c, 0, sizeof *c);
    luaL_setmetatable(L, CODEC);
    c->plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!c->plain) {
        luaL_error(L, "not enough memory");
    }
    make_decoder(L, c, lua_gettop(L));
    push_marks(L);
    lua_setiuservalue(L, -2, USES_MARKS);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &registry_key);
}

int cat_json_open(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"encode", json_encode}, {"decode", json_decode}, {"array", json_array}, {NULL, NULL}};
    make_codec(L);
    luaL_newlib(L, functions);
    get_codec(L);
    lua_getiuservalue(L, -1, USES_MARKS);
    push_empty_array(L, lua_gettop(L));
    lua_setfield(L, -4, "empty_array");
    lua_pop(L, 2);
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
    return 1;
}
