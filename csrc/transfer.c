/*** One HTTP exchange: request, reply, timings.
 * @module catalog.core.transfer */
#include "transfer.h"

#include "buffer.h"
#include "failure.h"
#include "fault.h"
#include "file.h"
#include "handle.h"

#include <errno.h>
#include <lauxlib.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TRANSFER "catalog.transfer"

/* What a transfer keeps alive, as user values. */
enum {
    USES_CLIENT = 1,
    USES_HEADERS,
    USES_BODY,
    USES_METHOD,
    USES_URL,
    USES_INTO,
    USES_COUNT = USES_INTO
};

typedef struct {
    cat_client *client;
    cat_slot *slot;     /* NULL: closed */
    cat_buffer *buffer; /* that is being sent, or NULL; kept alive as the body */
    double seconds;     /* allowed */
} transfer;

static transfer *check_transfer(lua_State *L) {
    return luaL_checkudata(L, 1, TRANSFER);
}

/* A transfer that was started and not closed; raises for others. */
static transfer *check_open(lua_State *L) {
    transfer *t = check_transfer(L);
    luaL_argcheck(L, t->slot != NULL, 1, "the transfer is closed");
    return t;
}

static transfer *check_done(lua_State *L) {
    transfer *t = check_open(L);
    luaL_argcheck(L, t->slot->op.done, 1, "the transfer is not done");
    return t;
}

/* A proxy is given plain http one request at a time, and may close the connection after each
 * without a word; through a tunnel, of TLS, it does so only when that is idle. */
static cat_reuse reuse_of(const cat_client *client, const cat_slot *slot, const char *url) {
    if (slot->resendable) {
        return CAT_REUSE_ANY;
    }
    bool plain = strncmp(url, "http:", 5) == 0;
    return client->proxied && plain ? CAT_REUSE_NONE : CAT_REUSE_RECENT;
}

static CURLcode prepare(const cat_client *client, cat_slot *slot, const char *method,
                        const char *url, const cat_headers *headers) {
    CURL *easy = slot->op.easy;
    CURLcode code = cat_source_attach(easy, method, &slot->source);
    if (code == CURLE_OK) {
        code = cat_client_reuse(slot, reuse_of(client, slot, url));
    }
    if (code == CURLE_OK) {
        code = curl_easy_setopt(easy, CURLOPT_URL, url);
    }
    return code == CURLE_OK ? curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers->list) : code;
}

/*** Frees what the transfer holds; one in flight is given up.
 * @function transfer:close */
static int transfer_close(lua_State *L) {
    transfer *t = check_transfer(L);
    cat_slot *slot = t->slot;
    t->slot = NULL;
    if (t->buffer) {
        t->buffer->users--;
        t->buffer = NULL;
    }
    if (slot && cat_multi_remove(&slot->op)) {
        cat_client_give(t->client, slot);
    }
    return 0;
}

/* A transfer that holds nothing yet; it keeps alive what it uses of the arguments of
 * client:transfer. */
static transfer *push_closed(lua_State *L, cat_client *client) {
    transfer *t = lua_newuserdatauv(L, sizeof *t, USES_COUNT);
    static const struct {
        int use, argument;
    } kept[] = {{USES_CLIENT, 1},  {USES_METHOD, 2}, {USES_URL, 3},
                {USES_HEADERS, 4}, {USES_BODY, 5},   {USES_INTO, 10}};
    memset(t, 0, sizeof *t);
    t->client = client;
    luaL_setmetatable(L, TRANSFER);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        lua_pushvalue(L, kept[i].argument);
        lua_setiuservalue(L, -2, kept[i].use);
    }
    return t;
}

/* The range that is to be sent, of a body of `*length` bytes: gives its offset, and leaves its
 * length in `*length`; raises when there is no such range. */
static int64_t check_range(lua_State *L, int64_t *length) {
    lua_Integer offset = luaL_optinteger(L, 8, 0);
    luaL_argcheck(L, offset >= 0 && offset <= *length, 8, "beyond the end of the body");
    lua_Integer wanted = luaL_optinteger(L, 9, *length - offset);
    luaL_argcheck(L, wanted >= 0 && wanted <= *length - offset, 9, "beyond the end of the body");
    *length = wanted;
    return offset;
}

static cat_source range_of(lua_State *L, const cat_file *file) {
    int64_t length = file->size, offset = check_range(L, &length);
    luaL_argcheck(L, file->descriptor >= 0, 5, "the file is closed");
    return (cat_source){.kind = CAT_SOURCE_FILE,
                        .descriptor = file->descriptor,
                        .offset = offset,
                        .length = (size_t)length};
}

/* The source that the body at 5 is. */
static cat_source source_of(lua_State *L, transfer *t) {
    cat_source source = {.kind = CAT_SOURCE_NONE};
    const cat_file *file = luaL_testudata(L, 5, CAT_FILE);
    if (file) {
        return range_of(L, file);
    }
    t->buffer = luaL_testudata(L, 5, CAT_BUFFER);
    if (t->buffer) {
        t->buffer->users++;
        int64_t length = (int64_t)t->buffer->length, offset = check_range(L, &length);
        source.text = t->buffer->text ? t->buffer->text + offset : "";
        source.length = (size_t)length;
        source.kind = CAT_SOURCE_MEMORY;
    } else if (!lua_isnil(L, 5)) {
        luaL_checktype(L, 5, LUA_TSTRING); /* a number's text would be kept alive by nobody */
        source.text = luaL_checklstring(L, 5, &source.length);
        source.kind = lua_toboolean(L, 7) ? CAT_SOURCE_MEMORY : CAT_SOURCE_STRING;
        int64_t length = (int64_t)source.length, offset = check_range(L, &length);
        source.text += offset;
        source.length = (size_t)length;
    }
    return source;
}

/* The descriptor of the io library's file at 10, or -1 when there is none. */
static int descriptor_into(lua_State *L) {
    if (lua_isnil(L, 10)) {
        return -1;
    }
    luaL_Stream *stream = luaL_checkudata(L, 10, LUA_FILEHANDLE);
    luaL_argcheck(L, stream->closef != NULL, 10, "the file is closed");
    return fileno(stream->f);
}

/* Empties the file a reply goes to: a try before may have left something there. False with errno
 * set. */
static bool empty(int descriptor) {
    return ftruncate(descriptor, 0) == 0 && lseek(descriptor, 0, SEEK_SET) == 0;
}

static bool is_question(const char *method) {
    return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

static void fill(lua_State *L, transfer *t, const char *method) {
    cat_slot *slot = t->slot;
    slot->resendable = is_question(method);
    slot->idempotent = slot->resendable || strcmp(method, "PUT") == 0;
    slot->source = source_of(L, t);
    slot->sink.descriptor = descriptor_into(L);
    slot->op.progress = lua_toboolean(L, 7)          ? &slot->source.fed
                        : slot->sink.descriptor >= 0 ? &slot->sink.length
                                                     : NULL;
}

int cat_transfer_start(lua_State *L, cat_client *client) {
    const char *method = luaL_checkstring(L, 2);
    const char *url = luaL_checkstring(L, 3);
    const cat_headers *headers = luaL_checkudata(L, 4, CAT_HEADERS);
    lua_Number seconds = luaL_checknumber(L, 6);
    lua_settop(L, 10);
    transfer *t = push_closed(L, client);
    t->seconds = seconds;
    t->slot = cat_client_take(client);
    if (!t->slot) {
        return luaL_error(L, "not enough memory");
    }
    fill(L, t, method);
    if (t->slot->sink.descriptor >= 0 && !empty(t->slot->sink.descriptor)) {
        return cat_failure(L, "data", "the file for the reply cannot be emptied: %s",
                           strerror(errno));
    }
    CURLcode code = prepare(client, t->slot, method, url, headers);
    if (code == CURLE_OUT_OF_MEMORY) {
        return luaL_error(L, "not enough memory");
    }
    if (code != CURLE_OK) {
        return cat_failure(L, "config", "libcurl refuses %s %s: %s", method, url,
                           curl_easy_strerror(code));
    }
    int pushed = cat_engine_submit(L, client->engine, &t->slot->op, 11, seconds);
    return pushed ? pushed : 1;
}

/*** Whether the exchange is over.
 * @function transfer:done
 * @treturn boolean true also when it was closed */
static int transfer_done(lua_State *L) {
    transfer *t = check_transfer(L);
    lua_pushboolean(L, !t->slot || t->slot->op.done);
    return 1;
}

/* --- what went wrong --- */

/* Whether the server may have got the request. */
static bool sent(const cat_slot *slot) {
    long bytes = 0;
    if (slot->sends > 1) {
        return true;
    }
    curl_easy_getinfo(slot->op.easy, CURLINFO_REQUEST_SIZE, &bytes);
    return slot->sends > 0 && bytes > 0;
}

/* Whether nobody knows what became of the request. */
static bool is_ambiguous(const cat_slot *slot) {
    return !slot->idempotent && sent(slot);
}

/* 60, not 60.0; to the millisecond */
static void push_seconds(lua_State *L, double seconds) {
    seconds = round(seconds * 1000) / 1000;
    int whole;
    lua_pushnumber(L, seconds);
    lua_Integer number = lua_tointegerx(L, -1, &whole);
    if (whole) {
        lua_pushinteger(L, number);
        lua_replace(L, -2);
    }
}

/* What happened, and in libcurl's words. */
static void push_reason(lua_State *L, const transfer *t, const cat_fault *fault) {
    const char *detail =
        *t->slot->detail ? t->slot->detail : curl_easy_strerror(t->slot->op.result);
    if (t->slot->op.timed_out) {
        push_seconds(L, t->seconds);
        lua_pushfstring(L, "no answer within %s seconds", lua_tostring(L, -1));
    } else if (fault->whole) {
        lua_pushstring(L, fault->what);
    } else if (fault->of_proxy) {
        lua_getiuservalue(L, 1, USES_CLIENT);
        lua_getiuservalue(L, -1, CAT_CLIENT_PROXY);
        lua_pushfstring(L, "%s (%s: %s)", fault->what, lua_tostring(L, -1), detail);
    } else {
        lua_pushfstring(L, "%s (%s)", fault->what, detail);
    }
}

static void set_flag(lua_State *L, const char *name, bool set) {
    if (set) {
        lua_pushboolean(L, 1);
        lua_setfield(L, -2, name);
    }
}

static int push_fault(lua_State *L, transfer *t) {
    if (cat_fault_of_memory(t->slot)) {
        return luaL_error(L, "not enough memory");
    }
    cat_fault fault = cat_fault_of(t->client, t->slot);
    lua_settop(L, 1);
    lua_getiuservalue(L, 1, USES_METHOD);
    lua_getiuservalue(L, 1, USES_URL);
    push_reason(L, t, &fault);
    cat_failure(L, fault.kind, "%s %s: %s", lua_tostring(L, 2), lua_tostring(L, 3),
                lua_tostring(L, -1));
    set_flag(L, "ambiguous", is_ambiguous(t->slot));
    set_flag(L, "retryable", fault.passes);
    lua_getiuservalue(L, 1, USES_METHOD);
    lua_setfield(L, -2, "method");
    lua_getiuservalue(L, 1, USES_URL);
    lua_setfield(L, -2, "url");
    return 2;
}

/*** What came of the exchange; asked for once it is done.
 * @function transfer:reply
 * @treturn[1] integer the HTTP status
 * @treturn[1] string the body; empty when it went to a file
 * @treturn[2] nil
 * @treturn[2] table error of kind `network`, `timeout`, `tls`, `protocol`, `limit`, `cancelled`; of
 * kind `auth` or `config` when the proxy is why; with `method` and `url`, `ambiguous` when the
 * server may have acted on it, and `retryable` when the same request may succeed later
 * @raise the transfer is not done, or closed; no memory */
static int transfer_reply(lua_State *L) {
    transfer *t = check_done(L);
    long status = 0;
    cat_multi_remove(&t->slot->op);
    if (t->slot->op.result != CURLE_OK) {
        return push_fault(L, t);
    }
    curl_easy_getinfo(t->slot->op.easy, CURLINFO_RESPONSE_CODE, &status);
    lua_pushinteger(L, status);
    bool kept = t->slot->sink.descriptor < 0 && t->slot->sink.text;
    lua_pushlstring(L, kept ? t->slot->sink.text : "", kept ? t->slot->sink.length : 0);
    return 2;
}

/*** Whether the server may have acted on the request, and nobody knows; asked before a transfer in
 * flight is closed.
 * @function transfer:ambiguous
 * @treturn boolean false also for one that is done over again without harm, or closed */
static int transfer_ambiguous(lua_State *L) {
    const transfer *t = check_transfer(L);
    lua_pushboolean(L, t->slot && is_ambiguous(t->slot));
    return 1;
}

/*** A header of the reply.
 * @function transfer:header
 * @tparam string name in any case
 * @treturn ?string its value; nil when the reply has none
 * @raise the transfer is not done, or closed */
static int transfer_header(lua_State *L) {
    transfer *t = check_done(L);
    struct curl_header *header;
    const char *name = luaL_checkstring(L, 2);
    if (curl_easy_header(t->slot->op.easy, name, 0, CURLH_HEADER, -1, &header) == CURLHE_OK) {
        /* 7.88 leaves the line's end in a value that is empty */
        lua_pushlstring(L, header->value, strcspn(header->value, "\r\n"));
    } else {
        lua_pushnil(L);
    }
    return 1;
}

/*** How much of an upload has left so far.
 * @function transfer:sent
 * @treturn integer bytes; 0 for a body that is no upload */
static int transfer_sent(lua_State *L) {
    transfer *t = check_transfer(L);
    lua_pushinteger(L, t->slot ? (lua_Integer)t->slot->source.fed : 0);
    return 1;
}

/*** How long the exchange took.
 * @function transfer:seconds
 * @treturn number seconds
 * @raise the transfer is not done, or closed */
static int transfer_seconds(lua_State *L) {
    transfer *t = check_done(L);
    curl_off_t microseconds = 0;
    curl_easy_getinfo(t->slot->op.easy, CURLINFO_TOTAL_TIME_T, &microseconds);
    lua_pushnumber(L, (lua_Number)microseconds / 1e6);
    return 1;
}

static int transfer_tostring(lua_State *L) {
    transfer *t = check_transfer(L);
    lua_getiuservalue(L, 1, USES_METHOD);
    lua_getiuservalue(L, 1, USES_URL);
    lua_pushfstring(L, "catalog.transfer (%s %s, %s)", lua_tostring(L, -2), lua_tostring(L, -1),
                    !t->slot           ? "closed"
                    : t->slot->op.done ? "done"
                                       : "in flight");
    return 1;
}

void cat_transfer_setup(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"done", transfer_done},     {"reply", transfer_reply},
        {"header", transfer_header}, {"seconds", transfer_seconds},
        {"close", transfer_close},   {"ambiguous", transfer_ambiguous},
        {"sent", transfer_sent},     {NULL, NULL}};
    static const luaL_Reg events[] = {{"__gc", transfer_close},
                                      {"__close", transfer_close},
                                      {"__tostring", transfer_tostring},
                                      {NULL, NULL}};
    cat_handle(L, TRANSFER, events, methods);
}
