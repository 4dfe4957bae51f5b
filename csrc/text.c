/* A text that grows. */
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SMALLEST 256

static bool reserve(cat_text *text, size_t more) {
    size_t capacity = text->capacity ? text->capacity : SMALLEST;
    while (capacity - text->length < more) {
        capacity *= 2;
    }
    if (text->failed || capacity == text->capacity) {
        return !text->failed;
    }
    char *bytes = realloc(text->bytes, capacity);
    if (!bytes) {
        text->failed = true;
        return false;
    }
    text->bytes = bytes;
    text->capacity = capacity;
    return true;
}

void cat_text_add(cat_text *text, const char *bytes, size_t length) {
    if (length > 0 && reserve(text, length)) {
        memcpy(text->bytes + text->length, bytes, length);
        text->length += length;
    }
}

void cat_text_add_string(cat_text *text, const char *string) {
    cat_text_add(text, string, strlen(string));
}

void cat_text_add_number(cat_text *text, int64_t number) {
    char digits[24];
    snprintf(digits, sizeof digits, "%" PRId64, number);
    cat_text_add_string(text, digits);
}

void cat_text_empty(cat_text *text) {
    text->length = 0;
    text->failed = false;
}

void cat_text_free(cat_text *text) {
    free(text->bytes);
    *text = (cat_text){.bytes = NULL};
}
