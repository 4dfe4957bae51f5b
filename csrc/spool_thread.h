/* The thread of a spool: it does every call on files, so that the program it serves never waits for
 * a disk. What is to be written comes by a ring, what else is to be done as jobs. No Lua here. */
#ifndef CAT_SPOOL_THREAD_H
#define CAT_SPOOL_THREAD_H

#include "ring.h"
#include "segment.h"
#include "settings.h"
#include "spool_log.h"
#include "text.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Bytes that are gathered before they are written, and with which a sleeping thread is woken. */
#define CAT_SPOOL_PIECE 65536

/* The kinds of items in the ring. */
enum {
    CAT_ITEM_LINES,    /* records, each with its newline */
    CAT_ITEM_REJECTED, /* a line for rejected/records.jsonl, with its newline */
    CAT_ITEM_CALL,     /* nothing but the end of a call */
    CAT_ITEM_SPLIT,    /* what follows goes into another segment */
    CAT_ITEM_SEAL,     /* the same, and all before it is due to become a batch */
    CAT_ITEM_ROLLBACK  /* what came since the last call has ended is taken back */
};

typedef enum {
    CAT_JOB_SYNC,   /* waits until all that was put is on the disk */
    CAT_JOB_NOTE,   /* `text`: settings for the journal */
    CAT_JOB_REMOVE, /* `name` */
    CAT_JOB_RENAME, /* `name`, `other` */
    CAT_JOB_SAVE,   /* `name`, `text` */
    CAT_JOB_APPEND, /* `name`, `text` */
    CAT_JOB_MKDIR,  /* `name` */
    CAT_JOB_OPEN,   /* `name`: its `descriptor` and `size` */
    CAT_JOB_SUM,    /* `name`: its `size`, `records` and `sum` */
    CAT_JOB_COUNT
} cat_job_kind;

typedef struct cat_job {
    struct cat_job *next;
    int64_t ticket;
    cat_job_kind kind;
    int error; /* an errno, once it is done */
    int descriptor;
    int64_t size, records;
    uint32_t sum;
    bool is_within_line; /* SUM: what was read does not end with a newline */
    size_t put;          /* SYNC: where the ring stood */
    size_t length;
    char *text, *other; /* within `name`'s memory */
    char name[];
} cat_job;

typedef struct {
    cat_job *first, *last;
} cat_job_list;

/* A source of records. */
typedef struct {
    int64_t taken;     /* the last position of a call in the thread's order; -1: none */
    int64_t committed; /* that of the last line of the journal */
    bool changed;
    int64_t put; /* the host's: the last position it has put */
    char key[];  /* its name as it stands in JSON, without quotes */
} cat_spool_source;

/* What the host may ask about, under the mutex. */
typedef struct {
    int64_t records, bytes; /* on the disk by now, of this process */
    int64_t spool_bytes, free_bytes;
    int64_t open_number, open_bytes, open_records, open_since; /* the segment that is filled */
    int64_t due;           /* the last segment that is due to become a batch */
    int disk_error;        /* an errno; 0: none */
    const char *disk_call; /* what failed */
    char broken[160];      /* empty: it is not */
} cat_spool_status;

typedef enum { CAT_NOT_FULL, CAT_FULL_BYTES, CAT_FULL_FREE, CAT_FULL_REJECTED } cat_spool_full;

typedef struct {
    /* set before the thread begins, and never changed */
    int directory, segments, rejected_directory, lock, event;
    int64_t sync_after;                              /* nanoseconds */
    int64_t limit_bytes, limit_free, limit_rejected; /* bytes */

    /* shared: atomic, or under the mutex */
    cat_ring ring;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    _Atomic int sleeping; /* 0: awake; 1: a commit is due; 2: whatever comes wakes it */
    _Atomic int full;     /* cat_spool_full */
    _Atomic bool wants_room;
    _Atomic bool is_broken;            /* from now on `status.broken` says why, and stays */
    cat_job_list jobs, done;           /* to be done; done, for the host to take */
    cat_segment *sealed, *last_sealed; /* segments on disk and sealed, for the host to take */
    cat_spool_source **sources;
    size_t source_count, source_capacity;
    cat_spool_status status;
    int64_t stop_at; /* 0: go on; else end by then, nanoseconds of the monotonic clock */
    bool ended;

    /* the thread's own */
    cat_spool_log log;
    cat_settings settings;
    cat_segment *first, *current; /* segments the journal does not know to be sealed */
    cat_segment *last;
    cat_segment *rejected;
    int64_t next_segment, due, committed_due;
    char *pending; /* bytes for the current segment */
    size_t pending_length;
    size_t item_offset;        /* how much of the first item was taken */
    int64_t uncommitted_since; /* monotonic; 0: everything is committed */
    bool is_changed;           /* calls have ended since the last commit */
    bool stopping;
    cat_job_list notes, syncs; /* that wait for a commit */
    cat_job_list sums;         /* that read on, a piece after the other */
    int64_t retry_at;          /* when to try again after a fault of the disk; 0: there is none */
    bool is_log_faulty;        /* it was one of the journal */
    int64_t held, others;      /* bytes of segments; of what lies for somebody to look at */
    int64_t in_rejected;       /* of these, in rejected/ */
    int64_t measured_at, looked_at;
    int64_t call_records, call_bytes;               /* of a call that goes on */
    int64_t uncommitted_records, uncommitted_bytes; /* of calls that have ended */
    cat_text line;
    pthread_t thread;
} cat_spool_thread;

/* Begins. False with errno set. */
bool cat_spool_thread_start(cat_spool_thread *t);

/* Wakes the thread if it sleeps and there is reason to. */
void cat_spool_thread_wake(cat_spool_thread *t, bool for_job);

/* Adds a job, which is the thread's from now on. */
void cat_spool_thread_add(cat_spool_thread *t, cat_job *job);

/* Lets the thread end once all that was put is on the disk, or so many nanoseconds are over, and
 * waits for that. */
void cat_spool_thread_stop(cat_spool_thread *t, int64_t within);

/* spool_jobs.c */
void cat_job_list_add(cat_job_list *list, cat_job *job);
cat_job *cat_job_list_take(cat_job_list *list);

/* spool_jobs.c: does a job that is no note and no sync; begins one that is a sum. */
void cat_spool_do(cat_spool_thread *t, cat_job *job);

/* spool_jobs.c: reads a piece of the file of a sum. Whether that was the last. */
bool cat_spool_sum(cat_job *job);

/* spool_jobs.c: measures what lies in failed/, unknown/ and rejected/. Keeps some room reserved. */
void cat_spool_measure(cat_spool_thread *t);

/* spool_jobs.c: looks whether the spool is still there, and how much room the disk has. False: it
 * is broken. */
bool cat_spool_inspect(cat_spool_thread *t);

/* spool_jobs.c: whether what is open was removed. */
bool cat_is_removed(int descriptor);

/* spool_jobs.c: gives the room up that was reserved, where an errno says that there is none.
 * Whether there was some. Leaves errno. */
bool cat_spool_use_reserve(const cat_spool_thread *t, int error);

/* spool_commit.c: puts what has ended on the disk, data before the line that says so. */
void cat_spool_commit(cat_spool_thread *t);

/* spool_take.c: takes what is in the ring, and leaves what comes meanwhile: a commit may be due.
 * What cannot be written stays, and is tried again. */
void cat_spool_drain(cat_spool_thread *t);

/* spool_take.c, for the commit: writes what is pending. False: `fault` was told why. */
bool cat_spool_flush(cat_spool_thread *t);

/* spool_fault.c: after a call on files has failed, and for good. */
void cat_spool_fault(cat_spool_thread *t, const char *call);
void cat_spool_break(cat_spool_thread *t, const char *why);

#endif
