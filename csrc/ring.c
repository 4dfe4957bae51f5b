/* Bytes from one thread to another. */
#include "ring.h"

#include <string.h>

/* What an item takes: it begins where a number may. */
static size_t whole(size_t length) {
    return sizeof(cat_ring_item) + ((length + 7) & ~(size_t)7);
}

static void copy_in(const cat_ring *ring, size_t at, const void *from, size_t length) {
    size_t place = at & (ring->size - 1), first = ring->size - place;
    first = first < length ? first : length;
    memcpy(ring->bytes + place, from, first);
    memcpy(ring->bytes, (const char *)from + first, length - first);
}

static void copy_out(const cat_ring *ring, size_t at, void *to, size_t length) {
    size_t place = at & (ring->size - 1), first = ring->size - place;
    first = first < length ? first : length;
    memcpy(to, ring->bytes + place, first);
    memcpy((char *)to + first, ring->bytes, length - first);
}

size_t cat_ring_room(cat_ring *ring) {
    size_t left = ring->size - cat_ring_used(ring);
    return left > sizeof(cat_ring_item) ? left - sizeof(cat_ring_item) : 0;
}

bool cat_ring_has_room(cat_ring *ring, size_t length) {
    size_t put = atomic_load_explicit(&ring->put, memory_order_relaxed);
    if (ring->size - (put - ring->seen_taken) >= whole(length)) {
        return true;
    }
    ring->seen_taken = atomic_load_explicit(&ring->taken, memory_order_acquire);
    return ring->size - (put - ring->seen_taken) >= whole(length);
}

bool cat_ring_put(cat_ring *ring, cat_ring_item item, const char *text, bool newline) {
    size_t put = atomic_load_explicit(&ring->put, memory_order_relaxed);
    size_t length = item.length, place = put & (ring->size - 1);
    item.length += newline ? 1 : 0;
    if (!cat_ring_has_room(ring, item.length)) {
        return false;
    }
    if (ring->size - place >= whole(item.length)) { /* it lies together */
        char *to = ring->bytes + place;
        memcpy(to, &item, sizeof item);
        memcpy(to + sizeof item, text, length);
        if (newline) {
            to[sizeof item + length] = '\n';
        }
    } else {
        copy_in(ring, put, &item, sizeof item);
        copy_in(ring, put + sizeof item, text, length);
        copy_in(ring, put + sizeof item + length, "\n", newline ? 1 : 0);
    }
    atomic_store(&ring->put, put + whole(item.length));
    return true;
}

bool cat_ring_first(cat_ring *ring, cat_ring_item *item) {
    size_t taken = atomic_load_explicit(&ring->taken, memory_order_relaxed);
    if (ring->seen_put == taken) {
        ring->seen_put = atomic_load(&ring->put);
        if (ring->seen_put == taken) {
            return false;
        }
    }
    copy_out(ring, taken, item, sizeof *item);
    return true;
}

const char *cat_ring_bytes(cat_ring *ring, const cat_ring_item *item, size_t offset,
                           size_t *length) {
    size_t taken = atomic_load_explicit(&ring->taken, memory_order_relaxed);
    size_t place = (taken + sizeof *item + offset) & (ring->size - 1);
    size_t left = item->length - offset, together = ring->size - place;
    *length = left < together ? left : together;
    return ring->bytes + place;
}

void cat_ring_take(cat_ring *ring, const cat_ring_item *item) {
    size_t taken = atomic_load_explicit(&ring->taken, memory_order_relaxed);
    atomic_store_explicit(&ring->taken, taken + whole(item->length), memory_order_release);
}
