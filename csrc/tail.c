/*** A file that is read while others write it, rename it or cut it: known by device and inode, and
 * read at any place.
 * @module catalog.core.tail */
#include "tail.h"

#include "failure.h"
#include "handle.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TAIL "catalog.tail"

typedef struct {
    int descriptor; /* -1: closed */
} tail_file;

static int tail_close(lua_State *L) {
    tail_file *file = cat_handle_self(L, TAIL);
    if (file->descriptor >= 0) {
        close(file->descriptor);
        file->descriptor = -1;
    }
    return 0;
}

/* Pushes what tells a file from others, its size, and when it was changed last; returns 3. */
static int push_look(lua_State *L, const struct stat *found) {
    char id[64];
    snprintf(id, sizeof id, "%jx:%ju", (uintmax_t)found->st_dev, (uintmax_t)found->st_ino);
    lua_pushstring(L, id);
    lua_pushinteger(L, found->st_size);
    lua_pushinteger(L, found->st_mtim.tv_sec * (lua_Integer)1000000000 + found->st_mtim.tv_nsec);
    return 3;
}

/*** Looks at what is at a path; links are followed.
 * @function look
 * @tparam string path
 * @treturn[1] string device and inode, as text: no other file has them while this one exists
 * @treturn[1] integer its size, bytes
 * @treturn[1] integer when it was changed last, nanoseconds since the epoch
 * @treturn[2] nil there is no regular file */
static int look(lua_State *L) {
    struct stat found;
    if (stat(luaL_checkstring(L, 1), &found) != 0 || !S_ISREG(found.st_mode)) {
        return 0;
    }
    return push_look(L, &found);
}

/*** Opens a regular file.
 * @function open
 * @tparam string path
 * @treturn[1] tail
 * @treturn[2] nil
 * @treturn[2] table error of kind `data`, with code `missing` when nothing is there; of kind
 * `limit`: no descriptors are left */
static int open_tail(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    struct stat found = {.st_mode = 0};
    tail_file *file = lua_newuserdatauv(L, sizeof *file, 0);
    file->descriptor = -1;
    luaL_setmetatable(L, TAIL);
    file->descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe is not waited for */
    if (file->descriptor >= 0 && fstat(file->descriptor, &found) == 0 && S_ISREG(found.st_mode)) {
        return 1;
    }
    int error = errno;
    if (file->descriptor >= 0) {
        close(file->descriptor);
        file->descriptor = -1;
        return cat_failure(L, "data", "cannot read %s: it is no regular file", path);
    }
    if (cat_no_descriptors(error)) {
        return cat_failure(L, "limit", "cannot read %s: %s", path, CAT_NO_DESCRIPTORS);
    }
    cat_failure(L, "data", "cannot read %s: %s", path, strerror(error));
    if (error == ENOENT) {
        lua_pushliteral(L, "missing");
        lua_setfield(L, -2, "code");
    }
    return 2;
}

/*** What is known of it now, wherever it lies.
 * @function tail:look
 * @treturn[1] string as of `look`
 * @treturn[1] integer
 * @treturn[1] integer
 * @treturn[2] nil it was closed */
static int tail_look(lua_State *L) {
    const tail_file *file = cat_handle_self(L, TAIL);
    struct stat found;
    if (fstat(file->descriptor, &found) != 0) {
        return 0;
    }
    return push_look(L, &found);
}

/*** Reads some of it.
 * @function tail:read
 * @tparam integer offset of the first byte, from 0
 * @tparam integer most bytes
 * @treturn[1] string fewer bytes only where the file ends
 * @treturn[2] nil
 * @treturn[2] table error of kind `data` */
static int tail_read(lua_State *L) {
    const tail_file *file = cat_handle_self(L, TAIL);
    lua_Integer offset = luaL_checkinteger(L, 2);
    size_t most = (size_t)luaL_checkinteger(L, 3), have = 0;
    luaL_Buffer buffer;
    char *bytes = luaL_buffinitsize(L, &buffer, most);
    while (have < most) {
        ssize_t got =
            pread(file->descriptor, bytes + have, most - have, (off_t)offset + (off_t)have);
        if (got < 0 && errno != EINTR) {
            return cat_failure(L, "data", "cannot be read: %s", strerror(errno));
        }
        if (got == 0) {
            break;
        }
        have += got > 0 ? (size_t)got : 0;
    }
    luaL_pushresultsize(&buffer, have);
    return 1;
}

int cat_tail_open(lua_State *L) {
    static const luaL_Reg events[] = {{"__gc", tail_close}, {"__close", tail_close}, {NULL, NULL}};
    static const luaL_Reg methods[] = {
        {"look", tail_look}, {"read", tail_read}, {"close", tail_close}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"open", open_tail}, {"look", look}, {NULL, NULL}};
    cat_handle(L, TAIL, events, methods);
    luaL_newlib(L, functions);
    return 1;
}
