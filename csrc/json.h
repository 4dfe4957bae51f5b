/* JSON -> Lua value, and the module; json_encode.h has the other way. */
#ifndef CAT_JSON_H
#define CAT_JSON_H

#include <lua.h>

/* Decodes the string at `index`. Pushes the value and returns 1; or pushes nil and an error of kind
 * `protocol` and returns 2. Whole numbers within +-(2^53 - 1) are integers. */
int cat_json_decode(lua_State *L, int index);

/* Makes an array of the table on top of the stack: it is one in JSON, empty or not. */
void cat_json_tag_array(lua_State *L);

/* Pushes the table of functions that Lua sees as core.json; returns 1. */
int cat_json_open(lua_State *L);

#endif
