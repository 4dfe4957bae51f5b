/* Many JSON lines in one text: whether they can be used, and where they are. */
#ifndef CAT_LINES_CHECK_H
#define CAT_LINES_CHECK_H

#include <lauxlib.h>

/* Functions of core.lines. */
extern const luaL_Reg cat_lines_check[];

#endif
