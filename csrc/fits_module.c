/*** Whether a line of JSON surely fits a schema, for Lua.
 * @module catalog.core.fits */
#include "fits_module.h"

#include "fits.h"
#include "handle.h"
#include "pattern.h"

#include <lauxlib.h>
#include <string.h>

#define FITS "catalog.fits"

static const char *const KINDS[] = {"any",     "object",  "array",  "string", "number",
                                    "integer", "boolean", "unsure", NULL};

/*** Whether a line surely fits.
 * @function fits:check
 * @tparam string line
 * @treturn boolean false: it does not, or that is not sure */
static int fits_check(lua_State *L) {
    const cat_fits *s = cat_handle_self(L, FITS);
    size_t length;
    const char *text = luaL_checklstring(L, 2, &length);
    lua_pushboolean(L, cat_fits_line(s, text, length));
    return 1;
}

/*** Looks for the first line of a text that does not surely fit.
 * @function fits:lines
 * @tparam string text lines; empty ones fit
 * @tparam integer first where to begin, from 1
 * @treturn integer where that line begins; behind the text: all of them fit */
static int fits_lines(lua_State *L) {
    const cat_fits *s = cat_handle_self(L, FITS);
    size_t length;
    const char *text = luaL_checklstring(L, 2, &length);
    lua_Integer first = luaL_checkinteger(L, 3);
    luaL_argcheck(L, first >= 1 && first <= (lua_Integer)length + 1, 3, "beyond the text");
    const char *at = text + first - 1, *end = text + length;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t size = (size_t)((newline ? newline : end) - at);
        size_t inner = size > 0 && at[size - 1] == '\r' ? size - 1 : size;
        if (inner > 0 && !cat_fits_line(s, at, inner)) {
            break;
        }
        at += size + (newline ? 1 : 0);
    }
    lua_pushinteger(L, at - text + 1);
    return 1;
}

static lua_Integer field_integer(lua_State *L, const char *name, lua_Integer otherwise) {
    lua_getfield(L, -1, name);
    lua_Integer value = luaL_optinteger(L, -1, otherwise);
    lua_pop(L, 1);
    return value;
}

static double field_number(lua_State *L, const char *name, double otherwise) {
    lua_getfield(L, -1, name);
    double value = luaL_optnumber(L, -1, otherwise);
    lua_pop(L, 1);
    return value;
}

static bool field_boolean(lua_State *L, const char *name) {
    lua_getfield(L, -1, name);
    bool value = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return value;
}

/* How many slots there are for so many words: at least one is free, or a search would not end. */
static size_t slots_for(size_t words) {
    size_t slots = 2;
    while (slots < 2 * words) {
        slots *= 2;
    }
    return slots;
}

/* How many words the node on top has; raises where they are no list. */
static size_t count_words(lua_State *L) {
    lua_getfield(L, -1, "words");
    luaL_checktype(L, -1, LUA_TTABLE);
    size_t count = (size_t)lua_rawlen(L, -1);
    lua_pop(L, 1);
    return count;
}

/* The number of a node; raises where there is none. */
static uint32_t check_node(lua_State *L, const cat_fits *s, lua_Integer number) {
    luaL_argcheck(L, number >= 1 && (lua_Unsigned)number <= s->node_count, 1, "no such node");
    return (uint32_t)(number - 1);
}

/* Puts the words of the node on top, each a list of a text, a node and a number among those
 * needed, into their slots. */
static void read_words(lua_State *L, const cat_fits *s, const cat_fits_node *n) {
    lua_getfield(L, -1, "words");
    size_t count = (size_t)lua_rawlen(L, -1);
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(L, -1, (lua_Integer)i);
        luaL_checktype(L, -1, LUA_TTABLE);
        lua_rawgeti(L, -1, 1);
        lua_rawgeti(L, -2, 2);
        lua_rawgeti(L, -3, 3);
        luaL_checktype(L, -3, LUA_TSTRING); /* the list keeps it, and no text made of a number */
        size_t length;
        const char *text = lua_tolstring(L, -3, &length);
        cat_fits_word *slot = cat_fits_slot(s, n, text, length);
        slot->node = check_node(L, s, luaL_checkinteger(L, -2));
        slot->need = (uint32_t)luaL_checkinteger(L, -1);
        luaL_argcheck(L, slot->need <= n->needed, 1, "a number beyond what is needed");
        slot->length = length;
        slot->text = text;
        lua_pop(L, 4);
    }
    lua_pop(L, 1);
}

/* The pattern of the node on top, which keeps its text. */
static void read_sets(lua_State *L, cat_fits_node *n) {
    if (lua_getfield(L, -1, "sets") != LUA_TNIL) {
        luaL_checktype(L, -1, LUA_TSTRING);
        n->sets = lua_tolstring(L, -1, &n->sets_length);
        luaL_argcheck(L, n->sets_length % CAT_PATTERN_SET == 0, 1, "sets that are none");
    }
    lua_pop(L, 1);
    n->sets_are_open = field_boolean(L, "sets_open");
}

static void read_node(lua_State *L, const cat_fits *s, cat_fits_node *n, size_t slots) {
    lua_getfield(L, -1, "kind");
    n->kind = (cat_fits_kind)luaL_checkoption(L, -1, NULL, KINDS);
    lua_pop(L, 1);
    n->is_open = field_boolean(L, "open");
    n->has_words = field_boolean(L, "enum");
    n->has_range = field_boolean(L, "range");
    n->has_length = field_boolean(L, "length");
    n->format = (char)field_integer(L, "format", 0);
    n->others = check_node(L, s, field_integer(L, "others", 1));
    lua_Integer needed = field_integer(L, "needed", 0);
    luaL_argcheck(L, needed >= 0 && needed <= CAT_FITS_NEEDED, 1, "too many fields are needed");
    n->needed = (unsigned)needed;
    n->least = field_number(L, "least", 0);
    n->most = field_number(L, "most", 0);
    n->shortest = (size_t)field_integer(L, "shortest", 0);
    n->longest = (size_t)field_integer(L, "longest", 0);
    read_sets(L, n);
    n->slots = slots;
    n->mask = slots_for(count_words(L)) - 1;
    read_words(L, s, n);
}

/*** Makes what checks lines.
 * @function new
 * @tparam {table,...} nodes what fits a value, the first that of a whole line: each `kind` (`any`,
 * `object`, `array`, `string`, `number`, `integer`, `boolean`, or `unsure`); `words`, a list (empty
 * where there are none) of `{ text, node, need }`: the fields of an object, of which `needed` have
 * numbers from 1 to that, others 0; or the values of a string with `enum`; `open` (true: an object
 * may have other fields) and `others`, the node of those or of elements; `range`, with `least` and
 * `most`; `length`, with `shortest` and `longest`; `format`, the byte of `t` or `d`; `sets`, those
 * of a pattern as csrc/pattern.h has them, and `sets_open` (true: anything may follow)
 * @treturn fits
 * @raise a node is none */
static int fits_new(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    size_t count = (size_t)lua_rawlen(L, 1), slots = 0;
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(L, 1, (lua_Integer)i);
        luaL_checktype(L, -1, LUA_TTABLE);
        slots += slots_for(count_words(L));
        lua_pop(L, 1);
    }
    /* all in one piece of Lua's, so that nothing has to be freed */
    cat_fits *s = lua_newuserdatauv(
        L, sizeof *s + count * sizeof(cat_fits_node) + slots * sizeof(cat_fits_word), 1);
    s->node_count = count;
    s->nodes = (cat_fits_node *)(void *)(s + 1);
    s->words = (cat_fits_word *)(void *)(s->nodes + count);
    memset(s->nodes, 0, count * sizeof(cat_fits_node) + slots * sizeof(cat_fits_word));
    luaL_setmetatable(L, FITS);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, 2, 1); /* which keeps the texts */
    slots = 0;
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(L, 1, (lua_Integer)i);
        read_node(L, s, &s->nodes[i - 1], slots);
        slots += s->nodes[i - 1].mask + 1;
        lua_pop(L, 1);
    }
    return 1;
}

int cat_fits_open(lua_State *L) {
    static const luaL_Reg methods[] = {{"check", fits_check}, {"lines", fits_lines}, {NULL, NULL}};
    static const luaL_Reg events[] = {{NULL, NULL}};
    static const luaL_Reg functions[] = {{"new", fits_new}, {NULL, NULL}};
    cat_handle(L, FITS, events, methods);
    luaL_newlib(L, functions);
    return 1;
}
