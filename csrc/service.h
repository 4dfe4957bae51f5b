/* What a service and the manager that has started it tell each other. */
#ifndef CAT_SERVICE_H
#define CAT_SERVICE_H

#include <lua.h>

/* The function that Lua sees as core.system.notify. */
int cat_notify(lua_State *L);

/* The function that Lua sees as core.system.inherited_sockets. */
int cat_inherited_sockets(lua_State *L);

#endif
