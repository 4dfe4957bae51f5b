/* Where request bytes come from, and where reply bytes go. Neither touches Lua: libcurl calls them.
 */
#ifndef CAT_BODY_H
#define CAT_BODY_H

#include <curl/curl.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

/* The source of a request's bytes. A kind of source is a case here and in cat_source_attach. */
typedef struct {
    enum { CAT_SOURCE_NONE, CAT_SOURCE_STRING } kind;
    const char *text; /* of a Lua string that the transfer keeps alive */
    size_t length;
} cat_source;

/* Where a reply goes: memory, up to a cap. */
typedef struct {
    lua_State *L; /* the main thread, for its allocator */
    char *text;
    size_t length, capacity;
    size_t most;                /* bytes that are kept at the most */
    bool over, short_of_memory; /* why a write was refused */
} cat_sink;

/* Makes `easy` send what `source` has, with `method`. The source outlives the exchange. */
CURLcode cat_source_attach(CURL *easy, const char *method, const cat_source *source);

/* Makes `easy` write replies into `sink`, which outlives the exchange. */
CURLcode cat_sink_attach(CURL *easy, cat_sink *sink);

/* Makes the sink ready for another reply; it keeps its memory. */
void cat_sink_reset(cat_sink *sink);

/* Frees what the sink holds. */
void cat_sink_free(cat_sink *sink);

#endif
