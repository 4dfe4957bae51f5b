/* JSON -> Lua value, such that encoding it again gives the same. */
#ifndef CAT_JSON_DECODE_H
#define CAT_JSON_DECODE_H

#include <lua.h>

/* Decodes the string at `index`. Pushes the value and returns 1; or pushes nil and an error of kind
 * `data` and returns 2. Each array gets the metatable at `array_tag`, so that an empty one stays
 * one; whole numbers of 64 bits are exact. */
int cat_json_decode_exact(lua_State *L, int index, int array_tag);

#endif
