/* Where request bytes come from, and where reply bytes go. Neither touches Lua: libcurl calls them.
 */
#ifndef CAT_BODY_H
#define CAT_BODY_H

#include <curl/curl.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The source of a request's bytes. A kind of source is a case here, in cat_source_attach, and in
 * what feeds libcurl. */
typedef struct {
    enum {
        CAT_SOURCE_NONE,
        CAT_SOURCE_STRING, /* small, sent by libcurl from where it is */
        CAT_SOURCE_MEMORY, /* fed to libcurl piece by piece, so that progress is seen */
        CAT_SOURCE_FILE    /* the same, from a range of a file */
    } kind;
    const char *text; /* of a Lua value that the transfer keeps alive */
    int descriptor;
    int64_t offset; /* in the file */
    size_t length;
    size_t at;    /* where in the range libcurl reads next */
    size_t fed;   /* bytes libcurl has taken */
    int error;    /* an errno: the file cannot be read */
    bool ended;   /* the file ended before the range did */
    bool summed;  /* `sum` is wanted */
    uint32_t sum; /* the CRC-32C of what libcurl has read of a file */
} cat_source;

/* Where a reply goes: memory, up to a cap; or a file. */
typedef struct {
    lua_State *L; /* the main thread, for its allocator */
    CURL *easy;   /* what writes into it */
    enum {
        CAT_HEAD_BODY,         /* what comes is the body; or what precedes it was not asked for */
        CAT_HEAD_STATUS_LINE,  /* the status line comes */
        CAT_HEAD_FIRST_HEADER, /* the line behind it comes */
        CAT_HEAD_REST          /* more of a line that was looked at comes */
    } head;
    char *text;
    size_t length, capacity;
    size_t max_bytes;   /* bytes that are kept in memory at the most */
    int descriptor;     /* -1: memory */
    int error;          /* an errno: the file cannot be written */
    int64_t start;      /* where in its file the reply begins, bytes */
    bool placed;        /* whether it is known where the reply goes */
    size_t head_length; /* of all headers so far, bytes */
    bool too_large, oom, bad_first_header, head_too_large; /* why a write was refused */
} cat_sink;

/* Makes `easy` send what `source` has, with `method`. The source outlives the exchange. */
CURLcode cat_source_attach(CURL *easy, const char *method, cat_source *source);

/* Makes `easy` write replies into `sink`, which outlives the exchange. */
CURLcode cat_sink_attach(CURL *easy, cat_sink *sink);

/* Gives `easy` the room that the next reply needs: one for a file is large. */
void cat_sink_make_room(CURL *easy, const cat_sink *sink);

/* Makes the sink ready for another reply, in memory; it keeps what it has of that. */
void cat_sink_reset(cat_sink *sink);

/* Makes the sink look at how the next reply begins, and refuse one whose first header begins with a
 * blank, which libcurl would add to the last header of the reply before. */
CURLcode cat_sink_check_first_header(cat_sink *sink);

/* Lets the sink's file end at `start`, where it is written next: a try before may have left
 * something there. False with errno set. */
bool cat_sink_empty(const cat_sink *sink, int64_t start);

/* Frees what the sink holds. */
void cat_sink_free(cat_sink *sink);

#endif
