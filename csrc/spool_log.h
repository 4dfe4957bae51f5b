/* The journal of a spool: two files of a fixed size, used in turn. A line is a checksum, a blank,
 * and an object that changes settings; the first of a file has all of them. Each line is on disk
 * before the next is written, and goes to where zeros are on the disk: so it can be told whether
 * the last one was torn, and never counted, or is damaged. No Lua here; for one thread at a time.
 */
#ifndef CAT_SPOOL_LOG_H
#define CAT_SPOOL_LOG_H

#include "settings.h"
#include "text.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct {
    int descriptor[2]; /* -1: not open */
    off_t size[2];     /* of the files: all of it is on disk */
    off_t used[2];     /* behind so many bytes there are zeros only */
    int current;       /* the file that is in use; -1: none yet */
    int64_t generation;
    int64_t number; /* of the next line */
    off_t at;       /* where it goes */
    bool failed;    /* the current file is not to be trusted any more */
    cat_text line;
} cat_spool_log;

/* Why a journal cannot be read. */
typedef enum {
    CAT_LOG_GOOD,
    CAT_LOG_EMPTY,   /* nothing was ever written */
    CAT_LOG_DAMAGED, /* it is not what was written */
    CAT_LOG_NEWER,   /* a later version of this module has written it */
    CAT_LOG_ERROR    /* errno says why */
} cat_log_state;

void cat_spool_log_init(cat_spool_log *log);

/* Opens `journal.a` and `journal.b` of a directory, and makes them where they are not there, unless
 * they are only to be read. False with errno set. */
bool cat_spool_log_open(cat_spool_log *log, int directory, bool writable);

/* Reads what the journal says. */
cat_log_state cat_spool_log_read(cat_spool_log *log, cat_settings *settings);

/* Writes changes, an object's text, which `settings` have by now. It is on disk when this returns.
 * False with errno set: the same may be tried again, and goes into the other file. */
bool cat_spool_log_write(cat_spool_log *log, const cat_settings *settings, const char *changes,
                         size_t length);

void cat_spool_log_close(cat_spool_log *log);

#endif
