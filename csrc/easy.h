/* Easy handles, pooled: one is used by one transfer after another, so that a request finds its
 * handle, its callbacks and a buffer for the reply ready. */
#ifndef CAT_EASY_H
#define CAT_EASY_H

#include "body.h"
#include "multi.h"
#include "proxy.h"

#include <curl/curl.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

/* Which connections an exchange may go on. One that has been idle may have been closed on the way
 * without a word, and what was sent on it is then neither done nor not done. */
typedef enum {
    CAT_REUSE_ANY,    /* libcurl's rule: a request that it may send again does not mind */
    CAT_REUSE_RECENT, /* one that was just used, or a new one */
    CAT_REUSE_NONE    /* a new one */
} cat_reuse;

/* What one exchange needs at a time. */
typedef struct cat_easy {
    cat_op op;              /* with the easy handle, whose callbacks get the rest */
    const cat_multi *multi; /* that opens its sockets */
    cat_source source;
    cat_sink sink;
    int sends;       /* how often libcurl was about to send the request */
    bool resendable; /* a second send by libcurl does no harm */
    bool idempotent; /* to have done it twice is to have done it once */
    cat_reuse reuse; /* as the handle is set */
    CURLU *url;      /* as the handle is set, and its text; NULL: never set */
    char *url_text;
    const cat_proxy *proxy;        /* likewise, of the pool's; NULL: none */
    size_t url_size, url_capacity; /* of the text, with its end; size 0: nothing is set */
    size_t url_path;               /* where a plain path begins in it; 0: there is none */
    char detail[CURL_ERROR_SIZE];
    struct cat_easy *next; /* while it is idle */
} cat_easy;

typedef struct {
    lua_State *L;        /* the main thread, for its allocator */
    cat_multi *multi;    /* kept alive by the pool's owner; after a fork another's */
    CURL *template_easy; /* a handle with every setting, never used itself; NULL: closed */
    cat_easy *idle;
    size_t idle_count;
    size_t max_reply;         /* bytes */
    bool checks_first_header; /* see cat_sink_check_first_header */
    cat_proxies proxies;
} cat_easy_pool;

/* Makes a closed pool; the template is the caller's to make. */
void cat_easy_pool_init(cat_easy_pool *pool, lua_State *L);

/* Has the pool use a multi. Handles that are in another's hands stay with the one they know. */
CURLcode cat_easy_pool_bind(cat_easy_pool *pool, cat_multi *multi);

/* Ends the transfers of its handles, as cancelled, and frees what is idle, and the template. */
void cat_easy_pool_close(cat_easy_pool *pool);

/* A handle that is the caller's until it is released; NULL when there is no memory. */
cat_easy *cat_easy_acquire(cat_easy_pool *pool);

/* Has the next exchange of a handle go to a URL. It is parsed here and not by libcurl, which would
 * do so for each exchange: mostly it is that of the exchange before. */
CURLcode cat_easy_set_url(cat_easy_pool *pool, cat_easy *easy, const char *text);

/* Has the next exchange of a handle go on such a connection. */
CURLcode cat_easy_set_reuse(cat_easy *easy, cat_reuse reuse);

/* Gives a handle back, for another transfer or to be freed. It is in no multi. */
void cat_easy_release(cat_easy_pool *pool, cat_easy *easy);

#endif
