/* An array becomes lines where it lies: its commas become line breaks, and the line breaks in it
 * blanks. */
#include "lines_array.h"

#include "plain.h"

#include <stdbool.h>
#include <string.h>

/* Stands for a line break in a string, where none may be: what was no JSON remains none. */
#define SUBSTITUTE 0x1a

typedef struct {
    unsigned char *at, *end;
} splitter;

/* The next byte; 0, which is no token, at the end. */
static unsigned char next_byte(const splitter *s) {
    return s->at < s->end ? *s->at : 0;
}

static bool is_break(unsigned char byte) {
    return byte == '\n' || byte == '\r';
}

static bool is_blank(unsigned char byte) {
    return byte == ' ' || byte == '\t' || is_break(byte);
}

static void skip_blanks(splitter *s) {
    for (; is_blank(next_byte(s)); s->at++) {
        *s->at = ' ';
    }
}

/* From the quote on; to the end, if the string has none. */
static void skip_string(splitter *s) {
    s->at++;
    for (;;) {
        s->at += cat_plain_run(s->at, (size_t)(s->end - s->at));
        if (s->at == s->end) {
            return;
        }
        unsigned char byte = *s->at;
        *s->at = is_break(byte) ? SUBSTITUTE : byte;
        s->at++;
        if (byte == '"') {
            return;
        }
        if (byte == '\\' && (next_byte(s) == '"' || next_byte(s) == '\\')) {
            s->at++;
        }
    }
}

/* Goes to the comma or bracket behind the element. Brackets are counted whatever their kind. */
static void skip_element(splitter *s) {
    size_t depth = 0;
    while (s->at < s->end) {
        unsigned char byte = *s->at;
        bool closes = byte == '}' || byte == ']';
        if (depth == 0 && (closes || byte == ',')) {
            return;
        }
        if (byte == '"') {
            skip_string(s);
            continue;
        }
        depth += byte == '{' || byte == '[';
        depth -= closes;
        *s->at = is_break(byte) ? ' ' : byte;
        s->at++;
    }
}

/* From behind the bracket on, as cat_array_lines. */
static const char *split(splitter *s, size_t *count) {
    *count = 0;
    skip_blanks(s);
    if (next_byte(s) == ']') {
        s->at++;
        return NULL;
    }
    for (unsigned char behind = ','; behind == ','; ++*count) {
        skip_blanks(s);
        const unsigned char *begin = s->at;
        skip_element(s);
        behind = next_byte(s);
        if (s->at == s->end) {
            return "the array ends too early";
        }
        if (behind == '}') {
            return "there is a bracket in the array that closes nothing";
        }
        if (s->at == begin) {
            return "an element of the array is missing";
        }
        *s->at++ = '\n';
    }
    return NULL;
}

/* The position behind the bracket that an array begins with; 0: there is none. */
static size_t opening(const char *text, size_t length) {
    size_t at = 0;
    while (at < length && is_blank((unsigned char)text[at])) {
        at++;
    }
    return at < length && text[at] == '[' ? at + 1 : 0;
}

const char *cat_array_lines(const char *text, size_t length, char *to, size_t *written,
                            size_t *count) {
    size_t begin = opening(text, length);
    if (begin == 0) {
        return "it is no JSON array";
    }
    memcpy(to, text + begin, length - begin);
    splitter s = {.at = (unsigned char *)to};
    s.end = s.at + (length - begin);
    const char *fault = split(&s, count);
    if (fault) {
        return fault;
    }
    *written = *count > 0 ? (size_t)(s.at - (unsigned char *)to) : 0;
    skip_blanks(&s);
    return s.at == s.end ? NULL : "something follows the array";
}
