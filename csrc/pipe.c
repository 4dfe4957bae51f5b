/*** What is read as it comes: standard input, and pipes that have a name. A wait is bounded, so
 * that transfers under way can be seen to meanwhile.
 * @module catalog.core.pipe */
#include "pipe.h"

#include "failure.h"
#include "handle.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define PIPE "catalog.pipe"

/* What a pipe of Linux holds, bytes. */
#define CHUNK 65536

typedef struct {
    int descriptor; /* -1: closed */
} pipe_end;

static int pipe_close(lua_State *L) {
    pipe_end *end = cat_handle_self(L, PIPE);
    if (end->descriptor > STDIN_FILENO) { /* standard input is the process's */
        close(end->descriptor);
    }
    end->descriptor = -1;
    return 0;
}

/*** Opens a pipe; waits until somebody has opened it for writing.
 * @function open
 * @tparam ?string path nil: standard input
 * @treturn[1] pipe
 * @treturn[2] nil
 * @treturn[2] table error of kind `data` */
static int open_pipe(lua_State *L) {
    const char *path = luaL_optstring(L, 1, NULL);
    pipe_end *end = lua_newuserdatauv(L, sizeof *end, 0);
    end->descriptor = -1;
    luaL_setmetatable(L, PIPE);
    end->descriptor = path ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
    if (end->descriptor < 0) {
        return cat_failure(L, "data", "cannot read %s: %s", path, strerror(errno));
    }
    return 1;
}

/*** Reads what is there.
 * @function pipe:read
 * @tparam integer milliseconds how long to wait for it at the most
 * @treturn[1] string some bytes; empty: none came in that time, or a signal did
 * @treturn[2] nil the end
 * @treturn[3] nil
 * @treturn[3] table error of kind `data` */
static int pipe_read(lua_State *L) {
    pipe_end *end = cat_handle_self(L, PIPE);
    int milliseconds = (int)luaL_checkinteger(L, 2);
    luaL_Buffer buffer;
    char *bytes = luaL_buffinitsize(L, &buffer, CHUNK);
    struct pollfd polled = {.fd = end->descriptor, .events = POLLIN};
    int ready = poll(&polled, 1, milliseconds);
    ssize_t got = ready > 0 ? read(end->descriptor, bytes, CHUNK) : ready;
    if (got < 0 && errno != EINTR && errno != EAGAIN) {
        return cat_failure(L, "data", "cannot be read: %s", strerror(errno));
    }
    if (ready > 0 && got == 0) {
        lua_pushnil(L);
        return 1;
    }
    luaL_pushresultsize(&buffer, got > 0 ? (size_t)got : 0);
    return 1;
}

/*** What can be waited for.
 * @function pipe:fd
 * @treturn integer its descriptor */
static int pipe_fd(lua_State *L) {
    const pipe_end *end = cat_handle_self(L, PIPE);
    lua_pushinteger(L, end->descriptor);
    return 1;
}

int cat_pipe_open(lua_State *L) {
    static const luaL_Reg events[] = {{"__gc", pipe_close}, {"__close", pipe_close}, {NULL, NULL}};
    static const luaL_Reg methods[] = {
        {"read", pipe_read}, {"fd", pipe_fd}, {"close", pipe_close}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"open", open_pipe}, {NULL, NULL}};
    cat_handle(L, PIPE, events, methods);
    luaL_newlib(L, functions);
    return 1;
}
