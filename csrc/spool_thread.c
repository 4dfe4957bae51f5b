/* The thread of a spool: what it waits for, and what it does then. */
#include "spool_thread.h"

#include "heap.h"
#include "system.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

/* Bytes with which a sleeping thread is woken: that costs more than to write a piece. */
#define WAKE_AT 262144

/* How often what lies there for somebody to look at is measured, nanoseconds. */
#define MEASURE_EVERY INT64_C(30000000000)

/* How often it looks whether the spool is still there, and how much room the disk has, nanoseconds:
 * also while nothing is written. */
#define LOOK_EVERY INT64_C(1000000000)

/* --- for the host --- */

void cat_spool_thread_wake(cat_spool_thread *t, bool for_job) {
    int sleeping = atomic_load(&t->sleeping);
    if (sleeping == 0 || (sleeping == 1 && !for_job && cat_ring_used(&t->ring) < WAKE_AT)) {
        return;
    }
    pthread_mutex_lock(&t->mutex);
    atomic_store(&t->sleeping, 0);
    pthread_cond_signal(&t->wake);
    pthread_mutex_unlock(&t->mutex);
}

void cat_spool_thread_add(cat_spool_thread *t, cat_job *job) {
    pthread_mutex_lock(&t->mutex);
    job->put = atomic_load(&t->ring.put);
    cat_job_list_add(&t->jobs, job);
    pthread_mutex_unlock(&t->mutex);
    cat_spool_thread_wake(t, true);
}

/* --- what is due --- */

/* When the next commit is due; CAT_NEVER: there is nothing to be committed. */
static int64_t commit_due(const cat_spool_thread *t) {
    bool is_waited_for = t->notes.first || t->syncs.first;
    if (!is_waited_for && !t->uncommitted_since) {
        return CAT_NEVER;
    }
    if (t->retry_at && (t->is_log_faulty || !t->notes.first)) {
        return t->retry_at;
    }
    return is_waited_for || t->stopping ? 0 : t->uncommitted_since + t->sync_after;
}

/* Tells the host that something happened. */
static void notify(cat_spool_thread *t) {
    uint64_t one = 1;
    while (write(t->event, &one, sizeof one) < 0 && errno == EINTR) {
    }
}

static void end_job(cat_spool_thread *t, cat_job *job) {
    pthread_mutex_lock(&t->mutex);
    cat_job_list_add(&t->done, job);
    pthread_mutex_unlock(&t->mutex);
}

/* Does the jobs there are. Those that wait for a commit go into lists of their own. */
static void do_jobs(cat_spool_thread *t) {
    pthread_mutex_lock(&t->mutex);
    cat_job_list jobs = t->jobs;
    t->jobs = (cat_job_list){NULL, NULL};
    pthread_mutex_unlock(&t->mutex);
    for (cat_job *job; (job = cat_job_list_take(&jobs));) {
        if (job->kind == CAT_JOB_NOTE || job->kind == CAT_JOB_SYNC) {
            cat_job_list_add(job->kind == CAT_JOB_NOTE ? &t->notes : &t->syncs, job);
            continue;
        }
        cat_spool_do(t, job);
        if (job->kind == CAT_JOB_SUM && job->error == 0) {
            cat_job_list_add(&t->sums, job);
            continue;
        }
        end_job(t, job);
    }
}

/* Reads on in a file that is to be read through: a piece, so that what is written does not wait. */
static void sum_on(cat_spool_thread *t) {
    if (t->sums.first && cat_spool_sum(t->sums.first)) {
        end_job(t, cat_job_list_take(&t->sums));
    }
}

/* Says whether there is room, and how things stand. Whether the first record of a batch has come,
 * whose time the host looks at. */
static bool publish(cat_spool_thread *t) {
    int64_t held = t->held + t->others + (int64_t)cat_ring_used(&t->ring);
    pthread_mutex_lock(&t->mutex);
    t->status.spool_bytes = held;
    bool no_room = t->limit_free > 0 && t->status.free_bytes < t->limit_free;
    const cat_segment *open = t->current;
    bool has_begun = open && t->status.open_number == 0;
    t->status.open_number = open ? open->number : 0;
    t->status.open_bytes = open ? open->now.bytes : 0;
    t->status.open_records = open ? open->now.records : 0;
    t->status.open_since = open ? open->now.since : 0;
    pthread_mutex_unlock(&t->mutex);
    atomic_store(&t->full, held >= t->limit_bytes                ? CAT_FULL_BYTES
                           : no_room                             ? CAT_FULL_FREE
                           : t->in_rejected >= t->limit_rejected ? CAT_FULL_REJECTED
                                                                 : CAT_NOT_FULL);
    return has_begun;
}

/* After a fault the same is tried again, and notes go into the journal all the same. A spool that
 * is broken only says so. */
static void drain_and_commit(cat_spool_thread *t) {
    bool is_broken = atomic_load(&t->is_broken);
    t->retry_at = is_broken ? 0 : t->retry_at;
    bool again = t->retry_at && cat_monotonic() >= t->retry_at;
    bool was_faulty = t->status.disk_error != 0;
    t->retry_at = again ? 0 : t->retry_at;
    if (!t->retry_at && !is_broken) {
        cat_spool_drain(t);
    }
    if (again || commit_due(t) <= cat_monotonic()) {
        cat_spool_commit(t);
    }
    if (was_faulty && !t->retry_at) {
        pthread_mutex_lock(&t->mutex);
        t->status.disk_error = 0;
        pthread_mutex_unlock(&t->mutex);
    }
}

/* Looks after what changes without us: now and then, and for as long as there is no room. */
static void look_around(cat_spool_thread *t) {
    int64_t now = cat_monotonic();
    bool is_full = atomic_load(&t->full) != CAT_NOT_FULL;
    if (is_full || now - t->looked_at >= LOOK_EVERY) {
        cat_spool_inspect(t);
    }
    if (is_full || now - t->measured_at >= MEASURE_EVERY) {
        cat_spool_measure(t);
        t->measured_at = now;
    }
}

/* One round. Whether the host is to be told of something. */
static bool work(cat_spool_thread *t) {
    int fault = t->status.disk_error, was_full = atomic_load(&t->full);
    bool was_broken = atomic_load(&t->is_broken);
    do_jobs(t);
    sum_on(t);
    drain_and_commit(t);
    look_around(t);
    bool has_begun = publish(t);
    bool has_room =
        atomic_load(&t->full) == CAT_NOT_FULL && cat_ring_room(&t->ring) >= t->ring.size / 2;
    bool is_waited_for = has_room && atomic_exchange(&t->wants_room, false);
    pthread_mutex_lock(&t->mutex);
    bool news = t->done.first || t->sealed || t->status.disk_error != fault;
    pthread_mutex_unlock(&t->mutex);
    return is_waited_for || has_begun || news || atomic_load(&t->full) != was_full ||
           atomic_load(&t->is_broken) != was_broken;
}

/* When there is something to do at the latest. */
static int64_t next_due(const cat_spool_thread *t) {
    int64_t due = commit_due(t);
    due = t->retry_at && t->retry_at < due ? t->retry_at : due;
    int64_t look = atomic_load(&t->is_broken) ? CAT_NEVER : t->looked_at + LOOK_EVERY;
    due = look < due ? look : due;
    return t->stop_at && t->stop_at < due ? t->stop_at : due;
}

static struct timespec to_timespec(int64_t nanoseconds) {
    return (struct timespec){.tv_sec = (time_t)(nanoseconds / 1000000000),
                             .tv_nsec = (long)(nanoseconds % 1000000000)};
}

/* Whether there is something to be done now. The mutex is held. */
static bool has_work(cat_spool_thread *t) {
    bool is_taken = !t->retry_at && !atomic_load(&t->is_broken);
    size_t used = is_taken ? cat_ring_used(&t->ring) : 0;
    return t->jobs.first || t->sums.first ||
           (used > 0 && (used >= WAKE_AT || !t->uncommitted_since)) ||
           next_due(t) <= cat_monotonic();
}

/* Whether the thread is to end: all is on the disk, or the time for that is over. The mutex is
 * held. */
static bool is_over(cat_spool_thread *t) {
    bool is_done = cat_ring_used(&t->ring) == 0 && !t->jobs.first && commit_due(t) == CAT_NEVER;
    return t->stop_at && (is_done || cat_monotonic() >= t->stop_at || t->status.broken[0]);
}

/* Waits until there is something to do. The mutex is held. */
static void wait_for_work(cat_spool_thread *t) {
    while (!has_work(t) && !is_over(t)) {
        int64_t due = next_due(t);
        atomic_store(&t->sleeping, t->uncommitted_since || t->retry_at ? 1 : 2);
        if (!has_work(t)) {
            struct timespec until = to_timespec(due);
            if (due == CAT_NEVER) {
                pthread_cond_wait(&t->wake, &t->mutex);
            } else {
                pthread_cond_timedwait(&t->wake, &t->mutex, &until);
            }
        }
        atomic_store(&t->sleeping, 0);
    }
}

static void *run(void *user) {
    cat_spool_thread *t = user;
    pthread_mutex_lock(&t->mutex);
    while (!is_over(t)) {
        wait_for_work(t);
        t->stopping = t->stop_at != 0;
        pthread_mutex_unlock(&t->mutex);
        if (work(t)) {
            notify(t);
        }
        pthread_mutex_lock(&t->mutex);
    }
    t->ended = true;
    pthread_mutex_unlock(&t->mutex);
    notify(t);
    return NULL;
}

bool cat_spool_thread_start(cat_spool_thread *t) {
    publish(t); /* it may be full from the beginning */
    int error = pthread_create(&t->thread, NULL, run, t);
    errno = error;
    return error == 0;
}

void cat_spool_thread_stop(cat_spool_thread *t, int64_t within) {
    pthread_mutex_lock(&t->mutex);
    t->stop_at = cat_monotonic() + within;
    atomic_store(&t->sleeping, 0);
    pthread_cond_signal(&t->wake);
    pthread_mutex_unlock(&t->mutex);
    pthread_join(t->thread, NULL);
}
