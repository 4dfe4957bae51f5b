/*** The one function of the C core that a program calls that embeds Lua and links the core into
 * itself: libcatalog.a, which `make libcatalog.a` builds. It is preloaded, and found by Lua's
 * `require` ever after:
 *
 *     luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
 *     lua_pushcfunction(L, luaopen_catalog_core);
 *     lua_setfield(L, -2, "catalog.core");
 *     lua_pop(L, 1);
 *
 * The Lua half of the module is a file, which `make bundle` builds: what it returns when it is run
 * is `require "catalog"`. The program links Lua 5.4 and libcurl, too (`-lcurl -lm -pthread`), and
 * exports Lua's functions (`-Wl,-E`) where it links a static Lua and lua-cjson is a shared library.
 * examples/host-c is such a program.
 * @module catalog.core */
#ifndef CATALOG_H
#define CATALOG_H

#ifdef __cplusplus
extern "C" {
#endif

/* Not by way of lua.h: in C++ it would have to be included as Lua was compiled. */
struct lua_State;

/*** Opens the core: pushes its table. Makes libcurl ready (curl_global_init), once a process, on
 * whichever thread comes first.
 * @function luaopen_catalog_core
 * @treturn table
 * @raise libcurl does not start, there is no memory, or this is another Lua than the core was
 * compiled for */
__attribute__((visibility("default"))) /* all else is hidden */
int luaopen_catalog_core(struct lua_State *L);

#ifdef __cplusplus
}
#endif

#endif
