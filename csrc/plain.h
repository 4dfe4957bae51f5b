/* What of a JSON string needs no look: most of it, and the check of lines is as fast as this. */
#ifndef CAT_PLAIN_H
#define CAT_PLAIN_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* A word with `byte` in each of its eight. */
#define CAT_EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* A mark at each byte of a word that is not plain. The lowest mark is right; one above it may be
 * due to a borrow. */
static inline uint64_t cat_plain_marks(uint64_t word) {
    return (word | (word - CAT_EACH(0x20)) | ((word ^ CAT_EACH('"')) - CAT_EACH(1)) |
            ((word ^ CAT_EACH('\\')) - CAT_EACH(1))) &
           CAT_EACH(0x80);
}

#if defined(__SSE2__)
/* A bit for each of sixteen bytes that is not plain, the lowest for the first. */
static inline unsigned int cat_plain_marks_16(const unsigned char *s) {
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)s);
    __m128i marks = _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')),
                                 _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')));
    /* the bytes have signs here: what is not ASCII is less than a blank, too */
    marks = _mm_or_si128(marks, _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20)));
    return (unsigned int)_mm_movemask_epi8(marks);
}

#define CAT_HAS_PLAIN_MARKS_64 1

/* The same of sixty-four. */
static inline uint64_t cat_plain_marks_64(const unsigned char *s) {
    return (uint64_t)cat_plain_marks_16(s) | (uint64_t)cat_plain_marks_16(s + 16) << 16 |
           (uint64_t)cat_plain_marks_16(s + 32) << 32 | (uint64_t)cat_plain_marks_16(s + 48) << 48;
}
#else
#define CAT_HAS_PLAIN_MARKS_64 0
#endif

/* How many bytes from `s` on are plain: ASCII, no control character, quote or backslash. */
static inline size_t cat_plain_run(const unsigned char *s, size_t length) {
    size_t at = 0;
#if defined(__SSE2__)
    for (; at + 16 <= length; at += 16) {
        unsigned int marks = cat_plain_marks_16(s + at);
        if (marks) {
            return at + (size_t)__builtin_ctz(marks);
        }
    }
#endif
    for (; at + 8 <= length; at += 8) {
        uint64_t word;
        memcpy(&word, s + at, 8);
        uint64_t marks = cat_plain_marks(le64toh(word));
        if (marks) {
            return at + (size_t)__builtin_ctzll(marks) / 8;
        }
    }
    while (at < length && s[at] >= 0x20 && s[at] < 0x80 && s[at] != '"' && s[at] != '\\') {
        at++;
    }
    return at;
}

#endif
