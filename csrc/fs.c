/*** What plain Lua lacks and we need of the file system.
 * @module catalog.core.fs */
#include "fs.h"

#include "failure.h"
#include "handle.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <lauxlib.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DIRECTORY "catalog.directory"

/*** Makes a directory; one that is there already is as good.
 * @function mkdir
 * @tparam string path
 * @treturn[1] boolean true
 * @treturn[2] nil
 * @treturn[2] table error of kind `config` */
static int fs_mkdir(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    struct stat found;
    if (mkdir(path, 0777) == 0) {
        lua_pushboolean(L, 1);
        return 1;
    }
    int why = errno;
    if (why == EEXIST && stat(path, &found) == 0) {
        if (S_ISDIR(found.st_mode)) {
            lua_pushboolean(L, 1);
            return 1;
        }
        why = ENOTDIR;
    }
    return cat_failure(L, "config", "cannot make the directory %s: %s", path, strerror(why));
}

/*** Makes a directory for files that are of no use later.
 * @function temporary
 * @treturn[1] string its path
 * @treturn[2] nil
 * @treturn[2] table error of kind `config` */
static int fs_temporary(lua_State *L) {
    const char *base = getenv("TMPDIR");
    char path[4096];
    int length = snprintf(path, sizeof path, "%s/catalog-XXXXXX", base && *base ? base : "/tmp");
    if (length < 0 || (size_t)length >= sizeof path || !mkdtemp(path)) {
        return cat_failure(L, "config", "cannot make a temporary directory: %s", strerror(errno));
    }
    lua_pushstring(L, path);
    return 1;
}

static int remove_one(const char *path, const struct stat *found, int kind, struct FTW *where) {
    (void)found, (void)kind, (void)where;
    return remove(path);
}

/*** Removes a file, or a directory with all that is in it. Links are removed, not followed.
 * @function remove
 * @tparam string path
 * @treturn[1] boolean true, also when there was nothing
 * @treturn[2] nil
 * @treturn[2] table error of kind `config` */
static int fs_remove(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT) {
        return cat_failure(L, "config", "cannot remove %s: %s", path, strerror(errno));
    }
    lua_pushboolean(L, 1);
    return 1;
}

/* Copies what is left of one file to another, by the kernel. False with errno set. */
static bool copy_all(int to, int from) {
    ssize_t copied;
    do {
        copied = sendfile(to, from, NULL, 0x7ffff000); /* the most it takes */
    } while (copied > 0 || (copied < 0 && errno == EINTR));
    return copied == 0;
}

/*** Copies a file into another, which is made when it is not there.
 * @function copy
 * @tparam string from path
 * @tparam string to path
 * @tparam integer offset where in the other its bytes go
 * @treturn[1] boolean true
 * @treturn[2] nil
 * @treturn[2] table error of kind `config` */
static int fs_copy(lua_State *L) {
    const char *from = luaL_checkstring(L, 1), *to = luaL_checkstring(L, 2);
    off_t offset = (off_t)luaL_checkinteger(L, 3);
    int source = open(from, O_RDONLY | O_CLOEXEC);
    int target = source < 0 ? -1 : open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    bool good =
        target >= 0 && lseek(target, offset, SEEK_SET) == offset && copy_all(target, source);
    int why = errno;
    if (source >= 0) {
        close(source);
    }
    if (target >= 0 && close(target) != 0 && good) {
        good = false;
        why = errno;
    }
    if (!good) {
        return cat_failure(L, "config", "cannot copy %s into %s: %s", from, to, strerror(why));
    }
    lua_pushboolean(L, 1);
    return 1;
}

/* The open directory, owned by a userdata so that an error in between cannot leak it. */
static int directory_gc(lua_State *L) {
    DIR **directory = lua_touserdata(L, 1);
    if (*directory) {
        closedir(*directory);
        *directory = NULL;
    }
    return 0;
}

/* Whether an entry of a directory is one itself. A link to one is none. */
static bool is_directory(DIR *directory, const struct dirent *entry) {
    struct stat found;
    if (entry->d_type != DT_UNKNOWN) {
        return entry->d_type == DT_DIR;
    }
    return fstatat(dirfd(directory), entry->d_name, &found, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISDIR(found.st_mode);
}

/*** The names in a directory, in no order, without `.` and `..`.
 * @function list
 * @tparam string path
 * @treturn[1] {string,...} the names
 * @treturn[1] {[string]=boolean,...} true for those of directories; links are none
 * @treturn[2] nil
 * @treturn[2] table error of kind `config` */
static int fs_list(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    lua_settop(L, 1);
    DIR **directory = lua_newuserdatauv(L, sizeof *directory, 0);
    *directory = NULL;
    luaL_setmetatable(L, DIRECTORY);
    lua_toclose(L, 2);
    *directory = opendir(path);
    if (!*directory) {
        return cat_failure(L, "config", "cannot read the directory %s: %s", path, strerror(errno));
    }
    lua_newtable(L);
    lua_newtable(L);
    struct dirent *entry;
    for (lua_Integer count = 0; errno = 0, (entry = readdir(*directory));) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            lua_pushstring(L, entry->d_name);
            lua_rawseti(L, -3, ++count);
            if (is_directory(*directory, entry)) {
                lua_pushboolean(L, 1);
                lua_setfield(L, -2, entry->d_name);
            }
        }
    }
    if (errno != 0) { /* it is not the end */
        return cat_failure(L, "config", "cannot read the directory %s: %s", path, strerror(errno));
    }
    return 2;
}

/*** What there is at a path; links are followed.
 * @function kind
 * @tparam string path
 * @treturn ?string `file`, `directory`, `pipe` or `other`; nil: nothing that can be looked at */
static int fs_kind(lua_State *L) {
    struct stat found;
    if (stat(luaL_checkstring(L, 1), &found) != 0) {
        return 0;
    }
    lua_pushstring(L, S_ISREG(found.st_mode)    ? "file"
                      : S_ISDIR(found.st_mode)  ? "directory"
                      : S_ISFIFO(found.st_mode) ? "pipe"
                                                : "other");
    return 1;
}

/*** Whether a file was changed since this machine was started: what it has then is what was
 * written, also where nothing has brought it onto the disk.
 * @function is_of_this_boot
 * @tparam string path
 * @treturn boolean false also where there is no such file */
static int fs_is_of_this_boot(lua_State *L) {
    struct stat found;
    struct timespec now, up;
    bool known = stat(luaL_checkstring(L, 1), &found) == 0 &&
                 clock_gettime(CLOCK_REALTIME, &now) == 0 &&
                 clock_gettime(CLOCK_BOOTTIME, &up) == 0;
    lua_pushboolean(L, known && found.st_mtim.tv_sec >= now.tv_sec - up.tv_sec);
    return 1;
}

int cat_fs_open(lua_State *L) {
    static const luaL_Reg events[] = {
        {"__gc", directory_gc}, {"__close", directory_gc}, {NULL, NULL}};
    cat_handle(L, DIRECTORY, events, NULL);
    static const luaL_Reg functions[] = {{"mkdir", fs_mkdir},
                                         {"temporary", fs_temporary},
                                         {"remove", fs_remove},
                                         {"copy", fs_copy},
                                         {"list", fs_list},
                                         {"kind", fs_kind},
                                         {"is_of_this_boot", fs_is_of_this_boot},
                                         {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
