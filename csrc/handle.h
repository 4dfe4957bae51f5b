/* Handles: a userdata of a kind is made closed, given its metatable, and only then opened, so that
 * an error in between leaks nothing. */
#ifndef CAT_HANDLE_H
#define CAT_HANDLE_H

#include <lauxlib.h>

/* Makes the metatable of a kind of handle: its events (`__gc` and the like), and its methods or
 * NULL. One that is there already may be half made, where memory was short. */
static inline void cat_handle(lua_State *L, const char *kind, const luaL_Reg *events,
                              const luaL_Reg *methods) {
    luaL_newmetatable(L, kind);
    luaL_setfuncs(L, events, 0);
    if (methods) {
        lua_newtable(L);
        luaL_setfuncs(L, methods, 0);
        lua_setfield(L, -2, "__index");
    }
    lua_pop(L, 1);
}

#endif
