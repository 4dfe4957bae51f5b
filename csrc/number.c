/* Numbers as JSON text. */
#include "number.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DIGITS 20

/* The digits of a decimal, without zeros at either end, and after how many of them its point is. */
typedef struct {
    char digits[MAX_DIGITS];
    int count, point;
} decimal;

static void strip_zeros(decimal *d) {
    while (d->count > 1 && d->digits[d->count - 1] == '0') {
        d->count--;
    }
}

/* Writes the digits of `value`; returns how many they are. */
static int write_digits(char *to, unsigned long long value) {
    char backwards[MAX_DIGITS];
    int count = 0;
    do {
        backwards[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    for (int i = 0; i < count; i++) {
        to[i] = backwards[count - 1 - i];
    }
    return count;
}

static char *append(char *to, const char *text, int length) {
    memcpy(to, text, (size_t)length);
    return to + length;
}

char *cat_number_integer(char *to, long long value) {
    if (value < 0) {
        *to++ = '-';
    }
    return to + write_digits(to, value < 0 ? 0ULL - (unsigned long long)value
                                           : (unsigned long long)value);
}

/* d.ddde-xx */
static char *write_exponent_form(char *to, const decimal *d) {
    *to++ = d->digits[0];
    if (d->count > 1) {
        *to++ = '.';
        to = append(to, d->digits + 1, d->count - 1);
    }
    *to++ = 'e';
    return cat_number_integer(to, d->point - 1);
}

/* Uses plain notation from 0.00001 to below 1e17, and an exponent beyond. */
static char *write_decimal(char *to, const decimal *d) {
    if (d->point < -4 || d->point > 17) {
        return write_exponent_form(to, d);
    }
    if (d->point <= 0) {
        to = append(to, "0.00000", 2 - d->point);
        return append(to, d->digits, d->count);
    }
    int whole = d->count < d->point ? d->count : d->point;
    to = append(to, d->digits, whole);
    for (int i = whole; i < d->point; i++) {
        *to++ = '0';
    }
    if (d->count > d->point) {
        *to++ = '.';
        to = append(to, d->digits + d->point, d->count - d->point);
    }
    return to;
}

/* Finds the shortest decimal where it has few places, as most floats that people have do: then
 * value * 10^places is a whole number that reads back as the same float, since both it and the
 * power of ten are exact. The first such is the shortest. */
static bool find_short(decimal *d, double value) {
    static const double powers[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8};
    for (int places = 0; places < (int)(sizeof powers / sizeof *powers); places++) {
        double scaled = nearbyint(value * powers[places]);
        if (scaled >= 1e15) {
            return false;
        }
        if (scaled >= 1 && scaled / powers[places] == value) {
            d->count = write_digits(d->digits, (unsigned long long)scaled);
            d->point = d->count - places;
            strip_zeros(d);
            return true;
        }
    }
    return false;
}

/* Reads the form "d.ddde+xx" of %e. */
static void read_exponent_form(decimal *d, const char *text) {
    const char *at = text + 1;
    d->count = 0;
    d->digits[d->count++] = text[0];
    if (*at == '.') {
        for (at++; *at >= '0' && *at <= '9'; at++) {
            d->digits[d->count++] = *at;
        }
    }
    d->point = (int)strtol(at + 1, NULL, 10) + 1;
    strip_zeros(d);
}

/* Whether the next decimal up reads back. The nearest one of so many digits need not be the only
 * one of that length that does: just above a power of two the floats below are twice as dense, and
 * the next decimal up may be the one. */
static bool next_up_reads_back(char *text, double value, locale_t c_locale) {
    char *exponent = strchr(text, 'e');
    char *last = exponent ? exponent - 1 : text;
    if (*last < '0' || *last >= '9') {
        return false;
    }
    ++*last;
    if (strtod_l(text, NULL, c_locale) == value) {
        return true;
    }
    --*last;
    return false;
}

/* Whether the value reads back from its decimal of so many digits, which is left in `text`. */
static bool print_exact(char *text, size_t size, double value, int digits, locale_t c_locale) {
    snprintf(text, size, "%.*e", digits - 1, value);
    return strtod_l(text, NULL, c_locale) == value || next_up_reads_back(text, value, c_locale);
}

/* Finds the shortest decimal in the general case. 17 digits always read back, and where 15 do,
 * those of shorter forms are followed by zeros; but below the normal range it tries every length.
 */
static void find_shortest(decimal *d, double value, locale_t c_locale) {
    char text[CAT_NUMBER_ROOM];
    int digits = value < DBL_MIN ? 1 : 15;
    locale_t before = uselocale(c_locale);
    while (!print_exact(text, sizeof text, value, digits, c_locale)) {
        digits++;
    }
    uselocale(before);
    read_exponent_form(d, text);
}

char *cat_number_float(char *to, double value, locale_t c_locale) {
    bool negative = signbit(value);
    if (negative) {
        *to++ = '-';
        value = -value;
    }
    if (value == 0) { /* -0 would read back as an integer, which has no sign */
        return append(to, "0.0", negative ? 3 : 1);
    }
    decimal d;
    if (!find_short(&d, value)) {
        find_shortest(&d, value, c_locale);
    }
    return write_decimal(to, &d);
}
