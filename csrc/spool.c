/*** A spool: records on this machine's disk that are to go to the platform. What is put into it is
 * written by a thread of its own.
 * @module catalog.core.spool */
#include "spool.h"

#include "failure.h"
#include "handle.h"
#include "heap.h"
#include "memory.h"
#include "spool_open.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* What is put and not written yet, bytes; the largest item has to fit into a part of it. */
#define RING_BYTES ((size_t)8388608)

/* How long the thread may take to end, nanoseconds. */
#define STOP_WITHIN INT64_C(1000000000)

static cat_spool *check_spool(lua_State *L) {
    return cat_handle_self(L, CAT_SPOOL);
}

cat_spool *cat_spool_own(lua_State *L) {
    cat_spool *spool = check_spool(L);
    if (!spool->is_open) {
        cat_failure(L, "cancelled", "the spool is closed");
        return NULL;
    }
    if (!cat_in_owner_process(&spool->guard)) {
        cat_failure(
            L, "cancelled",
            "this spool belongs to the process that this one was forked from, which goes on "
            "with it");
        return NULL;
    }
    return spool;
}

cat_spool *cat_spool_usable(lua_State *L) {
    cat_spool *spool = cat_spool_own(L);
    if (spool && atomic_load(&spool->thread.is_broken)) {
        cat_failure(L, "config", "the spool cannot go on: %s", spool->thread.status.broken);
        return NULL;
    }
    return spool;
}

/* A closed spool, on the top of the stack. */
static cat_spool *push_closed(lua_State *L) {
    cat_spool *spool = lua_newuserdatauv(L, sizeof *spool, 0);
    memset(spool, 0, sizeof *spool);
    spool->L = cat_main_thread(L);
    cat_spool_thread *t = &spool->thread;
    t->directory = t->segments = t->rejected_directory = t->lock = t->event = -1;
    cat_spool_log_init(&t->log);
    pthread_mutex_init(&t->mutex, NULL);
    luaL_setmetatable(L, CAT_SPOOL);
    return spool;
}

/* --- opening --- */

static int64_t option(lua_State *L, const char *name, int64_t otherwise) {
    int is_number = lua_getfield(L, 1, name) == LUA_TNIL;
    int64_t value = is_number ? otherwise : lua_tointegerx(L, -1, &is_number);
    if (!is_number) {
        luaL_error(L, "bad option '%s' (integer expected)", name);
    }
    lua_pop(L, 1);
    return value;
}

static void read_options(lua_State *L, cat_spool *spool) {
    spool->file_bytes = option(L, "file_bytes", 64000000);
    spool->record_bytes = option(L, "record_bytes", 1000000);
    spool->roll_bytes = option(L, "roll_bytes", INT64_MAX);
    spool->roll_records = option(L, "roll_records", INT64_MAX);
    spool->roll_files = option(L, "roll_files", INT64_MAX);
    spool->thread.limit_bytes = option(L, "limit_bytes", INT64_MAX);
    spool->thread.limit_free = option(L, "limit_free", 0);
    spool->thread.limit_rejected = option(L, "limit_rejected", INT64_MAX);
    lua_getfield(L, 1, "sync_seconds");
    spool->thread.sync_after = cat_nanoseconds(luaL_optnumber(L, -1, 1));
    lua_pop(L, 1);
}

/* What the thread needs. False with errno set. */
static bool prepare(cat_spool *spool) {
    cat_spool_thread *t = &spool->thread;
    pthread_condattr_t attributes;
    t->ring.bytes = cat_resize(spool->L, NULL, 0, RING_BYTES);
    t->ring.size = RING_BYTES;
    t->pending = malloc(CAT_SPOOL_PIECE);
    t->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!t->ring.bytes || !t->pending) {
        errno = ENOMEM;
        return false;
    }
    errno = pthread_condattr_init(&attributes);
    if (t->event < 0 || errno != 0) {
        return false;
    }
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    errno = pthread_cond_init(&t->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    return errno == 0 && cat_init_fork_guard(&spool->guard);
}

/* Frees all that a spool holds whose thread does not run. */
static void release(cat_spool *spool) {
    cat_spool_close(&spool->thread);
    if (spool->thread.ring.bytes) {
        cat_resize(spool->L, spool->thread.ring.bytes, RING_BYTES, 0);
        spool->thread.ring.bytes = NULL;
    }
    cat_free_fork_guard(&spool->guard);
}

/*** Opens a spool, which is made where there is none, and begins its thread.
 * @function open
 * @tparam table options `path`; `dataset` (JSON text: what is in it is for that one), `file_bytes`,
 * `record_bytes`, `roll_bytes`, `roll_records`, `roll_files`, `limit_bytes`, `limit_free`,
 * `limit_rejected` (integers); `sync_seconds` (number)
 * @treturn[1] spool
 * @treturn[1] string what its journal says: an object
 * @treturn[2] nil
 * @treturn[2] table error of kind `config`, or `conflict`: another process has it */
static int spool_open(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_getfield(L, 1, "path");
    lua_getfield(L, 1, "dataset");
    const char *path = luaL_checkstring(L, 2), *dataset = luaL_optstring(L, 3, NULL);
    cat_spool *spool = push_closed(L);
    read_options(L, spool);
    int failed = cat_spool_open_directory(L, &spool->thread, path, dataset);
    if (!failed) {
        cat_spool_push_settings(L, &spool->thread.settings);
        spool->told_due = spool->thread.status.due = spool->thread.due;
    }
    if (!failed && (!prepare(spool) || !cat_spool_thread_start(&spool->thread))) {
        failed =
            cat_failure(L, "limit", "the spool %s cannot be opened: %s", path, strerror(errno));
    }
    if (failed) {
        release(spool); /* now, not when it is collected: it may hold the lock */
        return failed;
    }
    spool->is_open = true;
    return 2;
}

/*** What the journal of a spool says, which another process may have.
 * @function look
 * @tparam string path
 * @treturn[1] string an object
 * @treturn[2] nil
 * @treturn[2] table error of kind `config` */
static int spool_look(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    lua_settop(L, 1);
    cat_spool *spool = push_closed(L);
    int pushed = cat_spool_look(L, &spool->thread, path);
    release(spool);
    return pushed;
}

/* --- the end --- */

/*** Closes the spool, once everything that was put is on the disk, or a second is over.
 * @function spool:close
 * @treturn[1] boolean true
 * @treturn[2] nil
 * @treturn[2] table error of kind `config`: so many records were not written
 * @treturn[2] integer how many */
static int spool_close(lua_State *L) {
    cat_spool *spool = check_spool(L);
    if (!spool->is_open) {
        lua_pushboolean(L, 1);
        return 1;
    }
    if (!cat_spool_own(L)) {
        return 2;
    }
    cat_spool_thread_stop(&spool->thread, STOP_WITHIN);
    spool->is_open = false;
    cat_spool_status status = spool->thread.status;
    int64_t lost = spool->committed.records - status.records;
    release(spool);
    if (lost <= 0) {
        lua_pushboolean(L, 1);
        return 1;
    }
    cat_failure(L, "config", "%I records were not written to the spool: %s", (LUAI_UACINT)lost,
                status.broken[0]    ? status.broken
                : status.disk_error ? strerror(status.disk_error)
                                    : "the disk did not take them within a second");
    lua_pushinteger(L, lost);
    return 3;
}

static int spool_gc(lua_State *L) {
    cat_spool *spool = check_spool(L);
    if (spool->is_open && cat_in_owner_process(&spool->guard)) {
        cat_spool_thread_stop(&spool->thread, STOP_WITHIN);
        spool->is_open = false;
    }
    if (spool->is_open) {
        /* a forked child: the thread may have been in the middle of anything, so all of it leaks */
        return 0;
    }
    release(spool);
    return 0;
}

/*** The descriptor that is readable while there is something to `take`, or there is room again.
 * @function spool:fd
 * @treturn integer */
static int spool_fd(lua_State *L) {
    lua_pushinteger(L, check_spool(L)->thread.event);
    return 1;
}

int cat_spool_module(lua_State *L) {
    static const luaL_Reg methods[] = {{"fd", spool_fd}, {"close", spool_close}, {NULL, NULL}};
    static const luaL_Reg events[] = {{"__gc", spool_gc}, {"__close", spool_gc}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"open", spool_open}, {"look", spool_look}, {NULL, NULL}};
    cat_handle(L, CAT_SPOOL, events, methods);
    luaL_getmetatable(L, CAT_SPOOL);
    lua_getfield(L, -1, "__index");
    for (const luaL_Reg *list = cat_spool_writing; list;
         list = list == cat_spool_writing ? cat_spool_asking : NULL) {
        lua_pushvalue(L, -2);
        luaL_setfuncs(L, list, 1);
    }
    lua_pop(L, 2);
    luaL_newlib(L, functions);
    return 1;
}
