/*** Whether a line of JSON surely fits a schema, without making tables of it. It knows the plain
 * part of schemas, and says no wherever it is not sure: then the Lua half looks, which knows the
 * rest and says why.
 * @module catalog.core.fits */
#include "fits.h"

#include "handle.h"
#include "lines.h"
#include "plain.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define FITS "catalog.fits"

/* Objects and arrays in one another, beyond which it is not sure. */
#define DEEPEST 64

/* Fields that an object needs, beyond which it is not sure. */
#define MOST_NEEDED 64

/* Digits of a whole number that has no other within a double's reach. */
#define MOST_DIGITS 15

typedef enum { ANY, OBJECT, ARRAY, STRING, NUMBER, INTEGER, BOOLEAN, UNSURE } kind;

static const char *const KINDS[] = {"any",     "object",  "array",  "string", "number",
                                    "integer", "boolean", "unsure", NULL};

/* A name of a field with what it leads to, or a text of an enum. The text is a string of Lua's. */
typedef struct {
    const char *text; /* NULL: the slot is free */
    size_t length;
    uint32_t node;
    uint32_t need; /* 0: it may be missing; else one more than its number among those needed */
} word;

/* What fits a value. Slots are a hash table, of a size that is a power of two. */
typedef struct {
    kind kind;
    bool is_open;       /* an object may have other fields, which `others` fits */
    bool has_words;     /* a string is one of the words */
    bool has_range;     /* of a number */
    bool has_length;    /* of a string, in characters */
    char format;        /* of a string: 't' a date and time, 'd' a date, 0 none */
    uint32_t others;    /* a node: that of the values of other fields, or of the elements */
    unsigned needed;    /* how many fields an object needs */
    size_t slots, mask; /* the first slot, and their number less one */
    double least, most;
    size_t shortest, longest;
} node;

typedef struct {
    _Alignas(node) size_t node_count; /* nodes lie behind it, and words behind those */
    node *nodes;
    word *words;
} schema;

typedef struct {
    const schema *schema;
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

/* The word, or the free slot where it would be. */
static word *slot_of(const schema *s, const node *n, const char *text, size_t length) {
    size_t at = hash_of(text, length) & n->mask;
    for (;;) {
        word *w = &s->words[n->slots + at];
        if (!w->text || (w->length == length && memcmp(w->text, text, length) == 0)) {
            return w;
        }
        at = (at + 1) & n->mask;
    }
}

/* --- walking --- */

static char peek(const walker *w) {
    return w->at < w->end ? *w->at : '\0';
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

static bool fits_string(walker *w, const node *n) {
    string s;
    if (!read_string(w, &s)) {
        return false;
    }
    bool is_checked = n->has_words || n->has_length || n->format;
    if (!is_checked || s.escaped) {
        return !is_checked;
    }
    if (n->has_length && (s.characters < n->shortest || s.characters > n->longest)) {
        return false;
    }
    if (n->has_words && !slot_of(w->schema, n, s.text, s.length)->text) {
        return false;
    }
    if (n->format == 'd') {
        return s.length == 10 && is_date(s.text);
    }
    return n->format != 't' || is_date_time(s.text, s.length);
}

/* Of a fraction the whole part is enough to tell that it is well within a range. */
static bool fits_number(walker *w, const node *n) {
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
    if (!is_whole && n->kind == INTEGER) {
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

static bool fits_field(walker *w, const node *n, unsigned depth, uint64_t *seen) {
    string name;
    if (!read_string(w, &name) || name.escaped || !take(w, ':')) {
        return false;
    }
    skip_blanks(w);
    const word *known = slot_of(w->schema, n, name.text, name.length);
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

static bool fits_object(walker *w, const node *n, unsigned depth) {
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
    return n->needed == 0 || seen == UINT64_MAX >> (MOST_NEEDED - n->needed);
}

static bool fits_array(walker *w, const node *n, unsigned depth) {
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
    const node *n = &w->schema->nodes[index];
    if (depth > DEEPEST) {
        return false;
    }
    skip_blanks(w);
    switch (n->kind) {
    case ANY:
        return skip_value(w);
    case OBJECT:
        return fits_object(w, n, depth);
    case ARRAY:
        return fits_array(w, n, depth);
    case STRING:
        return fits_string(w, n);
    case NUMBER:
    case INTEGER:
        return fits_number(w, n);
    case BOOLEAN:
        return fits_boolean(w);
    case UNSURE:
        break;
    }
    return false;
}

/* --- for Lua --- */

/*** Whether a line surely fits.
 * @function fits:check
 * @tparam string line
 * @treturn boolean false: it does not, or that is not sure */
static int fits_check(lua_State *L) {
    const schema *s = cat_handle_self(L, FITS);
    size_t length;
    const char *text = luaL_checklstring(L, 2, &length);
    walker w = {.schema = s, .at = text, .end = text + length};
    bool fits = s->node_count > 0 && cat_line_fault(text, length) == NULL && fits_value(&w, 0, 1);
    lua_pushboolean(L, fits);
    return 1;
}

static lua_Integer field_integer(lua_State *L, const char *name, lua_Integer otherwise) {
    lua_getfield(L, -1, name);
    lua_Integer value = luaL_optinteger(L, -1, otherwise);
    lua_pop(L, 1);
    return value;
}

static double field_number(lua_State *L, const char *name, double otherwise) {
    lua_getfield(L, -1, name);
    double value = luaL_optnumber(L, -1, otherwise);
    lua_pop(L, 1);
    return value;
}

static bool field_boolean(lua_State *L, const char *name) {
    lua_getfield(L, -1, name);
    bool value = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return value;
}

/* How many slots there are for so many words: at least one is free, or a search would not end. */
static size_t slots_for(size_t words) {
    size_t slots = 2;
    while (slots < 2 * words) {
        slots *= 2;
    }
    return slots;
}

/* How many words the node on top has; raises where they are no list. */
static size_t count_words(lua_State *L) {
    lua_getfield(L, -1, "words");
    luaL_checktype(L, -1, LUA_TTABLE);
    size_t count = (size_t)lua_rawlen(L, -1);
    lua_pop(L, 1);
    return count;
}

/* The number of a node; raises where there is none. */
static uint32_t check_node(lua_State *L, const schema *s, lua_Integer number) {
    luaL_argcheck(L, number >= 1 && (lua_Unsigned)number <= s->node_count, 1, "no such node");
    return (uint32_t)(number - 1);
}

/* Puts the words of the node on top, each a list of a text, a node and a number among those
 * needed, into their slots. */
static void read_words(lua_State *L, const schema *s, const node *n) {
    lua_getfield(L, -1, "words");
    size_t count = (size_t)lua_rawlen(L, -1);
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(L, -1, (lua_Integer)i);
        luaL_checktype(L, -1, LUA_TTABLE);
        lua_rawgeti(L, -1, 1);
        lua_rawgeti(L, -2, 2);
        lua_rawgeti(L, -3, 3);
        luaL_checktype(L, -3, LUA_TSTRING); /* the list keeps it, and no text made of a number */
        size_t length;
        const char *text = lua_tolstring(L, -3, &length);
        word *slot = slot_of(s, n, text, length);
        slot->node = check_node(L, s, luaL_checkinteger(L, -2));
        slot->need = (uint32_t)luaL_checkinteger(L, -1);
        luaL_argcheck(L, slot->need <= n->needed, 1, "a number beyond what is needed");
        slot->length = length;
        slot->text = text;
        lua_pop(L, 4);
    }
    lua_pop(L, 1);
}

static void read_node(lua_State *L, const schema *s, node *n, size_t slots) {
    lua_getfield(L, -1, "kind");
    n->kind = (kind)luaL_checkoption(L, -1, NULL, KINDS);
    lua_pop(L, 1);
    n->is_open = field_boolean(L, "open");
    n->has_words = field_boolean(L, "enum");
    n->has_range = field_boolean(L, "range");
    n->has_length = field_boolean(L, "length");
    n->format = (char)field_integer(L, "format", 0);
    n->others = check_node(L, s, field_integer(L, "others", 1));
    lua_Integer needed = field_integer(L, "needed", 0);
    luaL_argcheck(L, needed >= 0 && needed <= MOST_NEEDED, 1, "too many fields are needed");
    n->needed = (unsigned)needed;
    n->least = field_number(L, "least", 0);
    n->most = field_number(L, "most", 0);
    n->shortest = (size_t)field_integer(L, "shortest", 0);
    n->longest = (size_t)field_integer(L, "longest", 0);
    n->slots = slots;
    n->mask = slots_for(count_words(L)) - 1;
    read_words(L, s, n);
}

/*** Makes what checks lines.
 * @function new
 * @tparam {table,...} nodes what fits a value, the first that of a whole line: each `kind` (`any`,
 * `object`, `array`, `string`, `number`, `integer`, `boolean`, or `unsure`); `words`, a list (empty
 * where there are none) of `{ text, node, need }`: the fields of an object, of which `needed` have
 * numbers from 1 to that, others 0; or the values of a string with `enum`; `open` (true: an object
 * may have other fields) and `others`, the node of those or of elements; `range`, with `least` and
 * `most`; `length`, with `shortest` and `longest`; `format`, the byte of `t` or `d`
 * @treturn fits
 * @raise a node is none */
static int fits_new(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    size_t count = (size_t)lua_rawlen(L, 1), slots = 0;
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(L, 1, (lua_Integer)i);
        luaL_checktype(L, -1, LUA_TTABLE);
        slots += slots_for(count_words(L));
        lua_pop(L, 1);
    }
    /* all in one piece of Lua's, so that nothing has to be freed */
    schema *s = lua_newuserdatauv(L, sizeof *s + count * sizeof(node) + slots * sizeof(word), 1);
    s->node_count = count;
    s->nodes = (node *)(void *)(s + 1);
    s->words = (word *)(void *)(s->nodes + count);
    memset(s->nodes, 0, count * sizeof(node) + slots * sizeof(word));
    luaL_setmetatable(L, FITS);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, 2, 1); /* which keeps the texts */
    slots = 0;
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, 1, (lua_Integer)(i + 1));
        read_node(L, s, &s->nodes[i], slots);
        slots += s->nodes[i].mask + 1;
        lua_pop(L, 1);
    }
    return 1;
}

int cat_fits_open(lua_State *L) {
    static const luaL_Reg methods[] = {{"check", fits_check}, {NULL, NULL}};
    static const luaL_Reg events[] = {{NULL, NULL}};
    static const luaL_Reg functions[] = {{"new", fits_new}, {NULL, NULL}};
    cat_handle(L, FITS, events, methods);
    luaL_newlib(L, functions);
    return 1;
}
