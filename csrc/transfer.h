/* One HTTP exchange: request, reply, timings. */
#ifndef CAT_TRANSFER_H
#define CAT_TRANSFER_H

#include "client.h"

#include <lua.h>

/* client:transfer(method, url, headers, body, seconds), whose arguments are on the stack: makes the
 * transfer and submits it. Returns what it pushed: the transfer, or nil and an error. */
int cat_transfer_start(lua_State *L, cat_client *client);

/* Registers the metatable of transfers. */
void cat_transfer_setup(lua_State *L);

#endif
