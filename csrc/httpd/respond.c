/* Responses: libmicrohttpd's, made of what the handler gave, and bytes that go out past it. */
#include "httpd.h"

#include "../memory.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Makes the response that is a file, or so many bytes of it. */
static void respond_with_file(lua_State *L, request *r, const char *path, lua_Integer first,
                              lua_Integer length) {
    struct stat found;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &found) == 0) {
        uint64_t size = (uint64_t)(length < 0 ? found.st_size - first : length);
        r->response = MHD_create_response_from_fd_at_offset64(size, fd, (uint64_t)first);
        /* closes it at its end */
    }
    if (fd >= 0 && !r->response) {
        close(fd);
    }
    if (!r->response) {
        luaL_error(L, "cannot read %s: %s", path, strerror(errno));
    }
}

static void respond_with_text(lua_State *L, request *r) {
    size_t length;
    const char *body = luaL_checklstring(L, 3, &length);
    r->response =
        MHD_create_response_from_buffer(length, (void *)(uintptr_t)body, MHD_RESPMEM_MUST_COPY);
    if (!r->response) {
        cat_oom(L);
    }
}

/* Keeps an answer that breaks HTTP, the table at 3: some bytes as they are, perhaps none, and the
 * end of the connection. */
static void respond_raw(lua_State *L, request *r) {
    size_t length;
    const char *bytes = luaL_checklstring(L, -1, &length);
    r->raw.bytes = malloc(length ? length : 1);
    if (!r->raw.bytes) {
        cat_oom(L);
        return; /* never reached, but an analyzer cannot know */
    }
    memcpy(r->raw.bytes, bytes, length);
    r->raw.length = length;
    r->raw.chosen = true;
    lua_getfield(L, 3, "piece");
    r->raw.piece = (size_t)luaL_optinteger(L, -1, (lua_Integer)length);
    lua_getfield(L, 3, "every_ms");
    r->raw.every = luaL_optinteger(L, -1, 0);
}

/* Forgets what was begun. */
static void drop_response(request *r) {
    if (r->response) {
        MHD_destroy_response(r->response);
        r->response = NULL;
    }
}

/* The body is a string, or { file = path, first, length } (without the last two: all of it), or
 * { raw = bytes, piece, every_ms }, which go out as they are before the connection is closed, all
 * at once or by and by. */
void respond(lua_State *L, request *r) {
    r->status = (unsigned int)luaL_checkinteger(L, 1);
    drop_response(r);
    if (lua_istable(L, 3) && lua_getfield(L, 3, "raw") == LUA_TSTRING) {
        respond_raw(L, r);
        return;
    }
    if (lua_istable(L, 3)) {
        lua_settop(L, 4);
        lua_getfield(L, 3, "file");
        lua_getfield(L, 3, "first");
        lua_getfield(L, 3, "length");
        respond_with_file(L, r, luaL_checkstring(L, -3), luaL_optinteger(L, -2, 0),
                          luaL_optinteger(L, -1, -1));
    } else {
        respond_with_text(L, r);
    }
    lua_settop(L, 4);
    for (lua_pushnil(L); lua_next(L, 2); lua_pop(L, 1)) {
        if (MHD_add_response_header(r->response, luaL_checkstring(L, -2),
                                    luaL_checkstring(L, -1)) != MHD_YES) {
            luaL_error(L, "the header %s cannot be sent", lua_tostring(L, -2));
        }
    }
}

/* Responds with a text that is always there. False: there is no memory. */
static bool respond_static(request *r, unsigned int status, const char *body) {
    drop_response(r);
    r->status = status;
    r->response = MHD_create_response_from_buffer(strlen(body), (void *)(uintptr_t)body,
                                                  MHD_RESPMEM_PERSISTENT);
    return r->response && MHD_add_response_header(r->response, "content-type",
                                                  "application/problem+json") == MHD_YES;
}

bool respond_500(request *r, const char *why) {
    fprintf(stderr, "%s: %s: %s\n", r->server->name, r->target, why);
    return respond_static(
        r, 500,
        "{\"type\":\"about:blank\",\"status\":500,\"title\":\"InternalServerError\","
        "\"detail\":\"the server failed; its stderr says how\"}");
}

bool respond_503(request *r) {
    return respond_static(
        r, 503,
        "{\"type\":\"about:blank\",\"status\":503,\"title\":\"ServiceUnavailable\","
        "\"detail\":\"the server stops; send this again\"}");
}

/* Writes past libmicrohttpd, which would not send such bytes. Without TLS only; what does not fit
 * the socket at once is left out. */
bool send_raw(request *r) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    size_t left = r->raw.length - r->raw.sent, count = left < r->raw.piece ? left : r->raw.piece;
    if (info && count > 0) {
        ssize_t sent =
            send(info->connect_fd, r->raw.bytes + r->raw.sent, count, MSG_NOSIGNAL | MSG_DONTWAIT);
        (void)sent;
    }
    r->raw.sent += count;
    return count < left;
}
