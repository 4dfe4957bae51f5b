/*** An append-only file of lines, which one process has at a time: the one that opened it, no child
 * of it. A line is there as a whole or not at all: what a crash has left of the last one is cut off
 * when the next is written.
 * @module catalog.core.journal */
#include "journal.h"

#include "crc32c.h"
#include "failure.h"
#include "handle.h"
#include "json_encode.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <lauxlib.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define JOURNAL "catalog.journal"

/* A journal that is larger is no journal of ours: 25,000 files in parts are some megabytes. */
#define LARGEST 1073741824L

typedef struct {
    int descriptor; /* -1: closed */
    pid_t owner;    /* the process that opened it */
    off_t size;     /* where the next line goes */
    bool torn;      /* something lies there, the beginning of a line */
} journal;

static journal *check_journal(lua_State *L) {
    return cat_handle_self(L, JOURNAL);
}

static void release(journal *j) {
    if (j->descriptor >= 0) {
        close(j->descriptor);
        j->descriptor = -1;
    }
}

/*** Closes the file, which another process may have then.
 * @function journal:close */
static int journal_close(lua_State *L) {
    release(check_journal(L));
    return 0;
}

static int fail(lua_State *L, const char *path, int why) {
    const char *said = why == EWOULDBLOCK ? "another process has it; wait for its end"
                       : why == ELOOP     ? "it is a symbolic link, which is not followed"
                       : why == EINVAL || why == ENXIO ? "it is no regular file"
                       : why == ENOENT ? "No such file or directory; make its directory"
                       : why == EFBIG  ? "it is too large to be one; remove it"
                                       : strerror(why);
    const char *instead = strchr(said, ';') ? ", or give" : "; give";
    return cat_failure(L, "config", "the journal %s cannot be used: %s%s another path", path, said,
                       instead);
}

/* A new name is on disk once its directory is. False with errno set. */
static bool sync_directory(lua_State *L, const char *path) {
    char *copy = lua_newuserdatauv(L, strlen(path) + 1, 0);
    memcpy(copy, path, strlen(path) + 1);
    int directory = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    lua_pop(L, 1);
    if (directory < 0) {
        return false;
    }
    bool good = fsync(directory) == 0 || errno == EINVAL; /* a file system that has no such thing */
    int why = errno;
    close(directory);
    errno = why;
    return good;
}

/* False with errno set. */
static bool lock(lua_State *L, int descriptor) {
    if (flock(descriptor, LOCK_EX | LOCK_NB) == 0) {
        return true;
    }
    if (errno != EWOULDBLOCK) {
        return false;
    }
    /* perhaps it is this state's own, dropped in the middle of a call, and not collected yet */
    lua_gc(L, LUA_GCCOLLECT);
    return flock(descriptor, LOCK_EX | LOCK_NB) == 0;
}

/* Opens and locks. 0 or an errno. */
static int take(lua_State *L, journal *j, const char *path) {
    struct stat found;
    /* Whoever may write to the directory could have put a link there, to a file that is not ours.
     */
    j->descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW, 0600);
    if (j->descriptor < 0 || fstat(j->descriptor, &found) != 0) {
        return errno;
    }
    if (!S_ISREG(found.st_mode)) {
        return S_ISDIR(found.st_mode) ? EISDIR : EINVAL;
    }
    if (!lock(L, j->descriptor) || !sync_directory(L, path)) {
        return errno;
    }
    /* what another wrote before it let go of the lock counts */
    if (fstat(j->descriptor, &found) != 0) {
        return errno;
    }
    j->size = found.st_size;
    return j->size > LARGEST ? EFBIG : 0;
}

/* Pushes the whole content. 0 or an errno. */
static int read_all(lua_State *L, const journal *j) {
    luaL_Buffer content;
    size_t have = 0;
    ssize_t got = 1;
    char *room = luaL_buffinitsize(L, &content, (size_t)j->size);
    while (have < (size_t)j->size && got > 0) {
        got = pread(j->descriptor, room + have, (size_t)j->size - have, (off_t)have);
        have += got > 0 ? (size_t)got : 0;
        got = got < 0 && errno == EINTR ? 1 : got;
    }
    int why = got < 0 ? errno : 0;
    luaL_pushresultsize(&content, have);
    return why;
}

/* Replaces the content on top by its whole lines, and what is behind them. */
static void split(lua_State *L, journal *j) {
    size_t length;
    const char *text = lua_tolstring(L, -1, &length);
    const char *end = length ? memrchr(text, '\n', length) : NULL;
    size_t whole = end ? (size_t)(end + 1 - text) : 0;
    j->size = (off_t)whole;
    j->torn = whole < length;
    lua_pushlstring(L, text, whole);
    lua_pushlstring(L, text + whole, length - whole);
    lua_remove(L, -3);
}

/*** Opens a journal, which is made when it is not there, and locks it.
 * @function open
 * @tparam string path
 * @treturn[1] journal
 * @treturn[1] string what is in it: whole lines
 * @treturn[1] string what is behind them: the beginning of a line, which stays there until the
 * first is appended
 * @treturn[2] nil
 * @treturn[2] table error of kind `config`: it cannot be read and written, is no regular file, or
 * another process has it */
static int journal_open(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    lua_settop(L, 1);
    journal *j = lua_newuserdatauv(L, sizeof *j, 0);
    memset(j, 0, sizeof *j);
    j->descriptor = -1;
    j->owner = getpid();
    luaL_setmetatable(L, JOURNAL);
    int why = take(L, j, path);
    why = why == 0 ? read_all(L, j) : why;
    if (why != 0) {
        release(j); /* now, not when it is collected: it may hold the lock */
        return fail(L, path, why);
    }
    split(L, j);
    return 3;
}

/*** Gives up what lies behind a number of bytes: it is no line, and is cut off when the next is
 * appended.
 * @function journal:keep
 * @tparam integer bytes of whole lines
 * @raise there are fewer */
static int journal_keep(lua_State *L) {
    journal *j = check_journal(L);
    lua_Integer bytes = luaL_checkinteger(L, 2);
    luaL_argcheck(L, bytes >= 0 && bytes <= (lua_Integer)j->size, 2, "there are not so many bytes");
    j->torn = j->torn || bytes < (lua_Integer)j->size;
    j->size = (off_t)bytes;
    return 0;
}

/* Writes a line behind the others. 0 or an errno; then nothing of it is there. */
static int write_line(journal *j, const char *text, size_t length) {
    size_t written = 0;
    if (j->torn && ftruncate(j->descriptor, j->size) != 0) {
        return errno;
    }
    j->torn = false;
    while (written < length) {
        ssize_t count =
            pwrite(j->descriptor, text + written, length - written, j->size + (off_t)written);
        if (count < 0 && errno != EINTR) {
            int why = errno;
            j->torn = ftruncate(j->descriptor, j->size) != 0;
            return why;
        }
        written += count > 0 ? (size_t)count : 0;
    }
    j->size += (off_t)length;
    return 0;
}

/*** Appends lines.
 * @function journal:append
 * @tparam string text one or more lines, each with its newline
 * @tparam boolean durable true: they are on disk when this returns, and all before them
 * @treturn[1] boolean true
 * @treturn[2] nil
 * @treturn[2] table error of kind `config`: the disk is full, say, or this is a child of the
 * process that opened it, whose lines it would write over
 * @raise the journal is closed */
static int journal_append(lua_State *L) {
    size_t length;
    journal *j = check_journal(L);
    const char *text = luaL_checklstring(L, 2, &length);
    luaL_argcheck(L, j->descriptor >= 0, 1, "the journal is closed");
    if (j->owner != getpid()) {
        return cat_failure(L, "config",
                           "the journal belongs to the process that opened it, which this one was "
                           "forked from; nothing was written");
    }
    int why = write_line(j, text, length);
    if (why == 0 && lua_toboolean(L, 3) && fdatasync(j->descriptor) != 0) {
        why = errno;
        j->size -= (off_t)length; /* what was not said to be there must not be there later */
        j->torn = true;
    }
    if (why != 0) {
        return cat_failure(
            L, "config", "the journal cannot be written: %s; once it can be, the same call goes on",
            strerror(why));
    }
    lua_pushboolean(L, 1);
    return 1;
}

/* The checksum that begins with the number of a line, and a blank. */
static uint32_t sum_of_number(lua_Integer number) {
    char text[32];
    int size = snprintf(text, sizeof text, "%lld ", (long long)number);
    return cat_crc32c(0, text, (size_t)size);
}

/*** The checksum of a text: CRC-32C.
 * @function checksum
 * @tparam string text
 * @tparam ?integer number that of a line: the checksum is of the number, a blank, and the text
 * @treturn string eight hexadecimal digits */
static int journal_checksum(lua_State *L) {
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    char digits[8];
    uint32_t sum = lua_isnoneornil(L, 2) ? 0 : sum_of_number(luaL_checkinteger(L, 2));
    cat_crc32c_print(digits, cat_crc32c(sum, text, length));
    lua_pushlstring(L, digits, sizeof digits);
    return 1;
}

/*** Encodes a line: a checksum of its number and of what follows it, a blank, and JSON whose first
 * field is the event.
 * @function line
 * @tparam integer number of the line in the file, from 1
 * @tparam string event
 * @tparam table fields of the event
 * @treturn[1] string with its newline
 * @treturn[2] nil
 * @treturn[2] table error of kind `data` */
static int journal_line(lua_State *L) {
    size_t length;
    lua_Integer number = luaL_checkinteger(L, 1);
    const char *event = luaL_checkstring(L, 2);
    luaL_checktype(L, 3, LUA_TTABLE);
    if (cat_json_encode(L, 3, NULL) != 1) {
        return 2;
    }
    const char *fields = lua_tolstring(L, -1, &length);
    luaL_Buffer line;
    luaL_buffinit(L, &line);
    luaL_addstring(&line, "00000000 {\"event\":\"");
    luaL_addstring(&line, event);
    luaL_addstring(&line, length > 2 ? "\"," : "\""); /* {} has no fields */
    luaL_addlstring(&line, fields + 1, length - 1);
    char *text = luaL_buffaddr(&line);
    cat_crc32c_print(text, cat_crc32c(sum_of_number(number), text + 9, luaL_bufflen(&line) - 9));
    luaL_addchar(&line, '\n');
    luaL_pushresult(&line);
    return 1;
}

int cat_journal_open(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"append", journal_append}, {"keep", journal_keep}, {"close", journal_close}, {NULL, NULL}};
    static const luaL_Reg events[] = {
        {"__gc", journal_close}, {"__close", journal_close}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"open", journal_open},
                                         {"checksum", journal_checksum},
                                         {"line", journal_line},
                                         {NULL, NULL}};
    cat_handle(L, JOURNAL, events, methods);
    luaL_newlib(L, functions);
    return 1;
}
