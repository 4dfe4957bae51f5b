/* A curl_multi handle behind a poller: the operations in flight, and how they end. Knows nothing of
 * Lua but its allocator. */
#ifndef CAT_MULTI_H
#define CAT_MULTI_H

#include "fork_guard.h"
#include "heap.h"
#include "poller.h"

#include <curl/curl.h>
#include <stdbool.h>

typedef struct cat_multi cat_multi;

/* One easy handle on its way, or a descriptor that is listened to: part of what owns that. */
typedef struct cat_op {
    cat_deadline deadline; /* first, so that an entry of the heap is the op it belongs to */
    cat_multi *multi;      /* NULL: it is in none (not yet, or no more) */
    CURL *easy;            /* NULL: it is done once `descriptor` is readable */
    int descriptor;
    const void *owner; /* whose it is, for cat_multi_cancel */
    CURLcode result;   /* once `done` */
    bool done;
    bool timed_out;   /* it was ended by its deadline */
    bool extended;    /* its deadline was, since there was progress last */
    bool leaked;      /* its multi was closed in a forked child, which does not own the handle */
    int socket_error; /* an errno: the last socket that it wanted cannot be opened */
    int64_t timeout;  /* nanoseconds */
    /* A transfer that may take as long as there is progress: what grows with it, or NULL; what it
     * was at the last check; and how many checks ago there was any. */
    const size_t *progress;
    size_t last_progress;
    int idle_ticks;
    struct cat_op *previous, *next;
} cat_op;

typedef struct {
    cat_op *first, *last;
} cat_op_list;

struct cat_multi {
    cat_fork_guard guard;
    cat_poller poller;
    CURLM *handle;     /* NULL: closed */
    bool broken;       /* it was out of memory in the middle, and is replaced before it is used */
    bool shared;       /* the descriptor was asked for, and is kept up to date */
    bool wake_pending; /* the descriptor is to be readable, whatever there is to do */
    int64_t curl_due;  /* when libcurl wants to be called; CAT_NEVER: not at all */
    int64_t host_due;  /* when the host wants to be woken; CAT_NEVER: not at all */
    int64_t step_began;
    cat_heap deadlines;
    cat_op_list active, completed;
    size_t completed_count; /* of all time */
};

/* Makes a multi that holds nothing yet; `L` is the main thread, for its allocator. */
void cat_multi_init(cat_multi *multi, lua_State *L);

/* False with errno set; what is open is closed by cat_multi_close. */
bool cat_multi_open(cat_multi *multi);

/* Ends what is active, as cancelled, and frees everything. In a forked child the easy handles and
 * the multi handle leak: closing them would take leave of the parent's servers in its name. */
void cat_multi_close(cat_multi *multi);

/* Whether it can be used here: it is open, and this process made it. */
static inline bool cat_multi_is_usable(const cat_multi *multi) {
    return multi->handle && cat_in_owner_process(&multi->guard);
}

/* Starts an op whose easy handle is ready. It is given up after `timeout` nanoseconds; or, with a
 * `progress`, when that stands still for so long. */
CURLMcode cat_multi_add(cat_multi *multi, cat_op *op, int64_t timeout);

/* Starts an op without an easy handle, which is done once its descriptor is readable. False when
 * there is no memory, or epoll does not take such a descriptor. */
bool cat_multi_listen(cat_multi *multi, cat_op *op);

/* Removes an op from its multi, done or not, so that its easy handle can be reused. Returns false
 * in a forked child, where the handle must be leaked: its connections are the parent's. */
bool cat_multi_remove(cat_op *op);

/* Ends the active ops of an owner, as cancelled. */
void cat_multi_cancel(cat_multi *multi, const void *owner);

/* Lets the ops go on until one is done, `wait` nanoseconds are over, `host_due` is reached, or a
 * signal arrives; with a wait of 0 it does what can be done at once. Returns 0, or the errno of the
 * wait. */
int cat_multi_step(cat_multi *multi, int64_t wait);

/* Brings the descriptor up to date for a host that polls it: it is readable while there is
 * something to do. False with errno set. */
bool cat_multi_update(cat_multi *multi);

/* CURLOPT_OPENSOCKETFUNCTION of every easy handle, whose user is the op; and
 * CURLOPT_CLOSESOCKETFUNCTION, whose user is the multi. */
curl_socket_t cat_multi_open_socket(void *user, curlsocktype purpose,
                                    struct curl_sockaddr *address);
int cat_multi_close_socket(void *user, curl_socket_t socket);

#endif
