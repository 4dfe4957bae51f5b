/* A text that grows, for threads that have no Lua: its memory is malloc's. Once there was none it
 * has `failed`, and takes nothing more until it is emptied. */
#ifndef CAT_TEXT_H
#define CAT_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    char *bytes;
    size_t length, capacity;
    bool failed;
} cat_text;

void cat_text_add(cat_text *text, const char *bytes, size_t length);

/* Adds a text that ends with a NUL. */
void cat_text_add_string(cat_text *text, const char *string);

void cat_text_add_number(cat_text *text, int64_t number);

/* Empties it; what it has stays its own. */
void cat_text_empty(cat_text *text);

void cat_text_free(cat_text *text);

#endif
