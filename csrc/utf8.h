/* UTF-8 as RFC 3629 has it: no overlong form, no surrogate, nothing above U+10FFFF. No Lua here. */
#ifndef CAT_UTF8_H
#define CAT_UTF8_H

#include <stddef.h>

/* How many of the `left` bytes at `s`, the first of which is not ASCII, are one character; 0: they
 * begin with no UTF-8. */
size_t cat_utf8_character(const unsigned char *s, size_t left);

/* The position (from 1) of the first byte that is not UTF-8, or 0. */
size_t cat_utf8_fault(const char *text, size_t length);

#endif
