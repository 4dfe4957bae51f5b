/* Opening a spool. */
#include "spool_open.h"

#include "failure.h"
#include "spool_recover.h"
#include "system.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <lauxlib.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef SMB2_SUPER_MAGIC
#define SMB2_SUPER_MAGIC 0xfe534d42
#endif
#ifndef CIFS_SUPER_MAGIC
#define CIFS_SUPER_MAGIC 0xff534d42
#endif

static const char *const DIRECTORIES[] = {"seg", "failed", "rejected", "unknown"};

static int fail(lua_State *L, const char *path, int why) {
    return cat_failure(L, "config", "the spool %s cannot be used: %s; give another directory", path,
                       strerror(why));
}

static void close_one(int *descriptor) {
    if (*descriptor >= 0) {
        close(*descriptor);
        *descriptor = -1;
    }
}

/* --- the directory --- */

static bool is_empty(int descriptor) {
    int again = openat(descriptor, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = again >= 0 ? fdopendir(again) : NULL;
    bool empty = true;
    if (!directory) {
        return false;
    }
    for (struct dirent *entry; (entry = readdir(directory));) {
        empty = empty && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
                          strcmp(entry->d_name, "lost+found") == 0);
    }
    closedir(directory);
    return empty;
}

static bool is_remote(int descriptor) {
    struct statfs found;
    if (fstatfs(descriptor, &found) != 0) {
        return false;
    }
    uint32_t type = (uint32_t)found.f_type;
    return type == NFS_SUPER_MAGIC || type == SMB_SUPER_MAGIC || type == SMB2_SUPER_MAGIC ||
           type == CIFS_SUPER_MAGIC || type == AFS_SUPER_MAGIC || type == CODA_SUPER_MAGIC ||
           type == NCP_SUPER_MAGIC;
}

/* Puts the name of a spool that was made on the disk. */
static bool sync_path(int directory) {
    int parent = openat(directory, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent < 0) {
        return errno == EACCES; /* it may not be read: then it cannot be synced */
    }
    bool good = fsync(parent) == 0;
    close(parent);
    return good;
}

/* Returns as cat_spool_open_directory. */
static int open_path(lua_State *L, cat_spool_thread *t, const char *path) {
    bool is_made = mkdir(path, 0700) == 0;
    if (!is_made && errno != EEXIST) {
        return errno == ENOENT
                   ? cat_failure(L, "config",
                                 "the spool %s cannot be made: there is no directory it could be "
                                 "in; make that first",
                                 path)
                   : fail(L, path, errno);
    }
    t->directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (t->directory < 0 || (is_made && !sync_path(t->directory))) {
        return fail(L, path, errno);
    }
    if (is_remote(t->directory)) {
        return cat_failure(L, "config",
                           "the spool %s is on a network file system, on which neither its lock "
                           "nor a sync can be relied on; give a directory of a local disk",
                           path);
    }
    if (faccessat(t->directory, "lock", F_OK, 0) != 0 && !is_empty(t->directory)) {
        return cat_failure(L, "config",
                           "the directory %s has other things in it and is no spool; give one that "
                           "is empty, or not there",
                           path);
    }
    return 0;
}

/* --- the lock --- */

static bool lock(lua_State *L, int descriptor) {
    if (flock(descriptor, LOCK_EX | LOCK_NB) == 0) {
        return true;
    }
    if (errno != EWOULDBLOCK) {
        return false;
    }
    /* perhaps it is this state's own, dropped and not collected yet */
    lua_gc(L, LUA_GCCOLLECT);
    return flock(descriptor, LOCK_EX | LOCK_NB) == 0;
}

static int take_lock(lua_State *L, cat_spool_thread *t, const char *path) {
    char text[32] = "";
    t->lock = openat(t->directory, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (t->lock < 0) {
        return fail(L, path, errno);
    }
    if (lock(L, t->lock)) {
        int length = snprintf(text, sizeof text, "%ld\n", (long)getpid());
        /* for whoever finds it locked; that it cannot be written is no harm */
        ssize_t written = ftruncate(t->lock, 0) == 0 ? pwrite(t->lock, text, (size_t)length, 0) : 0;
        (void)written;
        return 0;
    }
    if (errno != EWOULDBLOCK) {
        return fail(L, path, errno);
    }
    ssize_t length = pread(t->lock, text, sizeof text - 1, 0);
    text[length > 0 ? length : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return cat_failure(L, "conflict",
                       "the spool %s is another sink's (process %s); end that first, or give "
                       "this one a directory of its own",
                       path, *text ? text : "unknown");
}

/* --- the journal --- */

static int explain_journal(lua_State *L, const char *path, cat_log_state state) {
    if (state == CAT_LOG_DAMAGED) {
        return cat_failure(L, "config",
                           "the journal of the spool %s is damaged: what was written to it is not "
                           "what is read; restore the directory from a backup, or move it away: "
                           "its records are the lines of %s/seg",
                           path, path);
    }
    if (state == CAT_LOG_NEWER) {
        return cat_failure(L, "config",
                           "the spool %s was written by a later version of this module; use that",
                           path);
    }
    return fail(L, path, errno);
}

static bool set(cat_settings *settings, const char *key, const char *value) {
    return cat_settings_set(settings, key, strlen(key), value, strlen(value));
}

/* A number that is a value. */
static int64_t number_of(const cat_settings *settings, const char *key, int64_t otherwise) {
    const cat_setting *found = cat_settings_find(settings, key, strlen(key));
    char text[24] = "";
    if (!found || found->value_length >= sizeof text) {
        return otherwise;
    }
    memcpy(text, found->bytes + found->key_length, found->value_length);
    return strtoll(text, NULL, 10);
}

/* A new spool has an id that no other has. */
static bool name_spool(cat_settings *settings) {
    unsigned char bytes[16];
    char text[64] = "{\"id\":\"";
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) {
        return false;
    }
    size_t at = strlen(text);
    for (size_t i = 0; i < sizeof bytes; i++) {
        at += (size_t)snprintf(text + at, sizeof text - at, "%02x", bytes[i]);
    }
    snprintf(text + at, sizeof text - at, "\"}");
    return set(settings, "spool", text);
}

/* Whether there is anything of which only a journal could tell. */
static bool has_data(cat_spool_thread *t) {
    static const char *const NAMES[] = {"seg", "failed", "unknown"};
    bool found = false;
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        int one = openat(t->directory, NAMES[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        found = found || one < 0 || !is_empty(one);
        close_one(&one);
    }
    return found;
}

static int read_journal(lua_State *L, cat_spool_thread *t, const char *path) {
    if (!cat_spool_log_open(&t->log, t->directory, true)) {
        return fail(L, path, errno);
    }
    cat_log_state state = cat_spool_log_read(&t->log, &t->settings);
    if (state == CAT_LOG_EMPTY && has_data(t)) {
        state = CAT_LOG_DAMAGED; /* there was a journal before there was anything else */
    }
    if (state != CAT_LOG_GOOD && state != CAT_LOG_EMPTY) {
        return explain_journal(L, path, state);
    }
    if (state == CAT_LOG_EMPTY && !name_spool(&t->settings)) {
        return fail(L, path, errno ? errno : ENOMEM);
    }
    t->due = t->committed_due = number_of(&t->settings, "due", 0);
    t->next_segment = number_of(&t->settings, "next_segment", 1);
    return 0;
}

/* --- opening --- */

/* Takes what was made away, since its names could not be synced, and a second try means nothing:
 * it is made again the next time. What is in use stays. */
static void unmake_directories(cat_spool_thread *t) {
    int why = errno;
    for (size_t i = 0; i < sizeof DIRECTORIES / sizeof *DIRECTORIES; i++) {
        unlinkat(t->directory, DIRECTORIES[i], AT_REMOVEDIR);
    }
    if (faccessat(t->directory, "journal.a", F_OK, 0) != 0) {
        unlinkat(t->directory, "lock", 0);
    }
    errno = why;
}

static bool open_directories(cat_spool_thread *t) {
    for (size_t i = 0; i < sizeof DIRECTORIES / sizeof *DIRECTORIES; i++) {
        if (mkdirat(t->directory, DIRECTORIES[i], 0700) != 0 && errno != EEXIST) {
            return false;
        }
    }
    int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW;
    t->segments = openat(t->directory, "seg", flags);
    t->rejected_directory = openat(t->directory, "rejected", flags);
    if (t->segments < 0 || t->rejected_directory < 0) {
        return false;
    }
    if (fsync(t->directory) != 0) {
        unmake_directories(t);
        return false;
    }
    return true;
}

/* What the journal says by now: the whole of it, as the beginning of a file. */
static bool write_journal(cat_spool_thread *t) {
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, t->next_segment);
    if (!set(&t->settings, "next_segment", text)) {
        errno = ENOMEM;
        return false;
    }
    t->log.failed = true; /* so that another file is begun */
    return cat_spool_log_write(&t->log, &t->settings, "", 0);
}

/* Whether segments or batches wait. */
static bool is_waiting(const cat_settings *settings) {
    bool found = false;
    for (size_t i = 0; i < settings->capacity; i++) {
        for (const cat_setting *one = settings->slots[i]; one; one = one->next) {
            found = found || (one->key_length > 8 && memcmp(one->bytes, "segment/", 8) == 0) ||
                    (one->key_length > 6 && memcmp(one->bytes, "batch/", 6) == 0);
        }
    }
    return found;
}

/* Notes which dataset the spool is for. One that has changed would get records of another. */
static int note_dataset(lua_State *L, cat_spool_thread *t, const char *path, const char *dataset) {
    const cat_setting *found = cat_settings_find(&t->settings, "dataset", strlen("dataset"));
    if (!dataset) {
        return 0;
    }
    if (found && is_waiting(&t->settings) &&
        (found->value_length != strlen(dataset) ||
         memcmp(found->bytes + found->key_length, dataset, found->value_length) != 0)) {
        lua_pushlstring(L, found->bytes + found->key_length, found->value_length);
        return cat_failure(
            L, "config",
            "what waits in the spool %s is for the dataset %s, not for %s; give each "
            "dataset a directory of its own",
            path, lua_tostring(L, -1), dataset);
    }
    return set(&t->settings, "dataset", dataset) ? 0 : fail(L, path, ENOMEM);
}

int cat_spool_open_directory(lua_State *L, cat_spool_thread *t, const char *path,
                             const char *dataset) {
    int failed = open_path(L, t, path);
    failed = failed ? failed : take_lock(L, t, path);
    if (!failed && !open_directories(t)) {
        failed = fail(L, path, errno);
    }
    failed = failed ? failed : read_journal(L, t, path);
    failed = failed ? failed : note_dataset(L, t, path, dataset);
    if (failed) {
        return failed;
    }
    if (!cat_spool_recover(t) || !write_journal(t)) {
        return fail(L, path, errno);
    }
    cat_spool_inspect(t);
    cat_spool_measure(t);
    return 0;
}

/* --- looking, and the end --- */

void cat_spool_push_settings(lua_State *L, const cat_settings *settings) {
    /* quotes, a colon and a comma of each; two braces */
    size_t room = settings->length + 4 * settings->count + 2;
    cat_text text = {.bytes = lua_newuserdatauv(L, room, 0), .capacity = room};
    cat_text_add(&text, "{", 1);
    cat_settings_write(settings, &text);
    cat_text_add(&text, "}", 1);
    lua_pushlstring(L, text.bytes, text.length);
    lua_remove(L, -2);
}

int cat_spool_look(lua_State *L, cat_spool_thread *t, const char *path) {
    t->directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (t->directory < 0) {
        return cat_failure(L, "config", "the spool %s cannot be read: %s", path, strerror(errno));
    }
    if (!cat_spool_log_open(&t->log, t->directory, false)) {
        return errno == ENOENT
                   ? cat_failure(L, "config", "%s is no spool: there is no journal in it", path)
                   : cat_failure(L, "config", "the journal of the spool %s cannot be read: %s",
                                 path, strerror(errno));
    }
    cat_log_state state = cat_spool_log_read(&t->log, &t->settings);
    if (state != CAT_LOG_GOOD && state != CAT_LOG_EMPTY) {
        return explain_journal(L, path, state);
    }
    cat_spool_push_settings(L, &t->settings);
    return 1;
}

static void free_jobs(cat_job_list *list) {
    for (cat_job *job; (job = cat_job_list_take(list));) {
        close_one(&job->descriptor);
        free(job);
    }
}

static void free_segments(cat_segment *first) {
    for (cat_segment *next; first; first = next) {
        next = first->next;
        cat_segment_free(first);
    }
}

void cat_spool_close(cat_spool_thread *t) {
    free_segments(t->first);
    free_segments(t->sealed);
    free_segments(t->rejected);
    free_jobs(&t->jobs);
    free_jobs(&t->done);
    free_jobs(&t->notes);
    free_jobs(&t->syncs);
    free_jobs(&t->sums);
    for (size_t i = 0; i < t->source_count; i++) {
        free(t->sources[i]);
    }
    free(t->sources);
    free(t->pending);
    cat_text_free(&t->line);
    cat_settings_free(&t->settings);
    cat_spool_log_close(&t->log);
    t->first = t->sealed = t->rejected = NULL;
    t->sources = NULL;
    t->source_count = 0;
    t->pending = NULL;
    close_one(&t->segments);
    close_one(&t->rejected_directory);
    close_one(&t->event);
    close_one(&t->lock); /* the last: whoever has it next finds all done */
    close_one(&t->directory);
}
