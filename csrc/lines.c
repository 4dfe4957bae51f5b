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

typedef struct {
    const unsigned char *at, *end;
    const char *fault;                        /* NULL: none was found */
    size_t depth;                             /* objects and arrays that are open */
    bool in_array;                            /* the innermost of them is an array */
    uint64_t arrays[DEEPEST / WORD_BITS + 1]; /* a bit for each that it is in: whether it is one */
} scanner;

/* --- where it stands --- */

/* Notes why the line is none; `fault` is what is wrong unless the byte there says it better.
 * Returns false. */
static bool stop(scanner *s, const char *fault) {
    if (s->at == s->end) {
        fault = "it ends too early";
    } else if (*s->at == '\n' || *s->at == '\r') {
        fault = "there is a line break in it";
    } else if (*s->at >= 0x80 && cat_utf8_character(s->at, (size_t)(s->end - s->at)) == 0) {
        fault = "it is not UTF-8";
    }
    s->fault = fault;
    return false;
}

/* The next byte; 0, which no token has in it, at the end. */
static unsigned char next_byte(const scanner *s) {
    return s->at < s->end ? *s->at : 0;
}

static void skip_blanks(scanner *s) {
    while (next_byte(s) == ' ' || next_byte(s) == '\t') {
        s->at++;
    }
}

/* --- strings --- */

static void skip_plain(scanner *s) {
    s->at += cat_plain_run(s->at, (size_t)(s->end - s->at));
}

static bool is_hex(unsigned char byte) {
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f') ||
           (byte >= 'A' && byte <= 'F');
}

/* From the backslash on. Surrogates need not be pairs. */
static bool skip_escape(scanner *s) {
    s->at++;
    unsigned char kind = next_byte(s);
    if (kind == 'u') {
        for (int i = 0; i < 4; i++) {
            s->at++;
            if (!is_hex(next_byte(s))) {
                return stop(s, "there is a \\u without four hexadecimal digits in a string");
            }
        }
    } else if (kind == 0 || !strchr("\"\\/bfnrt", kind)) {
        return stop(s, "there is a backslash in a string before what cannot be escaped");
    }
    s->at++;
    return true;
}

/* From the quote on. */
static bool skip_string(scanner *s) {
    s->at++;
    for (skip_plain(s); s->at < s->end; skip_plain(s)) {
        if (*s->at == '"') {
            s->at++;
            return true;
        }
        if (*s->at == '\\') {
            if (!skip_escape(s)) {
                return false;
            }
        } else if (*s->at < 0x20) {
            s->fault = "there is a control character in a string";
            return false;
        } else {
            size_t count = cat_utf8_character(s->at, (size_t)(s->end - s->at));
            if (count == 0) {
                return stop(s, NULL);
            }
            s->at += count;
        }
    }
    s->fault = "a string in it is not finished";
    return false;
}

/* --- numbers and literals --- */

static bool is_digit(unsigned char byte) {
    return byte >= '0' && byte <= '9';
}

/* At least one. */
static bool skip_digits(scanner *s) {
    if (!is_digit(next_byte(s))) {
        return stop(s, "a number in it lacks a digit");
    }
    do {
        s->at++;
    } while (is_digit(next_byte(s)));
    return true;
}

static bool skip_fraction(scanner *s) {
    if (next_byte(s) != '.') {
        return true;
    }
    s->at++;
    return skip_digits(s);
}

static bool skip_exponent(scanner *s) {
    if (next_byte(s) != 'e' && next_byte(s) != 'E') {
        return true;
    }
    s->at++;
    if (next_byte(s) == '+' || next_byte(s) == '-') {
        s->at++;
    }
    return skip_digits(s);
}

static bool skip_number(scanner *s) {
    s->at += *s->at == '-';
    if (next_byte(s) == '0') {
        s->at++;
        if (is_digit(next_byte(s))) {
            return stop(s, "a number in it begins with a zero");
        }
    } else if (!skip_digits(s)) {
        return false;
    }
    return skip_fraction(s) && skip_exponent(s);
}

static bool skip_word(scanner *s, const char *word) {
    for (; *word && next_byte(s) == (unsigned char)*word; word++) {
        s->at++;
    }
    return !*word || stop(s, "a value in it is no JSON");
}

static bool skip_scalar(scanner *s) {
    switch (next_byte(s)) {
    case '"':
        return skip_string(s);
    case 't':
        return skip_word(s, "true");
    case 'f':
        return skip_word(s, "false");
    case 'n':
        return skip_word(s, "null");
    default:
        break;
    }
    if (next_byte(s) == '-' || is_digit(next_byte(s))) {
        return skip_number(s);
    }
    return stop(s, "a value in it is missing, or is no JSON");
}

/* --- objects and arrays --- */

/* From a bracket on. What it is in is kept as a bit. */
static bool enter(scanner *s) {
    if (s->depth == DEEPEST) {
        s->fault = "it is nested more than 1000 deep";
        return false;
    }
    uint64_t *word = &s->arrays[s->depth / WORD_BITS], bit = UINT64_C(1) << s->depth % WORD_BITS;
    *word = s->in_array ? *word | bit : *word & ~bit;
    s->depth++;
    s->in_array = *s->at == '[';
    s->at++;
    skip_blanks(s);
    return true;
}

/* Whether the innermost object or array ends here; if so it is left. */
static bool leave(scanner *s) {
    if (next_byte(s) != (s->in_array ? ']' : '}')) {
        return false;
    }
    s->at++;
    s->depth--;
    s->in_array = s->arrays[s->depth / WORD_BITS] >> s->depth % WORD_BITS & 1;
    return true;
}

/* The name of a member, and the colon. */
static bool skip_name(scanner *s) {
    if (next_byte(s) != '"') {
        return stop(s, "a name in double quotes is missing in it");
    }
    if (!skip_string(s)) {
        return false;
    }
    skip_blanks(s);
    if (next_byte(s) != ':') {
        return stop(s, "there is no colon behind a name in it");
    }
    s->at++;
    skip_blanks(s);
    return true;
}

/* Goes into objects and arrays as far as one begins with another, and over what is innermost. */
static bool skip_value(scanner *s) {
    while (next_byte(s) == '{' || next_byte(s) == '[') {
        if (!enter(s)) {
            return false;
        }
        if (leave(s)) {
            return true;
        }
        if (!s->in_array && !skip_name(s)) {
            return false;
        }
    }
    return skip_scalar(s);
}

/* Goes to the next value, or to the end of the outermost object. */
static bool skip_to_next(scanner *s) {
    skip_blanks(s);
    while (leave(s)) {
        if (s->depth == 0) {
            return true;
        }
        skip_blanks(s);
    }
    if (next_byte(s) != ',') {
        return stop(s, "a comma or a closing bracket is missing in it");
    }
    s->at++;
    skip_blanks(s);
    return s->in_array || skip_name(s);
}

static bool skip_object(scanner *s) {
    do {
        if (!skip_value(s) || (s->depth > 0 && !skip_to_next(s))) {
            return false;
        }
    } while (s->depth > 0);
    return true;
}

const char *cat_line_fault(const char *text, size_t length) {
    static const char mark[] = "\xef\xbb\xbf";
    scanner s = {.at = (const unsigned char *)text};
    s.end = s.at + length;
    if (length >= strlen(mark) && memcmp(text, mark, strlen(mark)) == 0) {
        return "it begins with a byte-order mark";
    }
    skip_blanks(&s);
    if (s.at == s.end) {
        return "it is empty";
    }
    if (*s.at != '{') {
        stop(&s, "it is no JSON object");
    } else if (skip_object(&s)) {
        skip_blanks(&s);
        if (s.at < s.end) {
            stop(&s, "something follows the object on its line");
        }
    }
    return s.fault;
}
