/*** JSON lines: one JSON object a line, as it is written to files and sent.
 * @module catalog.core.lines */
#include "lines_module.h"

#include "lines.h"
#include "lines_array.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <string.h>

#define TOLD 10 /* so many bad lines are told */

/* --- one line, and an array --- */

/*** Checks whether a text is one JSON object on one line.
 * @function fault
 * @tparam string text without the line break at its end
 * @treturn[1] nil it is
 * @treturn[2] string why it is not, as a clause: `there is no colon behind a name in it` */
static int lines_fault(lua_State *L) {
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    lua_pushstring(L, cat_line_fault(text, length));
    return 1;
}

/*** Makes lines of a JSON array: each element is one, whatever it is and however it was laid out.
 * Whether a line is an object `fault` knows.
 * @function split_array
 * @tparam string text the array
 * @treturn[1] string the lines, each with a line break behind it
 * @treturn[1] integer how many there are
 * @treturn[2] nil
 * @treturn[2] string why it is no array, or its elements cannot be told apart */
static int lines_split_array(lua_State *L) {
    size_t length, written = 0, count = 0;
    const char *text = luaL_checklstring(L, 1, &length);
    luaL_Buffer lines;
    char *room = luaL_buffinitsize(L, &lines, length);
    const char *fault = cat_array_lines(text, length, room, &written, &count);
    if (fault) {
        lua_pushnil(L);
        lua_pushstring(L, fault);
        return 2;
    }
    luaL_pushresultsize(&lines, written);
    lua_pushinteger(L, (lua_Integer)count);
    return 2;
}

/* --- many lines --- */

/* Where a text is looked at, and what was found. */
typedef struct {
    const char *at, *end;
    lua_Integer longest, number, bad; /* `number`: that of the line before `at` */
    bool usable;                      /* there was a good line */
} look;

/* What is wrong with the next line, or NULL; `*empty`: it is none. */
static const char *next_fault(look *l, bool *empty) {
    const char *break_at = memchr(l->at, '\n', (size_t)(l->end - l->at));
    const char *line_end = break_at ? break_at : l->end;
    size_t length = (size_t)(line_end - l->at);
    length -= length > 0 && line_end[-1] == '\r';
    const char *fault = length == 0                        ? NULL
                        : (lua_Integer)length > l->longest ? "it is longer than record_bytes"
                                                           : cat_line_fault(l->at, length);
    *empty = length == 0;
    l->at = break_at ? break_at + 1 : l->end;
    l->number++;
    return fault;
}

/* Appends to the table at the top. Raises. */
static void tell(lua_State *L, const look *l, const char *fault) {
    lua_createtable(L, 0, 2);
    lua_pushinteger(L, l->number);
    lua_setfield(L, -2, "line");
    lua_pushstring(L, fault);
    lua_setfield(L, -2, "reason");
    lua_rawseti(L, -2, l->bad);
}

/*** Looks at lines until it is clear whether a text can be used. Empty ones are left out.
 * @function check
 * @tparam string text lines; the last one with or without its end
 * @tparam integer longest what a line may have, bytes
 * @tparam boolean all true: all lines have to be good, and all are looked at; else one has to, and
 *   those up to it are
 * @treturn boolean whether there is a good one
 * @treturn integer how many bad ones were met
 * @treturn {table,...} of the first ten of these: `line` (its number, from 1, empty ones counted),
 *   `reason` */
static int lines_check(lua_State *L) {
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    look l = {.at = text, .end = text + length, .longest = luaL_checkinteger(L, 2)};
    bool all = lua_toboolean(L, 3);
    lua_newtable(L);
    while (l.at < l.end && (all || !l.usable)) {
        bool empty;
        const char *fault = next_fault(&l, &empty);
        l.usable = l.usable || (!fault && !empty);
        if (fault && ++l.bad <= TOLD) {
            tell(L, &l, fault);
        }
    }
    lua_pushboolean(L, l.usable);
    lua_pushinteger(L, l.bad);
    lua_rotate(L, -3, 2);
    return 3;
}

/*** Counts line breaks in a part of a text.
 * @function count
 * @tparam string text
 * @tparam integer first where the part begins, from 1
 * @tparam integer behind where what follows it begins
 * @treturn integer */
static int lines_count(lua_State *L) {
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    lua_Integer first = luaL_checkinteger(L, 2), behind = luaL_checkinteger(L, 3), count = 0;
    luaL_argcheck(L, first >= 1 && first <= (lua_Integer)length + 1, 2, "beyond the text");
    luaL_argcheck(L, behind >= first && behind <= (lua_Integer)length + 1, 3, "beyond the text");
    const char *end = text + behind - 1;
    for (const char *at = text + first - 1; (at = memchr(at, '\n', (size_t)(end - at))); at++) {
        count++;
    }
    lua_pushinteger(L, count);
    return 1;
}

int cat_lines_open(lua_State *L) {
    static const luaL_Reg functions[] = {{"fault", lines_fault},
                                         {"split_array", lines_split_array},
                                         {"check", lines_check},
                                         {"count", lines_count},
                                         {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
