/* A JSON array as lines. No Lua here. */
#ifndef CAT_LINES_ARRAY_H
#define CAT_LINES_ARRAY_H

#include <stddef.h>

/* Writes the elements of a JSON array to `to`, where there is room for `length` bytes, each on a
 * line, blanks around it or not. NULL, and how many bytes were written, and how many lines; or why
 * its elements cannot be told apart. What is within an element is not checked (lines.h): one that
 * is no JSON is a line, too, and none that anybody would take for a record. */
const char *cat_array_lines(const char *text, size_t length, char *to, size_t *written,
                            size_t *count);

#endif
