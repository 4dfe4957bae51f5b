/* Lua value <-> JSON. */
#ifndef CAT_JSON_H
#define CAT_JSON_H

#include <lua.h>
#include <stddef.h>

/* Encodes the value at `index`. Pushes the string and returns 1; or pushes nil and an error of kind
 * `data` that names the path, which starts with `root` (NULL: nothing), and returns 2. */
int cat_json_encode(lua_State *L, int index, const char *root);

/* As cat_json_encode, but gives the text itself, which holds until JSON is encoded
 * again, and pushes nothing; NULL when nil and an error were pushed. */
const char *cat_json_text(lua_State *L, int index, const char *root, size_t *length);

/* Decodes the string at `index`. Pushes the value and returns 1; or pushes nil and an error of kind
 * `protocol` and returns 2. Whole numbers within +-(2^53 - 1) are integers. */
int cat_json_decode(lua_State *L, int index);

/* Makes an array of the table on top of the stack: it is one in JSON, empty or not. */
void cat_json_tag_array(lua_State *L);

/* Pushes the table of functions that Lua sees as core.json; returns 1. */
int cat_json_open(lua_State *L);

#endif
