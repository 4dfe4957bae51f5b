/*** Lua value <-> JSON.
 *
 * Encoding is ours (json_encode.c). Decoding is lua-cjson's, by an instance of our own: the host's
 * settings are neither used nor changed.
 * @module catalog.core.json */
#include "json.h"

#include "failure.h"
#include "json_decode.h"
#include "json_encode.h"
#include "utf8.h"

#include <float.h>
#include <langinfo.h>
#include <lauxlib.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#define ARRAY     "catalog.array"
#define MAX_DEPTH 256 /* tables in one another */

/* What is known of the decoder. Each state has one, made once, whose user value is lua-cjson's
 * function. */
typedef struct {
    char radix;    /* the decimal point when it was made: lua-cjson remembers it */
    bool integers; /* this lua-cjson makes integers of numbers without point and exponent */
} decoder;

enum { DECODE = 1 };

/* The key of the decoder in the registry. */
static const char registry_key;

/* --- numbers --- */

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
static void floats_to_integers(lua_State *L) {
    luaL_checkstack(L, 6, "a reply nested so deeply");
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        int type = lua_type(L, -1);
        if (type == LUA_TTABLE) {
            floats_to_integers(L);
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
static void push_with_exponents(lua_State *L, int index) {
    const char *text = lua_tostring(L, index), *end = unsafe_number_end(text);
    if (!end) {
        lua_pushvalue(L, index);
        return;
    }
    luaL_Buffer out;
    luaL_buffinit(L, &out);
    for (; end; end = unsafe_number_end(text)) {
        luaL_addlstring(&out, text, (size_t)(end - text));
        luaL_addlstring(&out, "e0", 2);
        text = end;
    }
    luaL_addstring(&out, text);
    luaL_pushresult(&out);
}

/* --- the decoder --- */

/* Makes an instance of lua-cjson for the decoder, the userdata at `index`. */
static void load_decoder(lua_State *L, decoder *d, int index) {
    lua_getglobal(L, "require");
    lua_pushliteral(L, "cjson");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "new");
    lua_call(L, 0, 1);
    lua_getfield(L, -1, "decode_invalid_numbers");
    lua_pushboolean(L, 0);
    lua_call(L, 1, 0);
    lua_getfield(L, -1, "decode_max_depth");
    lua_pushinteger(L, MAX_DEPTH);
    lua_call(L, 1, 0);
    lua_getfield(L, -1, "decode");
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, index, DECODE);
    lua_pushliteral(L, "0");
    lua_call(L, 1, 1);
    d->integers = lua_isinteger(L, -1);
    lua_pop(L, 3);
    d->radix = *nl_langinfo(RADIXCHAR);
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
    lua_rawgetp(L, LUA_REGISTRYINDEX, &registry_key);
    decoder *d = lua_touserdata(L, -1);
    /* lua-cjson reads numbers with strtod, and remembers the decimal point of the locale it was
     * made in. */
    if (*nl_langinfo(RADIXCHAR) != d->radix) {
        load_decoder(L, d, lua_gettop(L));
    }
    lua_getiuservalue(L, -1, DECODE);
    if (d->integers) {
        push_with_exponents(L, index);
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
        floats_to_integers(L);
    } else if (lua_type(L, -1) == LUA_TNUMBER) {
        to_integer(L);
    }
    return 1;
}

int cat_json_decode(lua_State *L, int index) {
    size_t length;
    const char *text = lua_tolstring(L, index, &length);
    size_t fault = cat_utf8_fault(text, length);
    if (fault) {
        return cat_failure(L, "protocol", "it is not JSON: it is not UTF-8 (byte %I of %I)",
                           (LUAI_UACINT)fault, (LUAI_UACINT)length);
    }
    return decode_bytes(L, index);
}

/* --- what Lua sees --- */

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

/*** Decodes JSON of which nothing is to be lost when it is encoded again.
 * @function decode_exact
 * @tparam string text
 * @return[1] the value, as of `decode`; but whole numbers of 64 bits are integers, and exact, and
 * arrays are marked as such, so that one that is empty, or becomes so, stays one
 * @treturn[2] nil
 * @treturn[2] table error of kind `data` */
static int json_decode_exact(lua_State *L) {
    luaL_checkstring(L, 1);
    lua_settop(L, 1);
    luaL_getmetatable(L, ARRAY);
    return cat_json_decode_exact(L, 1, 2);
}

void cat_json_tag_array(lua_State *L) {
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
    cat_json_tag_array(L);
    return 1;
}

static int reject_change(lua_State *L) {
    return luaL_error(L,
                      "catalog.empty_array cannot be changed; catalog.array{} gives a new array");
}

/* Adds the value on top to the set at `array_tags`, unless it is nil; pops it. */
static void add_tag(lua_State *L, int array_tags) {
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
    } else {
        lua_pushboolean(L, 1);
        lua_rawset(L, array_tags);
    }
}

/* Adds our array tag, and those that some versions of lua-cjson have. */
static void add_array_tags(lua_State *L, int array_tags) {
    static const char *const theirs[] = {"array_mt", "empty_array_mt", "empty_array"};
    luaL_newmetatable(L, ARRAY);
    add_tag(L, array_tags);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "cjson");
    lua_call(L, 1, 1);
    for (size_t i = 0; i < sizeof theirs / sizeof *theirs; i++) {
        lua_getfield(L, -1, theirs[i]);
        add_tag(L, array_tags);
    }
    lua_pop(L, 1);
}

/* Pushes catalog.empty_array, whose metatable becomes an array tag. */
static void push_empty_array(lua_State *L, int array_tags) {
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, reject_change);
    lua_setfield(L, -2, "__newindex");
    lua_pushvalue(L, -1);
    add_tag(L, array_tags);
    lua_setmetatable(L, -2);
}

/* Makes the state's decoder and leaves it in the registry. */
static void make_decoder(lua_State *L) {
    decoder *d = lua_newuserdatauv(L, sizeof *d, DECODE);
    load_decoder(L, d, lua_gettop(L));
    lua_rawsetp(L, LUA_REGISTRYINDEX, &registry_key);
}

int cat_json_open(lua_State *L) {
    static const luaL_Reg functions[] = {{"encode", json_encode},
                                         {"decode", json_decode},
                                         {"decode_exact", json_decode_exact},
                                         {"array", json_array},
                                         {NULL, NULL}};
    luaL_newlib(L, functions);
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
    lua_newtable(L);
    int array_tags = lua_gettop(L);
    add_array_tags(L, array_tags);
    push_empty_array(L, array_tags);
    lua_setfield(L, array_tags - 1, "empty_array");
    cat_json_make_encoder(L);
    make_decoder(L);
    return 1;
}
