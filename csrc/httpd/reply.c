/*** What a handler answers a request with, when it does so later.
 * @module catalog.httpd */
#include "httpd.h"

#include "../handle.h"

#define REPLY "catalog.httpd.reply"

typedef struct {
    request *request; /* NULL: it was answered, or is over */
} reply;

void push_reply(lua_State *L, request *r) {
    reply *self = lua_newuserdatauv(L, sizeof *self, 0);
    self->request = r;
    r->reply = &self->request;
    luaL_setmetatable(L, REPLY);
}

void forget_reply(request *r) {
    if (r->reply) {
        *r->reply = NULL;
        r->reply = NULL;
    }
}

/*** Answers the request. A second answer is none.
 * @function reply:send
 * @tparam integer status
 * @tparam table headers
 * @tparam string body
 * @treturn boolean whether the client is still there, as far as is known */
static int reply_send(lua_State *L) {
    const reply *self = cat_handle_self(L, REPLY);
    request *r = self->request;
    if (r) {
        lua_settop(L, 4);
        lua_remove(L, 1);
        respond(L, r);
        forget_reply(r);
        answer_now(r);
    }
    lua_pushboolean(L, r != NULL);
    return 1;
}

/* Nobody can answer any more. */
static int reply_gc(lua_State *L) {
    const reply *self = cat_handle_self(L, REPLY);
    request *r = self->request;
    if (r) {
        forget_reply(r);
        respond_500(r, "the handler has given no answer");
        answer_now(r);
    }
    return 0;
}

void open_replies(lua_State *L) {
    static const luaL_Reg methods[] = {{"send", reply_send}, {NULL, NULL}};
    static const luaL_Reg events[] = {{"__gc", reply_gc}, {NULL, NULL}};
    cat_handle(L, REPLY, events, methods);
}
