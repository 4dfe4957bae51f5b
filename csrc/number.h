/* Numbers as JSON text: exact, and as short as that allows. No Lua here. */
#ifndef CAT_NUMBER_H
#define CAT_NUMBER_H

#include <locale.h>

/* Room for every number, in bytes. The longest is a decimal of 17 digits with an exponent. */
#define CAT_NUMBER_ROOM 40

/* Both write a number to `to`, where there is room for CAT_NUMBER_ROOM bytes, and return the end of
 * what they wrote, which no zero byte follows. */
char *cat_number_integer(char *to, long long value);

/* `value` is finite; `c_locale` is the locale "C", in which numbers have points. What is written
 * reads back as the same float, and no shorter decimal does. */
char *cat_number_float(char *to, double value, locale_t c_locale);

#endif
