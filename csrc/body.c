/* Where request bytes come from, and where reply bytes go. Neither touches Lua: libcurl calls them.
 */
#include "body.h"

#include "memory.h"

#include <string.h>

static CURLcode without_body(CURL *easy, const char *method) {
    if (strcmp(method, "HEAD") == 0) {
        return curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    }
    CURLcode code = curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    if (code == CURLE_OK && strcmp(method, "GET") != 0) {
        code = curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
    }
    return code;
}

static CURLcode with_string(CURL *easy, const char *method, const cat_source *source) {
    curl_off_t length = (curl_off_t)source->length;
    CURLcode code = curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, length);
    if (code == CURLE_OK) {
        code = curl_easy_setopt(easy, CURLOPT_POSTFIELDS, source->text);
    }
    if (code == CURLE_OK && strcmp(method, "POST") != 0) {
        code = curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
    }
    return code;
}

CURLcode cat_source_attach(CURL *easy, const char *method, const cat_source *source) {
    /* What the handle's last exchange set: only HEAD and unusual methods leave anything behind. */
    CURLcode code = curl_easy_setopt(easy, CURLOPT_NOBODY, 0L);
    if (code == CURLE_OK) {
        code = curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, NULL);
    }
    if (code != CURLE_OK) {
        return code;
    }
    switch (source->kind) {
    case CAT_SOURCE_STRING:
        return with_string(easy, method, source);
    case CAT_SOURCE_NONE:
        break;
    }
    return without_body(easy, method);
}

static bool grow(cat_sink *sink, size_t needed) {
    size_t capacity = sink->capacity ? sink->capacity : 2048;
    while (capacity < needed) {
        capacity *= 2;
    }
    char *grown = cat_resize(sink->L, sink->text, sink->capacity, capacity);
    if (!grown) {
        return false;
    }
    sink->text = grown;
    sink->capacity = capacity;
    return true;
}

/* CURLOPT_WRITEFUNCTION: less than all written makes libcurl end the transfer. */
static size_t keep(char *bytes, size_t unit, size_t count, void *user) {
    cat_sink *sink = user;
    size_t size = unit * count; /* unit is always 1 */
    if (size > sink->most - sink->length) {
        sink->over = true;
        return 0;
    }
    if (size > sink->capacity - sink->length && !grow(sink, sink->length + size)) {
        sink->short_of_memory = true;
        return 0;
    }
    if (size > 0) {
        memcpy(sink->text + sink->length, bytes, size);
        sink->length += size;
    }
    return size;
}

CURLcode cat_sink_attach(CURL *easy, cat_sink *sink) {
    CURLcode code = curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, keep);
    return code == CURLE_OK ? curl_easy_setopt(easy, CURLOPT_WRITEDATA, sink) : code;
}

void cat_sink_reset(cat_sink *sink) {
    sink->length = 0;
    sink->over = sink->short_of_memory = false;
}

void cat_sink_free(cat_sink *sink) {
    if (sink->text) {
        cat_resize(sink->L, sink->text, sink->capacity, 0);
    }
    sink->text = NULL;
    sink->length = sink->capacity = 0;
}
