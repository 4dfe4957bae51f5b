/* Whether a line of JSON surely fits a schema, for Lua. */
#ifndef CAT_FITS_MODULE_H
#define CAT_FITS_MODULE_H

#include <lua.h>

int cat_fits_open(lua_State *L);

#endif
