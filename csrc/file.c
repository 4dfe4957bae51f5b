/*** A file that is to be sent: open, regular, and known by what it was when it was opened.
 * @module catalog.core.file */
#include "file.h"

#include "failure.h"
#include "handle.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* How much of its beginning, and of its end, is looked at to know a file again, bytes. */
#define HEAD 65536

static cat_file *check_file(lua_State *L) {
    return cat_handle_self(L, CAT_FILE);
}

static int file_close(lua_State *L) {
    cat_file *file = check_file(L);
    if (file->descriptor >= 0) {
        close(file->descriptor);
        file->descriptor = -1;
    }
    return 0;
}

/* Why a file of this kind cannot be sent, or NULL. */
static const char *unfit(mode_t mode) {
    return S_ISREG(mode)    ? NULL
           : S_ISDIR(mode)  ? "it is a directory"
           : S_ISFIFO(mode) ? "it is a pipe, which has no size; send it with { reader = ... }"
                            : "it is not a regular file";
}

/* Pushes a closed file. */
static cat_file *push_closed(lua_State *L) {
    cat_file *file = lua_newuserdatauv(L, sizeof *file, 0);
    memset(file, 0, sizeof *file);
    file->descriptor = -1;
    luaL_setmetatable(L, CAT_FILE);
    return file;
}

/* Opens it, whatever it is. False with errno set. */
static bool take(cat_file *file, const char *path, struct stat *found) {
    file->descriptor =
        open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not hold us up */
    return file->descriptor >= 0 && fstat(file->descriptor, found) == 0;
}

/*** Opens a file.
 * @function open
 * @tparam string path
 * @treturn[1] file
 * @treturn[2] nil
 * @treturn[2] table error of kind `data`: it is not there, not readable, or no regular file; of
 * kind `limit`: no descriptors are left
 * @treturn[2] boolean whether it is there, and no regular file */
static int file_open(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    struct stat found;
    cat_file *file = push_closed(L);
    if (!take(file, path, &found)) {
        int error = errno;
        bool none_left = cat_no_descriptors(error);
        cat_failure(L, none_left ? "limit" : "data", "cannot read %s: %s", path,
                    none_left ? CAT_NO_DESCRIPTORS : strerror(error));
        lua_pushboolean(L, error == ENXIO); /* a socket */
        return 3;
    }
    const char *why = unfit(found.st_mode);
    if (why) {
        cat_failure(L, "data", "cannot send %s: %s", path, why);
        lua_pushboolean(L, 1);
        return 3;
    }
    file->size = found.st_size;
    file->seconds = found.st_mtim.tv_sec;
    file->nanoseconds = found.st_mtim.tv_nsec;
    return 1;
}

/* Pushes what is in the file, or its first `max` bytes. False with errno set. */
static bool push_content(lua_State *L, const cat_file *file, size_t max) {
    luaL_Buffer content;
    size_t have = 0;
    ssize_t got = 1;
    luaL_buffinit(L, &content);
    while (have < max && got != 0) {
        size_t room = max - have < LUAL_BUFFERSIZE ? max - have : LUAL_BUFFERSIZE;
        got = pread(file->descriptor, luaL_prepbuffsize(&content, room), room, (off_t)have);
        if (got < 0 && errno != EINTR) {
            return false;
        }
        luaL_addsize(&content, got > 0 ? (size_t)got : 0);
        have += got > 0 ? (size_t)got : 0;
    }
    luaL_pushresult(&content);
    return true;
}

/*** What is in a small file, such as one that is part of the configuration. It never waits.
 * @function read
 * @tparam string path
 * @tparam integer max bytes
 * @treturn[1] string
 * @treturn[2] nil
 * @treturn[2] table error of kind `config`, whose message begins with the path: it is not there,
 * not readable, no regular file, or larger; of kind `limit`: no descriptors are left */
static int file_read(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    lua_Integer max = luaL_checkinteger(L, 2);
    struct stat found;
    cat_file *file = push_closed(L);
    lua_toclose(L, -1);
    bool there = take(file, path, &found);
    if (!there && cat_no_descriptors(errno)) {
        return cat_failure(L, "limit", "%s: %s", path, CAT_NO_DESCRIPTORS);
    }
    if (there && !S_ISREG(found.st_mode)) {
        return cat_failure(L, "config", "%s: it is %s", path,
                           S_ISDIR(found.st_mode) ? "a directory" : "no regular file");
    }
    if (!there || !push_content(L, file, (size_t)max + 1)) {
        return cat_failure(L, "config", "%s: %s", path, strerror(errno));
    }
    if (lua_rawlen(L, -1) > (lua_Unsigned)max) {
        return cat_failure(L, "config", "%s: it is larger than %I bytes", path, (LUAI_UACINT)max);
    }
    return 1;
}

/*** The size it had when it was opened.
 * @function file:size
 * @treturn integer bytes */
static int file_size(lua_State *L) {
    lua_pushinteger(L, check_file(L)->size);
    return 1;
}

/*** Whether it was changed since it was opened.
 * @function file:changed
 * @treturn boolean its size or the time of its last change is another */
static int file_changed(lua_State *L) {
    cat_file *file = check_file(L);
    struct stat found;
    bool same = file->descriptor >= 0 && fstat(file->descriptor, &found) == 0 &&
                found.st_size == file->size && found.st_mtim.tv_sec == file->seconds &&
                found.st_mtim.tv_nsec == file->nanoseconds;
    lua_pushboolean(L, !same);
    return 1;
}

static int print_stamp(const cat_file *file, char *text, size_t size) {
    return snprintf(text, size, "%lld.%09lld", (long long)file->seconds,
                    (long long)file->nanoseconds);
}

/*** When it was changed last: how its fingerprint begins.
 * @function file:stamp
 * @treturn string seconds since the epoch */
static int file_stamp(lua_State *L) {
    const cat_file *file = check_file(L);
    char text[48];
    print_stamp(file, text, sizeof text);
    lua_pushstring(L, text);
    return 1;
}

/* FNV-1a, 64 bits: tells files apart that differ by accident, which is all that is asked of it. */
static uint64_t add_to_sum(uint64_t sum, const unsigned char *bytes, size_t length) {
#pragma GCC unroll 8
    for (size_t i = 0; i < length; i++) {
        sum = (sum ^ bytes[i]) * UINT64_C(1099511628211);
    }
    return sum;
}

/* Adds up to HEAD bytes from an offset on. False with errno set. */
static bool sum_range(const cat_file *file, off_t offset, uint64_t *sum) {
    unsigned char bytes[4096];
    for (off_t end = offset + HEAD; offset < end;) {
        ssize_t got = pread(file->descriptor, bytes, sizeof bytes, offset);
        if (got < 0 && errno != EINTR) {
            return false;
        }
        if (got == 0) {
            break;
        }
        *sum = add_to_sum(*sum, bytes, got > 0 ? (size_t)got : 0);
        offset += got > 0 ? got : 0;
    }
    return true;
}

/*** What tells the file from another, or from itself after a change.
 * @function file:fingerprint
 * @treturn[1] string the time of its last change, and a checksum of its first and its last 64 KiB
 * @treturn[2] nil
 * @treturn[2] table error of kind `data`: it cannot be read */
static int file_fingerprint(lua_State *L) {
    cat_file *file = check_file(L);
    char text[80];
    uint64_t sum = UINT64_C(14695981039346656037);
    off_t tail = file->size > HEAD ? file->size - HEAD : 0;
    if (!sum_range(file, 0, &sum) || !sum_range(file, tail, &sum)) {
        return cat_failure(L, "data", "the file cannot be read: %s", strerror(errno));
    }
    int length = print_stamp(file, text, sizeof text);
    snprintf(text + length, sizeof text - (size_t)length, " %016llx", (unsigned long long)sum);
    lua_pushstring(L, text);
    return 1;
}

int cat_file_open(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"size", file_size},   {"changed", file_changed}, {"fingerprint", file_fingerprint},
        {"stamp", file_stamp}, {"close", file_close},     {NULL, NULL}};
    static const luaL_Reg events[] = {{"__gc", file_close}, {"__close", file_close}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"open", file_open}, {"read", file_read}, {NULL, NULL}};
    cat_handle(L, CAT_FILE, events, methods);
    luaL_newlib(L, functions);
    return 1;
}
