/* How requests are sent: connection settings checked once, and the slots that exchanges run in. */
#ifndef CAT_CLIENT_H
#define CAT_CLIENT_H

#include "body.h"
#include "engine.h"

#include <curl/curl.h>
#include <lua.h>
#include <stddef.h>

#define CAT_CLIENT  "catalog.client"
#define CAT_HEADERS "catalog.headers"

/* User values of a client. */
enum {
    CAT_CLIENT_ENGINE = 1,
    CAT_CLIENT_PROXY, /* as it may be shown, without user and password */
    CAT_CLIENT_VALUES = CAT_CLIENT_PROXY
};

/* Which connections an exchange may go on. One that has been idle may have been closed on the way
 * without a word, and what was sent on it is then neither done nor not done. */
typedef enum {
    CAT_REUSE_ANY,    /* libcurl's rule: a request that it may send again does not mind */
    CAT_REUSE_RECENT, /* one that was just used, or a new one */
    CAT_REUSE_NONE    /* a new one */
} cat_reuse;

/* What one exchange needs at a time: used by one transfer after another, so that a request finds
 * its handle, its callbacks and a buffer for the reply ready. */
typedef struct cat_slot {
    cat_op op;               /* with the easy handle, whose callbacks get the slot */
    const cat_multi *engine; /* that opens its sockets */
    cat_source source;
    cat_sink sink;
    int sends;       /* how often libcurl was about to send the request */
    bool resendable; /* a second send by libcurl does no harm */
    bool idempotent; /* to have done it twice is to have done it once */
    cat_reuse reuse; /* as the handle is set */
    char detail[CURL_ERROR_SIZE];
    struct cat_slot *next; /* while it is idle */
} cat_slot;

typedef struct {
    lua_State *L;      /* the main thread, for its allocator */
    cat_multi *engine; /* kept alive by a user value; after a fork another's */
    CURL *model; /* a handle with every setting of the client, never used itself; NULL: closed */
    cat_slot *idle;
    size_t idle_count;
    size_t max_reply;     /* bytes */
    bool guards;          /* how replies begin is looked at, see cat_sink_guard */
    bool proxied;         /* a proxy answers first */
    bool has_authorities; /* to trust, of its own */
} cat_client;

/* The request headers of a transfer, kept alive by it. */
typedef struct {
    struct curl_slist *list;
} cat_headers;

/* A slot, the caller's until it is given back; NULL when there is no memory. */
cat_slot *cat_client_take(cat_client *client);

/* Has the next exchange of a slot go on such a connection. */
CURLcode cat_client_reuse(cat_slot *slot, cat_reuse reuse);

/* Gives a slot back, for another transfer or to be freed. Its easy handle is in no engine. */
void cat_client_give(cat_client *client, cat_slot *slot);

/* Pushes the table of functions that Lua sees as core.client; returns 1. */
int cat_client_open(lua_State *L);

#endif
