/* How what a spool has taken becomes durable: data first, then the one line that says so. */
#include "spool_thread.h"

#include "crc32c.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REJECTED "records.jsonl"

static bool is_noted(const cat_segment *segment) {
    return segment->noted.bytes == segment->committed.bytes &&
           segment->noted.records == segment->committed.records &&
           segment->noted.from == segment->committed.from &&
           segment->noted.sealed == segment->committed.sealed;
}

/* --- the journal --- */

/* Writes a line, but for the brace that ends it. */
static bool write_line(cat_spool_thread *t) {
    cat_text_add(&t->line, "}", 1);
    errno = ENOMEM;
    t->is_log_faulty = t->line.failed ||
                       !cat_settings_apply(&t->settings, t->line.bytes, t->line.length) ||
                       !cat_spool_log_write(&t->log, &t->settings, t->line.bytes, t->line.length);
    if (t->is_log_faulty) {
        cat_spool_fault(t, "journal");
    }
    return !t->is_log_faulty;
}

/* --- data --- */

static bool sync_segment(cat_spool_thread *t, cat_segment *segment, int directory,
                         const char *name) {
    if (cat_segment_sync(segment, directory, name)) {
        return true;
    }
    if (errno == EBADMSG) {
        cat_spool_break(t, "the disk has failed, and does not give back what was written to it");
        return false;
    }
    cat_spool_fault(t, "fdatasync");
    return false;
}

/* --- rejected records --- */

/* Whether the file of rejected records is where it was made. */
static bool has_name(const cat_spool_thread *t) {
    struct stat ours, named;
    return fstat(t->rejected->descriptor, &ours) == 0 &&
           fstatat(t->rejected_directory, REJECTED, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           ours.st_dev == named.st_dev && ours.st_ino == named.st_ino;
}

/* Goes on in a file that was made. The journal says first that it is empty: what was not committed
 * by then is to be gone after a crash. */
static bool continue_rejected(cat_spool_thread *t, int made) {
    cat_text_empty(&t->line);
    cat_text_add_string(&t->line, "{\"rejected\":{\"bytes\":0,\"records\":0}");
    if (fsync(t->rejected_directory) != 0) {
        cat_spool_fault(t, "fsync");
        return false;
    }
    if (!write_line(t)) {
        return false;
    }
    if (!cat_segment_continue(t->rejected, made)) {
        cat_spool_fault(t, "write");
        return false;
    }
    return true;
}

/* Opens the file that takes its place; -1 with errno set. One that has something is somebody's. */
static int open_empty(const cat_spool_thread *t) {
    struct stat found;
    int made =
        openat(t->rejected_directory, REJECTED, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (made < 0) {
        return -1;
    }
    errno = EEXIST;
    if (fstat(made, &found) != 0 || found.st_size > 0) {
        int why = errno;
        close(made);
        errno = why;
        return -1;
    }
    return made;
}

/* Somebody has looked at the rejected records, and moved their file away, or removed it. What the
 * journal knows of went with it. */
static bool renew_rejected(cat_spool_thread *t) {
    int made = open_empty(t);
    if (made < 0) {
        cat_spool_fault(t, "rejected/" REJECTED);
        return false;
    }
    if (!continue_rejected(t, made)) {
        close(made);
        unlinkat(t->rejected_directory, REJECTED, 0); /* so that it is made again */
        return false;
    }
    return true;
}

static bool sync_rejected(cat_spool_thread *t) {
    return is_noted(t->rejected) || ((has_name(t) || renew_rejected(t)) &&
                                     sync_segment(t, t->rejected, t->rejected_directory, REJECTED));
}

/* --- segments --- */

/* Puts the names of new segments on the disk. When that fails, a second try means nothing: each is
 * made again, under a name that is written again. */
static bool sync_names(cat_spool_thread *t) {
    if (fsync(t->segments) == 0) {
        return true;
    }
    for (cat_segment *segment = t->first; segment; segment = segment->next) {
        segment->suspect = segment->suspect || !segment->journaled;
    }
    cat_spool_fault(t, "fsync");
    return false;
}

/* Puts all that the next line is about on the disk. */
static bool sync_data(cat_spool_thread *t) {
    bool is_new = false;
    char name[CAT_SEGMENT_NAME];
    /* on a disk that has failed, too, what was written is committed */
    if (t->pending_length > 0 && (t->retry_at || !cat_spool_flush(t))) {
        return false;
    }
    for (cat_segment *segment = t->first; segment; segment = segment->next) {
        cat_segment_name(segment->number, name);
        segment->suspect = segment->suspect || cat_is_removed(segment->descriptor); /* made again */
        if (!is_noted(segment) && !sync_segment(t, segment, t->segments, name)) {
            return false;
        }
        is_new = is_new || !segment->journaled;
    }
    if (is_new && !sync_names(t)) {
        return false;
    }
    return sync_rejected(t);
}

/* --- the line --- */

static void add_comma(cat_text *line) {
    if (line->length > 1) {
        cat_text_add(line, ",", 1);
    }
}

static void add_from(cat_spool_thread *t, const cat_segment *segment) {
    cat_text_add_string(&t->line, ",\"from\":{");
    for (size_t i = 0; i < segment->committed.from; i++) {
        const char *key = t->sources[segment->from[i].source]->key;
        cat_text_add_string(&t->line, i > 0 ? ",\"" : "\"");
        cat_text_add_string(&t->line, key + strlen("source/"));
        cat_text_add_string(&t->line, "\":");
        cat_text_add_number(&t->line, segment->from[i].before);
    }
    cat_text_add(&t->line, "}", 1);
}

/* Adds a name, as it stands before a value, and a number. */
static void add_number(cat_text *line, const char *name, int64_t number) {
    cat_text_add_string(line, name);
    cat_text_add_number(line, number);
}

static void add_segment(cat_spool_thread *t, const cat_segment *segment) {
    char digits[9] = "";
    const cat_extent *extent = &segment->committed;
    cat_crc32c_print(digits, extent->sum);
    add_comma(&t->line);
    add_number(&t->line, "\"segment/", segment->number);
    add_number(&t->line, "\":{\"bytes\":", extent->bytes);
    add_number(&t->line, ",\"records\":", extent->records);
    cat_text_add_string(&t->line, ",\"crc\":\"");
    cat_text_add_string(&t->line, digits);
    add_number(&t->line, "\",\"since\":", extent->since);
    cat_text_add_string(&t->line, extent->sealed ? ",\"sealed\":true" : ",\"sealed\":false");
    add_from(t, segment);
    cat_text_add(&t->line, "}", 1);
}

/* Adds what has changed since the last line. The sources are read under the mutex: the host may add
 * one. */
static void add_data(cat_spool_thread *t) {
    pthread_mutex_lock(&t->mutex);
    for (cat_segment *segment = t->first; segment; segment = segment->next) {
        if (!is_noted(segment) && segment->committed.bytes > 0) {
            add_segment(t, segment);
        }
    }
    for (size_t i = 0; i < t->source_count; i++) {
        if (t->sources[i]->changed) {
            add_comma(&t->line);
            cat_text_add_string(&t->line, "\"");
            cat_text_add_string(&t->line, t->sources[i]->key);
            add_number(&t->line, "\":", t->sources[i]->taken);
        }
    }
    pthread_mutex_unlock(&t->mutex);
    if (!is_noted(t->rejected)) {
        add_comma(&t->line);
        add_number(&t->line, "\"rejected\":{\"bytes\":", t->rejected->committed.bytes);
        add_number(&t->line, ",\"records\":", t->rejected->committed.records);
        cat_text_add(&t->line, "}", 1);
    }
    add_comma(&t->line);
    add_number(&t->line, "\"due\":", t->committed_due);
    add_number(&t->line, ",\"next_segment\":", t->next_segment);
}

static void add_notes(cat_spool_thread *t) {
    for (const cat_job *note = t->notes.first; note; note = note->next) {
        add_comma(&t->line);
        cat_text_add(&t->line, note->text + 1, note->length - 2); /* without its braces */
    }
}

/* --- what is durable now --- */

/* Closes segments that are sealed, without the mutex: the host does not wait for that. */
static void close_sealed(cat_spool_thread *t) {
    for (cat_segment *segment = t->first; segment; segment = segment->next) {
        if (segment->committed.sealed) {
            close(segment->descriptor);
            segment->descriptor = -1;
        }
    }
}

/* Hands segments that are sealed, and known to be, to the host. */
static void hand_over(cat_spool_thread *t) {
    cat_segment **place = &t->first;
    t->last = NULL;
    while (*place) {
        cat_segment *segment = *place;
        if (!segment->noted.sealed) {
            t->last = segment;
            place = &segment->next;
            continue;
        }
        *place = segment->next;
        segment->next = NULL;
        *(t->last_sealed ? &t->last_sealed->next : &t->sealed) = segment;
        t->last_sealed = segment;
    }
}

/* Takes note of what the line was about. The mutex is held. */
static void note_data(cat_spool_thread *t) {
    for (cat_segment *segment = t->first; segment; segment = segment->next) {
        segment->noted = segment->committed;
        segment->journaled = segment->journaled || segment->committed.bytes > 0;
    }
    for (size_t i = 0; i < t->source_count; i++) {
        if (t->sources[i]->changed) {
            t->sources[i]->committed = t->sources[i]->taken;
            t->sources[i]->changed = false;
        }
    }
    t->rejected->noted = t->rejected->committed;
    t->status.due = t->committed_due;
    t->status.records += t->uncommitted_records;
    t->status.bytes += t->uncommitted_bytes;
    t->uncommitted_records = t->uncommitted_bytes = 0;
    hand_over(t);
    t->is_changed = false;
    t->uncommitted_since = 0;
}

/* Ends jobs that have waited for a commit. The mutex is held. */
static void end_jobs(cat_spool_thread *t, cat_job_list *list, int error) {
    for (cat_job *job; (job = cat_job_list_take(list));) {
        job->error = error;
        cat_job_list_add(&t->done, job);
    }
}

static bool are_drained(cat_spool_thread *t) {
    size_t taken = atomic_load(&t->ring.taken);
    for (const cat_job *job = t->syncs.first; job; job = job->next) {
        if (taken < job->put) {
            return false;
        }
    }
    return true;
}

void cat_spool_commit(cat_spool_thread *t) {
    bool is_whole = cat_spool_inspect(t);
    bool has_data = is_whole && t->is_changed && sync_data(t);
    is_whole = is_whole && !t->status.broken[0];
    cat_text_empty(&t->line);
    cat_text_add(&t->line, "{", 1);
    if (has_data) {
        add_data(t);
    }
    if (is_whole) {
        add_notes(t);
    }
    if (t->line.length > 1 && !write_line(t)) {
        return;
    }
    if (has_data) {
        close_sealed(t);
    }
    pthread_mutex_lock(&t->mutex);
    if (has_data) {
        note_data(t);
    } else if (!is_whole || (!t->is_changed && cat_ring_used(&t->ring) == 0)) {
        t->uncommitted_since = 0; /* what came is part of a call that goes on; or nothing does */
    }
    end_jobs(t, &t->notes, is_whole ? 0 : EIO);
    if (!is_whole || (!t->is_changed && are_drained(t))) {
        end_jobs(t, &t->syncs, is_whole ? 0 : EIO);
    }
    pthread_mutex_unlock(&t->mutex);
}
