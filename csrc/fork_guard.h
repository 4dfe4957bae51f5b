/* Tells the process that made something from a child that was forked later. */
#ifndef CAT_FORK_GUARD_H
#define CAT_FORK_GUARD_H

#include <stdbool.h>

typedef struct {
    /* A page that a forked child sees as zeros (MADV_WIPEONFORK); in its owner's process it holds a
     * one. Asking it costs nothing, where getpid is a system call for each request. */
    const volatile char *owner_page; /* NULL: not initialised */
} cat_fork_guard;

/* Makes this process the owner. False with errno set. */
bool cat_init_fork_guard(cat_fork_guard *guard);

static inline bool cat_in_owner_process(const cat_fork_guard *guard) {
    return guard->owner_page && *guard->owner_page;
}

void cat_free_fork_guard(cat_fork_guard *guard);

#endif
