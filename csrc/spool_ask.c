/*** What a spool's thread is asked for, and what it has to say.
 * @module catalog.core.spool */
#include "crc32c.h"
#include "failure.h"
#include "file.h"
#include "handle.h"
#include "spool.h"
#include "utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How long a name is at the most, bytes. */
#define LONGEST_NAME 200

/* gcc's analyzer does not see that what is linked here has an owner. */
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 10
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

/* --- jobs --- */

/* Raises unless a name stays within the spool. */
static void check_name(lua_State *L, int index) {
    size_t length;
    const char *name = luaL_checklstring(L, index, &length);
    luaL_argcheck(L,
                  length > 0 && length <= LONGEST_NAME && strlen(name) == length &&
                      name[0] != '/' && !strstr(name, ".."),
                  index, "no name within the spool");
}

/* Gives the thread a job, and pushes its ticket. The arguments from 2 on are its name, and another
 * or a text. */
static int add_job(lua_State *L, cat_spool *spool, cat_job_kind kind, const char *name,
                   const char *text, size_t length) {
    size_t name_size = strlen(name) + 1;
    cat_job *job = malloc(sizeof *job + name_size + length + 1);
    if (!job) {
        return cat_failure(L, "limit", "there is no memory for a job of the spool");
    }
    *job = (cat_job){.kind = kind, .descriptor = -1, .length = length};
    job->ticket = ++spool->last_ticket;
    memcpy(job->name, name, name_size);
    job->text = job->other = job->name + name_size;
    memcpy(job->text, text, length);
    job->text[length] = '\0';
    lua_Integer ticket = job->ticket;
    cat_spool_thread_add(&spool->thread, job);
    lua_pushinteger(L, ticket);
    return 1;
}

/* A job of a name, and of a text that may be another name. */
static int ask(lua_State *L, cat_job_kind kind) {
    cat_spool *spool = cat_spool_usable(L);
    size_t length = 0;
    const char *text = "";
    if (!spool) {
        return 2;
    }
    check_name(L, 2);
    if (kind == CAT_JOB_RENAME) {
        check_name(L, 3);
    }
    if (!lua_isnoneornil(L, 3)) {
        text = luaL_checklstring(L, 3, &length);
    }
    return add_job(L, spool, kind, lua_tostring(L, 2), text, length);
}

/*** Waits until everything that was put is on the disk. This and what follows begin a job: they
 * give its ticket, under which `take` tells of its end.
 * @function spool:sync
 * @treturn[1] integer ticket
 * @treturn[2] nil
 * @treturn[2] table error: the spool cannot go on */
static int spool_sync(lua_State *L) {
    cat_spool *spool = cat_spool_usable(L);
    return spool ? add_job(L, spool, CAT_JOB_SYNC, "", "", 0) : 2;
}

/*** Notes settings in the journal.
 * @function spool:note
 * @tparam string text a JSON object: keys and their values; null removes one
 * @treturn[1] integer ticket; its end is that they are on the disk
 * @treturn[2] nil
 * @treturn[2] table error */
static int spool_note(lua_State *L) {
    size_t length;
    cat_spool *spool = cat_spool_usable(L);
    if (!spool) {
        return 2;
    }
    const char *text = luaL_checklstring(L, 2, &length);
    luaL_argcheck(L, cat_settings_are(text, length) && !memchr(text, '\n', length), 2,
                  "an object on one line expected");
    return add_job(L, spool, CAT_JOB_NOTE, "", text, length);
}

/*** Removes a file; one that is not there is no error.
 * @function spool:remove
 * @tparam string name within the spool
 * @treturn[1] integer ticket
 * @treturn[2] nil
 * @treturn[2] table error */
static int spool_remove(lua_State *L) {
    return ask(L, CAT_JOB_REMOVE);
}

/*** Renames a file.
 * @function spool:rename
 * @tparam string name
 * @tparam string other
 * @treturn[1] integer ticket
 * @treturn[2] nil
 * @treturn[2] table error */
static int spool_rename(lua_State *L) {
    return ask(L, CAT_JOB_RENAME);
}

/*** Writes a file, which is there as a whole or not at all.
 * @function spool:save
 * @tparam string name
 * @tparam string text
 * @treturn[1] integer ticket
 * @treturn[2] nil
 * @treturn[2] table error */
static int spool_save(lua_State *L) {
    return ask(L, CAT_JOB_SAVE);
}

/*** Writes at the end of a file, which is made where it is not there.
 * @function spool:append
 * @tparam string name
 * @tparam string text
 * @treturn[1] integer ticket
 * @treturn[2] nil
 * @treturn[2] table error */
static int spool_append(lua_State *L) {
    return ask(L, CAT_JOB_APPEND);
}

/*** Reads a file through.
 * @function spool:sum
 * @tparam string name
 * @treturn[1] integer ticket; its value is a table: `bytes`, `records`, `crc`
 * @treturn[2] nil
 * @treturn[2] table error */
static int spool_sum(lua_State *L) {
    return ask(L, CAT_JOB_SUM);
}

/*** Makes a directory; one that is there is no error.
 * @function spool:mkdir
 * @tparam string name
 * @treturn[1] integer ticket
 * @treturn[2] nil
 * @treturn[2] table error */
static int spool_mkdir(lua_State *L) {
    return ask(L, CAT_JOB_MKDIR);
}

/*** Opens a file for reading.
 * @function spool:open
 * @tparam string name
 * @treturn[1] integer ticket; its value is a file
 * @treturn[2] nil
 * @treturn[2] table error */
static int spool_open_file(lua_State *L) {
    return ask(L, CAT_JOB_OPEN);
}

/* --- sources --- */

/* A name as the key of its setting: as it stands in JSON. */
static size_t write_key(char *key, const char *name, size_t length) {
    size_t at = strlen("source/");
    memcpy(key, "source/", at);
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)name[i];
        if (byte < 0x20) {
            at += (size_t)snprintf(key + at, 7, "\\u%04x", byte);
            continue;
        }
        if (byte == '"' || byte == '\\') {
            key[at++] = '\\';
        }
        key[at++] = (char)byte;
    }
    key[at] = '\0';
    return at;
}

/* Makes room for one source more. False when there is no memory. The mutex is held. */
static bool reserve_source(cat_spool_thread *t) {
    bool good = true;
    if (t->source_count == t->source_capacity) {
        size_t capacity = t->source_capacity ? t->source_capacity * 2 : 16;
        cat_spool_source **grown = realloc(t->sources, capacity * sizeof(cat_spool_source *));
        good = grown != NULL;
        if (grown) {
            t->sources = grown;
            t->source_capacity = capacity;
        }
    }
    return good;
}

/* False when there is no memory. */
static bool add_source(cat_spool_thread *t, const char *name, size_t length, int64_t position) {
    pthread_mutex_lock(&t->mutex);
    cat_spool_source *source =
        reserve_source(t) ? malloc(sizeof *source + strlen("source/") + 6 * length + 1) : NULL;
    if (source) {
        *source = (cat_spool_source){.taken = position, .committed = position, .put = position};
        write_key(source->key, name, length);
        t->sources[t->source_count++] = source;
    }
    pthread_mutex_unlock(&t->mutex);
    return source != NULL;
}

/*** A source of records.
 * @function spool:source
 * @tparam string name up to 1024 bytes of UTF-8; the same gives another source each time
 * @tparam ?integer position the last one that an earlier run has put
 * @treturn[1] integer its number
 * @treturn[2] nil
 * @treturn[2] table error */
static int spool_source(lua_State *L) {
    size_t length;
    cat_spool *spool = cat_spool_usable(L);
    if (!spool) {
        return 2;
    }
    const char *name = luaL_checklstring(L, 2, &length);
    int64_t position = luaL_optinteger(L, 3, -1);
    if (length == 0 || length > 1024 || cat_utf8_fault(name, length)) {
        return cat_failure(L, "data", "the name of a source has 1 to 1024 bytes of UTF-8");
    }
    if (!add_source(&spool->thread, name, length, position)) {
        return cat_failure(L, "limit", "there is no memory for a source of the spool");
    }
    lua_pushinteger(L, (lua_Integer)spool->thread.source_count - 1);
    return 1;
}

static void push_position(lua_State *L, int64_t position) {
    if (position < 0) {
        lua_pushnil(L);
    } else {
        lua_pushinteger(L, position);
    }
}

/*** How far a source is.
 * @function spool:position
 * @tparam integer source
 * @treturn ?integer the last position that is on the disk
 * @treturn ?integer what it was before the first record of those segments of which `take` has not
 * told yet; false: they have none of this source */
static int spool_position(lua_State *L) {
    cat_spool *spool = cat_spool_own(L);
    if (!spool) {
        return 2;
    }
    cat_spool_thread *t = &spool->thread;
    lua_Integer source = luaL_checkinteger(L, 2);
    luaL_argcheck(L, source >= 0 && (size_t)source < t->source_count, 2, "no source");
    bool found = false;
    int64_t before = -1;
    pthread_mutex_lock(&t->mutex);
    int64_t committed = t->sources[source]->committed;
    for (int i = 0; i < 2; i++) {
        const cat_segment *segment = i == 0 ? t->sealed : t->first;
        for (; segment && !found; segment = segment->next) {
            for (size_t k = 0; k < segment->now.from && !found; k++) {
                found = segment->from[k].source == (int32_t)source;
                before = found ? segment->from[k].before : before;
            }
        }
    }
    pthread_mutex_unlock(&t->mutex);
    push_position(L, committed);
    if (found) {
        push_position(L, before);
    } else {
        lua_pushboolean(L, 0);
    }
    return 2;
}

/* --- what it has to say --- */

static void set_integer(lua_State *L, const char *name, int64_t value) {
    lua_pushinteger(L, value);
    lua_setfield(L, -2, name);
}

/* Pushes a table of what is known of a segment. */
static void push_segment(lua_State *L, const cat_segment *segment) {
    char digits[8];
    lua_createtable(L, 0, 6);
    set_integer(L, "number", segment->number);
    set_integer(L, "bytes", segment->noted.bytes);
    set_integer(L, "records", segment->noted.records);
    set_integer(L, "since", segment->noted.since);
    cat_crc32c_print(digits, segment->noted.sum);
    lua_pushlstring(L, digits, sizeof digits);
    lua_setfield(L, -2, "crc");
    lua_createtable(L, 0, (int)segment->noted.from);
    for (size_t i = 0; i < segment->noted.from; i++) {
        /* under its number, from 1: the names are Lua's */
        lua_pushinteger(L, segment->from[i].before);
        lua_rawseti(L, -2, segment->from[i].source + 1);
    }
    lua_setfield(L, -2, "from");
}

static int take_segment(lua_State *L, cat_spool_thread *t) {
    pthread_mutex_lock(&t->mutex);
    cat_segment *segment = t->sealed;
    pthread_mutex_unlock(&t->mutex);
    if (!segment) {
        return 0;
    }
    lua_pushliteral(L, "segment");
    push_segment(L, segment); /* it stays in the list should this raise */
    pthread_mutex_lock(&t->mutex);
    t->sealed = segment->next;
    t->last_sealed = t->sealed ? t->last_sealed : NULL;
    pthread_mutex_unlock(&t->mutex);
    cat_segment_free(segment);
    return 2;
}

static int take_due(lua_State *L, cat_spool *spool) {
    pthread_mutex_lock(&spool->thread.mutex);
    int64_t due = spool->thread.status.due;
    pthread_mutex_unlock(&spool->thread.mutex);
    if (due == spool->told_due) {
        return 0;
    }
    spool->told_due = due;
    lua_pushliteral(L, "due");
    lua_pushinteger(L, due);
    return 2;
}

/* Pushes the error of a job, or nil. */
static void push_error(lua_State *L, cat_spool_thread *t, const cat_job *job) {
    if (job->error == 0) {
        lua_pushnil(L);
        return;
    }
    if (!*job->name && atomic_load(&t->is_broken)) { /* it has waited for a commit */
        cat_failure(L, "config", "the spool cannot go on: %s", t->status.broken);
        lua_remove(L, -2);
        return;
    }
    cat_failure(L, "config", "the spool: %s%s%s", job->name, *job->name ? ": " : "",
                strerror(job->error));
    lua_pushstring(L, job->error == ENOENT ? "missing" : "disk");
    lua_setfield(L, -2, "code");
    lua_remove(L, -2);
}

/* Pushes what a file was found to be. Returns 1. */
static int push_sum(lua_State *L, const cat_job *job) {
    char digits[8];
    lua_createtable(L, 0, 3);
    set_integer(L, "bytes", job->size);
    set_integer(L, "records", job->records);
    cat_crc32c_print(digits, job->sum);
    lua_pushlstring(L, digits, sizeof digits);
    lua_setfield(L, -2, "crc");
    return 1;
}

static int take_job(lua_State *L, cat_spool_thread *t) {
    pthread_mutex_lock(&t->mutex);
    cat_job *job = t->done.first;
    pthread_mutex_unlock(&t->mutex);
    if (!job) {
        return 0;
    }
    bool is_file = job->kind == CAT_JOB_OPEN && job->error == 0;
    bool is_sum = job->kind == CAT_JOB_SUM && job->error == 0;
    lua_pushliteral(L, "job");
    lua_pushinteger(L, job->ticket);
    push_error(L, t, job);
    int values = is_sum ? push_sum(L, job) : 0;
    cat_file *file = is_file ? cat_file_push(L) : NULL;
    if (file) {
        file->descriptor = job->descriptor;
        file->size = job->size;
        job->descriptor = -1;
    }
    pthread_mutex_lock(&t->mutex);
    cat_job_list_take(&t->done);
    pthread_mutex_unlock(&t->mutex);
    if (job->descriptor >= 0) {
        close(job->descriptor);
    }
    free(job);
    return 3 + values + is_file;
}

/*** What has happened since it was asked last, one thing after the other.
 * @function spool:take
 * @treturn[1] string `segment`
 * @treturn[1] table `number`, `bytes`, `records`, `since` (milliseconds since the epoch), `crc`,
 * `from`: by the number of a source, from 1, its position before this segment (-1: none)
 * @treturn[2] string `due`
 * @treturn[2] integer all segments up to it are due to become batches
 * @treturn[3] string `job`
 * @treturn[3] integer ticket
 * @treturn[3] ?table error, of kind `config`, with code `missing` where there is no such file
 * @return[3] its value, where it has one
 * @treturn[4] nil nothing more */
static int spool_take(lua_State *L) {
    cat_spool *spool = cat_spool_own(L);
    uint64_t count;
    if (!spool) {
        return 0;
    }
    /* before the lists are looked at: what comes then makes it readable again */
    ssize_t got = read(spool->thread.event, &count, sizeof count);
    (void)got;
    int pushed = take_segment(L, &spool->thread);
    pushed = pushed ? pushed : take_due(L, spool);
    return pushed ? pushed : take_job(L, &spool->thread);
}

static const char *const FULL[] = {NULL, "bytes", "free", "rejected"};

static void push_open(lua_State *L, const cat_spool_status *status) {
    if (status->open_number == 0) {
        return;
    }
    lua_createtable(L, 0, 4);
    set_integer(L, "number", status->open_number);
    set_integer(L, "bytes", status->open_bytes);
    set_integer(L, "records", status->open_records);
    set_integer(L, "since", status->open_since);
    lua_setfield(L, -2, "open");
}

/*** How things stand.
 * @function spool:status
 * @treturn table `records`, `bytes`: put by this process; `durable_records`, `durable_bytes`: on
 * the disk of these; `ring_bytes`; `open`: the segment that is filled (`number`, `bytes`,
 * `records`, `since`); `disk_error`, `broken`: texts; `full`: `bytes`, `free` or `rejected`, the
 * limit that is reached; `spool_bytes`, `free_bytes` */
static int spool_status(lua_State *L) {
    cat_spool *spool = cat_spool_own(L);
    if (!spool) {
        return 2;
    }
    cat_spool_thread *t = &spool->thread;
    pthread_mutex_lock(&t->mutex);
    cat_spool_status status = t->status;
    pthread_mutex_unlock(&t->mutex);
    lua_createtable(L, 0, 10);
    set_integer(L, "records", spool->committed.records);
    set_integer(L, "bytes", spool->committed.bytes);
    set_integer(L, "durable_records", status.records);
    set_integer(L, "durable_bytes", status.bytes);
    set_integer(L, "ring_bytes", (int64_t)cat_ring_used(&t->ring));
    set_integer(L, "spool_bytes", status.spool_bytes);
    set_integer(L, "free_bytes", status.free_bytes);
    push_open(L, &status);
    lua_pushstring(L, FULL[atomic_load(&t->full)]);
    lua_setfield(L, -2, "full");
    if (status.broken[0]) {
        lua_pushstring(L, status.broken);
        lua_setfield(L, -2, "broken");
    } else if (status.disk_error) {
        lua_pushfstring(L, "%s: %s", status.disk_call, strerror(status.disk_error));
        lua_setfield(L, -2, "disk_error");
    }
    return 1;
}

const luaL_Reg cat_spool_asking[] = {{"sync", spool_sync},     {"note", spool_note},
                                     {"remove", spool_remove}, {"rename", spool_rename},
                                     {"save", spool_save},     {"append", spool_append},
                                     {"mkdir", spool_mkdir},   {"open", spool_open_file},
                                     {"sum", spool_sum},       {"source", spool_source},
                                     {"take", spool_take},     {"position", spool_position},
                                     {"status", spool_status}, {NULL, NULL}};
