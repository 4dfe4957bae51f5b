/* Lua value -> JSON. */
#ifndef CAT_JSON_ENCODE_H
#define CAT_JSON_ENCODE_H

#include <lua.h>
#include <stddef.h>

/* Encodes the value at `index`. Pushes the string and returns 1; or pushes nil and an error of kind
 * `data` that names the path, which starts with `root` (NULL: nothing), and returns 2. */
int cat_json_encode(lua_State *L, int index, const char *root);

/* As cat_json_encode, but gives the text itself, which holds until JSON is encoded again, and
 * pushes nothing; NULL when nil and an error were pushed. */
const char *cat_json_text(lua_State *L, int index, const char *root, size_t *length);

/* Makes the state's encoder and leaves it in the registry, for cat_json_open. Pops the array tags:
 * a set of the metatables (and in lua-cjson's successors a light userdata) that make an array of a
 * table. */
void cat_json_make_encoder(lua_State *L);

#endif
