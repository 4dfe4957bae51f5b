/*** How records get into a spool.
 * @module catalog.core.spool */
#include "failure.h"
#include "handle.h"
#include "json_encode.h"
#include "lines.h"
#include "spool.h"

#include <string.h>

/* Lines that lie together are put together, up to so many bytes. */
#define RUN 65536

/* What an item takes besides its bytes at the most; and before a line may come a split. */
#define AROUND (2 * (sizeof(cat_ring_item) + 8))

/* Asks to be told when there is room. */
static bool no_room(cat_spool *spool) {
    atomic_store(&spool->thread.wants_room, true);
    cat_spool_thread_wake(&spool->thread, true);
    return false;
}

static bool put(cat_spool *spool, cat_ring_item item, const char *text, bool newline) {
    if (!cat_ring_put(&spool->thread.ring, item, text, newline)) {
        return no_room(spool);
    }
    cat_spool_thread_wake(&spool->thread, false);
    return true;
}

static bool put_mark(cat_spool *spool, uint16_t kind) {
    return put(spool, (cat_ring_item){.kind = kind, .source = -1}, "", false);
}

/* Whether so many bytes may be put now. A call that has begun goes on beyond the limit of a spool:
 * the batch that is filled cannot be sealed before it has ended, and that makes room. */
static bool has_room(cat_spool *spool, size_t length) {
    if (spool->rolls_back) {
        spool->rolls_back = !put_mark(spool, CAT_ITEM_ROLLBACK);
    }
    bool is_full = !spool->in_call && atomic_load(&spool->thread.full) != CAT_NOT_FULL;
    if (spool->rolls_back || is_full || !cat_ring_has_room(&spool->thread.ring, length + AROUND)) {
        return no_room(spool);
    }
    return true;
}

/* --- where segments and batches end --- */

static bool fills_batch(const cat_spool *spool, int64_t bytes) {
    const cat_spool_counts *now = &spool->now;
    return now->batch_records > 0 && (now->batch_bytes + bytes > spool->roll_bytes ||
                                      now->batch_records >= spool->roll_records);
}

static bool fills_segment(const cat_spool *spool, int64_t bytes) {
    return spool->now.segment_bytes > 0 && spool->now.segment_bytes + bytes > spool->file_bytes;
}

static bool seal(cat_spool *spool) {
    if (!put_mark(spool, CAT_ITEM_SEAL)) {
        return false;
    }
    spool->now.segment_bytes = spool->now.batch_bytes = 0;
    spool->now.batch_records = spool->now.batch_files = 0;
    return true;
}

static bool split(cat_spool *spool) {
    if (spool->now.batch_files + 1 >= spool->roll_files) {
        return seal(spool);
    }
    if (!put_mark(spool, CAT_ITEM_SPLIT)) {
        return false;
    }
    spool->now.segment_bytes = 0;
    spool->now.batch_files++;
    return true;
}

/* Ends what a line of so many bytes does not fit into. There is room for that. */
static bool make_place(cat_spool *spool, int64_t bytes) {
    if (fills_batch(spool, bytes)) {
        return seal(spool);
    }
    return !fills_segment(spool, bytes) || split(spool);
}

static void count(cat_spool *spool, int64_t bytes) {
    spool->now.segment_bytes += bytes;
    spool->now.batch_bytes += bytes;
    spool->now.bytes += bytes;
    spool->now.batch_records++;
    spool->now.records++;
}

/* --- calls --- */

/* The source and the position at an index of the arguments, as the item that ends a call has them.
 */
static cat_ring_item call_of(lua_State *L, cat_spool *spool, int index) {
    cat_ring_item item = {.kind = CAT_ITEM_CALL, .commits = 1, .source = -1};
    if (!lua_isnoneornil(L, index)) {
        lua_Integer source = luaL_checkinteger(L, index);
        luaL_argcheck(L, source >= 0 && (size_t)source < spool->thread.source_count, index,
                      "no source");
        item.source = (int32_t)source;
        item.position = luaL_checkinteger(L, index + 1);
    }
    return item;
}

static void end_call(cat_spool *spool, const cat_ring_item *item) {
    spool->committed = spool->now;
    spool->in_call = false;
    if (item->source >= 0) {
        spool->thread.sources[item->source]->put = item->position;
    }
}

/* Ends the batch that is filled, as a call of its own. False: there is no room now. */
static bool seal_call(cat_spool *spool) {
    cat_ring_item item = {.kind = CAT_ITEM_CALL, .commits = 1, .source = -1};
    if (!seal(spool) || !put(spool, item, "", false)) {
        return false;
    }
    end_call(spool, &item);
    return true;
}

/* A batch that has all its records by the end of a call is due at once. Where there is no room for
 * that now, the next record has it sealed. */
static void seal_full(cat_spool *spool) {
    if (spool->now.batch_records >= spool->roll_records) {
        seal_call(spool);
    }
}

static int push_flag(lua_State *L, bool flag) {
    lua_pushboolean(L, flag);
    return 1;
}

/* Whether a call of so many bytes more would be larger than all that the spool may have. */
static bool is_beyond_limit(const cat_spool *spool, size_t length) {
    return spool->now.bytes - spool->committed.bytes + (int64_t)length > spool->thread.limit_bytes;
}

static int beyond_limit(lua_State *L, const cat_spool *spool) {
    cat_failure(
        L, "limit",
        "the call has more bytes than the whole spool may have, %I (limit.bytes): write it in "
        "parts, or raise that",
        (LUAI_UACINT)spool->thread.limit_bytes);
    lua_pushliteral(L, "too_large");
    lua_setfield(L, -2, "code");
    return 2;
}

/* Puts a line as the call that `item` ends. False: there is no room. */
static bool put_line(cat_spool *spool, cat_ring_item item, const char *text, size_t length) {
    int64_t bytes = (int64_t)length + 1;
    if (!has_room(spool, length + 1) || !make_place(spool, bytes)) {
        return false;
    }
    item.kind = CAT_ITEM_LINES;
    item.length = (uint32_t)length;
    item.records = 1;
    if (!put(spool, item, text, true)) {
        return false;
    }
    count(spool, bytes);
    end_call(spool, &item);
    seal_full(spool);
    return true;
}

/* Puts a line as a call of its own, whose source and position are at 3 and 4. */
static int put_call(lua_State *L, cat_spool *spool, const char *text, size_t length) {
    if (is_beyond_limit(spool, length + 1)) {
        return beyond_limit(L, spool);
    }
    return push_flag(L, put_line(spool, call_of(L, spool, 3), text, length));
}

static int too_long(lua_State *L, const cat_spool *spool, size_t length) {
    return cat_failure(L, "data", "the record has %I bytes; record_bytes is %I",
                       (LUAI_UACINT)length, (LUAI_UACINT)spool->record_bytes);
}

/*** Writes a line that is known to be a JSON object.
 * @function spool:write
 * @tparam string text without a newline
 * @tparam ?integer source as of `spool:source`
 * @tparam ?integer position
 * @treturn[1] boolean true; false: there is no room now, and nothing was taken
 * @treturn[2] nil
 * @treturn[2] table error of kind `data`: it is too long; of others, the spool cannot go on, or
 * (kind `limit`, code `too_large`) may never have so much */
static int spool_write(lua_State *L) {
    size_t length;
    cat_spool *spool = cat_spool_usable(L);
    if (!spool) {
        return 2;
    }
    const char *text = luaL_checklstring(L, 2, &length);
    if ((int64_t)length > spool->record_bytes) {
        return too_long(L, spool, length);
    }
    return put_call(L, spool, text, length);
}

/*** Writes a record that needs no source, if that can be done at once.
 * @function spool:write_record
 * @tparam table record
 * @treturn ?integer how many bytes it has; false or nil: nothing was taken, and `write` says why */
static int spool_write_record(lua_State *L) {
    size_t length;
    cat_spool *spool = cat_spool_usable(L);
    if (!spool) {
        return 2;
    }
    luaL_checktype(L, 2, LUA_TTABLE);
    const char *text = cat_json_text(L, 2, NULL, &length);
    if (!text) {
        return 2;
    }
    bool is_record = *text == '{' && (int64_t)length <= spool->record_bytes &&
                     !is_beyond_limit(spool, length + 1);
    if (!is_record || !put_line(spool, call_of(L, spool, 3), text, length)) {
        return push_flag(L, false);
    }
    lua_pushinteger(L, (lua_Integer)length);
    return 1;
}

/* How many bytes a line has without the break that ends it, if one does. */
static size_t without_break(const char *text, size_t length) {
    length -= length > 0 && text[length - 1] == '\n';
    length -= length > 0 && text[length - 1] == '\r';
    return length;
}

/*** Writes a line, once it was found to be a JSON object.
 * @function spool:write_line
 * @tparam string text with or without a line break at its end
 * @tparam ?integer source as of `spool:source`
 * @tparam ?integer position
 * @treturn[1] boolean true; false: there is no room now, and nothing was taken
 * @treturn[2] nil
 * @treturn[2] table error of kind `data`: it is none, or too long; of others, the spool cannot go
 * on */
static int spool_write_line(lua_State *L) {
    size_t length;
    cat_spool *spool = cat_spool_usable(L);
    if (!spool) {
        return 2;
    }
    const char *text = luaL_checklstring(L, 2, &length);
    length = without_break(text, length);
    if ((int64_t)length > spool->record_bytes) {
        return too_long(L, spool, length);
    }
    const char *fault = cat_line_fault(text, length);
    if (fault) {
        return cat_failure(L, "data", "the line is no record: %s", fault);
    }
    return put_call(L, spool, text, length);
}

/* --- many lines --- */

/* Good lines that lie together, and are put together. */
typedef struct {
    const char *text;
    size_t length;
    uint32_t records;
} run;

/* Puts a run, for which there is room. */
static bool put_run(cat_spool *spool, run *lines) {
    cat_ring_item item = {.kind = CAT_ITEM_LINES, .source = -1};
    item.length = (uint32_t)lines->length;
    item.records = lines->records;
    bool done = lines->length == 0 || put(spool, item, lines->text, false);
    spool->in_call = spool->in_call || lines->length > 0;
    *lines = (run){NULL, 0, 0};
    return done;
}

/* A line of a text: its end, without what ends it; and where the next begins. */
typedef struct {
    const char *begin, *next;
    size_t length;
    bool is_whole; /* a newline is its only end */
} line;

static line line_at(const char *at, const char *end) {
    const char *newline = memchr(at, '\n', (size_t)(end - at));
    line found = {.begin = at, .next = newline ? newline + 1 : end};
    found.length = (size_t)((newline ? newline : end) - at);
    found.is_whole = newline != NULL;
    if (found.length > 0 && at[found.length - 1] == '\r') {
        found.length--;
        found.is_whole = false;
    }
    return found;
}

/* Adds a line to a run; one that has another end than a newline is put alone. */
static bool add_line(cat_spool *spool, run *lines, const line *one) {
    int64_t bytes = (int64_t)one->length + 1;
    bool is_end = fills_batch(spool, bytes) || fills_segment(spool, bytes);
    bool is_full = lines->length + one->length >= RUN;
    if ((is_end || is_full || !one->is_whole) && !put_run(spool, lines)) {
        return false;
    }
    if (is_end && !make_place(spool, bytes)) {
        return false;
    }
    count(spool, bytes);
    if (!one->is_whole) {
        cat_ring_item item = {.kind = CAT_ITEM_LINES, .records = 1, .source = -1};
        item.length = (uint32_t)one->length;
        spool->in_call = true;
        return put(spool, item, one->begin, true);
    }
    lines->text = lines->length == 0 ? one->begin : lines->text;
    lines->length += one->length + 1;
    lines->records++;
    return true;
}

static const char *fault_of(const cat_spool *spool, const line *one) {
    if ((int64_t)one->length > spool->record_bytes) {
        return "it is longer than record_bytes";
    }
    return cat_line_fault(one->begin, one->length);
}

/* The first line of a text, and why it is no record; NULL: it is one, or empty. */
static line next_line(const cat_spool *spool, const char *at, const char *end, const char **fault) {
    const char *newline = cat_line_end(at, end);
    if (newline && newline - at <= spool->record_bytes) {
        *fault = NULL;
        return (line){at, newline + 1, (size_t)(newline - at), true};
    }
    line found = line_at(at, end);
    *fault = found.length > 0 ? fault_of(spool, &found) : NULL;
    return found;
}

/* Takes lines from `*at` on. Gives NULL when all were taken; or why not, and moves `*at` to the
 * line that was not, and `*behind` to the next. */
static const char *take_lines(cat_spool *spool, const char **at, const char *end,
                              const char **behind, lua_Integer *taken) {
    run lines = {NULL, 0, 0};
    const char *fault = NULL;
    while (*at < end && !fault) {
        line one = next_line(spool, *at, end, &fault);
        *behind = one.next;
        if (!fault && one.length > 0) {
            /* of a run, what it is put with, and of this line as well */
            fault = has_room(spool, lines.length + one.length + 1 + AROUND) &&
                            add_line(spool, &lines, &one)
                        ? NULL
                        : "room";
            *taken += fault ? 0 : 1;
        }
        if (one.length == 0 && !put_run(spool, &lines)) {
            fault = "room";
        }
        *at = fault ? *at : one.next;
    }
    return put_run(spool, &lines) ? fault : "room";
}

/*** Takes lines of a text, up to one that is bad, or for which there is no room. What was taken is
 * part of a call that `commit` ends.
 * @function spool:write_lines
 * @tparam string text lines; the last one with or without a newline
 * @tparam integer first where to begin, from 1
 * @tparam ?integer last where to end, which is the end of a line; nil: with the text
 * @treturn[1] integer where the first line begins that was not taken; behind the end: all were
 * @treturn[1] integer how many were taken; empty ones are left out and do not count
 * @treturn[1] ?string `room`: there is none now; or why the next line is no record
 * @treturn[1] ?integer where the line after a bad one begins
 * @treturn[2] nil
 * @treturn[2] table error: the spool cannot go on; or of kind `limit` with code `too_large`: it may
 * never have so much */
static int spool_write_lines(lua_State *L) {
    size_t length;
    cat_spool *spool = cat_spool_usable(L);
    if (!spool) {
        return 2;
    }
    const char *text = luaL_checklstring(L, 2, &length);
    lua_Integer first = luaL_checkinteger(L, 3), taken = 0;
    lua_Integer last = luaL_optinteger(L, 4, (lua_Integer)length);
    luaL_argcheck(L, first >= 1 && first <= (lua_Integer)length + 1, 3, "beyond the text");
    luaL_argcheck(L, last >= first - 1 && last <= (lua_Integer)length, 4, "beyond the text");
    const char *at = text + first - 1, *behind = at;
    if (is_beyond_limit(spool, length - (size_t)first + 1)) {
        return beyond_limit(L, spool);
    }
    const char *fault = take_lines(spool, &at, text + last, &behind, &taken);
    lua_pushinteger(L, at - text + 1);
    lua_pushinteger(L, taken);
    if (!fault) {
        return 2;
    }
    lua_pushstring(L, fault);
    lua_pushinteger(L, behind - text + 1);
    return 4;
}

/*** Writes a line for `rejected/records.jsonl`, as part of the call that `commit` ends.
 * @function spool:reject
 * @tparam string line JSON, without a newline
 * @treturn[1] boolean true; false: there is no room now
 * @treturn[2] nil
 * @treturn[2] table error: the spool cannot go on */
static int spool_reject(lua_State *L) {
    size_t length;
    cat_spool *spool = cat_spool_usable(L);
    if (!spool) {
        return 2;
    }
    const char *text = luaL_checklstring(L, 2, &length);
    cat_ring_item item = {.kind = CAT_ITEM_REJECTED, .records = 1, .source = -1};
    item.length = (uint32_t)length;
    bool done = has_room(spool, length + 1) && put(spool, item, text, true);
    spool->in_call = spool->in_call || done;
    return push_flag(L, done);
}

/*** Ends a call: what was put since the last one becomes durable together.
 * @function spool:commit
 * @tparam ?integer source as of `spool:source`
 * @tparam ?integer position
 * @treturn[1] boolean true; false: there is no room now
 * @treturn[2] nil
 * @treturn[2] table error: the spool cannot go on */
static int spool_commit(lua_State *L) {
    cat_spool *spool = cat_spool_usable(L);
    if (!spool) {
        return 2;
    }
    cat_ring_item item = call_of(L, spool, 2);
    if (!has_room(spool, 0) || !put(spool, item, "", false)) {
        return push_flag(L, false);
    }
    end_call(spool, &item);
    seal_full(spool);
    return push_flag(L, true);
}

/*** Takes back what was put since the last call has ended.
 * @function spool:rollback */
static int spool_rollback(lua_State *L) {
    cat_spool *spool = cat_spool_usable(L);
    if (!spool) {
        return 2;
    }
    spool->now = spool->committed;
    spool->in_call = false;
    spool->rolls_back = true;
    has_room(spool, 0);
    return 0;
}

/*** Ends the batch that is filled: all segments up to here are due.
 * @function spool:seal
 * @treturn[1] boolean true; false: there is no room now, or a call goes on
 * @treturn[2] nil
 * @treturn[2] table error: the spool cannot go on */
static int spool_seal(lua_State *L) {
    cat_spool *spool = cat_spool_usable(L);
    if (!spool) {
        return 2;
    }
    if (spool->in_call || (spool->rolls_back && !has_room(spool, 0))) {
        return push_flag(L, false);
    }
    return push_flag(L, seal_call(spool)); /* also where the spool is full: a batch makes room */
}

const luaL_Reg cat_spool_writing[] = {{"write", spool_write},
                                      {"write_record", spool_write_record},
                                      {"write_line", spool_write_line},
                                      {"write_lines", spool_write_lines},
                                      {"reject", spool_reject},
                                      {"commit", spool_commit},
                                      {"rollback", spool_rollback},
                                      {"seal", spool_seal},
                                      {NULL, NULL}};
