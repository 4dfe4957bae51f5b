/* What the encoder of JSON needs to be made: for json.c alone. */
#ifndef CAT_JSON_ENCODE_H
#define CAT_JSON_ENCODE_H

#include <lua.h>

/* Makes the state's encoder and leaves it in the registry. Pops the array tags: a set of the
 * metatables (and in lua-cjson's successors a light userdata) that make an array of a table. */
void cat_json_make_encoder(lua_State *L);

#endif
