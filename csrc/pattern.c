/* Patterns that are a row of sets of characters. */
#include "pattern.h"

#define BITS      128
#define UNLIMITED 65535U

static bool is_in(const unsigned char *set, unsigned char byte) {
    return byte < BITS && ((unsigned)set[byte / 8] >> (byte % 8) & 1U) != 0;
}

static unsigned number_at(const unsigned char *bytes) {
    return bytes[0] | (unsigned)bytes[1] << 8;
}

bool cat_pattern_fits(const char *sets, size_t length, bool is_open, const char *text,
                      size_t size) {
    const unsigned char *set = (const unsigned char *)sets, *end = set + length;
    size_t at = 0;
    for (; set < end; set += CAT_PATTERN_SET) {
        unsigned least = number_at(set + 16), most = number_at(set + 18), count = 0;
        while (at < size && (count < most || most == UNLIMITED) &&
               is_in(set, (unsigned char)text[at])) {
            at++;
            count += count < UNLIMITED;
        }
        if (count < least) {
            return false;
        }
    }
    return is_open || at == size;
}
