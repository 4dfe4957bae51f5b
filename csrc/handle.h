/* Handles: a userdata of a kind is made closed, given its metatable, and only then opened, so that
 * an error in between leaks nothing. */
#ifndef CAT_HANDLE_H
#define CAT_HANDLE_H

#include <lauxlib.h>

/* Makes the metatable of a kind of handle: its events (`__gc` and the like), and its methods or
 * NULL. One that is there already may be half made, where memory was short. Each function has the
 * metatable as its upvalue, for cat_handle_self. */
static inline void cat_handle(lua_State *L, const char *kind, const luaL_Reg *events,
                              const luaL_Reg *methods) {
    luaL_newmetatable(L, kind);
    lua_pushvalue(L, -1);
    luaL_setfuncs(L, events, 1);
    if (methods) {
        lua_newtable(L);
        lua_pushvalue(L, -2);
        luaL_setfuncs(L, methods, 1);
        lua_setfield(L, -2, "__index");
    }
    lua_pop(L, 1);
}

/* The handle that a method or an event is called with; raises for what is none of the kind. As
 * luaL_checkudata, which takes its time to look the metatable up by its name. */
static inline void *cat_handle_self(lua_State *L, const char *kind) {
    void *self = lua_touserdata(L, 1);
    if (self && lua_getmetatable(L, 1)) {
        int same = lua_rawequal(L, -1, lua_upvalueindex(1));
        lua_pop(L, 1);
        if (same) {
            return self;
        }
    }
    return luaL_checkudata(L, 1, kind);
}

#endif
