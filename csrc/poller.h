/* An epoll descriptor with a timer inside it, behind which any number of sockets are watched. What
 * a socket is to be watched for is only queued, and goes to epoll just before a wait: a request
 * that takes interest in a socket and gives it up again costs no system call for that. The timer
 * only wakes a host that polls the descriptor itself: a wait of our own has its limit. */
#ifndef CAT_POLLER_H
#define CAT_POLLER_H

#include "heap.h"

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

#define CAT_AT_ONCE 1 /* a time that has passed; zero would disarm a timer */

/* The state of a descriptor, whose number is its index in the table. */
typedef struct {
    uint32_t want;  /* EPOLLIN and EPOLLOUT, as asked for last */
    uint32_t have;  /* as epoll knows it; 0: it does not */
    bool owned;     /* the poller will be told before it is closed */
    bool queued;    /* is in the queue of changes */
    int next;       /* the change queued before this one; -1: none */
    void *listener; /* whom it is watched for by cat_poller_listen; NULL: it is a socket's */
} cat_socket_state;

typedef struct {
    lua_State *L;     /* the main thread, for its allocator */
    int epoll, timer; /* -1: not open */
    cat_socket_state *sockets;
    size_t capacity;
    int queue;         /* the descriptor whose `want` changed last; -1: none */
    int64_t timer_due; /* what `timer` is set to; CAT_NEVER: nothing */
} cat_poller;

/* Makes a poller that holds nothing yet. */
void cat_poller_init(cat_poller *poller, lua_State *L);

/* False with errno set; what is open is closed by cat_poller_close. */
bool cat_poller_open(cat_poller *poller);

void cat_poller_close(cat_poller *poller);

/* Takes charge of a new descriptor: cat_poller_remove will be called before it is closed. False
 * when there is no memory. */
bool cat_poller_add(cat_poller *poller, int descriptor);

/* Watches a descriptor for reading, for somebody else than libcurl, until cat_poller_remove. False
 * when there is no memory, with errno set where epoll does not take it. */
bool cat_poller_listen(cat_poller *poller, int descriptor, void *listener);

/* Queues what a descriptor is to be watched for, EPOLLIN and EPOLLOUT; 0: nothing. One that was not
 * added may be closed unseen after that, so epoll is told at once. */
void cat_poller_watch(cat_poller *poller, int descriptor, uint32_t want);

/* Forgets a descriptor that is about to be closed. Closing alone would not remove it from epoll
 * where a forked child has it too. Such a child (`owner` is false) leaves epoll as it is, which it
 * shares with its parent. */
void cat_poller_remove(cat_poller *poller, int descriptor, bool owner);

/* Tells epoll what was queued. */
void cat_poller_flush(cat_poller *poller);

/* Sets when the descriptor becomes readable by itself. False with errno set. */
bool cat_poller_set_timer(cat_poller *poller, int64_t due);

#endif
