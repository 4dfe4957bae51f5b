/* A file of a spool that grows by appending: what of it is part of calls that have ended is known,
 * and the rest can be taken back. For the spool's thread; its memory is malloc's. */
#ifndef CAT_SEGMENT_H
#define CAT_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How far a segment is. */
typedef struct {
    int64_t bytes, records;
    int64_t since; /* when its first record came, milliseconds since the epoch */
    uint32_t sum;  /* CRC-32C of its bytes */
    bool sealed;   /* nothing is added any more */
    size_t from;   /* how many of its `from` count */
} cat_extent;

/* The position of a source before what the segment has of it; -1: there was none. */
typedef struct {
    int32_t source;
    int64_t before;
} cat_from;

typedef struct cat_segment {
    struct cat_segment *next; /* the one begun after it */
    int64_t number;
    int descriptor;                   /* -1: not open */
    cat_extent now, committed, noted; /* as of now, the last call, and the journal */
    int64_t flushed;                  /* bytes that were written to the file */
    int64_t hinted;                   /* bytes the kernel was told to write to the disk */
    int64_t synced;                   /* bytes that are on the disk */
    int64_t unsummed;                 /* bytes at its beginning that `sum` is not of */
    bool journaled;                   /* its file is known to the journal */
    bool cut;                         /* the file may be longer on the disk than it is to be */
    bool suspect;                     /* a sync has failed: what the next one says means nothing */
    cat_from *from;
    size_t from_capacity;
} cat_segment;

/* The name of a segment's file in `seg/`, of 16 bytes and a NUL. */
#define CAT_SEGMENT_NAME 32
void cat_segment_name(int64_t number, char *name);

/* Makes a segment with its file. NULL with errno set. */
cat_segment *cat_segment_new(int directory, int64_t number);

/* Writes bytes behind what was flushed. False with errno set: then nothing was. */
bool cat_segment_flush(cat_segment *segment, const char *bytes, size_t length);

/* Goes on in another file, which is empty, with what is behind what the journal knows. False with
 * errno set: then it is as before. */
bool cat_segment_continue(cat_segment *segment, int made);

/* Cuts what was flushed behind so many bytes off. That it is gone is on the disk after the next
 * sync. */
void cat_segment_cut(cat_segment *segment, int64_t bytes);

/* Puts what was flushed on the disk, and that nothing is behind it. After a disk has failed what is
 * in the file is compared with what was written, and copied into a new file of the same name. False
 * with errno set; EBADMSG: it is not what was written, or cannot be read. */
bool cat_segment_sync(cat_segment *segment, int directory, const char *name);

/* Notes where a source stood before. False when there is no memory. */
bool cat_segment_add_from(cat_segment *segment, int32_t source, int64_t before);

/* Whether bytes were added that are part of no call that has ended. */
static inline bool cat_segment_is_touched(const cat_segment *segment) {
    return segment->now.bytes != segment->committed.bytes;
}

/* Closes its file and frees it. */
void cat_segment_free(cat_segment *segment);

#endif
