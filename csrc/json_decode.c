/* JSON -> Lua value. lua-cjson, which reads what the service says, makes an object of an empty
 * array and a float of each number: fit for looking at, and not for records that go on. */
#include "json_decode.h"

#include "failure.h"
#include "plain.h"
#include "utf8.h"

#include <lauxlib.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define DEEPEST     256 /* tables in one another, as the encoder has it */
#define NUMBER_ROOM 400 /* characters of a number */

/* The text ends with a 0, which no token has, so that its end needs no look. */
typedef struct {
    lua_State *L;
    const unsigned char *begin, *at, *end;
    const char *fault; /* NULL: none was found */
    int array_tag;
    int depth;
} reader;

static bool read_value(reader *r);

static bool refuse(reader *r, const char *fault) {
    r->fault = fault;
    return false;
}

/* The same where it stands at what is wrong, which may be the end. */
static bool stop(reader *r, const char *fault) {
    return refuse(r, r->at == r->end ? "it ends too early" : fault);
}

static void skip_blanks(reader *r) {
    while (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r') {
        r->at++;
    }
}

/* --- strings --- */

/* Four hexadecimal digits; -1: they are none. */
static int read_hex(const unsigned char *at) {
    int value = 0;
    for (int i = 0; i < 4; i++) {
        int digit = at[i] >= '0' && at[i] <= '9'   ? at[i] - '0'
                    : at[i] >= 'a' && at[i] <= 'f' ? at[i] - 'a' + 10
                    : at[i] >= 'A' && at[i] <= 'F' ? at[i] - 'A' + 10
                                                   : -1;
        if (digit < 0) {
            return -1;
        }
        value = value * 16 + digit;
    }
    return value;
}

/* A character of UTF-16 behind its \u, as UTF-8. */
static bool add_unicode(reader *r, luaL_Buffer *out) {
    int32_t code = read_hex(r->at);
    if (code < 0) {
        return stop(r, "there is no character behind a \\u");
    }
    r->at += 4;
    if (code >= 0xd800 && code < 0xdc00 && r->at[0] == '\\' && r->at[1] == 'u') {
        int32_t low = read_hex(r->at + 2);
        if (low >= 0xdc00 && low < 0xe000) {
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
            r->at += 6;
        }
    }
    if (code >= 0xd800 && code < 0xe000) {
        return stop(r, "there is half a character, a surrogate alone, in it");
    }
    char bytes[4];
    size_t length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char first[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = length - 1; i > 0; i--, code >>= 6) {
        bytes[i] = (char)(0x80 | (code & 0x3f));
    }
    bytes[0] = (char)(first[length] | code);
    luaL_addlstring(out, bytes, length);
    return true;
}

static bool add_escape(reader *r, luaL_Buffer *out) {
    static const char names[] = "\"\\/bfnrt", characters[] = "\"\\/\b\f\n\r\t";
    const char *known = *++r->at ? strchr(names, *r->at) : NULL;
    if (known) {
        luaL_addchar(out, characters[known - names]);
        r->at++;
        return true;
    }
    if (*r->at != 'u') {
        return stop(r, "there is an unknown escape in a string");
    }
    r->at++;
    return add_unicode(r, out);
}

/* Goes over what needs no change, up to a quote or a backslash. */
static bool skip_plain(reader *r) {
    while (true) {
        r->at += cat_plain_run(r->at, (size_t)(r->end - r->at));
        if (*r->at < 0x80) {
            break;
        }
        size_t length = cat_utf8_character(r->at, (size_t)(r->end - r->at));
        if (length == 0) {
            return stop(r, "it is not UTF-8");
        }
        r->at += length;
    }
    return *r->at == '"' || *r->at == '\\' || stop(r, "there is a control character in a string");
}

/* From the quote on. Most strings have no escape. */
static bool read_string(reader *r) {
    luaL_Buffer out;
    const char *from = (const char *)++r->at;
    if (!skip_plain(r)) {
        return false;
    }
    if (*r->at == '"') {
        lua_pushlstring(r->L, from, (size_t)((const char *)r->at - from));
        r->at++;
        return true;
    }
    luaL_buffinit(r->L, &out);
    while (*r->at == '\\') {
        luaL_addlstring(&out, from, (size_t)((const char *)r->at - from));
        if (!add_escape(r, &out)) {
            return false;
        }
        from = (const char *)r->at;
        if (!skip_plain(r)) {
            return false;
        }
    }
    luaL_addlstring(&out, from, (size_t)((const char *)r->at - from));
    luaL_pushresult(&out);
    r->at++;
    return true;
}

/* --- numbers --- */

static bool is_digit(unsigned char byte) {
    return byte >= '0' && byte <= '9';
}

static bool skip_digits(reader *r) {
    if (!is_digit(*r->at)) {
        return stop(r, "a number in it has no digit where it needs one");
    }
    while (is_digit(*r->at)) {
        r->at++;
    }
    return true;
}

/* Goes over a number as RFC 8259 has it. */
static bool skip_number(reader *r) {
    r->at += *r->at == '-';
    if (*r->at == '0') {
        r->at++;
    } else if (!skip_digits(r)) {
        return false;
    }
    if (*r->at == '.') {
        r->at++;
        if (!skip_digits(r)) {
            return false;
        }
    }
    if (*r->at == 'e' || *r->at == 'E') {
        r->at++;
        r->at += *r->at == '+' || *r->at == '-';
        return skip_digits(r);
    }
    return true;
}

/* Makes an integer of a float on top that is a whole number, where that is exact. */
static void make_whole(lua_State *L) {
    double value = lua_tonumber(L, -1);
    bool is_whole = fabs(value) < 9007199254740992.0 && trunc(value) == value;
    if (is_whole && !(value == 0 && signbit(value))) {
        lua_pushinteger(L, (lua_Integer)value);
        lua_remove(L, -2);
    }
}

static bool read_number(reader *r) {
    char text[NUMBER_ROOM];
    const unsigned char *from = r->at;
    if (!skip_number(r)) {
        return false;
    }
    size_t length = (size_t)(r->at - from);
    if (length >= sizeof text) {
        return refuse(r, "a number in it is too long");
    }
    memcpy(text, from, length);
    text[length] = '\0';
    if (strcmp(text, "-0") == 0) {
        lua_pushnumber(r->L, -0.0);
        return true;
    }
    if (lua_stringtonumber(r->L, text) == 0) { /* in any locale; what has too many digits is none */
        return refuse(r, "a number in it cannot be read");
    }
    if (!lua_isinteger(r->L, -1)) {
        if (!isfinite(lua_tonumber(r->L, -1))) {
            return refuse(r, "a number in it is too large");
        }
        make_whole(r->L);
    }
    return true;
}

/* --- what has others in it --- */

static bool enter(reader *r) {
    if (++r->depth > DEEPEST) {
        return stop(r, "there are more than 256 arrays and objects in one another");
    }
    luaL_checkstack(r->L, 6, "JSON that is nested so deeply");
    lua_newtable(r->L);
    r->at++;
    skip_blanks(r);
    return true;
}

/* Behind a member: whether there is another. */
static bool is_next(reader *r, unsigned char closing) {
    skip_blanks(r);
    if (*r->at == ',') {
        r->at++;
        skip_blanks(r);
        return true;
    }
    if (*r->at == closing) {
        r->at++;
        r->depth--;
        return false;
    }
    return stop(r, "there is neither a comma nor an end behind a value in it");
}

static bool read_array(reader *r) {
    if (!enter(r)) {
        return false;
    }
    lua_pushvalue(r->L, r->array_tag);
    lua_setmetatable(r->L, -2);
    if (*r->at == ']') {
        r->at++;
        r->depth--;
        return true;
    }
    lua_Integer count = 0;
    do {
        if (!read_value(r)) {
            return false;
        }
        lua_rawseti(r->L, -2, ++count);
    } while (is_next(r, ']'));
    return !r->fault;
}

static bool read_member(reader *r) {
    if (*r->at != '"') {
        return stop(r, "there is no name where an object needs one");
    }
    if (!read_string(r)) {
        return false;
    }
    skip_blanks(r);
    if (*r->at != ':') {
        return stop(r, "there is no colon behind a name in it");
    }
    r->at++;
    skip_blanks(r);
    if (!read_value(r)) {
        return false;
    }
    lua_rawset(r->L, -3);
    return true;
}

static bool read_object(reader *r) {
    if (!enter(r)) {
        return false;
    }
    if (*r->at == '}') {
        r->at++;
        r->depth--;
        return true;
    }
    do {
        if (!read_member(r)) {
            return false;
        }
    } while (is_next(r, '}'));
    return !r->fault;
}

static bool read_word(reader *r, const char *word) {
    size_t length = strlen(word);
    if ((size_t)(r->end - r->at) < length || memcmp(r->at, word, length) != 0) {
        return stop(r, "there is no value where it needs one");
    }
    r->at += length;
    return true;
}

/* Pushes a value; where it is none what was pushed stays, and goes with all else. */
static bool read_value(reader *r) {
    switch (*r->at) {
    case '"':
        return read_string(r);
    case '{':
        return read_object(r);
    case '[':
        return read_array(r);
    case 't':
        lua_pushboolean(r->L, 1);
        return read_word(r, "true");
    case 'f':
        lua_pushboolean(r->L, 0);
        return read_word(r, "false");
    case 'n':
        lua_pushlightuserdata(r->L, NULL);
        return read_word(r, "null");
    default:
        return *r->at == '-' || is_digit(*r->at) ? read_number(r)
                                                 : stop(r, "there is no value where it needs one");
    }
}

int cat_json_decode_exact(lua_State *L, int index, int array_tag) {
    size_t length;
    const char *text = lua_tolstring(L, index, &length);
    const unsigned char *bytes = (const unsigned char *)text;
    reader r = {.L = L, .begin = bytes, .at = bytes, .end = bytes + length, .array_tag = array_tag};
    luaL_checkstack(L, 6, "JSON");
    skip_blanks(&r);
    bool good = read_value(&r);
    if (good) {
        skip_blanks(&r);
        good = r.at == r.end || stop(&r, "there is something behind it");
    }
    if (good) {
        return 1;
    }
    size_t place = (size_t)(r.at - r.begin) + (r.at < r.end);
    lua_settop(L, array_tag);
    return cat_failure(L, "data", "it is not JSON: %s (byte %I of %I)", r.fault, (LUAI_UACINT)place,
                       (LUAI_UACINT)length);
}
