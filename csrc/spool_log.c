/* The journal of a spool. */
#include "spool_log.h"

#include "crc32c.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a disk writes as a whole, bytes, at the least: of a line that was torn there are zeros from
 * one multiple to another. Disks write more; memory that is a disk does not. */
#define GRAIN 8

#define SMALLEST 4194304

/* A file is left when so much of it is used: three quarters. */
#define LEAVE_AT(size) ((size) / 4 * 3)

/* What a line has before its object: eight digits and a blank. */
#define SUM_LENGTH 9

/* How many generations after the one that can be read are looked for in the other file. */
#define TRIES_SEEN 4

static const char *const NAMES[2] = {"journal.a", "journal.b"};
static const char HEAD[] = "{\"journal\":{\"generation\":";

void cat_spool_log_init(cat_spool_log *log) {
    *log = (cat_spool_log){.descriptor = {-1, -1}, .current = -1};
}

void cat_spool_log_close(cat_spool_log *log) {
    for (int i = 0; i < 2; i++) {
        if (log->descriptor[i] >= 0) {
            close(log->descriptor[i]);
        }
    }
    cat_text_free(&log->line);
    cat_spool_log_init(log);
}

/* --- files --- */

/* Writes all of a text. False with errno set. */
static bool write_at(int descriptor, const char *bytes, size_t length, off_t at) {
    while (length > 0) {
        ssize_t count = pwrite(descriptor, bytes, length, at);
        if (count < 0 && errno != EINTR) {
            return false;
        }
        size_t done = count > 0 ? (size_t)count : 0;
        bytes += done;
        length -= done;
        at += (off_t)done;
    }
    return true;
}

/* Makes a file so large, with zeros on disk: no line that is written into them needs room. */
static bool fill(int descriptor, off_t from, off_t to) {
    static const char zeros[65536];
    for (off_t at = from; at < to; at += (off_t)sizeof zeros) {
        if (!write_at(descriptor, zeros, sizeof zeros, at)) {
            return false;
        }
    }
    return fsync(descriptor) == 0;
}

/* Makes a file, which gets its name once it is full of zeros. The descriptor, or -1. */
static int make_one(int directory, const char *name) {
    char part[32];
    snprintf(part, sizeof part, "%s.part", name);
    int made = openat(directory, part, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (made >= 0 &&
        (!fill(made, 0, SMALLEST) || renameat(directory, part, directory, name) != 0)) {
        int why = errno;
        close(made);
        unlinkat(directory, part, 0);
        errno = why;
        made = -1;
    }
    return made;
}

static bool open_one(cat_spool_log *log, int directory, int i, bool writable) {
    struct stat found;
    int flags = (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW;
    log->descriptor[i] = openat(directory, NAMES[i], flags);
    if (log->descriptor[i] < 0 && errno == ENOENT && writable) {
        log->descriptor[i] = make_one(directory, NAMES[i]);
    }
    if (log->descriptor[i] < 0 || fstat(log->descriptor[i], &found) != 0) {
        return false;
    }
    log->size[i] = found.st_size;
    if (!writable || found.st_size >= SMALLEST) {
        return true;
    }
    if (!fill(log->descriptor[i], found.st_size, SMALLEST)) {
        return false;
    }
    log->size[i] = SMALLEST;
    return true;
}

/* Puts the names of files that were made on the disk. When that fails a second try means nothing:
 * they are made again the next time. */
static bool sync_names(int directory, const bool *is_made) {
    if (fsync(directory) == 0) {
        return true;
    }
    int why = errno;
    for (int i = 0; i < 2; i++) {
        if (is_made[i]) {
            unlinkat(directory, NAMES[i], 0);
        }
    }
    errno = why;
    return false;
}

bool cat_spool_log_open(cat_spool_log *log, int directory, bool writable) {
    bool is_made[2];
    for (int i = 0; i < 2; i++) {
        is_made[i] = writable && faccessat(directory, NAMES[i], F_OK, 0) != 0;
        if (!open_one(log, directory, i, writable)) {
            return false;
        }
    }
    return !writable || sync_names(directory, is_made);
}

/* --- reading --- */

typedef struct {
    char *bytes;
    size_t length;
    size_t used;        /* behind so many bytes there are zeros only */
    int64_t generation; /* 0: its first line is no beginning of a journal */
    bool newer;
} content;

/* The checksum that begins with the place of a line. */
static uint32_t sum_of_place(int64_t generation, int64_t number) {
    char text[64];
    int length = snprintf(text, sizeof text, "%" PRId64 " %" PRId64 " ", generation, number);
    return cat_crc32c(0, text, (size_t)length);
}

/* Whether a line is the one of its place. */
static bool is_good(const char *line, size_t length, int64_t generation, int64_t number) {
    char digits[8];
    if (length <= SUM_LENGTH) {
        return false;
    }
    uint32_t sum = sum_of_place(generation, number);
    cat_crc32c_print(digits, cat_crc32c(sum, line + SUM_LENGTH, length - SUM_LENGTH));
    return memcmp(line, digits, 8) == 0 && line[8] == ' ';
}

/* The line that begins at an offset, without its newline; NULL: there is none. */
static const char *line_at(const content *from, size_t at, size_t *length) {
    if (at >= from->length) {
        return NULL;
    }
    const char *end = memchr(from->bytes + at, '\n', from->length - at);
    *length = end ? (size_t)(end - (from->bytes + at)) : 0;
    return end ? from->bytes + at : NULL;
}

/* What a first line says of its file. */
static void read_head(content *from) {
    size_t length;
    const char *line = line_at(from, 0, &length);
    size_t head = sizeof HEAD - 1;
    if (!line || length < SUM_LENGTH + head || memcmp(line + SUM_LENGTH, HEAD, head) != 0) {
        return;
    }
    char *end;
    int64_t generation = strtoll(line + SUM_LENGTH + head, &end, 10);
    if (generation > 0 && is_good(line, length, generation, 1)) {
        from->generation = generation;
        from->newer = strncmp(end, ",\"version\":1}", 13) != 0;
    }
}

/* How much of a text is before the zeros at its end. */
static size_t without_zeros(const char *bytes, size_t length) {
    static const char zeros[4096];
    while (length >= sizeof zeros &&
           memcmp(bytes + length - sizeof zeros, zeros, sizeof zeros) == 0) {
        length -= sizeof zeros;
    }
    while (length > 0 && !bytes[length - 1]) {
        length--;
    }
    return length;
}

/* False with errno set. */
static bool read_content(int descriptor, off_t size, content *into) {
    into->bytes = malloc((size_t)size + 1);
    ssize_t got = 1;
    while (into->bytes && into->length < (size_t)size && got != 0) {
        got = pread(descriptor, into->bytes + into->length, (size_t)size - into->length,
                    (off_t)into->length);
        if (got < 0 && errno != EINTR) {
            return false;
        }
        into->length += got > 0 ? (size_t)got : 0;
    }
    if (!into->bytes) {
        errno = ENOMEM;
        return false;
    }
    into->bytes[into->length] = '\0';
    into->used = without_zeros(into->bytes, into->length);
    read_head(into);
    return true;
}

/* Whether a text has a good line within it, near a number: the newline before it may be damaged. */
static bool has_good(const char *line, size_t length, int64_t generation, int64_t number) {
    for (size_t i = 0; i + SUM_LENGTH < length; i++) {
        if (line[i + 8] != ' ' || line[i + SUM_LENGTH] != '{') {
            continue;
        }
        for (int64_t near = number - 1; near <= number + 1; near++) {
            if (near > 1 && is_good(line + i, length - i, generation, near)) {
                return true;
            }
        }
    }
    return false;
}

/* Whether a good line of a generation follows what is no good one: then that was written, and is
 * damaged. A flipped bit may have made two lines of one, or one of two. */
static bool goes_on(const content *from, size_t at, int64_t generation, int64_t number) {
    size_t length;
    const char *line;
    for (; (line = line_at(from, at, &length)); number++) {
        at += length + 1;
        if (has_good(line, length, generation, number)) {
            return true;
        }
    }
    return false;
}

/* Whether what is from an offset on was written as a whole. What is behind a line that was torn,
 * and what of it was not written, are zeros. */
static bool is_whole(const content *from, size_t at) {
    size_t zeros = at < from->used && from->used % GRAIN == 0 && from->bytes[from->used - 1] != '\n'
                       ? GRAIN
                       : 0;
    for (size_t begin = at; begin < from->used && zeros == 0; begin = (begin / GRAIN + 1) * GRAIN) {
        size_t end = (begin / GRAIN + 1) * GRAIN;
        while (begin + zeros < end && !from->bytes[begin + zeros]) {
            zeros++;
        }
        zeros = begin + zeros == end ? zeros : 0;
    }
    return at < from->used && zeros == 0;
}

/* Does what the lines of a file say, up to the last good one. */
static cat_log_state apply(cat_spool_log *log, const content *from, cat_settings *settings) {
    size_t at = 0, length;
    const char *line;
    log->number = 1;
    while ((line = line_at(from, at, &length)) &&
           is_good(line, length, from->generation, log->number)) {
        if (!cat_settings_apply(settings, line + SUM_LENGTH, length - SUM_LENGTH)) {
            errno = ENOMEM;
            return CAT_LOG_ERROR;
        }
        at += length + 1;
        log->number++;
    }
    log->at = (off_t)at;
    log->generation = from->generation;
    cat_settings_remove(settings, "journal", strlen("journal"));
    return goes_on(from, at, from->generation, log->number) || is_whole(from, at) ? CAT_LOG_DAMAGED
                                                                                  : CAT_LOG_GOOD;
}

/* What is to be thought of two files neither of which begins as a journal does. */
static cat_log_state judge(const content *both) {
    const content *one = &both[both[0].used > 0 ? 0 : 1];
    if (one->used == 0) {
        return CAT_LOG_EMPTY;
    }
    /* the first line of all may have been torn; but not when others follow it */
    bool is_torn = both[one == &both[0] ? 1 : 0].used == 0 && !is_whole(one, 0) &&
                   !goes_on(one, 0, 1, 1) && !goes_on(one, 0, 2, 1);
    return is_torn ? CAT_LOG_EMPTY : CAT_LOG_DAMAGED;
}

/* Which of two files is the last, and whether it is to be trusted. */
static cat_log_state choose(cat_spool_log *log, const content *both) {
    log->current = both[1].generation > both[0].generation ? 1 : 0;
    const content *other = &both[1 - log->current];
    int64_t generation = both[log->current].generation;
    if (generation == 0) {
        log->current = -1;
        return judge(both);
    }
    if (both[log->current].newer) {
        return CAT_LOG_NEWER;
    }
    /* the other may be the later one, whose first line was damaged; some tries to write it may have
     * failed before */
    for (int64_t later = 1; later <= TRIES_SEEN; later++) {
        if (goes_on(other, 0, generation + later, 1)) {
            return CAT_LOG_DAMAGED;
        }
    }
    return other->generation == 0 && is_whole(other, 0) ? CAT_LOG_DAMAGED : CAT_LOG_GOOD;
}

cat_log_state cat_spool_log_read(cat_spool_log *log, cat_settings *settings) {
    content both[2] = {{.bytes = NULL}, {.bytes = NULL}};
    cat_log_state state = CAT_LOG_ERROR;
    if (read_content(log->descriptor[0], log->size[0], &both[0]) &&
        read_content(log->descriptor[1], log->size[1], &both[1])) {
        log->used[0] = (off_t)both[0].used;
        log->used[1] = (off_t)both[1].used;
        state = choose(log, both);
        state = state == CAT_LOG_GOOD ? apply(log, &both[log->current], settings) : state;
    }
    int why = errno;
    free(both[0].bytes);
    free(both[1].bytes);
    errno = why;
    return state;
}

/* --- writing --- */

/* Writes the line that was made, durably. */
static bool write_line(cat_spool_log *log) {
    int descriptor = log->descriptor[log->current];
    uint32_t sum = sum_of_place(log->generation, log->number);
    size_t length = log->line.length;
    if (log->line.failed) {
        errno = ENOMEM;
        return false;
    }
    cat_crc32c_print(log->line.bytes,
                     cat_crc32c(sum, log->line.bytes + SUM_LENGTH, length - SUM_LENGTH - 1));
    if (log->used[log->current] < log->at + (off_t)length) {
        log->used[log->current] = log->at + (off_t)length; /* also when it fails */
    }
    if (!write_at(descriptor, log->line.bytes, length, log->at) || fdatasync(descriptor) != 0) {
        return false;
    }
    log->at += (off_t)length;
    log->number++;
    return true;
}

/* Makes the file large enough that a first line leaves most of it free. */
static bool make_room(cat_spool_log *log, size_t length) {
    off_t *size = &log->size[log->current];
    off_t wanted = (off_t)((length * 4 + 65535) & ~(size_t)65535);
    if ((off_t)length * 2 <= *size) {
        return true;
    }
    if (!fill(log->descriptor[log->current], *size, wanted)) {
        return (off_t)length < *size; /* it is on a full disk, perhaps: what there is has to do */
    }
    *size = wanted;
    return true;
}

/* Lets the file have nothing but zeros, on disk, as if it were new. */
static bool clear(cat_spool_log *log) {
    off_t *used = &log->used[log->current];
    if (*used > 0 && !fill(log->descriptor[log->current], 0, *used)) {
        return false;
    }
    *used = 0;
    return true;
}

/* Begins the other file with all that there is. */
static bool change_files(cat_spool_log *log, const cat_settings *settings) {
    cat_spool_log before = *log;
    log->current = log->current == 0 ? 1 : 0;
    log->generation++;
    log->number = 1;
    log->at = 0;
    cat_text_empty(&log->line);
    cat_text_add_string(&log->line, "00000000 ");
    cat_text_add_string(&log->line, HEAD);
    cat_text_add_number(&log->line, log->generation);
    cat_text_add_string(&log->line, ",\"version\":1}");
    if (settings->count > 0) {
        cat_text_add(&log->line, ",", 1);
        cat_settings_write(settings, &log->line);
    }
    cat_text_add(&log->line, "}\n", 2);
    if (clear(log) && make_room(log, log->line.length) && write_line(log)) {
        log->failed = false;
        return true;
    }
    /* The next try writes this file again, under a generation that was never used: what is in it by
     * now may be on disk, or be there later. The one before stays as it is. */
    int why = errno;
    before.line = log->line;
    memcpy(before.used, log->used, sizeof before.used);
    before.generation = log->generation;
    before.failed = true;
    *log = before;
    errno = why;
    return false;
}

bool cat_spool_log_write(cat_spool_log *log, const cat_settings *settings, const char *changes,
                         size_t length) {
    off_t size = log->current < 0 ? 0 : log->size[log->current];
    if (log->current < 0 || log->failed ||
        log->at + (off_t)(length + SUM_LENGTH + 1) > LEAVE_AT(size)) {
        return change_files(log, settings);
    }
    cat_text_empty(&log->line);
    cat_text_add_string(&log->line, "00000000 ");
    cat_text_add(&log->line, changes, length);
    cat_text_add(&log->line, "\n", 1);
    if (write_line(log)) {
        return true;
    }
    log->failed = true;
    return change_files(log, settings);
}
