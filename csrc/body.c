/* Where request bytes come from, and where reply bytes go. Neither touches Lua: libcurl calls them.
 */
#include "body.h"

#include "crc32c.h"
#include "memory.h"
#include "setopt.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What libcurl reads at a time of what is uploaded, bytes; and the least it can be told: over TLS
 * 7.88 has such a buffer for every exchange. */
#define UPLOAD_BUFFER 262144L
#define MIN_BUFFER    16384L

/* What libcurl has for what comes in, bytes, for each exchange in flight. Replies are small, and
 * thousands may be waited for at a time; files are not. */
#define REPLY_BUFFER 8192L
#define FILE_BUFFER  131072L

/* How much the headers of a reply may be together, bytes: libcurl keeps them all, and some of its
 * versions any number. The service's are a thousand or two. */
#define MAX_HEAD 262144

static CURLcode without_body(CURL *easy, const char *method) {
    CURLcode code = CURLE_OK;
    if (strcmp(method, "HEAD") == 0) {
        cat_easy_setopt(&code, easy, CURLOPT_NOBODY, 1L);
        return code;
    }
    cat_easy_setopt(&code, easy, CURLOPT_HTTPGET, 1L);
    if (strcmp(method, "GET") != 0) {
        cat_easy_setopt(&code, easy, CURLOPT_CUSTOMREQUEST, method);
    }
    return code;
}

static CURLcode with_string(CURL *easy, const char *method, const cat_source *source) {
    CURLcode code = CURLE_OK;
    cat_easy_setopt(&code, easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)source->length);
    cat_easy_setopt(&code, easy, CURLOPT_POSTFIELDS, source->text);
    if (strcmp(method, "POST") != 0) {
        cat_easy_setopt(&code, easy, CURLOPT_CUSTOMREQUEST, method);
    }
    return code;
}

/* CURLOPT_READFUNCTION */
static size_t read_cb(char *room, size_t unit, size_t count, void *user) {
    cat_source *source = user;
    size_t size = unit * count, left = source->length - source->at; /* unit is always 1 */
    size = size < left ? size : left;
    if (size == 0) {
        return 0;
    }
    if (source->kind != CAT_SOURCE_MEMORY && source->kind != CAT_SOURCE_FILE) {
        return CURL_READFUNC_ABORT; /* nothing that is fed */
    }
    if (source->kind == CAT_SOURCE_MEMORY) {
        memcpy(room, source->text + source->at, size);
        source->fed = source->at += size;
        return size;
    }
    ssize_t got = pread(source->descriptor, room, size, source->offset + (int64_t)source->at);
    if (got <= 0) {
        source->error = got < 0 ? errno : 0;
        source->ended = got == 0;
        return CURL_READFUNC_ABORT;
    }
    if (source->summed) {
        source->sum = cat_crc32c(source->sum, room, (size_t)got);
    }
    source->fed = source->at += (size_t)got;
    return (size_t)got;
}

/* CURLOPT_SEEKFUNCTION: libcurl sends again from the start, or would if it was let; until it does,
 * what has been fed counts. */
static int seek_cb(void *user, curl_off_t offset, int origin) {
    cat_source *source = user;
    if (origin != SEEK_SET || offset < 0 || (size_t)offset > source->length) {
        return CURL_SEEKFUNC_FAIL;
    }
    if (source->summed && offset != 0) {
        return CURL_SEEKFUNC_FAIL; /* of what was skipped there is no sum */
    }
    source->sum = 0;
    source->at = (size_t)offset;
    return CURL_SEEKFUNC_OK;
}

static CURLcode with_read_cb(CURL *easy, const char *method, cat_source *source) {
    CURLcode code = CURLE_OK;
    long size = source->length < UPLOAD_BUFFER ? (long)source->length : UPLOAD_BUFFER;
    cat_easy_setopt(&code, easy, CURLOPT_UPLOAD_BUFFERSIZE, size > MIN_BUFFER ? size : MIN_BUFFER);
    cat_easy_setopt(&code, easy, CURLOPT_UPLOAD, 1L);
    cat_easy_setopt(&code, easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)source->length);
    cat_easy_setopt(&code, easy, CURLOPT_READFUNCTION, read_cb);
    cat_easy_setopt(&code, easy, CURLOPT_READDATA, source);
    cat_easy_setopt(&code, easy, CURLOPT_SEEKFUNCTION, seek_cb);
    cat_easy_setopt(&code, easy, CURLOPT_SEEKDATA, source);
    if (strcmp(method, "PUT") != 0) {
        cat_easy_setopt(&code, easy, CURLOPT_CUSTOMREQUEST, method);
    }
    return code;
}

CURLcode cat_source_attach(CURL *easy, const char *method, cat_source *source) {
    /* What the handle's last exchange set: only HEAD, unusual methods and uploads leave anything
     * behind. Before 8.1.0 a POST does not end an upload by itself. */
    CURLcode code = CURLE_OK;
    cat_easy_setopt(&code, easy, CURLOPT_NOBODY, 0L);
    cat_easy_setopt(&code, easy, CURLOPT_UPLOAD, 0L);
    cat_easy_setopt(&code, easy, CURLOPT_UPLOAD_BUFFERSIZE, MIN_BUFFER);
    cat_easy_setopt(&code, easy, CURLOPT_CUSTOMREQUEST, NULL);
    if (code != CURLE_OK) {
        return code;
    }
    switch (source->kind) {
    case CAT_SOURCE_STRING:
        return with_string(easy, method, source);
    case CAT_SOURCE_MEMORY:
    case CAT_SOURCE_FILE:
        return with_read_cb(easy, method, source);
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

/* Writes all of it to the sink's file. */
static bool write_all(cat_sink *sink, const char *bytes, size_t size) {
    while (size > 0) {
        ssize_t written = write(sink->descriptor, bytes, size);
        if (written < 0 && errno != EINTR) {
            sink->error = errno;
            return false;
        }
        bytes += written > 0 ? written : 0;
        size -= written > 0 ? (size_t)written : 0;
    }
    return true;
}

bool cat_sink_empty(const cat_sink *sink, int64_t start) {
    return ftruncate(sink->descriptor, (off_t)start) == 0 &&
           lseek(sink->descriptor, (off_t)start, SEEK_SET) == (off_t)start;
}

/* Sees where a reply for a file goes, at its first byte: into memory where it is an error, which
 * must not be taken for what was asked for; and to the start of the file where it is all of it
 * instead of the range that was asked for. False: the file cannot be emptied. */
static bool place(cat_sink *sink) {
    long status = 0;
    sink->placed = true;
    if (curl_easy_getinfo(sink->easy, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK &&
        status / 100 != 2) {
        sink->descriptor = -1;
    } else if (sink->start > 0 && status != 206 && !cat_sink_empty(sink, 0)) {
        sink->error = errno;
        return false;
    }
    return true;
}

/* Whether the headers that come are not yet those of the answer (RFC 9110, 15.2). */
static bool is_interim(CURL *easy) {
    long status = 0;
    return curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK &&
           status / 100 == 1;
}

/* Looks at a line of the head, or at a piece of a long one. False: it must not get to libcurl's
 * list of headers. Once a header is in that list, what follows may do as it likes. */
static bool check_head(cat_sink *sink, const char *bytes, size_t size) {
    bool ends = bytes[size - 1] == '\n';
    if (sink->head == CAT_HEAD_STATUS_LINE) {
        sink->head = ends ? CAT_HEAD_FIRST_HEADER : CAT_HEAD_STATUS_LINE;
        return true;
    }
    if (sink->head == CAT_HEAD_FIRST_HEADER) {
        sink->bad_first_header = *bytes == ' ' || *bytes == '\t';
        bool none = *bytes == '\r' || *bytes == '\n';
        if (sink->bad_first_header || (none && is_interim(sink->easy))) {
            sink->head = CAT_HEAD_STATUS_LINE;
            return !sink->bad_first_header;
        }
        curl_easy_setopt(sink->easy, CURLOPT_HEADER, 0L);
    }
    sink->head = ends ? CAT_HEAD_BODY : CAT_HEAD_REST;
    return true;
}

/* CURLOPT_WRITEFUNCTION: less than all written makes libcurl end the transfer. */
static size_t write_cb(char *bytes, size_t unit, size_t count, void *user) {
    cat_sink *sink = user;
    size_t size = unit * count; /* unit is always 1 */
    if (sink->head != CAT_HEAD_BODY && size > 0) {
        return check_head(sink, bytes, size) ? size : 0;
    }
    if (sink->descriptor >= 0 && !sink->placed && !place(sink)) {
        return 0;
    }
    if (sink->descriptor >= 0) {
        sink->length += size;
        return write_all(sink, bytes, size) ? size : 0;
    }
    if (size > sink->max_bytes - sink->length) {
        sink->too_large = true;
        return 0;
    }
    if (size > sink->capacity - sink->length && !grow(sink, sink->length + size)) {
        sink->oom = true;
        return 0;
    }
    if (size > 0) {
        memcpy(sink->text + sink->length, bytes, size);
        sink->length += size;
    }
    return size;
}

/* CURLOPT_HEADERFUNCTION: libcurl keeps them, and they are only counted here. */
static size_t header_cb(char *bytes, size_t unit, size_t count, void *user) {
    (void)bytes;
    cat_sink *sink = user;
    size_t size = unit * count;
    sink->head_length += size;
    sink->head_too_large = sink->head_length > MAX_HEAD;
    return sink->head_too_large ? 0 : size;
}

CURLcode cat_sink_attach(CURL *easy, cat_sink *sink) {
    sink->easy = easy;
    CURLcode code = CURLE_OK;
    cat_easy_setopt(&code, easy, CURLOPT_WRITEFUNCTION, write_cb);
    cat_easy_setopt(&code, easy, CURLOPT_WRITEDATA, sink);
    cat_easy_setopt(&code, easy, CURLOPT_HEADERFUNCTION, header_cb);
    cat_easy_setopt(&code, easy, CURLOPT_HEADERDATA, sink);
    return code;
}

void cat_sink_make_room(CURL *easy, const cat_sink *sink) {
    /* Only speed depends on it: a handle whose transfer has failed keeps the buffer that it has,
     * and libcurl refuses another. */
    (void)curl_easy_setopt(easy, CURLOPT_BUFFERSIZE,
                           sink->descriptor >= 0 ? FILE_BUFFER : REPLY_BUFFER);
}

void cat_sink_reset(cat_sink *sink) {
    sink->length = 0;
    sink->descriptor = -1;
    sink->start = 0;
    sink->placed = false;
    sink->error = 0;
    sink->head_length = 0;
    sink->too_large = sink->oom = sink->bad_first_header = sink->head_too_large = false;
}

/* With CURLOPT_HEADER each line of the head is written like the body, before it is anything else.
 */
CURLcode cat_sink_check_first_header(cat_sink *sink) {
    sink->head = CAT_HEAD_STATUS_LINE;
    return curl_easy_setopt(sink->easy, CURLOPT_HEADER, 1L);
}

void cat_sink_free(cat_sink *sink) {
    if (sink->text) {
        cat_resize(sink->L, sink->text, sink->capacity, 0);
    }
    sink->text = NULL;
    sink->length = sink->capacity = 0;
}
