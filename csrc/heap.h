/* Deadlines, soonest first: a binary heap whose entries know their place, so that any can be taken
 * out. */
#ifndef CAT_HEAP_H
#define CAT_HEAP_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CAT_NEVER INT64_MAX

typedef struct {
    int64_t at;   /* nanoseconds of the monotonic clock */
    size_t place; /* where it is in the heap, from 1; 0: it is in none */
} cat_deadline;

typedef struct {
    cat_deadline **entries; /* entries[0] is the soonest */
    size_t count, capacity;
} cat_heap;

static inline int64_t cat_add_time(int64_t at, int64_t more) {
    return more > CAT_NEVER - at ? CAT_NEVER : at + more;
}

static inline int64_t cat_nanoseconds(double seconds) {
    return seconds >= 9e9 ? CAT_NEVER : seconds > 0 ? (int64_t)(seconds * 1e9) : 0;
}

/* When the soonest is due; CAT_NEVER when there is none. */
static inline int64_t cat_heap_next(const cat_heap *heap) {
    return heap->count ? heap->entries[0]->at : CAT_NEVER;
}

/* Makes room for one entry more. False when there is no memory. */
bool cat_heap_reserve(lua_State *L, cat_heap *heap);

/* Puts an entry in. There is room: cat_heap_reserve said so. */
void cat_heap_push(cat_heap *heap, cat_deadline *entry);

/* Takes an entry out; one that is in no heap is left alone. */
void cat_heap_remove(cat_heap *heap, cat_deadline *entry);

/* Frees what the heap holds, not the entries. */
void cat_heap_free(lua_State *L, cat_heap *heap);

#endif
