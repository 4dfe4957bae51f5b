/* Pages by libcurl alone: one easy handle, one buffer. */
#include "bench.h"

#include <curl/curl.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#define GETTER "bench.getter"

typedef struct {
    CURL *easy;
    struct curl_slist *headers;
    char *body;
    size_t length, capacity;
} getter;

static size_t on_body(char *bytes, size_t unit, size_t count, void *user) {
    getter *self = user;
    size_t size = unit * count;
    if (self->length + size > self->capacity) {
        size_t capacity = 2 * (self->length + size);
        char *grown = realloc(self->body, capacity);
        if (!grown) {
            return 0;
        }
        self->body = grown;
        self->capacity = capacity;
    }
    memcpy(self->body + self->length, bytes, size);
    self->length += size;
    return size;
}

/* bare.getter(header lines): what gets pages, one after the other. */
static int bare_getter(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    getter *self = lua_newuserdatauv(L, sizeof *self, 0);
    memset(self, 0, sizeof *self);
    luaL_setmetatable(L, GETTER);
    for (lua_Integer i = 1; i <= luaL_len(L, 1); i++) {
        lua_geti(L, 1, i);
        struct curl_slist *longer = curl_slist_append(self->headers, luaL_checkstring(L, -1));
        if (!longer) {
            return luaL_error(L, "not enough memory");
        }
        self->headers = longer;
        lua_pop(L, 1);
    }
    self->easy = curl_easy_init();
    if (!self->easy) {
        return luaL_error(L, "not enough memory");
    }
    curl_easy_setopt(self->easy, CURLOPT_HTTPHEADER, self->headers);
    curl_easy_setopt(self->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(self->easy, CURLOPT_WRITEDATA, self);
    curl_easy_setopt(self->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(self->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(self->easy, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(self->easy, CURLOPT_PROXY, "");
    return 1;
}

/* getter:get(url): the body. */
static int getter_get(lua_State *L) {
    getter *self = luaL_checkudata(L, 1, GETTER);
    self->length = 0;
    curl_easy_setopt(self->easy, CURLOPT_URL, luaL_checkstring(L, 2));
    CURLcode code = curl_easy_perform(self->easy);
    if (code != CURLE_OK) {
        return luaL_error(L, "bare libcurl: %s", curl_easy_strerror(code));
    }
    lua_pushlstring(L, self->body ? self->body : "", self->length);
    return 1;
}

static int getter_gc(lua_State *L) {
    getter *self = luaL_checkudata(L, 1, GETTER);
    curl_easy_cleanup(self->easy);
    curl_slist_free_all(self->headers);
    free(self->body);
    memset(self, 0, sizeof *self);
    return 0;
}

void bench_get_open(lua_State *L) {
    static const luaL_Reg methods[] = {{"get", getter_get}, {NULL, NULL}};
    luaL_newmetatable(L, GETTER);
    lua_pushcfunction(L, getter_gc);
    lua_setfield(L, -2, "__gc");
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    lua_pushcfunction(L, bare_getter);
    lua_setfield(L, -2, "getter");
}
