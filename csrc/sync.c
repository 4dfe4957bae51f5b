/*** What was written is brought onto the disk, by a thread: a host's loop goes on meanwhile.
 * @module catalog.core.sync */
#include "sync.h"

#include "failure.h"
#include "handle.h"
#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define SYNC "catalog.sync"

/* How many files one takes. */
#define MOST 1024

/* What the thread works on. It and the userdata own it together: a userdata may be dropped in the
 * middle, and the thread is not waited for then. So its memory is not the Lua state's. */
typedef struct {
    atomic_int owners;
    int event; /* readable once it is done */
    int count;
    int error, failed; /* an errno, and the place of the file whose it is */
    int descriptors[];
} work;

typedef struct {
    work *work; /* NULL: closed */
} sync_job;

static sync_job *check_sync(lua_State *L) {
    return cat_handle_self(L, SYNC);
}

/* Whoever is the last lets go of all. */
static void release(work *w) {
    if (atomic_fetch_sub(&w->owners, 1) > 1) {
        return;
    }
    for (int i = 0; i < w->count; i++) {
        close(w->descriptors[i]);
    }
    if (w->event >= 0) {
        close(w->event);
    }
    free(w);
}

static void sync_all(work *w) {
    uint64_t one = 1;
    for (int i = 0; i < w->count && w->error == 0; i++) {
        /* a file system may have no such thing for directories */
        if (fsync(w->descriptors[i]) != 0 && errno != EINVAL) {
            w->error = errno;
            w->failed = i + 1;
        }
    }
    while (write(w->event, &one, sizeof one) < 0 && errno == EINTR) {
    }
}

static void *run(void *argument) {
    sync_all(argument);
    release(argument);
    return NULL;
}

/* Begins the thread. Where there can be none the work is done here. */
static void begin(work *w) {
    pthread_attr_t attributes;
    pthread_t thread;
    bool began = false;
    atomic_fetch_add(&w->owners, 1);
    if (pthread_attr_init(&attributes) == 0) {
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        began = pthread_create(&thread, &attributes, run, w) == 0;
        pthread_attr_destroy(&attributes);
    }
    if (!began) {
        run(w);
    }
}

/* The descriptor of what is on top: an open file's, a second one, or that of a path. -1 with errno
 * set. */
static int descriptor_of(lua_State *L) {
    luaL_Stream *file = luaL_testudata(L, -1, LUA_FILEHANDLE);
    if (file) {
        luaL_argcheck(L, file->closef, 1, "a file is closed");
        return fcntl(fileno(file->f), F_DUPFD_CLOEXEC, 0);
    }
    const char *path = lua_tostring(L, -1);
    luaL_argcheck(L, path, 1, "files or paths expected");
    return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

/*** Begins to bring files onto the disk, one after the other.
 * @function start
 * @tparam {file|string,...} files open files of Lua's, or paths, those of directories too
 * @treturn[1] sync
 * @treturn[2] nil
 * @treturn[2] table error of kind `data`: a path cannot be opened; of kind `limit`: no descriptors
 * are left
 * @raise there are none, or more than 1024 */
static int sync_start(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_Integer count = (lua_Integer)lua_rawlen(L, 1);
    luaL_argcheck(L, count > 0 && count <= MOST, 1, "1 to 1024 files expected");
    sync_job *self = lua_newuserdatauv(L, sizeof *self, 0);
    self->work = NULL;
    luaL_setmetatable(L, SYNC);
    work *w = malloc(sizeof *w + (size_t)count * sizeof *w->descriptors);
    if (!w) {
        return cat_oom(L);
    }
    *w = (work){.owners = 1, .event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    self->work = w;
    bool good = w->event >= 0;
    while (good && w->count < count) {
        lua_rawgeti(L, 1, w->count + 1);
        int descriptor = descriptor_of(L);
        good = descriptor >= 0;
        if (good) {
            w->descriptors[w->count++] = descriptor;
            lua_pop(L, 1);
        }
    }
    if (!good) {
        bool none_left = cat_no_descriptors(errno);
        return cat_failure(L, none_left ? "limit" : "data", "cannot write %s: %s",
                           lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "a file",
                           none_left ? CAT_NO_DESCRIPTORS : strerror(errno));
    }
    begin(w);
    return 1;
}

static work *open_work(lua_State *L) {
    work *w = check_sync(L)->work;
    luaL_argcheck(L, w, 1, "it is closed");
    return w;
}

/*** The descriptor that is readable once it is done.
 * @function sync:fd
 * @treturn integer */
static int sync_fd(lua_State *L) {
    lua_pushinteger(L, open_work(L)->event);
    return 1;
}

/*** Whether all of it is on the disk, once the descriptor is readable.
 * @function sync:result
 * @treturn[1] boolean true
 * @treturn[2] nil
 * @treturn[2] string why not
 * @treturn[2] integer the place of the file that is not */
static int sync_result(lua_State *L) {
    const work *w = open_work(L);
    if (w->error != 0) {
        lua_pushnil(L);
        lua_pushstring(L, strerror(w->error));
        lua_pushinteger(L, w->failed);
        return 3;
    }
    lua_pushboolean(L, 1);
    return 1;
}

/*** Lets go of it. What has begun goes on.
 * @function sync:close */
static int sync_close(lua_State *L) {
    sync_job *self = check_sync(L);
    if (self->work) {
        release(self->work);
        self->work = NULL;
    }
    return 0;
}

int cat_sync_open(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"fd", sync_fd}, {"result", sync_result}, {"close", sync_close}, {NULL, NULL}};
    static const luaL_Reg events[] = {{"__gc", sync_close}, {"__close", sync_close}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"start", sync_start}, {NULL, NULL}};
    cat_handle(L, SYNC, events, methods);
    luaL_newlib(L, functions);
    return 1;
}
