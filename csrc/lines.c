/* Whether a line is one JSON object. The check goes over each byte once, and eight bytes at a time
 * over what is plain in strings. */
#include "lines.h"

#include "plain.h"
#include "utf8.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define DEEPEST   1000 /* objects and arrays in one another */
#define WORD_BITS 64

/* Where it stands is no member of it: each function takes that, and gives where it came to, or
 * NULL, for it is to stay in a register. */
typedef struct {
    const unsigned char *end;
    const unsigned char *base;                /* of 64 bytes that were looked at */
    uint64_t marks;                           /* a bit for each of these that is not plain */
    const char *fault;                        /* NULL: none was found */
    size_t depth;                             /* objects and arrays that are open */
    unsigned char closing;                    /* what ends the innermost of them */
    uint64_t arrays[DEEPEST / WORD_BITS + 1]; /* a bit for each that it is in: whether it is one */
} scanner;

/* --- where it stands --- */

/* Notes why the line is none; `fault` is what is wrong unless the byte there says it better.
 * Returns NULL. */
static const unsigned char *stop(scanner *s, const unsigned char *at, const char *fault) {
    if (at == s->end) {
        fault = "it ends too early";
    } else if (*at == '\n' || *at == '\r') {
        fault = "there is a line break in it";
    } else if (*at >= 0x80 && cat_utf8_character(at, (size_t)(s->end - at)) == 0) {
        fault = "it is not UTF-8";
    }
    s->fault = fault;
    return NULL;
}

/* The end needs no look: what is there is no part of any token. Mostly there are none, and one
 * comparison says so. */
static inline const unsigned char *skip_blanks(const unsigned char *at) {
    while (*at <= ' ' && (*at == ' ' || *at == '\t')) {
        at++;
    }
    return at;
}

/* --- strings --- */

static bool is_hex(unsigned char byte) {
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f') ||
           (byte >= 'A' && byte <= 'F');
}

/* From the backslash on. Surrogates need not be pairs. */
static const unsigned char *skip_escape(scanner *s, const unsigned char *at) {
    unsigned char kind = *++at;
    if (kind == 'u') {
        for (int i = 0; i < 4; i++) {
            if (!is_hex(*++at)) {
                return stop(s, at, "there is a \\u without four hexadecimal digits in a string");
            }
        }
    } else if (kind == 0 || !strchr("\"\\/bfnrt", kind)) {
        return stop(s, at, "there is a backslash in a string before what cannot be escaped");
    }
    return at + 1;
}

/* What is not plain in a string, but for its end. */
static const unsigned char *skip_special(scanner *s, const unsigned char *at) {
    if (*at == '\\') {
        return skip_escape(s, at);
    }
    if (*at < 0x20) {
        s->fault = "there is a control character in a string";
        return NULL;
    }
    size_t count = cat_utf8_character(at, (size_t)(s->end - at));
    return count > 0 ? at + count : stop(s, at, NULL);
}

/* From the first byte on that is not plain. */
static const unsigned char *skip_rest_of_string(scanner *s, const unsigned char *at) {
    while (at && at < s->end && *at != '"') {
        at = skip_special(s, at);
        at = at ? at + cat_plain_run(at, (size_t)(s->end - at)) : NULL;
    }
    if (at == s->end) {
        s->fault = "a string in it is not finished";
        return NULL;
    }
    return at ? at + 1 : NULL;
}

/* Goes over what is plain. The next bytes are looked at 64 at once, for several strings: where one
 * ends is found without waiting for the bytes to be loaded. */
static inline const unsigned char *skip_plain(scanner *s, const unsigned char *at) {
#if CAT_HAS_PLAIN_MARKS_64
    size_t offset = (size_t)(at - s->base);
    uint64_t marks = offset < 64 ? s->marks >> offset : 0;
    if (!marks && s->end - at >= 64) {
        s->base = at;
        marks = s->marks = cat_plain_marks_64(at);
    }
    if (marks) {
        return at + __builtin_ctzll(marks);
    }
#endif
    return at + cat_plain_run(at, (size_t)(s->end - at));
}

/* From the quote on. */
static inline const unsigned char *skip_string(scanner *s, const unsigned char *at) {
    at = skip_plain(s, at + 1);
    return *at == '"' ? at + 1 : skip_rest_of_string(s, at);
}

/* --- numbers and literals --- */

static bool is_digit(unsigned char byte) {
    return byte >= '0' && byte <= '9';
}

/* At least one. */
static inline const unsigned char *skip_digits(scanner *s, const unsigned char *at) {
    if (!is_digit(*at)) {
        return stop(s, at, "a number in it lacks a digit");
    }
    do {
        at++;
    } while (is_digit(*at));
    return at;
}

static const unsigned char *skip_exponent(scanner *s, const unsigned char *at) {
    at++;
    return skip_digits(s, at + (*at == '+' || *at == '-'));
}

static inline const unsigned char *skip_number(scanner *s, const unsigned char *at) {
    at += *at == '-';
    if (*at == '0' && is_digit(at[1])) {
        return stop(s, at + 1, "a number in it begins with a zero");
    }
    at = skip_digits(s, at);
    if (at && *at == '.') {
        at = skip_digits(s, at + 1);
    }
    return at && (*at == 'e' || *at == 'E') ? skip_exponent(s, at) : at;
}

static inline const unsigned char *skip_word(scanner *s, const unsigned char *at,
                                             const char *word) {
    size_t length = strlen(word);
    if ((size_t)(s->end - at) >= length && memcmp(at, word, length) == 0) {
        return at + length;
    }
    for (; *word && *at == (unsigned char)*word; word++) {
        at++;
    }
    return stop(s, at, "a value in it is no JSON");
}

static inline const unsigned char *skip_scalar(scanner *s, const unsigned char *at) {
    switch (*at) {
    case '"':
        return skip_string(s, at);
    case 't':
        return skip_word(s, at, "true");
    case 'f':
        return skip_word(s, at, "false");
    case 'n':
        return skip_word(s, at, "null");
    default:
        break;
    }
    if (*at == '-' || is_digit(*at)) {
        return skip_number(s, at);
    }
    return stop(s, at, "a value in it is missing, or is no JSON");
}

/* --- objects and arrays --- */

/* From a bracket on. What it is in is kept as a bit. */
static inline const unsigned char *enter(scanner *s, const unsigned char *at) {
    if (s->depth == DEEPEST) {
        s->fault = "it is nested more than 1000 deep";
        return NULL;
    }
    uint64_t *word = &s->arrays[s->depth / WORD_BITS], bit = UINT64_C(1) << s->depth % WORD_BITS;
    uint64_t before = s->depth % WORD_BITS == 0 ? 0 : *word;
    *word = s->closing == ']' ? before | bit : before & ~bit;
    s->depth++;
    s->closing = *at == '[' ? ']' : '}';
    return skip_blanks(at + 1);
}

/* Goes over the end of the innermost object or array. */
static inline const unsigned char *leave(scanner *s, const unsigned char *at) {
    s->depth--;
    s->closing = s->arrays[s->depth / WORD_BITS] >> s->depth % WORD_BITS & 1 ? ']' : '}';
    return at + 1;
}

/* The name of a member, and the colon. */
static inline const unsigned char *skip_name(scanner *s, const unsigned char *at) {
    if (*at != '"') {
        return stop(s, at, "a name in double quotes is missing in it");
    }
    at = skip_string(s, at);
    if (!at) {
        return NULL;
    }
    at = skip_blanks(at);
    if (*at != ':') {
        return stop(s, at, "there is no colon behind a name in it");
    }
    return skip_blanks(at + 1);
}

/* Goes into objects and arrays as far as one begins with another, and over what is innermost. */
static inline const unsigned char *skip_value(scanner *s, const unsigned char *at) {
    while (*at == '{' || *at == '[') {
        at = enter(s, at);
        if (at && *at == s->closing) {
            return leave(s, at);
        }
        if (at && s->closing == '}') {
            at = skip_name(s, at);
        }
        if (!at) {
            return NULL;
        }
    }
    return skip_scalar(s, at);
}

/* Goes to the next value, or to the end of the outermost object. */
static inline const unsigned char *skip_to_next(scanner *s, const unsigned char *at) {
    at = skip_blanks(at);
    while (*at == s->closing) {
        at = leave(s, at);
        if (s->depth == 0) {
            return at;
        }
        at = skip_blanks(at);
    }
    if (*at != ',') {
        return stop(s, at, "a comma or a closing bracket is missing in it");
    }
    at = skip_blanks(at + 1);
    return s->closing == ']' ? at : skip_name(s, at);
}

static const unsigned char *skip_object(scanner *s, const unsigned char *at) {
    do {
        at = skip_value(s, at);
        if (at && s->depth > 0) {
            at = skip_to_next(s, at);
        }
    } while (at && s->depth > 0);
    return at;
}

/* A look at what ends there. No marks are of use behind the end. */
static scanner scanner_to(const unsigned char *end) {
    return (scanner){.end = end, .base = end};
}

const char *cat_line_fault(const char *text, size_t length) {
    static const char mark[] = "\xef\xbb\xbf";
    scanner s = scanner_to((const unsigned char *)text + length);
    if (length >= strlen(mark) && memcmp(text, mark, strlen(mark)) == 0) {
        return "it begins with a byte-order mark";
    }
    const unsigned char *at = skip_blanks((const unsigned char *)text);
    if (at == s.end) {
        return "it is empty";
    }
    if (*at != '{') {
        stop(&s, at, "it is no JSON object");
        return s.fault;
    }
    at = skip_object(&s, at);
    if (at && (at = skip_blanks(at)) < s.end) {
        stop(&s, at, "something follows the object on its line");
    }
    return s.fault;
}

const char *cat_line_end(const char *text, const char *end) {
    scanner s = scanner_to((const unsigned char *)end);
    const unsigned char *at = skip_blanks((const unsigned char *)text);
    at = *at == '{' ? skip_object(&s, at) : NULL;
    at = at ? skip_blanks(at) : NULL;
    return at && at < s.end && *at == '\n' ? (const char *)at : NULL;
}
