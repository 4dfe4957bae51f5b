/* What there is of a spool when it is opened: segments, as they were when the last run has ended.
 */
#include "spool_recover.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What the journal says of a segment. */
typedef struct {
    long long number, bytes, records, since;
    char sum[9], sealed[6];
} segment_entry;

static bool read_segment(const cat_setting *one, segment_entry *entry) {
    char text[160];
    size_t length = one->value_length < sizeof text - 1 ? one->value_length : sizeof text - 1;
    if (one->key_length < 9 || one->key_length > 28 || memcmp(one->bytes, "segment/", 8) != 0) {
        return false;
    }
    memcpy(text, one->bytes + 8, one->key_length - 8);
    text[one->key_length - 8] = '\0';
    entry->number = strtoll(text, NULL, 10);
    memcpy(text, one->bytes + one->key_length, length);
    text[length] = '\0';
    return sscanf(text,
                  "{\"bytes\":%lld,\"records\":%lld,\"crc\":\"%8[0-9a-f]\",\"since\":%lld,"
                  "\"sealed\": %5[a-z]",
                  &entry->bytes, &entry->records, entry->sum, &entry->since, entry->sealed) == 5;
}

/* What was filled when the last run ended is sealed: it is cut to what counts. */
static bool seal(cat_spool_thread *t, cat_setting *one, const segment_entry *entry) {
    static const char OPEN[] = "\"sealed\":false";
    char name[CAT_SEGMENT_NAME];
    char *value = one->bytes + one->key_length;
    char *found = memmem(value, one->value_length, OPEN, sizeof OPEN - 1);
    if (!found) {
        return true;
    }
    memcpy(found, "\"sealed\": true", sizeof OPEN - 1); /* as long */
    cat_segment_name(entry->number, name);
    int file = openat(t->segments, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat is;
    if (file < 0) {
        return errno == ENOENT; /* that is told when it is to be sent */
    }
    /* on the disk before the journal says that it is sealed: then it is not cut again */
    bool good =
        fstat(file, &is) == 0 && (is.st_size <= entry->bytes ||
                                  (ftruncate(file, (off_t)entry->bytes) == 0 && fsync(file) == 0));
    close(file);
    return good;
}

static bool read_segments(cat_spool_thread *t) {
    for (size_t i = 0; i < t->settings.capacity; i++) {
        for (cat_setting *one = t->settings.slots[i]; one; one = one->next) {
            segment_entry entry;
            if (!read_segment(one, &entry)) {
                continue;
            }
            t->held += entry.bytes;
            if (entry.number >= t->next_segment) {
                t->next_segment = entry.number + 1;
            }
            if (!seal(t, one, &entry)) {
                return false;
            }
        }
    }
    return true;
}

/* Removes files that no line of the journal knows: of calls that have not ended. */
static bool remove_strays(cat_spool_thread *t) {
    int again = openat(t->segments, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = again >= 0 ? fdopendir(again) : NULL;
    if (!directory) {
        return false;
    }
    for (struct dirent *entry; (entry = readdir(directory));) {
        char key[64];
        long long number;
        int end = 0;
        if (entry->d_name[0] == '.') {
            continue;
        }
        bool is_named = sscanf(entry->d_name, "%lld.jsonl%n", &number, &end) == 1 && end > 0 &&
                        entry->d_name[end] == '\0';
        int length = snprintf(key, sizeof key, "segment/%lld", is_named ? number : 0);
        if (!is_named || !cat_settings_find(&t->settings, key, (size_t)length)) {
            unlinkat(t->segments, entry->d_name, 0);
        }
    }
    closedir(directory);
    return true;
}

/* Puts the name of the file on the disk, which may be new. When that fails a second try means
 * nothing: an empty one is made again the next time. */
static bool sync_rejected(const cat_spool_thread *t, bool is_empty) {
    if (fsync(t->rejected_directory) == 0) {
        return true;
    }
    int why = errno;
    if (is_empty) {
        unlinkat(t->rejected_directory, "records.jsonl", 0);
    }
    errno = why;
    return false;
}

static bool open_rejected(cat_spool_thread *t) {
    struct stat found;
    t->rejected = calloc(1, sizeof *t->rejected);
    if (!t->rejected) {
        errno = ENOMEM;
        return false;
    }
    cat_segment *rejected = t->rejected;
    rejected->descriptor = openat(t->rejected_directory, "records.jsonl",
                                  O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (rejected->descriptor < 0 || fstat(rejected->descriptor, &found) != 0 ||
        !sync_rejected(t, found.st_size == 0)) {
        return false;
    }
    const cat_setting *one = cat_settings_find(&t->settings, "rejected", strlen("rejected"));
    long long bytes = 0, records = 0;
    char text[80] = "";
    if (one && one->value_length < sizeof text) {
        memcpy(text, one->bytes + one->key_length, one->value_length);
        if (sscanf(text, "{\"bytes\":%lld,\"records\":%lld}", &bytes, &records) != 2) {
            bytes = records = 0;
        }
    }
    /* somebody may have taken it away; what is behind belongs to a call that has not ended */
    bytes = bytes < found.st_size ? bytes : (long long)found.st_size;
    if (bytes < found.st_size &&
        (ftruncate(rejected->descriptor, (off_t)bytes) != 0 || fsync(rejected->descriptor) != 0)) {
        return false;
    }
    rejected->unsummed = rejected->now.bytes = rejected->flushed = rejected->hinted =
        rejected->synced = bytes;
    rejected->now.records = records;
    rejected->committed = rejected->noted = rejected->now;
    return true;
}

bool cat_spool_recover(cat_spool_thread *t) {
    return read_segments(t) && remove_strays(t) && open_rejected(t);
}
