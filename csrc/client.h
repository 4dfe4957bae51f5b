/* How requests are sent: connection settings checked once, and the easy handles made of them. */
#ifndef CAT_CLIENT_H
#define CAT_CLIENT_H

#include "engine.h"

#include <curl/curl.h>
#include <lua.h>
#include <stddef.h>

#define CAT_CLIENT  "catalog.client"
#define CAT_HEADERS "catalog.headers"

/* Easy handles kept for the next transfers; one more is made, and freed, as needed. */
#define CAT_CLIENT_IDLE 64

typedef struct {
    cat_engine *engine; /* kept alive by the client's user value 1 */
    CURL *model; /* a handle with every setting of the client, never used itself; NULL: closed */
    CURL *idle[CAT_CLIENT_IDLE];
    size_t idle_count;
    size_t max_reply; /* bytes */
} cat_client;

/* The request headers of a transfer, kept alive by it. */
typedef struct {
    struct curl_slist *list;
} cat_headers;

/* A handle with the client's settings, owned by the caller; NULL when there is no memory. */
CURL *cat_client_take(cat_client *client);

/* Gives a handle back, for another transfer or to be freed. */
void cat_client_give(cat_client *client, CURL *easy);

/* Pushes the table of functions that Lua sees as core.client; returns 1. */
int cat_client_open(lua_State *L);

#endif
