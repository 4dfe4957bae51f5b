/* Options of libcurl's handles, several in a row: the first error stays in `*code`, and nothing is
 * set after it. Macros, for libcurl's check of a value's type to see the option. */
#ifndef CAT_SETOPT_H
#define CAT_SETOPT_H

#include <curl/curl.h>

#define cat_easy_setopt(code, easy, option, value)                                                 \
    (*(code) = *(code) == CURLE_OK ? curl_easy_setopt(easy, option, value) : *(code))

#define cat_multi_setopt(code, multi, option, value)                                               \
    (*(code) = *(code) == CURLM_OK ? curl_multi_setopt(multi, option, value) : *(code))

#endif
