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

/* How much of its beginning is shown, bytes. */
#define BEGINNING 512

/* What is read of it at a time, bytes. */
#define PIECE 4096

/* What a fingerprint takes: two numbers in decimal, one in hexadecimal, and what is between. */
#define FINGERPRINT_ROOM 80

static cat_file *check_file(lua_State *L) {
    return cat_handle_self(L, CAT_FILE);
}

static void release(cat_file *file) {
    if (file->descriptor >= 0) {
        close(file->descriptor);
        file->descriptor = -1;
    }
}

static int file_gc(lua_State *L) {
    release(check_file(L));
    return 0;
}

/* Why a file of this kind cannot be sent, or NULL. */
static const char *unfit(mode_t mode) {
    return S_ISREG(mode)    ? NULL
           : S_ISDIR(mode)  ? "it is a directory"
           : S_ISFIFO(mode) ? "it is a pipe, which has no size; send it with { reader = ... }"
                            : "it is not a regular file";
}

cat_file *cat_file_push(lua_State *L) {
    cat_file *file = lua_newuserdatauv(L, sizeof *file, 0);
    *file = (cat_file){.descriptor = -1};
    luaL_setmetatable(L, CAT_FILE);
    return file;
}

/* Opens it, whatever it is. False with errno set. */
static bool take(cat_file *file, const char *path, struct stat *found) {
    file->descriptor =
        open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not hold us up */
    return file->descriptor >= 0 && fstat(file->descriptor, found) == 0;
}

/* Opens a file, which is released where that fails: then it pushes what `open` and `look` give, and
 * returns how many values these are. */
static int open_regular(lua_State *L, cat_file *file, const char *path) {
    struct stat found;
    if (!take(file, path, &found)) {
        int error = errno;
        bool none_left = cat_no_descriptors(error);
        release(file);
        cat_failure(L, none_left ? "limit" : "data", "cannot read %s: %s", path,
                    none_left ? CAT_NO_DESCRIPTORS : strerror(error));
        lua_pushboolean(L, error == ENXIO); /* a socket */
        return 3;
    }
    const char *why = unfit(found.st_mode);
    if (why) {
        release(file);
        cat_failure(L, "data", "cannot send %s: %s", path, why);
        lua_pushboolean(L, 1);
        return 3;
    }
    file->size = found.st_size;
    file->seconds = found.st_mtim.tv_sec;
    file->nanoseconds = found.st_mtim.tv_nsec;
    return 0;
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
    cat_file *file = cat_file_push(L);
    int failed = open_regular(L, file, path);
    return failed ? failed : 1;
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
    cat_file *file = cat_file_push(L);
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

static bool is_changed(const cat_file *file) {
    struct stat found;
    return file->descriptor < 0 || fstat(file->descriptor, &found) != 0 ||
           found.st_size != file->size || found.st_mtim.tv_sec != file->seconds ||
           found.st_mtim.tv_nsec != file->nanoseconds;
}

/*** Whether it was changed since it was opened.
 * @function file:changed
 * @treturn boolean its size or the time of its last change is another */
static int file_changed(lua_State *L) {
    lua_pushboolean(L, is_changed(check_file(L)));
    return 1;
}

/*** Closes it.
 * @function file:close
 * @treturn boolean whether it was changed by then, as of `changed` */
static int file_close(lua_State *L) {
    file_changed(L);
    release(check_file(L));
    return 1;
}

/* Writes a number into `to` with so many digits, of a base. */
static void print_digits(char *to, uint64_t number, int count, unsigned base) {
    while (count > 0) {
        to[--count] = "0123456789abcdef"[number % base];
        number /= base;
    }
}

/* How a fingerprint begins: when the file was changed last, in seconds since the epoch. Returns its
 * length. */
static int print_stamp(const cat_file *file, char *text, size_t size) {
    int length = snprintf(text, size, "%lld.", (long long)file->seconds);
    print_digits(text + length, (uint64_t)file->nanoseconds, 9, 10);
    return length + 9;
}

/*** Whether a fingerprint says that the file was changed last when it was.
 * @function file:has_stamp_of
 * @tparam string fingerprint as of `look`
 * @treturn boolean */
static int file_has_stamp_of(lua_State *L) {
    const cat_file *file = check_file(L);
    const char *fingerprint = luaL_checkstring(L, 2);
    char stamp[FINGERPRINT_ROOM];
    size_t length = (size_t)print_stamp(file, stamp, sizeof stamp);
    lua_pushboolean(L, strncmp(fingerprint, stamp, length) == 0 && fingerprint[length] == ' ');
    return 1;
}

/* FNV-1a, 64 bits: tells files apart that differ by accident, which is all that is asked of it. */
static __attribute__((noinline)) uint64_t add_to_sum(uint64_t sum, const unsigned char *bytes,
                                                     size_t length) {
#pragma GCC unroll 8
    for (size_t i = 0; i < length; i++) {
        sum = (sum ^ bytes[i]) * UINT64_C(1099511628211);
    }
    return sum;
}

/* Adds up to HEAD bytes from an offset on. False with errno set. */
static bool sum_range(const cat_file *file, off_t offset, uint64_t *sum) {
    unsigned char bytes[PIECE];
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

/* The sum of the first and of the last HEAD bytes: of a small file, all of it twice, for which it
 * is read once. False with errno set. */
static bool sum_ends(const cat_file *file, uint64_t *sum) {
    unsigned char bytes[PIECE];
    *sum = UINT64_C(14695981039346656037);
    if (file->size < PIECE &&
        pread(file->descriptor, bytes, sizeof bytes, 0) == (ssize_t)file->size) {
        uint64_t once = add_to_sum(*sum, bytes, (size_t)file->size);
        *sum = add_to_sum(once, bytes, (size_t)file->size);
        return true;
    }
    off_t tail = file->size > HEAD ? file->size - HEAD : 0;
    return sum_range(file, 0, sum) && sum_range(file, tail, sum);
}

/* Makes the fingerprint of a file. False with errno set. */
static bool take_fingerprint(const cat_file *file, char *text, size_t size) {
    uint64_t sum;
    if (!sum_ends(file, &sum)) {
        return false;
    }
    int length = print_stamp(file, text, size);
    text[length] = ' ';
    print_digits(text + length + 1, sum, 16, 16);
    text[length + 17] = '\0';
    return true;
}

/*** Looks at a file without keeping it open.
 * @function look
 * @tparam string path
 * @tparam ?boolean closely true: the second value is wanted
 * @tparam ?boolean beginning true: the third one is
 * @treturn[1] integer its size, bytes
 * @treturn[1] ?string its fingerprint, which tells it from another, or from itself after a change:
 * the time of its last change, and a checksum of its first and its last 64 KiB
 * @treturn[1] ?string its first 512 bytes
 * @treturn[2] nil
 * @treturn[2] table error, as of `open`
 * @treturn[2] boolean as of `open` */
static int file_look(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    cat_file file = {.descriptor = -1};
    char fingerprint[FINGERPRINT_ROOM], beginning[BEGINNING];
    bool closely = lua_toboolean(L, 2), begins = lua_toboolean(L, 3);
    int failed = open_regular(L, &file, path);
    if (failed) {
        return failed;
    }
    ssize_t length = begins ? pread(file.descriptor, beginning, sizeof beginning, 0) : 0;
    bool good =
        length >= 0 && (!closely || take_fingerprint(&file, fingerprint, sizeof fingerprint));
    int why = errno;
    release(&file); /* before what may raise */
    if (!good) {
        return cat_failure(L, "data", "cannot read %s: %s", path, strerror(why));
    }
    lua_pushinteger(L, file.size);
    lua_pushstring(L, closely ? fingerprint : NULL);
    if (begins) {
        lua_pushlstring(L, beginning, (size_t)length);
    }
    return begins ? 3 : 2;
}

int cat_file_open(lua_State *L) {
    static const luaL_Reg methods[] = {{"size", file_size},
                                       {"changed", file_changed},
                                       {"has_stamp_of", file_has_stamp_of},
                                       {"close", file_close},
                                       {NULL, NULL}};
    static const luaL_Reg events[] = {{"__gc", file_gc}, {"__close", file_gc}, {NULL, NULL}};
    static const luaL_Reg functions[] = {
        {"open", file_open}, {"look", file_look}, {"read", file_read}, {NULL, NULL}};
    cat_handle(L, CAT_FILE, events, methods);
    luaL_newlib(L, functions);
    return 1;
}
