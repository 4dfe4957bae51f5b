/*** The error object: a plain table with the metatable below, so that callers read `err.kind` and
 * may add fields of their own.
 * @module catalog.core.failure */
#include "failure.h"

#include "handle.h"

#include <lauxlib.h>
#include <stdarg.h>
#include <stdbool.h>

#define FAILURE "catalog.error"

static bool is_control(char c) {
    return (unsigned char)c < 0x20 || c == 0x7f;
}

/* Adds a control character as people write it: `\n`, `\x1b`. */
static void add_shown(luaL_Buffer *out, char c) {
    static const char digits[] = "0123456789abcdef";
    static const char shorts[] = "\nn\rr\tt";
    luaL_addchar(out, '\\');
    for (const char *s = shorts; *s; s += 2) {
        if (*s == c) {
            luaL_addchar(out, s[1]);
            return;
        }
    }
    luaL_addchar(out, 'x');
    luaL_addchar(out, digits[(unsigned char)c >> 4]);
    luaL_addchar(out, digits[c & 15]);
}

/* Replaces the string on top by one line for people: names and keys may have anything in them, and
 * a terminal or a log obeys it. */
static void make_line(lua_State *L) {
    size_t length, at = 0;
    const char *text = lua_tolstring(L, -1, &length);
    while (at < length && !is_control(text[at])) {
        at++;
    }
    if (at == length) {
        return;
    }
    int index = lua_gettop(L);
    luaL_Buffer out;
    luaL_buffinit(L, &out);
    for (size_t i = 0; i < length; i++) {
        if (is_control(text[i])) {
            add_shown(&out, text[i]);
        } else {
            luaL_addchar(&out, text[i]);
        }
    }
    luaL_pushresult(&out);
    lua_replace(L, index);
}

/* Gives the table on top of the stack the metatable of errors, and a message of one line. */
static void bless(lua_State *L) {
    lua_pushliteral(L, "message");
    if (lua_rawget(L, -2) == LUA_TSTRING) {
        make_line(L);
        lua_setfield(L, -2, "message");
    } else {
        lua_pop(L, 1);
    }
    luaL_setmetatable(L, FAILURE);
}

int cat_failure(lua_State *L, const char *kind, const char *format, ...) {
    lua_pushnil(L);
    lua_createtable(L, 0, 4);
    lua_pushstring(L, kind);
    lua_setfield(L, -2, "kind");
    va_list arguments;
    va_start(arguments, format);
    lua_pushvfstring(L, format, arguments);
    va_end(arguments);
    lua_setfield(L, -2, "message");
    bless(L);
    return 2;
}

/* Pushes the separator that is due, `label` and the field, if the error at 1 has it, and it is not
 * JSON's null. Returns the number of values pushed. */
static int describe(lua_State *L, int said, const char *field, const char *label) {
    lua_getfield(L, 1, field);
    if (lua_isnil(L, -1) || lua_islightuserdata(L, -1)) {
        lua_pop(L, 1);
        return 0;
    }
    lua_pushfstring(L, "%s%s%s", said ? ", " : " [", label, luaL_tolstring(L, -1, NULL));
    lua_replace(L, -3);
    lua_pop(L, 1);
    return 1;
}

static int failure_tostring(lua_State *L) {
    static const struct {
        const char *field, *label;
    } shown[] = {{"kind", ""}, {"status", "HTTP "}, {"code", "code "}, {"request_id", "request "}};
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_getfield(L, 1, "message");
    if (lua_type(L, -1) != LUA_TSTRING) {
        lua_pop(L, 1);
        lua_pushliteral(L, "unknown error");
    }
    int said = 0;
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
        said += describe(L, said, shown[i].field, shown[i].label);
    }
    int ambiguous = lua_getfield(L, 1, "ambiguous") != LUA_TNIL && lua_toboolean(L, -1);
    lua_pop(L, 1);
    if (ambiguous) {
        lua_pushstring(L, said ? ", ambiguous" : " [ambiguous");
        said++;
    }
    if (said) {
        lua_pushliteral(L, "]");
    }
    lua_concat(L, lua_gettop(L) - 1);
    return 1;
}

/*** A text as one line for people, for messages that quote what may have anything in it.
 * @function line
 * @tparam string text
 * @treturn string control characters are shown as `\n`, `\x1b` */
static int failure_line(lua_State *L) {
    luaL_checkstring(L, 1);
    lua_settop(L, 1);
    make_line(L);
    return 1;
}

/*** Makes a table an error.
 * @function new
 * @tparam table fields at least `kind` and `message`, in which control characters will be shown as
 * `\n`, `\x1b`
 * @treturn table the same table, with the metatable of errors */
static int failure_new(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    bless(L);
    return 1;
}

int cat_failure_open(lua_State *L) {
    static const luaL_Reg events[] = {{"__tostring", failure_tostring}, {NULL, NULL}};
    cat_handle(L, FAILURE, events, NULL);
    static const luaL_Reg functions[] = {
        {"line", failure_line}, {"new", failure_new}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
