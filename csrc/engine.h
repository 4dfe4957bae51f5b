/* Every transfer in flight, behind one descriptor a host can poll. One engine a Lua state. */
#ifndef CAT_ENGINE_H
#define CAT_ENGINE_H

#include "heap.h"

#include <curl/curl.h>
#include <lua.h>
#include <stdbool.h>

typedef struct cat_engine cat_engine;

/* What the engine knows of a transfer: part of the transfer, which owns it. */
typedef struct cat_flight {
    cat_deadline deadline; /* first, so that an entry of the heap is the flight it belongs to */
    cat_engine *engine;    /* NULL: the engine does not know it (not yet, or no more) */
    CURL *easy;
    const void *owner; /* whose it is, for cat_engine_cancel */
    CURLcode result;   /* once `done` */
    bool done;
    bool late;        /* it was ended by its deadline */
    int socket_error; /* an errno: the last socket that it wanted cannot be opened */
    bool extended;    /* its deadline was, since it moved last */
    /* A transfer that may take as long as it moves: what grows while it does, or NULL; what it was
     * when it was looked at last; and for how many quarters of its time it has stood still. */
    const size_t *moving;
    size_t seen;
    int quiet;
    int64_t allowed;
    bool leaked; /* the engine ended in a forked child, to which the handle does not belong */
    struct cat_flight *previous, *next;
} cat_flight;

/* Pushes the engine of this state, made at the first call, and returns it; or pushes nil and an
 * error and returns NULL. */
cat_engine *cat_engine_push(lua_State *L);

/* Submits a flight whose easy handle is ready, to be over within `seconds`; or, when `moving`
 * points at a counter, to be given up when that stands still for so long. The userdata at `index`
 * is what engine:collect() gives when it is done. Returns 0; or pushes nil and an error and
 * returns 2. */
int cat_engine_submit(lua_State *L, cat_engine *engine, cat_flight *flight, int index,
                      double seconds);

/* Makes the engine forget a flight, done or not; then its easy handle is free for other use. False
 * in a forked child: the handle's connections are the parent's, and it must be left alone for ever.
 */
bool cat_engine_forget(cat_flight *flight);

/* Ends the flights of an owner, as cancelled. */
void cat_engine_cancel(cat_engine *engine, const void *owner);

/* CURLOPT_OPENSOCKETFUNCTION of every easy handle, whose user is the flight; and
 * CURLOPT_CLOSESOCKETFUNCTION, whose user is the engine. */
curl_socket_t cat_engine_open_socket(void *user, curlsocktype purpose,
                                     struct curl_sockaddr *address);
int cat_engine_close_socket(void *user, curl_socket_t socket);

/* Pushes the table of functions that Lua sees as core.engine; returns 1. */
int cat_engine_open(lua_State *L);

#endif
