/* A disk that fails when it is told to, and that remembers what it was told: preloaded, it stands
 * before the C library's calls on files; as a Lua module, it says which of them fail:
 *
 *     local disk = package.loadlib(os.getenv "DISK", "luaopen_disk")()
 *     disk.fail(directory, "fdatasync", "EIO", 3, 1) -- the third from now on, once; 0: for ever
 *     disk.mend(directory)                           -- no call fails any more
 *     disk.failed(directory)                         -- how many have failed
 *     disk.trace(directory, file, 100)               -- writes down what is done, and kills this
 *                                                       process before the hundredth call; 0: never
 *
 * Errors are those of errno, and three more: SHORT writes a half of it, SPOIL reads another byte,
 * REMOTE says that the file system is one of a network. */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#define LONGEST     512
#define DESCRIPTORS 4096
#define SHORT       10001
#define SPOIL       10002
#define REMOTE      10003
#define NFS         0x6969 /* as statfs has it */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The C library's own. */
#define NEXT(name, symbol) ((__typeof__(&(name)))dlsym(RTLD_NEXT, symbol))

/* --- which calls fail --- */

typedef struct {
    long before, count; /* calls that succeed before; that fail, 0: all */
    long failed;
    int error;
    bool is_off;
    char call[24], directory[LONGEST];
} rule;

static rule rules[1024];
static size_t rule_count;

static bool is_within(const char *path, const char *directory) {
    size_t length = strlen(directory);
    return strncmp(path, directory, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

/* The errno with which a call on a path is to fail; 0: with none. */
static int fault_of(const char *call, const char *path) {
    for (size_t i = 0; *path && i < rule_count; i++) {
        rule *one = &rules[i];
        if (one->is_off || strcmp(one->call, call) != 0 || !is_within(path, one->directory)) {
            continue;
        }
        if (one->before > 0) {
            one->before--;
        } else if (one->count == 0 || one->failed < one->count) {
            one->failed++;
            return one->error;
        }
    }
    return 0;
}

/* --- what is done --- */

/* What a descriptor is of: a file of a number, or a directory, whose number is 0. */
typedef struct {
    char path[LONGEST];
    long number;
} opened;

static opened descriptors[DESCRIPTORS];

static char traced[LONGEST]; /* empty: no directory is */
static int trace = -1;
static long calls_left;

static bool is_traced(const char *path) {
    return *traced && is_within(path, traced);
}

/* Before a call on a path. */
static void count_call(const char *path) {
    if (is_traced(path) && calls_left > 0 && --calls_left == 0) {
        raise(SIGKILL);
    }
}

static void note_line(const char *path, char *line, int count, const void *bytes, size_t length) {
    if (!is_traced(path)) {
        return;
    }
    int why = errno;
    struct iovec parts[3] = {{line, (size_t)count}, {(void *)bytes, length}, {"\n", 1}};
    if (writev(trace, parts, 3) < 0) {
        abort();
    }
    errno = why;
}

/* A line, and bytes that follow it. */
#define note(path, bytes, length, ...)                                                             \
    do {                                                                                           \
        char line_[2 * LONGEST + 32];                                                              \
        int count_ = snprintf(line_, sizeof line_, __VA_ARGS__);                                   \
        note_line(path, line_, count_, bytes, length);                                             \
    } while (0)

/* A path as the trace has it: within the directory. */
static const char *within(const char *path) {
    const char *rest = path + strlen(traced);
    return *rest == '/' ? rest + 1 : rest;
}

static opened *of(int descriptor) {
    static opened none;
    return descriptor >= 0 && descriptor < DESCRIPTORS ? &descriptors[descriptor] : &none;
}

/* The path of a name in a directory; empty: of no interest. */
static void resolve(char *path, int directory, const char *name) {
    bool is_whole = directory == AT_FDCWD || strcmp(name, ".") == 0;
    const char *parent = directory == AT_FDCWD ? name : of(directory)->path;
    *path = '\0';
    if (*parent && strlen(parent) + strlen(name) + 2 <= LONGEST) {
        size_t length = strlen(parent);
        memcpy(path, parent, length + 1);
        if (!is_whole) {
            path[length] = '/';
            memcpy(path + length + 1, name, strlen(name) + 1);
        }
    }
}

/* --- opening and closing --- */

static struct {
    ino_t inode;
    long number;
} files[65536];
static long file_count;

/* The number of the file that was opened, and a line for the trace where that is new. */
static long number_of(const char *path, ino_t inode, bool is_made) {
    long found = 0;
    for (long i = file_count; i > 0 && !is_made && !found; i--) {
        found = files[i].inode == inode ? files[i].number : 0;
    }
    if (!found && file_count < 65535) {
        found = ++file_count;
        files[found].inode = inode;
        files[found].number = found;
        note(path, "", 0, "%s %ld %s", is_made ? "create" : "open", found, within(path));
    }
    return found;
}

static void take_note_of(int descriptor, const char *path, int flags, bool is_made) {
    struct stat found;
    opened *one = of(descriptor);
    if (descriptor < 0 || descriptor >= DESCRIPTORS || fstat(descriptor, &found) != 0) {
        return;
    }
    snprintf(one->path, sizeof one->path, "%s", path);
    one->number = 0;
    if (S_ISREG(found.st_mode) && is_traced(path)) {
        one->number = number_of(path, found.st_ino, is_made);
        if (flags & O_TRUNC) {
            note(path, "", 0, "cut %ld 0", one->number);
        }
    }
}

static int open_at(int directory, const char *name, int flags, mode_t mode) {
    char path[LONGEST];
    pthread_mutex_lock(&lock);
    resolve(path, directory, name);
    count_call(path);
    int why = fault_of("openat", path);
    bool is_made = (flags & O_CREAT) && faccessat(directory, name, F_OK, AT_SYMLINK_NOFOLLOW) != 0;
    int made = why ? -1 : NEXT(openat, "openat64")(directory, name, flags, mode);
    errno = why ? why : errno;
    if (*path) {
        take_note_of(made, path, flags, is_made);
    }
    pthread_mutex_unlock(&lock);
    return made;
}

/* The C library's have a variable number of arguments, and are called all the same. */
int disk_openat(int directory, const char *name, int flags, mode_t mode) __asm__("openat64");
int disk_open(const char *name, int flags, mode_t mode) __asm__("open64");

int disk_openat(int directory, const char *name, int flags, mode_t mode) {
    return open_at(directory, name, flags, flags & O_CREAT ? mode : 0);
}

int disk_open(const char *name, int flags, mode_t mode) {
    return open_at(AT_FDCWD, name, flags, flags & O_CREAT ? mode : 0);
}

FILE *fopen(const char *name, const char *mode) {
    char path[LONGEST];
    pthread_mutex_lock(&lock);
    resolve(path, AT_FDCWD, name);
    count_call(path);
    int why = fault_of("openat", path);
    bool is_made = *mode != 'r' && access(name, F_OK) != 0;
    FILE *made = why ? NULL : NEXT(fopen, "fopen64")(name, mode);
    errno = why ? why : errno;
    if (made && *path) {
        take_note_of(fileno(made), path, *mode == 'w' ? O_TRUNC : 0, is_made);
    }
    pthread_mutex_unlock(&lock);
    return made;
}

/* A second descriptor of a file is one of it, too. */
int disk_fcntl(int descriptor, int command, long argument) __asm__("fcntl64");

int disk_fcntl(int descriptor, int command, long argument) {
    int result = NEXT(fcntl, "fcntl64")(descriptor, command, argument);
    pthread_mutex_lock(&lock);
    if (command == F_DUPFD_CLOEXEC && result >= 0 && result < DESCRIPTORS) {
        descriptors[result] = *of(descriptor);
    }
    pthread_mutex_unlock(&lock);
    return result;
}

static void forget(int descriptor) {
    pthread_mutex_lock(&lock);
    if (descriptor >= 0 && descriptor < DESCRIPTORS) {
        descriptors[descriptor].path[0] = '\0';
    }
    pthread_mutex_unlock(&lock);
}

int close(int descriptor) {
    forget(descriptor);
    return NEXT(close, "close")(descriptor);
}

int fclose(FILE *file) {
    forget(fileno(file));
    return NEXT(fclose, "fclose")(file);
}

int closedir(DIR *directory) {
    forget(dirfd(directory));
    return NEXT(closedir, "closedir")(directory);
}

/* --- reading and writing --- */

static void note_write(const opened *one, const char *bytes, size_t length, off_t at) {
    bool is_blank = length > 0 && *bytes == 0 && memcmp(bytes, bytes + 1, length - 1) == 0;
    note(one->path, bytes, is_blank ? 0 : length, "%s %ld %lld %zu%s", is_blank ? "zeros" : "write",
         one->number, (long long)at, length, is_blank ? "" : "\n");
}

ssize_t pwrite(int descriptor, const void *bytes, size_t size, off_t at) {
    pthread_mutex_lock(&lock);
    const opened *one = of(descriptor);
    count_call(one->path);
    int why = fault_of("pwrite", one->path);
    size = why == SHORT ? (size + 1) / 2 : size;
    why = why == SHORT ? 0 : why;
    ssize_t count = why ? -1 : NEXT(pwrite, "pwrite64")(descriptor, bytes, size, at);
    errno = why ? why : errno;
    if (count > 0) {
        note_write(one, bytes, (size_t)count, at);
    }
    pthread_mutex_unlock(&lock);
    return count;
}

/* Only what is written at the end of a file is written so. */
ssize_t write(int descriptor, const void *bytes, size_t size) {
    struct stat found;
    pthread_mutex_lock(&lock);
    const opened *one = of(descriptor);
    count_call(one->path);
    int why = fault_of("write", one->path);
    off_t at = *one->path && fstat(descriptor, &found) == 0 ? found.st_size : 0;
    ssize_t count = why ? -1 : NEXT(write, "write")(descriptor, bytes, size);
    errno = why ? why : errno;
    if (count > 0) {
        note_write(one, bytes, (size_t)count, at);
    }
    pthread_mutex_unlock(&lock);
    return count;
}

ssize_t pread(int descriptor, void *bytes, size_t size, off_t at) {
    pthread_mutex_lock(&lock);
    int why = fault_of("pread", of(descriptor)->path);
    pthread_mutex_unlock(&lock);
    ssize_t count = why && why != SPOIL ? -1 : NEXT(pread, "pread64")(descriptor, bytes, size, at);
    errno = why ? why : errno;
    if (why == SPOIL && count > 0) {
        *(char *)bytes ^= 1;
    }
    return count;
}

/* --- syncs --- */

typedef int sync_call(int descriptor);

static int sync_by(int descriptor, const char *call, sync_call *next) {
    pthread_mutex_lock(&lock);
    const opened *one = of(descriptor);
    count_call(one->path);
    int why = fault_of(call, one->path);
    int result = why ? -1 : next(descriptor);
    errno = why ? why : errno;
    if (one->number) {
        note(one->path, "", 0, "%s %ld", result == 0 ? "sync" : "lost", one->number);
    } else {
        note(one->path, "", 0, "%s %s", result == 0 ? "syncdir" : "lostdir", within(one->path));
    }
    pthread_mutex_unlock(&lock);
    return result;
}

int fdatasync(int descriptor) {
    return sync_by(descriptor, "fdatasync", NEXT(fdatasync, "fdatasync"));
}

int fsync(int descriptor) {
    return sync_by(descriptor, "fsync", NEXT(fsync, "fsync"));
}

int sync_file_range(int descriptor, off_t at, off_t length, unsigned int flags) {
    pthread_mutex_lock(&lock);
    int why = fault_of("sync_file_range", of(descriptor)->path);
    pthread_mutex_unlock(&lock);
    int result = why ? -1 : NEXT(sync_file_range, "sync_file_range")(descriptor, at, length, flags);
    errno = why ? why : errno;
    return result;
}

int disk_fstatfs(int descriptor, struct statfs *found) __asm__("fstatfs64");

int disk_fstatfs(int descriptor, struct statfs *found) {
    pthread_mutex_lock(&lock);
    int why = fault_of("fstatfs", of(descriptor)->path);
    pthread_mutex_unlock(&lock);
    int result = NEXT(fstatfs, "fstatfs64")(descriptor, found);
    found->f_type = why == REMOTE ? NFS : found->f_type;
    return result;
}

/* --- sizes and names --- */

int ftruncate(int descriptor, off_t length) {
    pthread_mutex_lock(&lock);
    const opened *one = of(descriptor);
    count_call(one->path);
    int why = fault_of("ftruncate", one->path);
    int result = why ? -1 : NEXT(ftruncate, "ftruncate64")(descriptor, length);
    errno = why ? why : errno;
    if (result == 0) {
        note(one->path, "", 0, "cut %ld %lld", one->number, (long long)length);
    }
    pthread_mutex_unlock(&lock);
    return result;
}

int unlinkat(int directory, const char *name, int flags) {
    char path[LONGEST];
    pthread_mutex_lock(&lock);
    resolve(path, directory, name);
    count_call(path);
    int why = fault_of("unlinkat", path);
    int result = why ? -1 : NEXT(unlinkat, "unlinkat")(directory, name, flags);
    errno = why ? why : errno;
    if (result == 0) {
        note(path, "", 0, "unlink %s", within(path));
    }
    pthread_mutex_unlock(&lock);
    return result;
}

int remove(const char *name) {
    char path[LONGEST];
    pthread_mutex_lock(&lock);
    resolve(path, AT_FDCWD, name);
    count_call(path);
    int result = NEXT(remove, "remove")(name);
    if (result == 0) {
        note(path, "", 0, "unlink %s", within(path));
    }
    pthread_mutex_unlock(&lock);
    return result;
}

int rename(const char *name, const char *now) {
    return renameat(AT_FDCWD, name, AT_FDCWD, now);
}

int renameat(int directory, const char *name, int other, const char *now) {
    char path[LONGEST], into[LONGEST];
    pthread_mutex_lock(&lock);
    resolve(path, directory, name);
    resolve(into, other, now);
    count_call(path);
    int why = fault_of("renameat", path);
    int result = why ? -1 : NEXT(renameat, "renameat")(directory, name, other, now);
    errno = why ? why : errno;
    if (result == 0) {
        note(path, "", 0, "rename %s %s", within(path), within(into));
    }
    pthread_mutex_unlock(&lock);
    return result;
}

int mkdirat(int directory, const char *name, mode_t mode) {
    char path[LONGEST];
    pthread_mutex_lock(&lock);
    resolve(path, directory, name);
    count_call(path);
    int why = fault_of("mkdirat", path);
    int result = why ? -1 : NEXT(mkdirat, "mkdirat")(directory, name, mode);
    errno = why ? why : errno;
    if (result == 0) {
        note(path, "", 0, "mkdir %s", within(path));
    }
    pthread_mutex_unlock(&lock);
    return result;
}

int mkdir(const char *name, mode_t mode) {
    return mkdirat(AT_FDCWD, name, mode);
}

/* --- for Lua --- */

static int error_of(lua_State *L, int index) {
    static const char *const names[] = {"ENOSPC", "EIO",   "EROFS",  "ENOENT",
                                        "SHORT",  "SPOIL", "REMOTE", NULL};
    static const int errors[] = {ENOSPC, EIO, EROFS, ENOENT, SHORT, SPOIL, REMOTE};
    return errors[luaL_checkoption(L, index, NULL, names)];
}

static int disk_fail(lua_State *L) {
    rule made = {.error = error_of(L, 3)};
    snprintf(made.directory, sizeof made.directory, "%s", luaL_checkstring(L, 1));
    snprintf(made.call, sizeof made.call, "%s", luaL_checkstring(L, 2));
    made.before = (long)luaL_checkinteger(L, 4) - 1;
    made.count = (long)luaL_checkinteger(L, 5);
    pthread_mutex_lock(&lock);
    bool fits = rule_count < sizeof rules / sizeof *rules;
    if (fits) {
        rules[rule_count++] = made;
    }
    pthread_mutex_unlock(&lock);
    return fits ? 0 : luaL_error(L, "too many rules");
}

/* Counts the calls that have failed in a directory and, to mend it, ends its rules. */
static long look_at(const char *directory, bool is_mended) {
    long failed = 0;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < rule_count; i++) {
        if (strcmp(rules[i].directory, directory) == 0) {
            failed += rules[i].failed;
            rules[i].is_off = rules[i].is_off || is_mended;
        }
    }
    pthread_mutex_unlock(&lock);
    return failed;
}

static int disk_mend(lua_State *L) {
    look_at(luaL_checkstring(L, 1), true);
    return 0;
}

static int disk_failed(lua_State *L) {
    lua_pushinteger(L, look_at(luaL_checkstring(L, 1), false));
    return 1;
}

static int disk_trace(lua_State *L) {
    const char *directory = luaL_checkstring(L, 1), *file = luaL_checkstring(L, 2);
    long calls = (long)luaL_checkinteger(L, 3);
    int made = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    if (made < 0) {
        return luaL_error(L, "%s: %s", file, strerror(errno));
    }
    pthread_mutex_lock(&lock);
    snprintf(traced, sizeof traced, "%s", directory);
    trace = made;
    calls_left = calls;
    pthread_mutex_unlock(&lock);
    return 0;
}

int luaopen_disk(lua_State *L);
int luaopen_disk(lua_State *L) {
    static const luaL_Reg functions[] = {{"fail", disk_fail},
                                         {"mend", disk_mend},
                                         {"failed", disk_failed},
                                         {"trace", disk_trace},
                                         {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
