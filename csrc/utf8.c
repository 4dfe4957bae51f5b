/* UTF-8: whether text is it, and where it is not. */
#include "utf8.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* How many bytes a character has that begins with this byte, which is not ASCII; 0: none does. */
static size_t character_length(unsigned char first) {
    return first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
}

/* Whether the second byte makes the first one an overlong form, a surrogate, or more than U+10FFFF.
 */
static bool out_of_range(unsigned char first, unsigned char second) {
    return (first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
           (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f);
}

size_t cat_utf8_character(const unsigned char *s, size_t left) {
    size_t count = character_length(s[0]);
    if (count == 0 || count > left) {
        return 0;
    }
    for (size_t i = 1; i < count; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return out_of_range(s[0], s[1]) ? 0 : count;
}

/* How many bytes from `s` on are ASCII. It compares eight bytes at a time. */
static size_t ascii_run(const unsigned char *s, size_t length) {
    const uint64_t tops = 0x8080808080808080u;
    size_t at = 0;
    for (; at + 8 <= length; at += 8) {
        uint64_t eight;
        memcpy(&eight, s + at, 8);
        if (eight & tops) {
            break;
        }
    }
    while (at < length && s[at] < 0x80) {
        at++;
    }
    return at;
}

size_t cat_utf8_fault(const char *text, size_t length) {
    const unsigned char *s = (const unsigned char *)text;
    for (size_t i = ascii_run(s, length); i < length; i += ascii_run(s + i, length - i)) {
        size_t count = cat_utf8_character(s + i, length - i);
        if (count == 0) {
            return i + 1;
        }
        i += count;
    }
    return 0;
}
