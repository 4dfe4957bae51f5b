/* A file of a spool that grows by appending. */
#include "segment.h"

#include "crc32c.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The kernel is told to begin writing after so many bytes, so that a sync finds little to do. */
#define HINT_EVERY 4194304

/* What is read or copied at a time, bytes. */
#define PIECE 65536

void cat_segment_name(int64_t number, char *name) {
    snprintf(name, CAT_SEGMENT_NAME, "%010" PRId64 ".jsonl", number);
}

cat_segment *cat_segment_new(int directory, int64_t number) {
    char name[CAT_SEGMENT_NAME];
    cat_segment *made = calloc(1, sizeof *made);
    if (!made) {
        errno = ENOMEM;
        return NULL;
    }
    cat_segment_name(number, name);
    made->number = number;
    made->descriptor =
        openat(directory, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (made->descriptor < 0) {
        int why = errno;
        free(made);
        errno = why;
        return NULL;
    }
    return made;
}

bool cat_segment_flush(cat_segment *segment, const char *bytes, size_t length) {
    size_t done = 0;
    while (done < length) {
        ssize_t count = pwrite(segment->descriptor, bytes + done, length - done,
                               (off_t)segment->flushed + (off_t)done);
        if (count < 0 && errno != EINTR) {
            return false; /* what was written of it is written again */
        }
        done += count > 0 ? (size_t)count : 0;
    }
    segment->flushed += (int64_t)length;
    if (segment->flushed - segment->hinted >= HINT_EVERY) {
        sync_file_range(segment->descriptor, segment->hinted, segment->flushed - segment->hinted,
                        SYNC_FILE_RANGE_WRITE);
        segment->hinted = segment->flushed;
    }
    return true;
}

/* Copies the first bytes of a file into another, and makes their checksum. */
static bool copy(int from, int to, int64_t bytes, int64_t unsummed, uint32_t *sum) {
    char piece[PIECE];
    *sum = 0;
    for (int64_t at = 0; at < bytes;) {
        int64_t end = at < unsummed ? unsummed : bytes; /* a piece is summed whole, or not at all */
        size_t wanted = end - at < PIECE ? (size_t)(end - at) : PIECE;
        ssize_t count = pread(from, piece, wanted, (off_t)at);
        if (count <= 0) {
            errno = EBADMSG; /* what cannot be read is lost, and no second try brings it back */
            return false;
        }
        ssize_t written = pwrite(to, piece, (size_t)count, (off_t)at);
        if (written != count) {
            errno = written < 0 ? errno : ENOSPC;
            return false;
        }
        *sum = at < unsummed ? 0 : cat_crc32c(*sum, piece, (size_t)count);
        at += count;
    }
    return true;
}

/* The disk has failed: what the kernel has of the file may never reach it, whatever a second sync
 * says. What can be read is compared with what was written, and goes into a new file. */
static bool repair(cat_segment *segment, int directory, const char *name) {
    char part[CAT_SEGMENT_NAME + 8];
    uint32_t sum;
    snprintf(part, sizeof part, "%s.part", name);
    int made = openat(directory, part, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (made < 0) {
        return false;
    }
    bool good = copy(segment->descriptor, made, segment->now.bytes, segment->unsummed, &sum);
    if (good && sum != segment->now.sum) {
        errno = EBADMSG;
        good = false;
    }
    good = good && fsync(made) == 0 && renameat(directory, part, directory, name) == 0 &&
           fsync(directory) == 0;
    if (!good) {
        int why = errno;
        close(made);
        unlinkat(directory, part, 0);
        errno = why;
        return false;
    }
    close(segment->descriptor);
    segment->descriptor = made;
    return true;
}

/* What an extent has behind the beginning of another. */
static cat_extent behind(cat_extent extent, const cat_extent *beginning) {
    extent.bytes -= beginning->bytes;
    extent.records -= beginning->records;
    return extent;
}

/* Copies bytes to where they are in a file that begins at `base`, and goes on with their checksum.
 */
static bool copy_behind(const cat_segment *segment, int to, int64_t base, int64_t at, int64_t end,
                        uint32_t *sum) {
    char piece[PIECE];
    while (at < end) {
        size_t wanted = end - at < PIECE ? (size_t)(end - at) : PIECE;
        ssize_t count = pread(segment->descriptor, piece, wanted, (off_t)at);
        if (count <= 0 || pwrite(to, piece, (size_t)count, (off_t)(at - base)) != count) {
            errno = count == 0 ? EIO : errno;
            return false;
        }
        *sum = cat_crc32c(*sum, piece, (size_t)count);
        at += count;
    }
    return true;
}

bool cat_segment_continue(cat_segment *segment, int made) {
    int64_t base = segment->noted.bytes, middle = segment->committed.bytes;
    cat_extent committed = behind(segment->committed, &segment->noted);
    cat_extent now = behind(segment->now, &segment->noted);
    committed.sum = 0;
    if (!copy_behind(segment, made, base, base, middle, &committed.sum)) {
        return false;
    }
    now.sum = committed.sum;
    if (!copy_behind(segment, made, base, middle, segment->now.bytes, &now.sum)) {
        return false;
    }
    if (ftruncate(segment->descriptor, (off_t)base) != 0) {
        errno = 0; /* then whoever has the old file finds there, too, what comes now */
    }
    close(segment->descriptor);
    segment->descriptor = made;
    segment->noted = behind(segment->noted, &segment->noted);
    segment->committed = committed;
    segment->now = now;
    segment->flushed = now.bytes;
    segment->hinted = segment->synced = segment->unsummed = 0;
    segment->cut = segment->suspect = false;
    return true;
}

void cat_segment_cut(cat_segment *segment, int64_t bytes) {
    segment->flushed = segment->hinted = bytes;
    segment->synced = segment->synced < bytes ? segment->synced : bytes;
    segment->cut = true;
    if (ftruncate(segment->descriptor, (off_t)bytes) != 0) {
        return; /* the sync does it again */
    }
}

/* A cut that is not on the disk may be undone by the loss of power, and then the file is longer
 * than the journal says: fsync, since what fdatasync does of a size is what reading needs. */
static bool sync_file(const cat_segment *segment) {
    if (!segment->cut) {
        return fdatasync(segment->descriptor) == 0;
    }
    return ftruncate(segment->descriptor, (off_t)segment->flushed) == 0 &&
           fsync(segment->descriptor) == 0;
}

bool cat_segment_sync(cat_segment *segment, int directory, const char *name) {
    if (segment->synced == segment->flushed && !segment->cut && !segment->suspect) {
        return true;
    }
    segment->suspect = segment->suspect || !sync_file(segment);
    if (segment->suspect && !repair(segment, directory, name)) {
        return false;
    }
    segment->suspect = segment->cut = false;
    segment->synced = segment->flushed;
    return true;
}

bool cat_segment_add_from(cat_segment *segment, int32_t source, int64_t before) {
    for (size_t i = 0; i < segment->now.from; i++) {
        if (segment->from[i].source == source) {
            return true;
        }
    }
    if (segment->now.from == segment->from_capacity) {
        size_t capacity = segment->from_capacity ? segment->from_capacity * 2 : 4;
        cat_from *grown = realloc(segment->from, capacity * sizeof *grown);
        if (!grown) {
            return false;
        }
        segment->from = grown;
        segment->from_capacity = capacity;
    }
    segment->from[segment->now.from++] = (cat_from){.source = source, .before = before};
    return true;
}

void cat_segment_free(cat_segment *segment) {
    if (segment->descriptor >= 0) {
        close(segment->descriptor);
    }
    free(segment->from);
    free(segment);
}
