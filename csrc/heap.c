/* Deadlines, soonest first: a binary heap whose entries know their place, so that any can be taken
 * out. */
#include "heap.h"

#include "memory.h"

bool cat_heap_reserve(lua_State *L, cat_heap *heap) {
    if (heap->count < heap->capacity) {
        return true;
    }
    size_t capacity = heap->capacity ? heap->capacity * 2 : 64;
    size_t unit = sizeof *heap->entries;
    void *grown = cat_resize(L, heap->entries, heap->capacity * unit, capacity * unit);
    if (!grown) {
        return false;
    }
    heap->entries = grown;
    heap->capacity = capacity;
    return true;
}

static void put(cat_heap *heap, size_t index, cat_deadline *entry) {
    heap->entries[index] = entry;
    entry->place = index + 1;
}

/* Finds the place of `entry`, given that `index` is free. */
static void settle(cat_heap *heap, size_t index, cat_deadline *entry) {
    while (index > 0 && entry->at < heap->entries[(index - 1) / 2]->at) {
        put(heap, index, heap->entries[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    for (;;) {
        size_t child = index * 2 + 1;
        if (child + 1 < heap->count && heap->entries[child + 1]->at < heap->entries[child]->at) {
            child++;
        }
        if (child >= heap->count || heap->entries[child]->at >= entry->at) {
            break;
        }
        put(heap, index, heap->entries[child]);
        index = child;
    }
    put(heap, index, entry);
}

void cat_heap_push(cat_heap *heap, cat_deadline *entry) {
    size_t index = heap->count++;
    heap->entries[index] = entry;
    settle(heap, index, entry);
}

void cat_heap_remove(cat_heap *heap, cat_deadline *entry) {
    if (entry->place == 0) {
        return;
    }
    size_t index = entry->place - 1;
    cat_deadline *last = heap->entries[--heap->count];
    entry->place = 0;
    if (last != entry) {
        settle(heap, index, last);
    }
}

void cat_heap_free(lua_State *L, cat_heap *heap) {
    cat_resize(L, heap->entries, heap->capacity * sizeof *heap->entries, 0);
    heap->entries = NULL;
    heap->count = heap->capacity = 0;
}
