/* Whether a line of JSON surely fits a schema. */
#ifndef CAT_FITS_H
#define CAT_FITS_H

#include <lua.h>

int cat_fits_open(lua_State *L);

#endif
