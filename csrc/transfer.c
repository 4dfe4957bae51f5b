/*** One HTTP exchange: request, reply, timings.
 * @module catalog.core.transfer */
#include "transfer.h"

#include "buffer.h"
#include "client.h"
#include "crc32c.h"
#include "engine.h"
#include "failure.h"
#include "fault.h"
#include "file.h"
#include "handle.h"
#include "memory.h"
#include "setopt.h"

#include <errno.h>
#include <lauxlib.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TRANSFER "catalog.transfer"

/* What a transfer keeps alive, as user values: also what is in the request, which may be changed
 * before the transfer is done. */
enum { USES_CLIENT = 1, USES_REQUEST, USES_HEADERS, USES_BODY, USES_INTO, USES_COUNT = USES_INTO };

/* Where things are on the stack while a transfer is started. */
enum { AT_CLIENT = 1, AT_REQUEST, AT_HEADERS, AT_SECONDS, AT_TRANSFER };

typedef struct {
    cat_client *client;
    cat_easy *easy;     /* NULL: closed */
    cat_buffer *buffer; /* that is being sent, or NULL; kept alive as the body */
    double seconds;     /* allowed */
} transfer;

static transfer *check_transfer(lua_State *L) {
    return cat_handle_self(L, TRANSFER);
}

/* A transfer that was started and not closed; raises for others. */
static transfer *check_open(lua_State *L) {
    transfer *t = check_transfer(L);
    luaL_argcheck(L, t->easy != NULL, 1, "the transfer is closed");
    return t;
}

static transfer *check_done(lua_State *L) {
    transfer *t = check_open(L);
    luaL_argcheck(L, t->easy->op.done, 1, "the transfer is not done");
    return t;
}

/*** Frees what the transfer holds; one in flight is given up.
 * @function transfer:close */
static int transfer_close(lua_State *L) {
    transfer *t = check_transfer(L);
    cat_easy *easy = t->easy;
    t->easy = NULL;
    if (t->buffer) {
        t->buffer->users--;
        t->buffer = NULL;
    }
    if (easy && cat_multi_remove(&easy->op)) {
        cat_easy_release(&t->client->pool, easy);
    }
    return 0;
}

/* --- the request --- */

static _Noreturn void bad_field(lua_State *L, const char *name, const char *what) {
    luaL_error(L, "bad request: %s: %s", name, what);
    __builtin_unreachable(); /* luaL_error does not return, but is not declared so */
}

/* Pushes a text of the request. */
static const char *check_text(lua_State *L, const char *name) {
    if (lua_getfield(L, AT_REQUEST, name) != LUA_TSTRING) {
        bad_field(L, name, "string expected");
    }
    return lua_tostring(L, -1);
}

static lua_Integer opt_integer(lua_State *L, const char *name, lua_Integer otherwise) {
    int is_integer = lua_getfield(L, AT_REQUEST, name) == LUA_TNIL;
    lua_Integer value = is_integer ? otherwise : lua_tointegerx(L, -1, &is_integer);
    if (!is_integer) {
        bad_field(L, name, "integer expected");
    }
    lua_pop(L, 1);
    return value;
}

static bool has_flag(lua_State *L, const char *name) {
    lua_getfield(L, AT_REQUEST, name);
    bool set = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return set;
}

/* Narrows a source of `size` bytes to the range that is to be sent. */
static void set_range(lua_State *L, cat_source *source, int64_t size) {
    lua_Integer offset = opt_integer(L, "offset", 0);
    if (offset < 0 || offset > size) {
        bad_field(L, "offset", "beyond the end of the body");
    }
    lua_Integer length = opt_integer(L, "length", size - offset);
    if (length < 0 || length > size - offset) {
        bad_field(L, "length", "beyond the end of the body");
    }
    source->offset = offset;
    source->length = (size_t)length;
}

/* The source that a file or a buffer on the top of the stack is; raises for others. */
static cat_source source_of_handle(lua_State *L, transfer *t) {
    const cat_file *file = luaL_testudata(L, -1, CAT_FILE);
    cat_source source = {.kind = CAT_SOURCE_FILE};
    if (file) {
        if (file->descriptor < 0) {
            bad_field(L, "body", "the file is closed");
        }
        source.descriptor = file->descriptor;
        source.summed = has_flag(L, "summed");
        set_range(L, &source, file->size);
        return source;
    }
    t->buffer = luaL_testudata(L, -1, CAT_BUFFER);
    if (!t->buffer) {
        bad_field(L, "body", "string expected, or a file or a buffer");
    }
    t->buffer->users++;
    source.kind = CAT_SOURCE_MEMORY;
    set_range(L, &source, (int64_t)t->buffer->length);
    source.text = t->buffer->text ? t->buffer->text + source.offset : "";
    return source;
}

/* The source that the body of the request is, which the transfer keeps alive. */
static cat_source source_of(lua_State *L, transfer *t, bool upload) {
    cat_source source = {.kind = CAT_SOURCE_NONE};
    int type = lua_getfield(L, AT_REQUEST, "body");
    if (type == LUA_TSTRING) {
        source.kind = CAT_SOURCE_STRING;
        source.text = lua_tolstring(L, -1, &source.length);
        if (upload) {
            source.kind = CAT_SOURCE_MEMORY;
            set_range(L, &source, (int64_t)source.length);
            source.text += source.offset;
        }
    } else if (type != LUA_TNIL) {
        source = source_of_handle(L, t);
    }
    lua_setiuservalue(L, AT_TRANSFER, USES_BODY);
    return source;
}

/* The descriptor of the file of the io library that the reply goes into, which the transfer keeps
 * alive; -1 when there is none. */
static int descriptor_into(lua_State *L) {
    if (lua_getfield(L, AT_REQUEST, "into") == LUA_TNIL) {
        lua_pop(L, 1);
        return -1;
    }
    int descriptor = -1;
    const luaL_Stream *stream = luaL_testudata(L, -1, LUA_FILEHANDLE);
    if (stream && stream->closef) {
        descriptor = fileno(stream->f);
    } else {
        bad_field(L, "into", "open file expected");
    }
    lua_setiuservalue(L, AT_TRANSFER, USES_INTO);
    return descriptor;
}

/* A proxy is given plain http one request at a time, and may close the connection after each
 * without a word; through a tunnel, of TLS, it does so only when that is idle. */
static cat_reuse reuse_of(const cat_easy *easy, const char *url) {
    if (easy->resendable) {
        return CAT_REUSE_ANY;
    }
    bool plain = strncmp(url, "http:", 5) == 0;
    return easy->proxy && plain ? CAT_REUSE_NONE : CAT_REUSE_RECENT;
}

/* Makes the handle ready for the request, of which `method` and `url` are a part. */
static CURLcode prepare(transfer *t, const char *method, const char *url,
                        const cat_headers *headers) {
    cat_easy *easy = t->easy;
    CURL *handle = easy->op.easy;
    CURLcode code = cat_source_attach(handle, method, &easy->source);
    cat_sink_make_room(handle, &easy->sink);
    if (code == CURLE_OK) {
        code = cat_easy_set_url(&t->client->pool, easy, url);
    }
    if (code == CURLE_OK) {
        code = cat_easy_set_reuse(easy, reuse_of(easy, url));
    }
    cat_easy_setopt(&code, handle, CURLOPT_HTTPHEADER, headers->list);
    return code;
}

static void read_request(lua_State *L, transfer *t, const char *method) {
    cat_easy *easy = t->easy;
    bool upload = has_flag(L, "upload");
    easy->resendable = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    easy->idempotent = easy->resendable || strcmp(method, "PUT") == 0;
    easy->source = source_of(L, t, upload);
    easy->sink.descriptor = descriptor_into(L);
    easy->sink.start = opt_integer(L, "into_offset", 0);
    if (easy->sink.start < 0) {
        bad_field(L, "into_offset", "0 or more expected");
    }
    easy->op.progress = upload                       ? &easy->source.fed
                        : easy->sink.descriptor >= 0 ? &easy->sink.length
                                                     : NULL;
}

/* Pushes a transfer that holds nothing yet; it keeps alive what it was started with. */
static transfer *push_closed(lua_State *L, cat_client *client) {
    static const int kept[][2] = {
        {AT_CLIENT, USES_CLIENT}, {AT_REQUEST, USES_REQUEST}, {AT_HEADERS, USES_HEADERS}};
    transfer *t = lua_newuserdatauv(L, sizeof *t, USES_COUNT);
    *t = (transfer){.client = client};
    luaL_setmetatable(L, TRANSFER);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        lua_pushvalue(L, kept[i][0]);
        lua_setiuservalue(L, AT_TRANSFER, kept[i][1]);
    }
    return t;
}

/*** Submits one exchange.
 * @function start
 * @tparam client client
 * @tparam table request `method`; `url`, whole and encoded; `body` (a string, buffer or file, or
 * nil); `upload` (true: the body may be large, and the time allowed is that for standing still),
 * and with it `offset` and `length` of the range that is sent of the body, bytes (default: all of
 * it), and `summed` (true: of a file a checksum is made on the way); `into`, a file of Lua's io
 * library, open for writing, that is emptied and takes the body of a success; `into_offset`: what
 * of that file is kept, bytes (default 0), behind which the reply goes where it has the status 206
 * @tparam headers headers of `core.client.headers`
 * @tparam number seconds until the exchange is given up
 * @treturn[1] transfer in flight
 * @treturn[2] nil
 * @treturn[2] table error of kind `config`, `cancelled`, or `data`: `into` cannot be emptied
 * @raise a field is missing or has a wrong type; no memory */
static int transfer_start(lua_State *L) {
    cat_client *client = luaL_checkudata(L, AT_CLIENT, CAT_CLIENT);
    luaL_checktype(L, AT_REQUEST, LUA_TTABLE);
    const cat_headers *headers = luaL_checkudata(L, AT_HEADERS, CAT_HEADERS);
    lua_Number seconds = luaL_checknumber(L, AT_SECONDS);
    lua_settop(L, AT_SECONDS);
    if (!client->pool.template_easy) {
        return cat_failure(L, "cancelled", "the client is closed");
    }
    transfer *t = push_closed(L, client);
    t->seconds = seconds;
    const char *method = check_text(L, "method"), *url = check_text(L, "url");
    t->easy = cat_easy_acquire(&client->pool);
    if (!t->easy) {
        return cat_oom(L);
    }
    read_request(L, t, method);
    const cat_sink *sink = &t->easy->sink;
    if (sink->descriptor >= 0 && !cat_sink_empty(sink, sink->start)) {
        return cat_failure(L, "data", "the file for the reply cannot be emptied: %s",
                           strerror(errno));
    }
    CURLcode code = prepare(t, method, url, headers);
    if (code == CURLE_OUT_OF_MEMORY) {
        return cat_oom(L);
    }
    if (code != CURLE_OK) {
        return cat_failure(L, "config", "libcurl refuses %s %s: %s", method, url,
                           curl_easy_strerror(code));
    }
    lua_settop(L, AT_TRANSFER);
    int pushed = cat_engine_submit(L, client->pool.multi, &t->easy->op, AT_TRANSFER, t->seconds);
    return pushed ? pushed : 1;
}

/*** Whether the exchange is over.
 * @function transfer:done
 * @treturn boolean true also when it was closed */
static int transfer_done(lua_State *L) {
    transfer *t = check_transfer(L);
    lua_pushboolean(L, !t->easy || t->easy->op.done);
    return 1;
}

/*** Lets all transfers in flight go on until this one is done, or a signal arrives: for where
 * nobody else has anything to do meanwhile.
 * @function transfer:wait
 * @treturn boolean whether it is done
 * @raise as `engine:step` */
static int transfer_wait(lua_State *L) {
    transfer *t = check_transfer(L);
    bool done = !t->easy || cat_engine_wait(L, t->client->pool.multi, &t->easy->op);
    lua_pushboolean(L, done);
    return 1;
}

/*** The checksum of what was sent of a file, where the request has `summed`.
 * @function transfer:checksum
 * @treturn string CRC-32C, eight hexadecimal digits */
static int transfer_checksum(lua_State *L) {
    char digits[8];
    cat_crc32c_print(digits, check_done(L)->easy->source.sum);
    lua_pushlstring(L, digits, sizeof digits);
    return 1;
}

/* --- what went wrong --- */

/* Whether the server may have got the request. */
static bool sent(const cat_easy *easy) {
    long bytes = 0;
    if (easy->sends > 1) {
        return true;
    }
    curl_easy_getinfo(easy->op.easy, CURLINFO_REQUEST_SIZE, &bytes);
    return easy->sends > 0 && bytes > 0;
}

/* Whether nobody knows what became of the request. */
static bool is_ambiguous(const cat_easy *easy) {
    return !easy->idempotent && sent(easy);
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
        *t->easy->detail ? t->easy->detail : curl_easy_strerror(t->easy->op.result);
    if (t->easy->op.timed_out) {
        push_seconds(L, t->seconds);
        lua_pushfstring(L, "no answer within %s seconds", lua_tostring(L, -1));
    } else if (fault->whole) {
        lua_pushstring(L, fault->what);
    } else if (fault->of_proxy) {
        lua_pushfstring(L, "%s (%s: %s)", fault->what, t->easy->proxy->shown, detail);
    } else {
        lua_pushfstring(L, "%s (%s)", fault->what, detail);
    }
}

/* Pushes a text of the request of the transfer at 1. */
static void push_text(lua_State *L, const char *name) {
    lua_getiuservalue(L, 1, USES_REQUEST);
    lua_getfield(L, -1, name);
    lua_remove(L, -2);
}

static void set_flag(lua_State *L, const char *name, bool set) {
    if (set) {
        lua_pushboolean(L, 1);
        lua_setfield(L, -2, name);
    }
}

static int push_fault(lua_State *L, transfer *t) {
    if (cat_fault_of_memory(t->easy)) {
        return cat_oom(L);
    }
    cat_fault fault = cat_fault_of(t->client, t->easy);
    lua_settop(L, 1);
    push_text(L, "method");
    push_text(L, "url");
    push_reason(L, t, &fault);
    cat_failure(L, fault.kind, "%s %s: %s", lua_tostring(L, 2), lua_tostring(L, 3),
                lua_tostring(L, -1));
    set_flag(L, "ambiguous", is_ambiguous(t->easy));
    set_flag(L, "retryable", fault.passes);
    lua_pushvalue(L, 2);
    lua_setfield(L, -2, "method");
    lua_pushvalue(L, 3);
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
    cat_multi_remove(&t->easy->op);
    if (t->easy->op.result != CURLE_OK) {
        return push_fault(L, t);
    }
    curl_easy_getinfo(t->easy->op.easy, CURLINFO_RESPONSE_CODE, &status);
    lua_pushinteger(L, status);
    bool kept = t->easy->sink.descriptor < 0 && t->easy->sink.text;
    lua_pushlstring(L, kept ? t->easy->sink.text : "", kept ? t->easy->sink.length : 0);
    return 2;
}

/*** Whether the server may have acted on the request, and nobody knows; asked before a transfer in
 * flight is closed.
 * @function transfer:ambiguous
 * @treturn boolean false also for one that is done over again without harm, or closed */
static int transfer_ambiguous(lua_State *L) {
    const transfer *t = check_transfer(L);
    lua_pushboolean(L, t->easy && is_ambiguous(t->easy));
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
    if (curl_easy_header(t->easy->op.easy, name, 0, CURLH_HEADER, -1, &header) == CURLHE_OK) {
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
    lua_pushinteger(L, t->easy ? (lua_Integer)t->easy->source.fed : 0);
    return 1;
}

/*** How long the exchange took.
 * @function transfer:seconds
 * @treturn number seconds
 * @raise the transfer is not done, or closed */
static int transfer_seconds(lua_State *L) {
    transfer *t = check_done(L);
    curl_off_t microseconds = 0;
    curl_easy_getinfo(t->easy->op.easy, CURLINFO_TOTAL_TIME_T, &microseconds);
    lua_pushnumber(L, (lua_Number)microseconds / 1e6);
    return 1;
}

static int transfer_tostring(lua_State *L) {
    const transfer *t = check_transfer(L);
    const char *state = !t->easy ? "closed" : t->easy->op.done ? "done" : "in flight";
    push_text(L, "method");
    push_text(L, "url");
    lua_pushfstring(L, "catalog.transfer (%s %s, %s)", lua_tostring(L, -2), lua_tostring(L, -1),
                    state);
    return 1;
}

int cat_transfer_open(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"done", transfer_done},     {"reply", transfer_reply},
        {"wait", transfer_wait},     {"checksum", transfer_checksum},
        {"header", transfer_header}, {"seconds", transfer_seconds},
        {"close", transfer_close},   {"ambiguous", transfer_ambiguous},
        {"sent", transfer_sent},     {NULL, NULL}};
    static const luaL_Reg events[] = {{"__gc", transfer_close},
                                      {"__close", transfer_close},
                                      {"__tostring", transfer_tostring},
                                      {NULL, NULL}};
    static const luaL_Reg functions[] = {{"start", transfer_start}, {NULL, NULL}};
    cat_handle(L, TRANSFER, events, methods);
    luaL_newlib(L, functions);
    return 1;
}
