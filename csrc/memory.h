/* Memory of our own, taken from the Lua state's allocator: a host that limits its states limits us
 * too, and a spec that lets allocations fail reaches these as well. What is got here belongs to a
 * userdata that existed before it, and is given back in that userdata's __gc. */
#ifndef CAT_MEMORY_H
#define CAT_MEMORY_H

#include <lauxlib.h>
#include <stddef.h>

/* As realloc: `block` of `old` bytes becomes `size` bytes (0 frees). NULL when there is no memory;
 * `block` is then as it was. Never raises. */
static inline void *cat_resize(lua_State *L, void *block, size_t old, size_t size) {
    void *ud;
    lua_Alloc allocate = lua_getallocf(L, &ud);
    return allocate(ud, block, block ? old : 0, size);
}

/* The main thread of L's state: what keeps a lua_State to allocate with keeps this one, which lives
 * as long as the state does. */
static inline lua_State *cat_main_thread(lua_State *L) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
    lua_State *main = lua_tothread(L, -1);
    lua_pop(L, 1);
    return main;
}

/* Raises what Lua itself raises when there is no memory. */
static inline int cat_oom(lua_State *L) {
    return luaL_error(L, "not enough memory");
}

#endif
