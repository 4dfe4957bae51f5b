/* The handler: the functions in the thread's Lua state that say what to answer. Lua is only ever
 * entered by lua_pcall, so no error jumps across libmicrohttpd. */
#include "httpd.h"

#include "../memory.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdlib.h>
#include <string.h>

#define MAX_HEADERS 128

/* --- a request as a table --- */

typedef struct {
    const char *names[MAX_HEADERS], *values[MAX_HEADERS];
    int count;
} header_list;

typedef struct {
    request *r;
    const char *method, *version;
    header_list headers;
} call;

static enum MHD_Result add_header(void *user, enum MHD_ValueKind kind, const char *name,
                                  const char *value) {
    (void)kind;
    header_list *list = user;
    if (list->count == MAX_HEADERS) {
        return MHD_NO;
    }
    list->names[list->count] = name;
    list->values[list->count++] = value ? value : "";
    return MHD_YES;
}

/* Pushes a header's name in lower case, without the space that the guide's curl puts before the
 * colon. True when there was one. */
static bool push_name(lua_State *L, const char *name) {
    luaL_Buffer lower;
    size_t length = strlen(name);
    while (length > 0 && isspace((unsigned char)name[length - 1])) {
        length--;
    }
    luaL_buffinitsize(L, &lower, length);
    for (size_t i = 0; i < length; i++) {
        luaL_addchar(&lower, (char)tolower((unsigned char)name[i]));
    }
    luaL_pushresult(&lower);
    return name[length] != '\0';
}

/* Pushes the table of headers; what stands more than once is joined by commas. True when there is a
 * space before a colon. */
static bool push_headers(lua_State *L, const header_list *list) {
    bool spaced = false;
    lua_createtable(L, 0, list->count);
    for (int i = 0; i < list->count; i++) {
        spaced |= push_name(L, list->names[i]);
        lua_pushvalue(L, -1);
        if (lua_rawget(L, -3) == LUA_TSTRING) {
            lua_pushfstring(L, "%s, %s", lua_tostring(L, -1), list->values[i]);
            lua_remove(L, -2);
        } else {
            lua_pop(L, 1);
            lua_pushstring(L, list->values[i]);
        }
        lua_rawset(L, -3);
    }
    return spaced;
}

/* Pushes the table of a request whose headers are there. */
static void push_request(lua_State *L, const call *c) {
    lua_createtable(L, 0, 8);
    lua_pushstring(L, c->method);
    lua_setfield(L, -2, "method");
    lua_pushstring(L, c->version);
    lua_setfield(L, -2, "version");
    lua_pushstring(L, c->r->target);
    lua_setfield(L, -2, "target");
    bool spaced = push_headers(L, &c->headers);
    lua_setfield(L, -2, "headers");
    lua_pushboolean(L, spaced);
    lua_setfield(L, -2, "spaced");
}

/* Adds the body to the table on top, and forgets it. */
static void add_body(lua_State *L, request *r) {
    if (r->spool) {
        lua_pushstring(L, r->spool);
        lua_setfield(L, -2, "body_file");
        lua_pushinteger(L, (lua_Integer)r->length);
        lua_setfield(L, -2, "body_size");
        lua_pushboolean(L, r->spool_error != 0);
        lua_setfield(L, -2, "unwritten");
    } else {
        lua_pushlstring(L, r->body ? r->body : "", r->length);
        free(r->body); /* it counts among all bodies until it is over: Lua has it now */
        r->body = NULL;
        lua_setfield(L, -2, "body");
    }
    lua_pushboolean(L, r->too_large);
    lua_setfield(L, -2, "too_large");
    lua_pushboolean(L, r->crowded);
    lua_setfield(L, -2, "crowded");
    lua_pushstring(L, r->damage);
    lua_setfield(L, -2, "damage");
}

/* --- calling Lua --- */

/* The handler of errors: makes a text of one, which may be a table. */
static int explain(lua_State *L) {
    luaL_tolstring(L, 1, NULL);
    return 1;
}

/* Calls a C function in the handler's state, with one of the handler's functions and an argument.
 * NULL, or why it failed. */
static const char *call_lua(lua_State *L, lua_CFunction function, int which, void *argument) {
    lua_settop(L, ON_MESSAGE);
    /* light C functions and a light userdata: pushing them allocates nothing */
    lua_pushcfunction(L, explain);
    lua_pushcfunction(L, function);
    lua_pushvalue(L, which);
    lua_pushlightuserdata(L, argument);
    if (lua_pcall(L, 2, 0, ON_MESSAGE + 1) == LUA_OK) {
        return NULL;
    }
    return lua_tostring(L, -1); /* a text, as `explain` made it, or the message of its own fault */
}

/* Opens the file that the body goes to. */
static void open_spool(lua_State *L, request *r, const char *path) {
    r->spool_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    r->spool_error = r->spool_fd < 0 ? errno : 0;
    r->spool = strdup(path);
    if (!r->spool) {
        cat_oom(L);
    }
}

static void open_decoder(lua_State *L, request *r, const char *coding) {
    const char *why;
    r->decoder = decoder_new(coding, &why);
    if (!r->decoder) {
        luaL_error(L, "%s: %s", coding, why ? why : "not enough memory");
    }
}

/* Called protected: shows a request whose headers are there, and opens what its body goes to. */
static int open_request(lua_State *L) {
    call *c = lua_touserdata(L, 2);
    request *r = c->r;
    lua_settop(L, 1);
    push_request(L, c);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, r);
    r->registered = true;
    lua_call(L, 1, 5); /* path, limit, whether it is answered at once, or dropped; the coding */
    r->limit = luaL_optinteger(L, 2, -1);
    r->at_once = lua_toboolean(L, 3);
    r->dropped = lua_toboolean(L, 4);
    if (!lua_isnil(L, 1)) {
        open_spool(L, r, luaL_checkstring(L, 1));
    } else if (!lua_isnil(L, 5) && !r->dropped) {
        open_decoder(L, r, luaL_checkstring(L, 5));
    }
    return 0;
}

/* Called protected: has a request handled, and leaves the answer in it. */
static int handle_request(lua_State *L) {
    const call *c = lua_touserdata(L, 2);
    lua_settop(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, c->r);
    add_body(L, c->r);
    lua_call(L, 1, 4); /* status, headers, body, delay */
    lua_Integer delay = luaL_optinteger(L, 4, 0);
    respond(L, c->r);
    c->r->due = delay > 0 ? now_ms() + delay : 0;
    return 0;
}

/* Called protected: hands a request over to the caller's Lua, which may have answered it when this
 * returns. */
static int hand_over(lua_State *L) {
    const call *c = lua_touserdata(L, 2);
    request *r = c->r;
    lua_settop(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, r);
    add_body(L, r);
    push_reply(L, r);
    lua_call(L, 2, 0);
    r->due = r->response ? 0 : WHEN_ANSWERED;
    return 0;
}

/* Called protected: delivers the message in the mailbox. */
static int deliver(lua_State *L) {
    const server *s = lua_touserdata(L, 2);
    lua_settop(L, 1);
    lua_pushlstring(L, s->message, s->message_length);
    lua_call(L, 1, 0);
    return 0;
}

/* Called protected: loads the module and gives the functions that it makes. */
static int load(lua_State *L) {
    const handler_source *source = lua_touserdata(L, 1);
    luaL_openlibs(L);
    lua_getglobal(L, "package");
    lua_pushstring(L, source->path);
    lua_setfield(L, -2, "path");
    lua_pushstring(L, source->cpath);
    lua_setfield(L, -2, "cpath");
    lua_getglobal(L, "require");
    lua_pushstring(L, source->module);
    lua_call(L, 1, 1);
    lua_pushstring(L, source->settings);
    lua_call(L, 1, 3);
    lua_pushvalue(L, -3); /* the module gives the handler first */
    lua_remove(L, -4);
    lua_insert(L, -2);
    return ON_MESSAGE;
}

/* Calls with a request. */
static const char *call_with(request *r, const char *method, const char *version,
                             lua_CFunction function, int which) {
    call c = {.r = r, .method = method, .version = version};
    MHD_get_connection_values(r->mhd, MHD_HEADER_KIND, add_header, &c.headers);
    return call_lua(r->server->L, function, which, &c);
}

const char *handler_open(request *r, const char *method, const char *version) {
    return call_with(r, method, version, open_request, ON_OPEN);
}

const char *handler_answer(request *r, const char *method, const char *version) {
    return call_with(r, method, version, r->server->has_thread ? handle_request : hand_over,
                     ON_REQUEST);
}

void handler_forget(request *r) {
    if (r->registered) {
        lua_pushnil(r->server->L); /* takes a key away, which allocates nothing */
        lua_rawsetp(r->server->L, LUA_REGISTRYINDEX, r);
    }
}

const char *handler_deliver(server *s) {
    return call_lua(s->L, deliver, ON_MESSAGE, s);
}

const char *handler_load(server *s, handler_source *source) {
    lua_State *L = s->L;
    lua_pushcfunction(L, explain);
    lua_pushcfunction(L, load);
    lua_pushlightuserdata(L, source);
    if (lua_pcall(L, 1, ON_MESSAGE, 1) != LUA_OK) {
        return lua_tostring(L, -1);
    }
    lua_remove(L, 1);
    return NULL;
}
