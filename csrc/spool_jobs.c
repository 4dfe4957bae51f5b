/* What a spool's thread does with files besides writing records. */
#include "crc32c.h"
#include "spool_thread.h"
#include "system.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static const char RESERVE[] = "reserve";
#define RESERVE_BYTES 1048576
#define RESERVE_LEAST 131072

/* What is read of a file at a time, bytes. */
#define PIECE 65536

/* What is read of one before something else has its turn. */
#define SUM_PIECE 1048576

/* --- lists --- */

void cat_job_list_add(cat_job_list *list, cat_job *job) {
    job->next = NULL;
    *(list->last ? &list->last->next : &list->first) = job;
    list->last = job;
}

cat_job *cat_job_list_take(cat_job_list *list) {
    cat_job *job = list->first;
    if (job) {
        list->first = job->next;
        list->last = list->first ? list->last : NULL;
    }
    return job;
}

/* --- sizes --- */

static bool is_segment(const char *name) {
    return strncmp(name, "seg/", 4) == 0;
}

static int64_t size_of(int directory, const char *name) {
    struct stat found;
    return fstatat(directory, name, &found, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(found.st_mode)
               ? (int64_t)found.st_size
               : 0;
}

/* The bytes of all files in a directory, and in the directories in it. */
static int64_t measure(int parent, const char *name, int depth) {
    int64_t bytes = 0;
    int descriptor = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *directory = descriptor >= 0 ? fdopendir(descriptor) : NULL;
    if (!directory) {
        if (descriptor >= 0) {
            close(descriptor);
        }
        return 0;
    }
    for (struct dirent *entry; (entry = readdir(directory));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        bytes += entry->d_type == DT_DIR && depth > 0
                     ? measure(descriptor, entry->d_name, depth - 1)
                     : size_of(descriptor, entry->d_name);
    }
    closedir(directory);
    return bytes;
}

/* Keeps some room for what has to be written on a full disk, where there is any. */
static void keep_reserve(const cat_spool_thread *t) {
    if (size_of(t->directory, RESERVE) > 0) {
        return;
    }
    int file = openat(t->directory, RESERVE, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file >= 0) {
        if (posix_fallocate(file, 0, RESERVE_BYTES) != 0 &&
            posix_fallocate(file, 0, RESERVE_LEAST) != 0) {
            unlinkat(t->directory, RESERVE, 0);
        }
        close(file);
    }
}

bool cat_spool_use_reserve(const cat_spool_thread *t, int error) {
    int before = errno;
    bool used = (error == ENOSPC || error == EDQUOT) && unlinkat(t->directory, RESERVE, 0) == 0;
    errno = before;
    return used;
}

void cat_spool_measure(cat_spool_thread *t) {
    t->in_rejected = measure(t->directory, "rejected", 0);
    t->others =
        measure(t->directory, "failed", 1) + measure(t->directory, "unknown", 1) + t->in_rejected;
    if (!t->status.disk_error) {
        keep_reserve(t);
    }
}

bool cat_is_removed(int descriptor) {
    struct stat found;
    return fstat(descriptor, &found) == 0 && found.st_nlink == 0;
}

bool cat_spool_inspect(cat_spool_thread *t) {
    struct statvfs disk;
    if (fstatvfs(t->directory, &disk) == 0) {
        pthread_mutex_lock(&t->mutex);
        t->status.free_bytes = (int64_t)disk.f_bavail * (int64_t)disk.f_frsize;
        pthread_mutex_unlock(&t->mutex);
    }
    if (cat_is_removed(t->lock) || cat_is_removed(t->segments) ||
        cat_is_removed(t->rejected_directory)) {
        cat_spool_break(t, "its directory was removed");
    } else if (cat_is_removed(t->log.descriptor[0]) || cat_is_removed(t->log.descriptor[1])) {
        cat_spool_break(t, "its journal was removed");
    }
    t->looked_at = cat_monotonic();
    return !t->status.broken[0];
}

/* --- jobs --- */

static int sync_parent(cat_spool_thread *t, const char *name) {
    char parent[256];
    const char *slash = strrchr(name, '/');
    size_t length = slash ? (size_t)(slash - name) : 0;
    if (length >= sizeof parent) {
        return ENAMETOOLONG;
    }
    memcpy(parent, slash ? name : ".", slash ? length : 1);
    parent[slash ? length : 1] = '\0';
    int directory = openat(t->directory, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) {
        return errno;
    }
    int error = fsync(directory) == 0 ? 0 : errno;
    close(directory);
    return error;
}

static int do_remove(cat_spool_thread *t, const cat_job *job) {
    int64_t bytes = size_of(t->directory, job->name);
    if (unlinkat(t->directory, job->name, 0) != 0 &&
        (errno != EISDIR || unlinkat(t->directory, job->name, AT_REMOVEDIR) != 0)) {
        return errno == ENOENT ? 0 : errno;
    }
    *(is_segment(job->name) ? &t->held : &t->others) -= bytes;
    if (t->retry_at) {
        keep_reserve(t);
        t->retry_at = cat_monotonic(); /* there may be room now */
    }
    return 0;
}

static int do_rename(cat_spool_thread *t, const cat_job *job) {
    int64_t bytes = size_of(t->directory, job->name);
    if (renameat(t->directory, job->name, t->directory, job->other) != 0) {
        return errno;
    }
    int error = sync_parent(t, job->other);
    error = error ? error : sync_parent(t, job->name);
    if (error && renameat(t->directory, job->other, t->directory, job->name) == 0) {
        return error; /* whoever tries again finds it where it was, and what is synced is new */
    }
    *(is_segment(job->name) ? &t->held : &t->others) -= bytes;
    *(is_segment(job->other) ? &t->held : &t->others) += bytes;
    return error;
}

/* Writes a text at the end of a file, durably. */
static int write_file(cat_spool_thread *t, const char *name, int flags, const cat_job *job) {
    int file =
        openat(t->directory, name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
    if (file < 0) {
        return errno;
    }
    size_t done = 0;
    int error = 0;
    while (done < job->length && error == 0) {
        ssize_t count = write(file, job->text + done, job->length - done);
        error = count < 0 && errno != EINTR ? errno : 0;
        done += count > 0 ? (size_t)count : 0;
    }
    error = error == 0 && fsync(file) != 0 ? errno : error;
    if (close(file) != 0 && error == 0) {
        error = errno;
    }
    return error;
}

static int save(cat_spool_thread *t, const cat_job *job) {
    char part[512];
    int length = snprintf(part, sizeof part, "%s.part", job->name);
    if (length < 0 || (size_t)length >= sizeof part) {
        return ENAMETOOLONG;
    }
    int error = write_file(t, part, O_TRUNC, job);
    if (error == 0 && renameat(t->directory, part, t->directory, job->name) != 0) {
        error = errno;
    }
    if (error != 0) {
        unlinkat(t->directory, part, 0);
        return error;
    }
    t->others += (int64_t)job->length;
    return sync_parent(t, job->name);
}

static int do_save(cat_spool_thread *t, const cat_job *job) {
    int error = save(t, job);
    return cat_spool_use_reserve(t, error) ? save(t, job) : error;
}

/* Cuts off what a try that has failed has written. */
static void cut_back(cat_spool_thread *t, const char *name, int64_t bytes) {
    int file = openat(t->directory, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (file >= 0) {
        int ignored = ftruncate(file, (off_t)bytes);
        (void)ignored;
        close(file);
    }
}

static int do_append(cat_spool_thread *t, const cat_job *job) {
    int64_t before = size_of(t->directory, job->name);
    int error = write_file(t, job->name, O_APPEND, job);
    if (error != 0) {
        cut_back(t, job->name, before); /* so that the same may be tried again */
    }
    t->others += size_of(t->directory, job->name) - before;
    return error;
}

static int do_mkdir(cat_spool_thread *t, const cat_job *job) {
    bool is_made = mkdirat(t->directory, job->name, 0700) == 0;
    if (!is_made && errno != EEXIST) {
        return errno;
    }
    int error = sync_parent(t, job->name);
    if (error && is_made) {
        unlinkat(t->directory, job->name, AT_REMOVEDIR); /* so that it is made again, and synced */
    }
    return error;
}

static int do_open(cat_spool_thread *t, cat_job *job) {
    struct stat found;
    job->descriptor = openat(t->directory, job->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (job->descriptor < 0 || fstat(job->descriptor, &found) != 0) {
        return errno;
    }
    job->size = found.st_size;
    posix_fadvise(job->descriptor, 0, 0, POSIX_FADV_WILLNEED);
    return 0;
}

static int64_t count_newlines(const char *bytes, size_t length) {
    int64_t count = 0;
    const char *end = bytes + length;
    for (const char *at = bytes; (at = memchr(at, '\n', (size_t)(end - at))); at++) {
        count++;
    }
    return count;
}

bool cat_spool_sum(cat_job *job) {
    char bytes[PIECE];
    ssize_t got = 1;
    for (size_t done = 0; done < SUM_PIECE && got > 0; done += PIECE) {
        got = pread(job->descriptor, bytes, sizeof bytes, (off_t)job->size);
        size_t length = got > 0 ? (size_t)got : 0;
        job->is_within_line = length > 0 ? bytes[length - 1] != '\n' : job->is_within_line;
        job->records += count_newlines(bytes, length);
        job->sum = cat_crc32c(job->sum, bytes, length);
        job->size += (int64_t)length;
    }
    if (got > 0) {
        return false;
    }
    job->error = got < 0 ? errno : 0;
    job->records += job->is_within_line ? 1 : 0;
    close(job->descriptor);
    job->descriptor = -1;
    return true;
}

static int begin_sum(cat_spool_thread *t, cat_job *job) {
    job->descriptor = openat(t->directory, job->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return job->descriptor < 0 ? errno : 0;
}

void cat_spool_do(cat_spool_thread *t, cat_job *job) {
    switch (job->kind) {
    case CAT_JOB_REMOVE:
        job->error = do_remove(t, job);
        break;
    case CAT_JOB_RENAME:
        job->error = do_rename(t, job);
        break;
    case CAT_JOB_SAVE:
        job->error = do_save(t, job);
        break;
    case CAT_JOB_APPEND:
        job->error = do_append(t, job);
        break;
    case CAT_JOB_MKDIR:
        job->error = do_mkdir(t, job);
        break;
    case CAT_JOB_SUM:
        job->error = begin_sum(t, job);
        break;
    case CAT_JOB_OPEN:
        job->error = do_open(t, job);
        break;
    default:
        job->error = EINVAL;
    }
}
