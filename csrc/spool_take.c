/* What the thread of a spool takes out of the ring, and writes. */
#include "spool_thread.h"

#include "crc32c.h"
#include "system.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* --- segments --- */

static int64_t now_in_milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* On a full disk what was taken is written into the room that is reserved: so it can be committed,
 * and sent, and that makes room. No more is taken until then. */
bool cat_spool_flush(cat_spool_thread *t) {
    if (t->pending_length == 0) {
        return true;
    }
    bool good = cat_segment_flush(t->current, t->pending, t->pending_length);
    if (!good) {
        cat_spool_fault(t, "write");
        if (cat_spool_use_reserve(t, errno) &&
            cat_segment_flush(t->current, t->pending, t->pending_length)) {
            t->pending_length = 0;
        }
        return false;
    }
    t->pending_length = 0;
    return true;
}

static bool begin_segment(cat_spool_thread *t) {
    cat_segment *made = cat_segment_new(t->segments, t->next_segment);
    if (!made) {
        cat_spool_fault(t, "open");
        return false;
    }
    made->now.since = now_in_milliseconds();
    pthread_mutex_lock(&t->mutex);
    *(t->last ? &t->last->next : &t->first) = made;
    t->last = t->current = made;
    pthread_mutex_unlock(&t->mutex);
    t->next_segment++;
    return true;
}

/* Ends the segment that is filled. */
static bool seal_current(cat_spool_thread *t) {
    if (!t->current || t->current->now.bytes == 0) {
        return true;
    }
    if (!cat_spool_flush(t)) {
        return false;
    }
    t->current->now.sealed = true;
    t->current = NULL;
    return true;
}

static bool seal(cat_spool_thread *t) {
    if (!seal_current(t)) {
        return false;
    }
    if (t->due != t->next_segment - 1) {
        t->due = t->next_segment - 1;
        t->is_changed = true;
    }
    return true;
}

/* Cuts off what a segment has behind its end. */
static void cut(cat_segment *segment) {
    if (segment->flushed > segment->now.bytes) {
        cat_segment_cut(segment, segment->now.bytes);
    }
}

/* Takes the segments back to where the last call ended. Gives those that there were not then. The
 * mutex is held, as the host looks at the segments, too. */
static cat_segment *take_back(cat_spool_thread *t) {
    cat_segment *segments = t->first, *made = NULL, *next;
    t->first = t->last = t->current = NULL;
    for (cat_segment *segment = segments; segment; segment = next) {
        bool is_kept = segment->committed.bytes > 0;
        next = segment->next;
        segment->next = is_kept ? NULL : made;
        t->held -= segment->now.bytes - segment->committed.bytes;
        if (!is_kept) {
            made = segment;
            continue;
        }
        segment->now = segment->committed;
        *(t->last ? &t->last->next : &t->first) = segment;
        t->last = segment;
        t->current = segment->now.sealed ? NULL : segment;
    }
    return made;
}

/* Removes segments that were made for nothing. */
static void discard(const cat_spool_thread *t, cat_segment *segments) {
    char name[CAT_SEGMENT_NAME];
    for (cat_segment *segment = segments, *next; segment; segment = next) {
        next = segment->next;
        cat_segment_name(segment->number, name);
        unlinkat(t->segments, name, 0);
        cat_segment_free(segment);
    }
}

/* Takes back what came since the last call has ended. */
static bool roll_back(cat_spool_thread *t) {
    if (!cat_spool_flush(t)) {
        return false;
    }
    pthread_mutex_lock(&t->mutex);
    cat_segment *made = take_back(t);
    pthread_mutex_unlock(&t->mutex);
    discard(t, made);
    for (cat_segment *segment = t->first; segment; segment = segment->next) {
        cut(segment);
    }
    t->rejected->now = t->rejected->committed;
    cut(t->rejected);
    t->due = t->committed_due;
    t->call_bytes = t->call_records = 0;
    return true;
}

/* --- items --- */

/* Adds the bytes of an item to the current segment, from where a try before came to. */
static bool add_lines(cat_spool_thread *t, const cat_ring_item *item) {
    if (!t->current && !begin_segment(t)) {
        return false;
    }
    while (t->item_offset < item->length) {
        size_t length, room = CAT_SPOOL_PIECE - t->pending_length;
        if (room == 0) {
            if (!cat_spool_flush(t)) {
                return false;
            }
            continue;
        }
        const char *bytes = cat_ring_bytes(&t->ring, item, t->item_offset, &length);
        length = length < room ? length : room;
        memcpy(t->pending + t->pending_length, bytes, length);
        t->current->now.sum = cat_crc32c(t->current->now.sum, bytes, length);
        t->current->now.bytes += (int64_t)length;
        t->pending_length += length;
        t->item_offset += length;
        t->held += (int64_t)length;
    }
    t->current->now.records += item->records;
    t->call_records += item->records;
    t->call_bytes += item->length;
    return true;
}

static bool add_rejected(cat_spool_thread *t, const cat_ring_item *item) {
    while (t->item_offset < item->length) {
        size_t length;
        const char *bytes = cat_ring_bytes(&t->ring, item, t->item_offset, &length);
        if (!cat_segment_flush(t->rejected, bytes, length)) {
            cat_spool_fault(t, "write");
            return false;
        }
        t->rejected->now.sum = cat_crc32c(t->rejected->now.sum, bytes, length);
        t->rejected->now.bytes += (int64_t)length;
        t->item_offset += length;
        t->others += (int64_t)length;
        t->in_rejected += (int64_t)length;
    }
    t->rejected->now.records += item->records;
    return true;
}

static bool take_item(cat_spool_thread *t, const cat_ring_item *item) {
    switch (item->kind) {
    case CAT_ITEM_LINES:
        return add_lines(t, item);
    case CAT_ITEM_REJECTED:
        return add_rejected(t, item);
    case CAT_ITEM_SPLIT:
        return seal_current(t);
    case CAT_ITEM_SEAL:
        return seal(t);
    case CAT_ITEM_ROLLBACK:
        return roll_back(t);
    default:
        return true;
    }
}

/* Notes where the source of a call stood before it, in each segment that has some of it. */
static bool note_source(cat_spool_thread *t, const cat_ring_item *item) {
    bool good = true;
    pthread_mutex_lock(&t->mutex);
    cat_spool_source *source = t->sources[item->source];
    for (cat_segment *segment = t->first; segment && good; segment = segment->next) {
        good = !cat_segment_is_touched(segment) ||
               cat_segment_add_from(segment, item->source, source->taken);
    }
    if (good) {
        source->taken = item->position;
        source->changed = true;
    }
    pthread_mutex_unlock(&t->mutex);
    if (!good) {
        errno = ENOMEM;
        cat_spool_fault(t, "malloc");
    }
    return good;
}

/* A call has ended: what came is to be committed. */
static bool end_call(cat_spool_thread *t, const cat_ring_item *item) {
    if (item->source >= 0 && !note_source(t, item)) {
        return false;
    }
    for (cat_segment *segment = t->first; segment; segment = segment->next) {
        segment->committed = segment->now;
    }
    t->rejected->committed = t->rejected->now;
    t->committed_due = t->due;
    t->is_changed = true;
    t->uncommitted_records += t->call_records;
    t->uncommitted_bytes += t->call_bytes;
    t->call_records = t->call_bytes = 0;
    return true;
}

void cat_spool_drain(cat_spool_thread *t) {
    cat_ring_item item;
    size_t end = atomic_load(&t->ring.put);
    while (atomic_load(&t->ring.taken) != end && cat_ring_first(&t->ring, &item)) {
        if (!take_item(t, &item) || (item.commits && !end_call(t, &item))) {
            return;
        }
        t->item_offset = 0;
        cat_ring_take(&t->ring, &item);
        if (t->uncommitted_since == 0) {
            t->uncommitted_since = cat_monotonic();
        }
    }
}
