/* Patterns that are a row of sets of characters, each so many times. No Lua here. */
#ifndef CAT_PATTERN_H
#define CAT_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

/* What one set takes in a pattern, bytes: a bit for each character of ASCII, then the least number
 * of them and the most, of two bytes each, the low one first. The most of all is no limit. */
#define CAT_PATTERN_SET 20

/* Whether a text surely fits sets that lie behind one another, all of it, or its beginning where
 * `is_open`. Each set takes as many characters as it can. */
bool cat_pattern_fits(const char *sets, size_t length, bool is_open, const char *text, size_t size);

#endif
