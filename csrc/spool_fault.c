/* What the thread of a spool does when a call on files has failed. */
#include "spool_thread.h"

#include "system.h"

#include <errno.h>
#include <stdio.h>

/* How long a fault of the disk is left alone before the same is tried again, nanoseconds. */
#define RETRY_AFTER INT64_C(1000000000)

void cat_spool_fault(cat_spool_thread *t, const char *call) {
    int why = errno;
    t->retry_at = cat_monotonic() + RETRY_AFTER;
    pthread_mutex_lock(&t->mutex);
    t->status.disk_error = why;
    t->status.disk_call = call;
    pthread_mutex_unlock(&t->mutex);
}

void cat_spool_break(cat_spool_thread *t, const char *why) {
    pthread_mutex_lock(&t->mutex);
    if (!t->status.broken[0]) {
        snprintf(t->status.broken, sizeof t->status.broken, "%s", why);
    }
    pthread_mutex_unlock(&t->mutex);
    atomic_store(&t->is_broken, true);
}
