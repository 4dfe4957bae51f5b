/* How requests are sent: connection settings checked once. */
#ifndef CAT_CLIENT_H
#define CAT_CLIENT_H

#include "easy.h"

#include <curl/curl.h>
#include <lua.h>
#include <stdbool.h>

#define CAT_CLIENT  "catalog.client"
#define CAT_HEADERS "catalog.headers"

/* User values of a client. */
enum {
    CAT_CLIENT_ENGINE = 1,
    CAT_CLIENT_PROXIES, /* the texts of them */
    CAT_CLIENT_VALUES = CAT_CLIENT_PROXIES
};

typedef struct {
    cat_easy_pool pool;
    bool has_authorities; /* to trust, of its own */
} cat_client;

/* The request headers of a transfer, kept alive by it. */
typedef struct {
    struct curl_slist *list;
} cat_headers;

/* Pushes the table of functions that Lua sees as core.client; returns 1. */
int cat_client_open(lua_State *L);

#endif
