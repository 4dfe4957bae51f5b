/* What a spool's journal says: keys and their values, both as they stand in JSON. A line of the
 * journal is an object that changes some of them. Its memory is malloc's; no Lua here. */
#ifndef CAT_SETTINGS_H
#define CAT_SETTINGS_H

#include "text.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct cat_setting {
    struct cat_setting *next; /* of those in the same slot */
    size_t key_length, value_length;
    char bytes[]; /* the key without its quotes, and the value */
} cat_setting;

typedef struct {
    cat_setting **slots;
    size_t capacity, count;
    size_t length; /* of all keys and values */
} cat_settings;

/* Sets a key. False when there is no memory: then it is as it was. */
bool cat_settings_set(cat_settings *settings, const char *key, size_t key_length, const char *value,
                      size_t value_length);

void cat_settings_remove(cat_settings *settings, const char *key, size_t key_length);

/* The value of a key, or NULL. */
const cat_setting *cat_settings_find(const cat_settings *settings, const char *key,
                                     size_t key_length);

/* Does what an object says: sets its keys, and removes those that are null. False when it is no
 * object, or there is no memory; then some of it may have been done. */
bool cat_settings_apply(cat_settings *settings, const char *object, size_t length);

/* Whether a text is an object that `cat_settings_apply` can read, with one key at the least. */
bool cat_settings_are(const char *object, size_t length);

/* Adds all keys with their values to a text: what stands between the braces of an object. */
void cat_settings_write(const cat_settings *settings, cat_text *text);

void cat_settings_free(cat_settings *settings);

#endif
