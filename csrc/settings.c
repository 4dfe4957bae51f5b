/* What a spool's journal says. */
#include "settings.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 64

/* gcc's analyzer does not see that what is linked here has an owner. */
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 10
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

static size_t slot_of(const cat_settings *settings, const char *key, size_t length) {
    uint64_t sum = UINT64_C(14695981039346656037); /* FNV-1a */
    for (size_t i = 0; i < length; i++) {
        sum = (sum ^ (unsigned char)key[i]) * UINT64_C(1099511628211);
    }
    return (size_t)sum & (settings->capacity - 1);
}

/* Where the pointer to a key's setting is, or to where it belongs. */
static cat_setting **place_of(const cat_settings *settings, const char *key, size_t length) {
    cat_setting **place = &settings->slots[slot_of(settings, key, length)];
    while (*place &&
           ((*place)->key_length != length || memcmp((*place)->bytes, key, length) != 0)) {
        place = &(*place)->next;
    }
    return place;
}

static bool grow(cat_settings *settings) {
    cat_settings grown = *settings;
    grown.capacity = settings->capacity ? settings->capacity * 2 : FIRST_CAPACITY;
    grown.slots = calloc(grown.capacity, sizeof(cat_setting *));
    if (!grown.slots) {
        return false;
    }
    for (size_t i = 0; i < settings->capacity; i++) {
        for (cat_setting *one = settings->slots[i], *next; one; one = next) {
            next = one->next;
            size_t slot = slot_of(&grown, one->bytes, one->key_length);
            one->next = grown.slots[slot];
            grown.slots[slot] = one;
        }
    }
    free(settings->slots);
    *settings = grown;
    return true;
}

bool cat_settings_set(cat_settings *settings, const char *key, size_t key_length, const char *value,
                      size_t value_length) {
    if (settings->count >= settings->capacity && !grow(settings)) {
        return false;
    }
    cat_setting *made = malloc(sizeof *made + key_length + value_length);
    if (!made) {
        return false;
    }
    made->key_length = key_length;
    made->value_length = value_length;
    memcpy(made->bytes, key, key_length);
    memcpy(made->bytes + key_length, value, value_length);
    cat_settings_remove(settings, key, key_length);
    cat_setting **slot = &settings->slots[slot_of(settings, key, key_length)];
    made->next = *slot;
    *slot = made;
    settings->count++;
    settings->length += key_length + value_length;
    return true;
}

void cat_settings_remove(cat_settings *settings, const char *key, size_t key_length) {
    if (settings->capacity == 0) {
        return;
    }
    cat_setting **place = place_of(settings, key, key_length), *one = *place;
    if (one) {
        *place = one->next;
        settings->count--;
        settings->length -= one->key_length + one->value_length;
        free(one);
    }
}

const cat_setting *cat_settings_find(const cat_settings *settings, const char *key,
                                     size_t key_length) {
    return settings->capacity ? *place_of(settings, key, key_length) : NULL;
}

/* --- an object, as text --- */

/* The end of a string that begins at `at`: behind its last quote; NULL: it has none. */
static const char *skip_string(const char *at, const char *end) {
    for (at++; at < end && *at != '"'; at++) {
        at += *at == '\\' ? 1 : 0;
    }
    return at < end ? at + 1 : NULL;
}

/* The end of a value: the comma behind it, or the brace that ends the object. NULL: there is none.
 */
static const char *skip_value(const char *at, const char *end) {
    int depth = 0;
    while (at < end) {
        if (*at == '"') {
            at = skip_string(at, end);
            if (!at) {
                return NULL;
            }
            continue;
        }
        if (depth == 0 && (*at == ',' || *at == '}')) {
            return at;
        }
        depth += *at == '{' || *at == '[' ? 1 : 0;
        depth -= *at == '}' || *at == ']' ? 1 : 0;
        at++;
    }
    return NULL;
}

typedef struct {
    const char *key, *value;
    size_t key_length, value_length;
} pair;

/* Reads a key and its value. Gives what follows them, a comma or the last brace, or NULL. */
static const char *read_pair(const char *at, const char *end, pair *found) {
    if (at >= end || *at != '"') {
        return NULL;
    }
    found->key = at + 1;
    at = skip_string(at, end);
    if (!at || at >= end || *at != ':') {
        return NULL;
    }
    found->key_length = (size_t)(at - 1 - found->key);
    found->value = at + 1;
    at = skip_value(at + 1, end);
    found->value_length = at ? (size_t)(at - found->value) : 0;
    return found->value_length > 0 ? at : NULL;
}

static bool is_null(const pair *one) {
    return one->value_length == 4 && memcmp(one->value, "null", 4) == 0;
}

static bool change(cat_settings *settings, const pair *one) {
    if (is_null(one)) {
        cat_settings_remove(settings, one->key, one->key_length);
        return true;
    }
    return cat_settings_set(settings, one->key, one->key_length, one->value, one->value_length);
}

/* Goes through an object; without settings it is only looked at. */
static bool walk(cat_settings *settings, const char *object, size_t length) {
    const char *at = object, *end = object + length;
    if (length < 2 || *at++ != '{') {
        return false;
    }
    while (at) {
        pair one;
        at = read_pair(at, end, &one);
        if (!at || (settings && !change(settings, &one))) {
            return false;
        }
        if (*at == '}') {
            return at + 1 == end;
        }
        at++;
    }
    return false;
}

bool cat_settings_apply(cat_settings *settings, const char *object, size_t length) {
    return walk(settings, object, length);
}

bool cat_settings_are(const char *object, size_t length) {
    return walk(NULL, object, length);
}

void cat_settings_write(const cat_settings *settings, cat_text *text) {
    const char *comma = "";
    for (size_t i = 0; i < settings->capacity; i++) {
        for (const cat_setting *one = settings->slots[i]; one; one = one->next) {
            cat_text_add_string(text, comma);
            cat_text_add(text, "\"", 1);
            cat_text_add(text, one->bytes, one->key_length);
            cat_text_add(text, "\":", 2);
            cat_text_add(text, one->bytes + one->key_length, one->value_length);
            comma = ",";
        }
    }
}

void cat_settings_free(cat_settings *settings) {
    for (size_t i = 0; i < settings->capacity; i++) {
        for (cat_setting *one = settings->slots[i], *next; one; one = next) {
            next = one->next;
            free(one);
        }
    }
    free(settings->slots);
    *settings = (cat_settings){.slots = NULL};
}
