/* Whether a line of JSON surely fits a schema, without making anything of it. */
#include "fits.h"

#include "lines.h"
#include "pattern.h"
#include "plain.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Objects and arrays in one another, beyond which it is not sure. */
#define DEEPEST 64

/* Digits of a whole number that has no other within a double's reach. */
#define MOST_DIGITS 15

typedef struct {
    const cat_fits *schema;
    const char *at,
        *end; /* the line is JSON: what it has is never looked at beyond its end all the same */
} walker;

/* --- words --- */

static size_t hash_of(const char *text, size_t length) {
    uint32_t value = 2166136261U;
    for (size_t i = 0; i < length; i++) {
        value = (value ^ (unsigned char)text[i]) * 16777619U;
    }
    return value ^ (value >> 15);
}

cat_fits_word *cat_fits_slot(const cat_fits *s, const cat_fits_node *n, const char *text,
                             size_t length) {
    size_t at = hash_of(text, length) & n->mask;
    for (;;) {
        cat_fits_word *w = &s->words[n->slots + at];
        if (!w->text || (w->length == length && memcmp(w->text, text, length) == 0)) {
            return w;
        }
        at = (at + 1) & n->mask;
    }
}

/* --- walking --- */

static char peek(const walker *w) {
    if (w->at == w->end) {
        return '\0';
    }
    return *w->at;
}

static void skip_blanks(walker *w) {
    while (peek(w) == ' ' || peek(w) == '\t') {
        w->at++;
    }
}

static bool take(walker *w, char wanted) {
    skip_blanks(w);
    if (peek(w) != wanted) {
        return false;
    }
    w->at++;
    return true;
}

/* A string, from its quote on: where its text begins, and how long it is. */
typedef struct {
    const char *text;
    size_t length, characters;
    bool escaped;
} string;

static bool read_string(walker *w, string *s) {
    if (!take(w, '"')) {
        return false;
    }
    *s = (string){.text = w->at};
    size_t inner = 0; /* bytes of characters that are not their first */
    while (w->at < w->end) {
        w->at += cat_plain_run((const unsigned char *)w->at, (size_t)(w->end - w->at));
        if (peek(w) == '"') {
            s->length = (size_t)(w->at - s->text);
            s->characters = s->length - inner;
            w->at++;
            return true;
        }
        if (peek(w) == '\\') {
            s->escaped = true;
            w->at++; /* and what is escaped, below */
        }
        inner += ((unsigned char)peek(w) & 0xC0U) == 0x80U;
        w->at += w->at < w->end;
    }
    return false;
}

/* A value of any kind. */
static bool skip_value(walker *w) {
    size_t depth = 0;
    string s;
    do {
        skip_blanks(w);
        char byte = peek(w);
        if (byte == '"') {
            if (!read_string(w, &s)) {
                return false;
            }
        } else if (byte == '{' || byte == '[') {
            depth++;
            w->at++;
        } else if (byte == '}' || byte == ']') {
            if (depth == 0) {
                return false;
            }
            depth--;
            w->at++;
        } else if (byte == ',' || byte == ':') {
            w->at++;
        } else {
            while (w->at < w->end && !strchr(" \t,:]}", *w->at)) {
                w->at++;
            }
        }
        skip_blanks(w);
    } while (depth > 0 && w->at < w->end);
    return depth == 0;
}

/* --- dates --- */

static int two_digits(const char *text) {
    bool fine = text[0] >= '0' && text[0] <= '9' && text[1] >= '0' && text[1] <= '9';
    return fine ? (text[0] - '0') * 10 + text[1] - '0' : -1;
}

static bool between(const char *text, int first, int last) {
    int value = two_digits(text);
    return value >= first && value <= last;
}

static bool is_date(const char *text) {
    return two_digits(text) >= 0 && two_digits(text + 2) >= 0 && text[4] == '-' &&
           between(text + 5, 1, 12) && text[7] == '-' && between(text + 8, 1, 31);
}

/* RFC 3339. */
static bool is_date_time(const char *text, size_t length) {
    if (length < 20 || !is_date(text) || (text[10] != 'T' && text[10] != 't') ||
        !between(text + 11, 0, 23) || text[13] != ':' || !between(text + 14, 0, 59) ||
        text[16] != ':' || !between(text + 17, 0, 60)) {
        return false;
    }
    size_t at = 19;
    if (text[at] == '.') {
        at++;
        while (at < length && text[at] >= '0' && text[at] <= '9') {
            at++;
        }
    }
    if (length - at == 1) {
        return text[at] == 'Z';
    }
    return length - at == 6 && (text[at] == '+' || text[at] == '-') &&
           two_digits(text + at + 1) >= 0 && text[at + 3] == ':' && two_digits(text + at + 4) >= 0;
}

/* --- values --- */

static bool fits_string(walker *w, const cat_fits_node *n) {
    string s;
    if (!read_string(w, &s)) {
        return false;
    }
    bool is_checked = n->has_words || n->has_length || n->format || n->sets;
    if (!is_checked || s.escaped) {
        return !is_checked;
    }
    if (n->has_length && (s.characters < n->shortest || s.characters > n->longest)) {
        return false;
    }
    if (n->has_words && !cat_fits_slot(w->schema, n, s.text, s.length)->text) {
        return false;
    }
    if (n->sets && !cat_pattern_fits(n->sets, n->sets_length, n->sets_are_open, s.text, s.length)) {
        return false;
    }
    if (n->format == 'd') {
        return s.length == 10 && is_date(s.text);
    }
    return n->format != 't' || is_date_time(s.text, s.length);
}

/* Of a fraction the whole part is enough to tell that it is well within a range. */
static bool fits_number(walker *w, const cat_fits_node *n) {
    double value = 0;
    int digits = 0;
    bool is_negative = peek(w) == '-', is_whole = true;
    const char *start = w->at;
    for (w->at += is_negative; w->at < w->end && !strchr(" \t,]}", *w->at); w->at++) {
        if (*w->at == '.') {
            is_whole = false;
        } else if (*w->at < '0' || *w->at > '9') {
            return false; /* an exponent, or no number at all */
        } else if (is_whole) {
            value = value * 10 + (*w->at - '0');
            digits++;
        }
    }
    if (w->at == start || digits == 0 || digits > MOST_DIGITS) {
        return false;
    }
    if (!is_whole && n->kind == CAT_FITS_INTEGER) {
        return false;
    }
    value = is_negative ? -value : value;
    double margin = is_whole ? 0 : 1;
    return !n->has_range || (value - margin >= n->least && value + margin <= n->most);
}

static bool fits_boolean(walker *w) {
    size_t left = (size_t)(w->end - w->at);
    size_t length = left >= 4 && memcmp(w->at, "true", 4) == 0    ? 4
                    : left >= 5 && memcmp(w->at, "false", 5) == 0 ? 5
                                                                  : 0;
    w->at += length;
    return length > 0;
}

static bool fits_value(walker *w, uint32_t index, unsigned depth);

/* A value below an object or an array: null is as good as nothing there. */
static bool fits_child(walker *w, uint32_t index, unsigned depth) {
    skip_blanks(w);
    return peek(w) == 'n' ? skip_value(w) : fits_value(w, index, depth + 1);
}

static bool fits_field(walker *w, const cat_fits_node *n, unsigned depth, uint64_t *seen) {
    string name;
    if (!read_string(w, &name) || name.escaped || !take(w, ':')) {
        return false;
    }
    skip_blanks(w);
    const cat_fits_word *known = cat_fits_slot(w->schema, n, name.text, name.length);
    if (!known->text) {
        return n->is_open && fits_child(w, n->others, depth);
    }
    if (known->need) {
        if (peek(w) == 'n') {
            return false; /* it is as if it were missing */
        }
        *seen |= UINT64_C(1) << (known->need - 1);
    }
    return fits_child(w, known->node, depth);
}

static bool fits_object(walker *w, const cat_fits_node *n, unsigned depth) {
    uint64_t seen = 0;
    if (!take(w, '{')) {
        return false;
    }
    if (!take(w, '}')) {
        do {
            if (!fits_field(w, n, depth, &seen)) {
                return false;
            }
        } while (take(w, ','));
        if (!take(w, '}')) {
            return false;
        }
    }
    return n->needed == 0 || seen == UINT64_MAX >> (CAT_FITS_NEEDED - n->needed);
}

static bool fits_array(walker *w, const cat_fits_node *n, unsigned depth) {
    if (!take(w, '[')) {
        return false;
    }
    if (take(w, ']')) {
        return true;
    }
    do {
        if (!fits_child(w, n->others, depth)) {
            return false;
        }
    } while (take(w, ','));
    return take(w, ']');
}

static bool fits_value(walker *w, uint32_t index, unsigned depth) {
    const cat_fits_node *n = &w->schema->nodes[index];
    if (depth > DEEPEST) {
        return false;
    }
    skip_blanks(w);
    switch (n->kind) {
    case CAT_FITS_ANY:
        return skip_value(w);
    case CAT_FITS_OBJECT:
        return fits_object(w, n, depth);
    case CAT_FITS_ARRAY:
        return fits_array(w, n, depth);
    case CAT_FITS_STRING:
        return fits_string(w, n);
    case CAT_FITS_NUMBER:
    case CAT_FITS_INTEGER:
        return fits_number(w, n);
    case CAT_FITS_BOOLEAN:
        return fits_boolean(w);
    case CAT_FITS_UNSURE:
        break;
    }
    return false;
}

bool cat_fits_line(const cat_fits *s, const char *text, size_t length) {
    walker w = {.schema = s, .at = text, .end = text + length};
    return s->node_count > 0 && cat_line_fault(text, length) == NULL && fits_value(&w, 0, 1);
}
