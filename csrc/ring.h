/* Bytes from one thread to another: one puts items in, the other takes them out in the same order,
 * and neither waits for the other. No Lua here. */
#ifndef CAT_RING_H
#define CAT_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What an item is; its bytes, `length` of them, follow it. */
typedef struct {
    uint32_t length;
    uint16_t kind;
    uint16_t commits; /* 1: with it a call ends */
    uint32_t records; /* how many records are in it */
    int32_t source;   /* of a call that ends; -1: none */
    int64_t position; /* of that source */
} cat_ring_item;

/* What a processor takes from another at a time, or more. What one thread changes is kept so far
 * from what the other does, that they do not take it from each other at each item. */
#define CAT_RING_APART 128

typedef struct {
    char *bytes;
    size_t size; /* a power of two */
    char apart_1[CAT_RING_APART];
    _Atomic size_t put; /* bytes that were ever put */
    size_t seen_taken;  /* of who puts: `taken`, when it looked last */
    char apart_2[CAT_RING_APART];
    _Atomic size_t taken; /* bytes that were ever taken */
    size_t seen_put;      /* of who takes: `put`, when it looked last */
    char apart_3[CAT_RING_APART];
} cat_ring;

/* Bytes that are in it. What is put, and this look, are in one order with all other atomics: who
 * says that it sleeps and then looks, is seen to sleep by whom it has not seen. */
static inline size_t cat_ring_used(cat_ring *ring) {
    size_t taken = atomic_load_explicit(&ring->taken, memory_order_acquire);
    return atomic_load(&ring->put) - taken;
}

/* How many bytes an item may have at the most, now. 0: there is room for none, or for an empty one
 * at the most. */
size_t cat_ring_room(cat_ring *ring);

/* Whether an item of so many bytes may be put: for who puts, and looks no further than it has to.
 */
bool cat_ring_has_room(cat_ring *ring, size_t length);

/* Puts an item in whose bytes are `text` and, with `newline`, a newline. False: there is no room.
 */
bool cat_ring_put(cat_ring *ring, cat_ring_item item, const char *text, bool newline);

/* The first item, which stays. False: there is none. */
bool cat_ring_first(cat_ring *ring, cat_ring_item *item);

/* The bytes of the first item from `offset` on, as many as lie together, up to its end. */
const char *cat_ring_bytes(cat_ring *ring, const cat_ring_item *item, size_t offset,
                           size_t *length);

/* Takes the first item out. */
void cat_ring_take(cat_ring *ring, const cat_ring_item *item);

#endif
