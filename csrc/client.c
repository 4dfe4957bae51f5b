/*** How requests are sent: connection settings checked once.
 * @module catalog.core.client */
#include "client.h"

#include "engine.h"
#include "failure.h"
#include "handle.h"
#include "memory.h"
#include "setopt.h"
#include "url.h"

#include <lauxlib.h>
#include <math.h>

/* Sets what holds for every client. */
static void set_rules(CURLcode *code, CURL *easy) {
    cat_easy_setopt(code, easy, CURLOPT_NOSIGNAL, 1L);   /* signals and threads do not mix */
    cat_easy_setopt(code, easy, CURLOPT_QUICK_EXIT, 1L); /* do not wait for a look-up that hangs */
    /* HTTP/2 uploads of libcurl 7.88 spin while the stream's window is full. */
    cat_easy_setopt(code, easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    cat_easy_setopt(code, easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    cat_easy_setopt(code, easy, CURLOPT_FOLLOWLOCATION, 0L);
    cat_easy_setopt(code, easy, CURLOPT_PATH_AS_IS, 1L);
    cat_easy_setopt(code, easy, CURLOPT_TCP_KEEPALIVE, 1L);
    cat_easy_setopt(code, easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    cat_easy_setopt(code, easy, CURLOPT_PROTOCOLS_STR, "http,https");
}

/* --- the client --- */

static cat_client *check_client(lua_State *L) {
    return cat_handle_self(L, CAT_CLIENT);
}

/* Its transfers in flight end, as cancelled; they keep their handles until they are closed. */
static int client_gc(lua_State *L) {
    cat_easy_pool_close(&check_client(L)->pool);
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

/* Reads the settings in the table at 1 into the template. */
static CURLcode configure(lua_State *L, cat_client *client) {
    CURL *easy = client->pool.template_easy;
    double connect = number_field(L, "connect_timeout"), max = number_field(L, "max_reply");
    client->pool.max_reply = max < 1e15 ? (size_t)(max > 0 ? max : 0) : (size_t)1e15;
    long milliseconds = connect < 1e6 ? (long)ceil(connect * 1000) : 1000000000L;
    CURLcode code = CURLE_OK;
    set_rules(&code, easy);
    cat_easy_setopt(&code, easy, CURLOPT_CONNECTTIMEOUT_MS, milliseconds);
    cat_easy_setopt(&code, easy, CURLOPT_USERAGENT, text_field(L, "user_agent"));
    const char *file = text_field(L, "ca_file");
    const char *directory = text_field(L, "system_ca_directory");
    client->has_authorities = file != NULL;
    file = file ? file : text_field(L, "system_ca_file");
    if (file) {
        cat_easy_setopt(&code, easy, CURLOPT_CAINFO, file);
    }
    if (directory) {
        cat_easy_setopt(&code, easy, CURLOPT_CAPATH, directory);
    }
    /* libcurl looks for none by itself: which one it is depends on the URL, and is known here */
    cat_easy_setopt(&code, easy, CURLOPT_PROXY, "");
    cat_easy_setopt(&code, easy, CURLOPT_NOPROXY, "");
    return code == CURLE_OK ? cat_easy_pool_bind(&client->pool, client->pool.multi) : code;
}

/*** A client: connection settings.
 * @function new
 * @tparam table settings `connect_timeout` (seconds), `max_reply` (bytes), `user_agent`; `ca_file`
 * and `proxy` when they are not the default, `system_ca_file` and `system_ca_directory` of the
 * environment; `services`, the URLs it is for, whose proxies of the environment are checked where
 * `proxy` is true
 * @treturn[1] client
 * @treturn[2] nil
 * @treturn[2] table error of kind `config` or `limit` */
static int client_new(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    cat_client *client = lua_newuserdatauv(L, sizeof *client, CAT_CLIENT_VALUES);
    cat_easy_pool_init(&client->pool, cat_main_thread(L));
    client->has_authorities = false;
    luaL_setmetatable(L, CAT_CLIENT);
    client->pool.multi = cat_engine_push(L);
    if (!client->pool.multi) {
        return 2;
    }
    lua_setiuservalue(L, 2, CAT_CLIENT_ENGINE);
    int unfit = cat_proxies_read(L, &client->pool.proxies, CAT_CLIENT_PROXIES);
    if (unfit) {
        return unfit;
    }
    client->pool.template_easy = curl_easy_init();
    CURLcode code = client->pool.template_easy ? configure(L, client) : CURLE_OUT_OF_MEMORY;
    if (code == CURLE_OUT_OF_MEMORY) {
        return cat_oom(L);
    }
    if (code != CURLE_OK) {
        return cat_failure(L, "config", "libcurl refuses the settings: %s",
                           curl_easy_strerror(code));
    }
    lua_settop(L, 2);
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
    if (cat_easy_pool_bind(&client->pool, engine) != CURLE_OK) {
        return cat_oom(L);
    }
    lua_setiuservalue(L, 1, CAT_CLIENT_ENGINE);
    lua_pushboolean(L, 1);
    return 1;
}

static int client_tostring(lua_State *L) {
    cat_client *client = check_client(L);
    lua_pushfstring(L, "catalog.client (%s)", client->pool.template_easy ? "open" : "closed");
    return 1;
}

/* --- headers --- */

static int headers_gc(lua_State *L) {
    cat_headers *headers = cat_handle_self(L, CAT_HEADERS);
    curl_slist_free_all(headers->list);
    headers->list = NULL;
    return 0;
}

static void append_header(lua_State *L, cat_headers *headers, const char *line) {
    struct curl_slist *longer = curl_slist_append(headers->list, line);
    if (!longer) {
        cat_oom(L);
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
    static const luaL_Reg methods[] = {{"adopt", client_adopt}, {"close", client_gc}, {NULL, NULL}};
    static const luaL_Reg events[] = {
        {"__gc", client_gc}, {"__close", client_gc}, {"__tostring", client_tostring}, {NULL, NULL}};
    static const luaL_Reg header_events[] = {{"__gc", headers_gc}, {NULL, NULL}};
    static const luaL_Reg functions[] = {
        {"new", client_new}, {"headers", client_headers}, {NULL, NULL}};
    cat_handle(L, CAT_CLIENT, events, methods);
    cat_handle(L, CAT_HEADERS, header_events, NULL);
    luaL_newlib(L, functions);
    return 1;
}
