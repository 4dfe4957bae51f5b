/* Bodies that are encoded, decoded as they come. zlib and libzstd are there or not when this is
 * built (CATALOG_ZLIB, CATALOG_ZSTD). */
#include "httpd.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#ifdef CATALOG_ZLIB
#include <zlib.h>
#endif
#ifdef CATALOG_ZSTD
#include <zstd.h>
#endif

#define PIECE 65536

/* Bytes on their way through a decoder: `position` moves. */
typedef struct {
    const char *bytes;
    size_t size, position;
} input;

/* How a coding is decoded. `run` decodes what fits into the piece, says how much that is, and
 * notes whether all that was begun has ended; false: it cannot, for the `fault`. */
typedef struct {
    const char *name, *fault;
    bool (*open)(decoder *d);
    bool (*run)(decoder *d, input *in, size_t *decoded);
    void (*close)(decoder *d);
} coding;

struct decoder {
    const coding *coding;
    bool ended;
#ifdef CATALOG_ZLIB
    z_stream zlib;
#endif
#ifdef CATALOG_ZSTD
    ZSTD_DStream *zstd;
#endif
    char piece[PIECE];
};

/* --- gzip --- */

#ifdef CATALOG_ZLIB

/* The largest window, and no other format than gzip's. */
#define GZIP_BITS (15 + 16)

static bool open_gzip(decoder *d) {
    return inflateInit2(&d->zlib, GZIP_BITS) == Z_OK;
}

/* What follows the end of one is another, as gzip has it. */
static bool run_gzip(decoder *d, input *in, size_t *decoded) {
    z_stream *z = &d->zlib;
    if (d->ended && in->position < in->size) {
        inflateReset(z);
        d->ended = false;
    }
    z->next_in = (Bytef *)(uintptr_t)(in->bytes + in->position);
    z->avail_in = (uInt)(in->size - in->position);
    z->next_out = (Bytef *)d->piece;
    z->avail_out = PIECE;
    int code = inflate(z, Z_NO_FLUSH);
    in->position = in->size - z->avail_in;
    *decoded = PIECE - z->avail_out;
    d->ended = code == Z_STREAM_END;
    return code == Z_OK || code == Z_STREAM_END || code == Z_BUF_ERROR;
}

static void close_gzip(decoder *d) {
    inflateEnd(&d->zlib);
}

#endif

/* --- zstd --- */

#ifdef CATALOG_ZSTD

/* What a content coding of zstd may ask for, 8 MiB. Source: RFC 9659. */
#define ZSTD_WINDOW 23

static bool open_zstd(decoder *d) {
    d->zstd = ZSTD_createDStream();
    return d->zstd &&
           !ZSTD_isError(ZSTD_DCtx_setParameter(d->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW));
}

static bool run_zstd(decoder *d, input *in, size_t *decoded) {
    ZSTD_inBuffer from = {in->bytes, in->size, in->position};
    ZSTD_outBuffer to = {d->piece, PIECE, 0};
    size_t left = ZSTD_decompressStream(d->zstd, &to, &from);
    if (ZSTD_isError(left)) {
        return false;
    }
    in->position = from.pos;
    *decoded = to.pos;
    d->ended = left == 0;
    return true;
}

static void close_zstd(decoder *d) {
    ZSTD_freeDStream(d->zstd);
}

#endif

/* --- all of them --- */

static const coding codings[] = {
#ifdef CATALOG_ZLIB
    {"gzip", "it is no gzip, or damaged", open_gzip, run_gzip, close_gzip},
#endif
#ifdef CATALOG_ZSTD
    {"zstd", "it is no zstd with a window of up to 8 MiB, or damaged", open_zstd, run_zstd,
     close_zstd},
#endif
    {NULL, NULL, NULL, NULL, NULL}};

static const coding *find_coding(const char *name) {
    const coding *found = codings;
    while (found->name && strcmp(found->name, name) != 0) {
        found++;
    }
    return found->name ? found : NULL;
}

decoder *decoder_new(const char *name, const char **why) {
    const coding *found = find_coding(name);
    *why = found ? NULL : "the coding was not built in";
    decoder *d = found ? calloc(1, sizeof *d) : NULL;
    if (d) {
        d->coding = found;
        if (!found->open(d)) {
            found->close(d);
            free(d);
            return NULL;
        }
    }
    return d;
}

const char *decoder_feed(decoder *d, const char *bytes, size_t size,
                         bool (*take)(void *user, const char *piece, size_t size), void *user) {
    input in = {bytes, size, 0};
    size_t decoded = 0;
    bool wanted = true;
    while (wanted && (in.position < in.size || (decoded == PIECE && !d->ended))) {
        if (!d->coding->run(d, &in, &decoded)) {
            return d->coding->fault;
        }
        wanted = decoded == 0 || take(user, d->piece, decoded);
    }
    return NULL;
}

const char *decoder_end(const decoder *d) {
    return d->ended ? NULL : "it is cut off";
}

void decoder_free(decoder *d) {
    if (d) {
        d->coding->close(d);
        free(d);
    }
}

void push_codings(lua_State *L) {
    lua_newtable(L);
    for (const coding *c = codings; c->name; c++) {
        lua_pushstring(L, c->name);
        lua_rawseti(L, -2, c - codings + 1);
    }
}
