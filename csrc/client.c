/*** How requests are sent: connection settings checked once, and the slots that exchanges run in.
 * @module catalog.core.client */
#include "client.h"

#include "failure.h"
#include "handle.h"
#include "memory.h"
#include "transfer.h"
#include "url.h"

#include <lauxlib.h>
#include <math.h>
#include <string.h>

/* Slots kept for the next transfers, and how large a reply buffer is kept with one. */
#define IDLE_SLOTS  64
#define IDLE_BUFFER 16384

/* A slot that has uploaded has a large buffer, so fewer are kept. */
#define IDLE_UPLOADS 8

/* What libcurl has for what comes in, bytes, for each exchange in flight. Replies are small, and
 * thousands may be waited for at a time. */
#define REPLY_BUFFER 8192L

/* How long a connection may have been idle and counts as just used, seconds; libcurl 7.88 counts
 * whole seconds, which makes it less than two. Whoever closes idle connections on the way waits
 * longer: servers, proxies and load balancers have defaults from 5 seconds to some minutes. */
#define RECENT 1L

/* libcurl's default, seconds. */
#define ANY 118L

/* --- slots --- */

/* CURLOPT_PREREQFUNCTION: a connection is there and the request is about to go out. libcurl sends
 * again by itself when a reused connection dies before the first byte of an answer, and by then the
 * server may have done the work: a creation would happen twice. And of an upload libcurl 7.88 sends
 * the headers again, but not the body, and then stands still. */
static int before_request(void *user, char *remote, char *local, int remote_port, int local_port) {
    (void)remote, (void)local, (void)remote_port, (void)local_port;
    cat_slot *slot = user;
    return ++slot->sends == 1 || slot->resendable ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

static void free_slot(cat_client *client, cat_slot *slot) {
    curl_easy_cleanup(slot->op.easy);
    cat_sink_free(&slot->sink);
    cat_resize(client->L, slot, sizeof *slot, 0);
}

/* What of the handle's settings points into the slot. */
static CURLcode bind_slot(cat_slot *slot) {
    CURL *easy = slot->op.easy;
    CURLcode code = cat_sink_attach(easy, &slot->sink);
    if (code == CURLE_OK) {
        code = curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, cat_multi_open_socket);
    }
    if (code == CURLE_OK) {
        code = curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, &slot->op);
    }
    if (code == CURLE_OK) {
        code = curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, slot->detail);
    }
    if (code == CURLE_OK) {
        code = curl_easy_setopt(easy, CURLOPT_PRIVATE, (void *)&slot->op);
    }
    if (code == CURLE_OK) {
        code = curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, before_request);
    }
    return code == CURLE_OK ? curl_easy_setopt(easy, CURLOPT_PREREQDATA, slot) : code;
}

static cat_slot *make_slot(cat_client *client) {
    cat_slot *slot = cat_resize(client->L, NULL, 0, sizeof *slot);
    if (!slot) {
        return NULL;
    }
    memset(slot, 0, sizeof *slot);
    slot->sink.L = client->L;
    slot->sink.most = client->max_reply;
    slot->op.owner = client;
    slot->engine = client->engine;
    slot->op.easy = curl_easy_duphandle(client->model);
    if (!slot->op.easy || bind_slot(slot) != CURLE_OK) {
        free_slot(client, slot);
        return NULL;
    }
    return slot;
}

cat_slot *cat_client_take(cat_client *client) {
    cat_slot *slot = client->idle;
    if (!slot) {
        return make_slot(client);
    }
    client->idle = slot->next;
    client->idle_count--;
    slot->sends = 0;
    slot->detail[0] = '\0';
    cat_sink_reset(&slot->sink);
    if (client->guards && cat_sink_guard(&slot->sink) != CURLE_OK) {
        free_slot(client, slot);
        return NULL;
    }
    return slot;
}

CURLcode cat_client_reuse(cat_slot *slot, cat_reuse reuse) {
    if (slot->reuse == reuse) {
        return CURLE_OK;
    }
    CURL *easy = slot->op.easy;
    CURLcode code =
        curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, reuse == CAT_REUSE_RECENT ? RECENT : ANY);
    if (code == CURLE_OK) {
        code = curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, reuse == CAT_REUSE_NONE ? 1L : 0L);
    }
    if (code == CURLE_OK) {
        slot->reuse = reuse;
    }
    return code;
}

void cat_client_give(cat_client *client, cat_slot *slot) {
    size_t most = slot->source.kind >= CAT_SOURCE_MEMORY ? IDLE_UPLOADS : IDLE_SLOTS;
    /* The headers of a proxy's own answer, to CONNECT, cannot be looked at. */
    bool spent = client->guards && client->proxied;
    bool usable = client->model && slot->engine == client->engine;
    if (!usable || spent || client->idle_count >= most) {
        free_slot(client, slot);
        return;
    }
    if (slot->sink.capacity > IDLE_BUFFER) {
        cat_sink_free(&slot->sink);
    }
    slot->next = client->idle;
    client->idle = slot;
    client->idle_count++;
}

/* Before 8.1.0 an easy handle keeps a pointer to the last header of its last reply, whose memory is
 * gone. A server whose next reply begins with a blank would have it written to. */
static bool remembers_headers(void) {
    return curl_version_info(CURLVERSION_NOW)->version_num < 0x080100;
}

static CURLcode set_long(CURL *easy, CURLoption option, long value, CURLcode so_far) {
    return so_far == CURLE_OK ? curl_easy_setopt(easy, option, value) : so_far;
}

static CURLcode set_text(CURL *easy, CURLoption option, const char *value, CURLcode so_far) {
    return so_far == CURLE_OK && value ? curl_easy_setopt(easy, option, value) : so_far;
}

/* What holds for every client. */
static CURLcode set_rules(CURL *easy) {
    CURLcode code =
        set_long(easy, CURLOPT_NOSIGNAL, 1, CURLE_OK);  /* signals and threads do not mix */
    code = set_long(easy, CURLOPT_QUICK_EXIT, 1, code); /* do not wait for a look-up that hangs */
    /* HTTP/2 uploads of libcurl 7.88 spin while the stream's window is full. */
    code = set_long(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1, code);
    code = set_long(easy, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2, code);
    code = set_long(easy, CURLOPT_FOLLOWLOCATION, 0, code);
    code = set_long(easy, CURLOPT_PATH_AS_IS, 1, code);
    code = set_long(easy, CURLOPT_TCP_KEEPALIVE, 1, code);
    code = set_long(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1, code);
    code = set_long(easy, CURLOPT_BUFFERSIZE, REPLY_BUFFER, code);
    return set_text(easy, CURLOPT_PROTOCOLS_STR, "http,https", code);
}

/* A connection outlives the transfers that use it, so that its end is the engine's to know. */
static CURLcode set_sockets(CURL *easy, cat_multi *engine) {
    CURLcode code = curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, cat_multi_close_socket);
    return code == CURLE_OK ? curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, engine) : code;
}

/* --- the client --- */

static cat_client *check_client(lua_State *L) {
    return luaL_checkudata(L, 1, CAT_CLIENT);
}

static void free_idle(cat_client *client) {
    for (cat_slot *slot; (slot = client->idle);) {
        client->idle = slot->next;
        free_slot(client, slot);
    }
    client->idle_count = 0;
}

/* Its transfers in flight end, as cancelled; they keep their slots until they are closed. */
static int client_gc(lua_State *L) {
    cat_client *client = check_client(L);
    if (client->model) {
        cat_multi_cancel(client->engine, client);
    }
    free_idle(client);
    curl_easy_cleanup(client->model);
    client->model = NULL;
    return 0;
}

static const char *text_field(lua_State *L, const char *name) {
    lua_getfield(L, 1, name);
    return luaL_optstring(L, -1, NULL); /* kept alive by the table */
}

static lua_Number number_field(lua_State *L, const char *name) {
    lua_getfield(L, 1, name);
    return luaL_checknumber(L, -1);
}

/* Reads the settings in the table at 1 into the model. */
static CURLcode configure(lua_State *L, cat_client *client) {
    double connect = number_field(L, "connect_timeout"), most = number_field(L, "max_reply");
    client->max_reply = most < 1e15 ? (size_t)(most > 0 ? most : 0) : (size_t)1e15;
    long milliseconds = connect < 1e6 ? (long)ceil(connect * 1000) : 1000000000L;
    CURLcode code = set_rules(client->model);
    code = set_long(client->model, CURLOPT_CONNECTTIMEOUT_MS, milliseconds, code);
    code = set_text(client->model, CURLOPT_USERAGENT, text_field(L, "user_agent"), code);
    const char *authorities = text_field(L, "ca_file");
    client->has_authorities = authorities != NULL;
    code = set_text(client->model, CURLOPT_CAINFO, authorities, code);
    const char *proxy = text_field(L, "proxy");
    client->proxied = proxy && *proxy;
    /* "": no proxy, whatever http_proxy and the like say; and no exceptions from it, whatever
     * NO_PROXY says */
    code = set_text(client->model, CURLOPT_PROXY, proxy ? proxy : "", code);
    code = set_text(client->model, CURLOPT_NOPROXY, "", code);
    return code == CURLE_OK ? set_sockets(client->model, client->engine) : code;
}

/* Checks the proxy of the settings at 1, and leaves it with the client at 2, as it may be shown.
 * Returns 0; or pushes nil and an error and returns 2. */
static int keep_proxy(lua_State *L) {
    const char *proxy = text_field(L, "proxy");
    if (!proxy || !*proxy) {
        return 0;
    }
    int pushed = cat_url_proxy(L, -1);
    if (pushed == 1) {
        lua_setiuservalue(L, 2, CAT_CLIENT_PROXY);
    }
    return pushed == 1 ? 0 : pushed;
}

/*** A client: connection settings.
 * @function new
 * @tparam table settings `connect_timeout` (seconds), `max_reply` (bytes), `user_agent`; `ca_file`
 * and `proxy` when they are not the default
 * @treturn[1] client
 * @treturn[2] nil
 * @treturn[2] table error of kind `config` or `limit` */
static int client_new(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    cat_client *client = lua_newuserdatauv(L, sizeof *client, CAT_CLIENT_VALUES);
    memset(client, 0, sizeof *client);
    client->L = cat_main_thread(L);
    client->guards = remembers_headers();
    luaL_setmetatable(L, CAT_CLIENT);
    client->engine = cat_engine_push(L);
    if (!client->engine) {
        return 2;
    }
    lua_setiuservalue(L, 2, CAT_CLIENT_ENGINE);
    int unfit = keep_proxy(L);
    if (unfit) {
        return unfit;
    }
    client->model = curl_easy_init();
    if (!client->model) {
        return luaL_error(L, "not enough memory");
    }
    CURLcode code = configure(L, client);
    if (code == CURLE_OUT_OF_MEMORY) {
        return luaL_error(L, "not enough memory");
    }
    if (code != CURLE_OK) {
        return cat_failure(L, "config", "libcurl refuses the settings: %s",
                           curl_easy_strerror(code));
    }
    lua_settop(L, 2);
    return 1;
}

/*** Submits one exchange.
 * @function client:transfer
 * @tparam string method
 * @tparam string url whole and encoded
 * @tparam headers headers of `core.client.headers`
 * @tparam ?string|buffer|file body
 * @tparam number seconds until the exchange is given up
 * @tparam[opt=false] boolean upload the body may be large: the time allowed is that for standing
 * still
 * @tparam[opt=0] integer offset where the range that is sent begins, bytes
 * @tparam[opt] integer length of the range; to the end of the body when nil
 * @tparam ?file into a file of Lua's io library, open for writing, that is emptied and takes the
 * body of the reply
 * @treturn[1] transfer in flight
 * @treturn[2] nil
 * @treturn[2] table error of kind `config`, `cancelled`, or `data`: `into` cannot be emptied */
static int client_transfer(lua_State *L) {
    cat_client *client = check_client(L);
    if (!client->model) {
        return cat_failure(L, "cancelled", "the client is closed");
    }
    return cat_transfer_start(L, client);
}

/*** The engine the client's transfers run in.
 * @function client:engine
 * @treturn engine */
static int client_engine(lua_State *L) {
    check_client(L);
    lua_getiuservalue(L, 1, CAT_CLIENT_ENGINE);
    return 1;
}

/*** Makes the client use the engine of this process: it was made by the one that this was forked
 * from. What that has in flight is left to it.
 * @function client:adopt
 * @treturn[1] boolean true
 * @treturn[2] nil
 * @treturn[2] table error of kind `limit`
 * @raise no memory */
static int client_adopt(lua_State *L) {
    cat_client *client = check_client(L);
    cat_multi *engine = cat_engine_push(L);
    if (!engine) {
        return 2;
    }
    if (client->model && set_sockets(client->model, engine) != CURLE_OK) {
        return luaL_error(L, "not enough memory");
    }
    lua_setiuservalue(L, 1, 1);
    client->engine = engine;
    free_idle(client);
    lua_pushboolean(L, 1);
    return 1;
}

static int client_tostring(lua_State *L) {
    cat_client *client = check_client(L);
    lua_pushfstring(L, "catalog.client (%s)", client->model ? "open" : "closed");
    return 1;
}

/* --- headers --- */

static int headers_gc(lua_State *L) {
    cat_headers *headers = luaL_checkudata(L, 1, CAT_HEADERS);
    curl_slist_free_all(headers->list);
    headers->list = NULL;
    return 0;
}

static void append_header(lua_State *L, cat_headers *headers, const char *line) {
    struct curl_slist *longer = curl_slist_append(headers->list, line);
    if (!longer) {
        luaL_error(L, "not enough memory");
    }
    headers->list = longer;
}

/* The line on the top of the stack; raises where it could slip in another. */
static const char *check_line(lua_State *L) {
    size_t length;
    const char *line = luaL_checklstring(L, -1, &length);
    luaL_argcheck(L, cat_url_printable(line, length), 1, "a header has a control character");
    return line;
}

/* Replaces the list of lines on the top of the stack by all of them in one. */
static void join_lines(lua_State *L) {
    int list = lua_gettop(L);
    lua_pushliteral(L, "");
    for (lua_Integer i = 1; lua_rawgeti(L, list, i) != LUA_TNIL; i++) {
        check_line(L);
        lua_pushstring(L, i > 1 ? "\r\n" : "");
        lua_insert(L, -2);
        lua_concat(L, 3);
    }
    lua_pop(L, 1);
    lua_replace(L, list);
}

/*** A list of request headers, to be used for any number of transfers.
 * @function headers
 * @tparam {string|table,...} lines `name: value`, as made by `core.url.header`; `name:` keeps
 * libcurl from sending a header of its own. A list of lines in the place of one goes to libcurl as
 * one, of which it sees the first name only: it goes through its list several times a request
 * @treturn headers
 * @raise a line has a control character in it */
static int client_headers(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    cat_headers *headers = lua_newuserdatauv(L, sizeof *headers, 0);
    headers->list = NULL;
    luaL_setmetatable(L, CAT_HEADERS);
    append_header(L, headers, "Expect:"); /* no waiting for 100 Continue */
    for (lua_Integer i = 1; lua_rawgeti(L, 1, i) != LUA_TNIL; i++) {
        if (lua_type(L, -1) == LUA_TTABLE) {
            join_lines(L);
            append_header(L, headers, lua_tostring(L, -1));
        } else {
            append_header(L, headers, check_line(L));
        }
        lua_pop(L, 1);
    }
    lua_settop(L, 2);
    return 1;
}

int cat_client_open(lua_State *L) {
    static const luaL_Reg methods[] = {{"transfer", client_transfer},
                                       {"engine", client_engine},
                                       {"adopt", client_adopt},
                                       {"close", client_gc},
                                       {NULL, NULL}};
    static const luaL_Reg events[] = {
        {"__gc", client_gc}, {"__close", client_gc}, {"__tostring", client_tostring}, {NULL, NULL}};
    static const luaL_Reg header_events[] = {{"__gc", headers_gc}, {NULL, NULL}};
    static const luaL_Reg functions[] = {
        {"new", client_new}, {"headers", client_headers}, {NULL, NULL}};
    cat_handle(L, CAT_CLIENT, events, methods);
    cat_handle(L, CAT_HEADERS, header_events, NULL);
    cat_transfer_setup(L);
    luaL_newlib(L, functions);
    return 1;
}
