/* Messages that are records as they are: they are copied into a buffer, a line each, and no Lua
 * value is made of them. How far each partition came is told, and each message that is no record.
 */
#include "kafka.h"

#include "../buffer.h"
#include "../lines.h"

#include <stdint.h>
#include <string.h>

/* What is taken before others have their turn. */
#define MOST_MESSAGES 500
#define MOST_BYTES    262144

/* Where things are on the stack of `fill`. */
enum { BUFFER = 2, MOST, PARTITIONS, REACHED, LONGEST, RECORDS, PARTITION };

typedef struct {
    cat_kafka *kafka;
    cat_buffer *buffer;
    size_t most, longest; /* bytes: of the buffer, unless one record has more; of a record */
    /* Messages of a partition come in runs. Its table is on the stack while `topic` is there. */
    const rd_kafka_topic_t *topic;
    int32_t number;
    bool is_open;     /* it is read, from `next` on; otherwise its messages are dropped */
    bool is_refusing; /* its messages are looked at one by one */
    int64_t next;
} intake;

/* --- runs of a partition --- */

/* Notes how far the partition came: the slot is there, and no memory is needed. */
static void note_reached(lua_State *L, const intake *in) {
    if (in->topic && in->is_open) {
        lua_pushvalue(L, PARTITION);
        lua_pushinteger(L, in->next);
        lua_rawset(L, REACHED);
    }
}

/* The integer or what else is there in a field of the partition, on the top. */
static bool push_field(lua_State *L, const char *name) {
    lua_pushstring(L, name);
    return lua_rawget(L, PARTITION) != LUA_TNIL;
}

/* Where the partition on the stack is to go on. False: nowhere. */
static bool find_next(lua_State *L, intake *in) {
    lua_pushvalue(L, PARTITION);
    if (lua_rawget(L, REACHED) == LUA_TNIL) {
        lua_pop(L, 1);
        push_field(L, "next");
    }
    in->next = lua_tointeger(L, -1);
    bool found = lua_isinteger(L, -1);
    lua_pop(L, 1);
    return found;
}

/* Looks for the partition of a message. Raises where there is no memory. */
static void begin_run(lua_State *L, intake *in, const rd_kafka_message_t *message) {
    note_reached(L, in);
    in->topic = NULL;
    lua_pushfstring(L, "%s/%d", rd_kafka_topic_name(message->rkt), (int)message->partition);
    in->is_open = lua_rawget(L, PARTITIONS) == LUA_TTABLE;
    lua_replace(L, PARTITION);
    in->is_open = in->is_open && find_next(L, in);
    if (in->is_open) {
        in->is_refusing = push_field(L, "refusing");
        lua_pop(L, 1);
        lua_pushvalue(L, PARTITION);
        lua_pushinteger(L, in->next);
        lua_rawset(L, REACHED);
    }
    in->topic = message->rkt;
    in->number = message->partition;
}

/* --- a message --- */

static void drop(cat_kafka *k) {
    rd_kafka_message_destroy(k->message);
    k->message = NULL;
}

static void pass(intake *in) {
    in->next = in->kafka->message->offset + 1;
    drop(in->kafka);
}

/* Line breaks become blanks, as which they count in JSON: there are none in strings. */
static bool join_lines(char *text, size_t length) {
    bool found = false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\n' || text[i] == '\r') {
            text[i] = ' ';
            found = true;
        }
    }
    return found;
}

/* Copies a text behind what the buffer has, where there is room for it and a line break. NULL: it
 * is a line, and the buffer's now. Else why it is none. */
static const char *append(cat_buffer *buffer, const char *text, size_t length) {
    char *line = buffer->text + buffer->length;
    memcpy(line, text, length);
    line[length] = '\n';
    const char *fault = cat_line_fault(line, length);
    if (fault && join_lines(line, length) && !cat_line_fault(line, length)) {
        fault = NULL;
    }
    buffer->length += fault ? 0 : length + 1;
    return fault;
}

/* Pushes "rejected", the message and why. */
static int push_rejected(lua_State *L, intake *in, const char *fault) {
    note_reached(L, in);
    lua_pushliteral(L, "rejected");
    cat_kafka_push_message(L, in->kafka->message);
    if (fault) {
        lua_pushstring(L, fault);
    } else {
        lua_pushfstring(L, "it has %I bytes; record_bytes is %I",
                        (LUAI_UACINT)in->kafka->message->len, (LUAI_UACINT)in->longest);
    }
    pass(in);
    return 3;
}

/* Takes a message with a value. Gives how many values it has pushed; 0: go on. */
static int take_value(lua_State *L, intake *in) {
    cat_kafka *k = in->kafka;
    size_t length = k->message->len;
    if (length > in->longest) {
        return push_rejected(L, in, NULL);
    }
    if (in->buffer->length > 0 && in->buffer->length + length + 1 > in->most) {
        note_reached(L, in);
        lua_pushliteral(L, "full"); /* the message is the next one, then */
        return 1;
    }
    if (!cat_buffer_reserve(in->buffer, length + 1)) {
        note_reached(L, in);
        return cat_oom(L);
    }
    const char *fault = append(in->buffer, k->message->payload, length);
    if (fault) {
        return push_rejected(L, in, fault);
    }
    k->taken.records++;
    k->taken.bytes += (lua_Integer)length + 1;
    pass(in);
    return 0;
}

static int take(lua_State *L, intake *in) {
    cat_kafka *k = in->kafka;
    const rd_kafka_message_t *message = k->message;
    if (message->rkt != in->topic || message->partition != in->number) {
        begin_run(L, in, message);
    }
    if (!in->is_open || message->offset < in->next) {
        drop(k); /* another's, or what was rewound */
        return 0;
    }
    if (in->is_refusing) {
        note_reached(L, in);
        lua_pushliteral(L, "message");
        cat_kafka_push_message(L, message);
        drop(k); /* who gets it notes how far it came */
        return 2;
    }
    if (!message->payload) {
        k->taken.dropped++; /* a tombstone */
        pass(in);
        return 0;
    }
    return take_value(L, in);
}

/* Takes messages until something else is to be told. Gives how many values it has pushed. */
static int take_all(lua_State *L, intake *in, lua_Integer records) {
    cat_kafka *k = in->kafka;
    cat_taken before = k->taken;
    int count = 0;
    for (int i = 0; i < MOST_MESSAGES && count == 0; i++) {
        if (k->taken.records - before.records >= records ||
            k->taken.bytes - before.bytes >= MOST_BYTES) {
            break;
        }
        bool is_record = cat_kafka_has_message(k) && !k->message->err;
        if (!is_record) {
            note_reached(L, in);
            return cat_kafka_poll_messages(L, k);
        }
        count = take(L, in);
    }
    if (count == 0) {
        note_reached(L, in);
        lua_pushliteral(L, "more");
        count = 1;
    }
    return count;
}

/* --- for Lua --- */

/*** Takes messages into a buffer, a line each, as many as are good for one turn, and as `poll`
 * tells what has happened else. Where it raises nothing is lost of what it was given: it goes on.
 * @function kafka:fill
 * @tparam buffer buffer that is not being sent
 * @tparam integer most bytes of the buffer, unless one record alone has more
 * @tparam {[string]=table,...} partitions by their keys (`topic/number`): messages of others are
 *   dropped, and those before `next`; of one that has `refusing` they are told as `message`
 * @tparam {[table]=integer,...} reached gets for each of these partitions the offset behind what
 *   was taken, dropped or told as `rejected`
 * @tparam integer longest bytes of a record
 * @tparam integer records how many at the most
 * @treturn[1] integer how many records were taken
 * @treturn[1] integer how many bytes they are
 * @treturn[1] integer how many messages had no value
 * @treturn[1] ?string what has happened, as of `poll`; or `rejected`: a message that is no record,
 *   and why; `more`: there may be more; `full`: the next record has no room in the buffer
 * @return[1] as it says
 * @treturn[2] nil
 * @treturn[2] table error */
static int fill(lua_State *L) {
    cat_kafka *k = cat_kafka_self(L);
    if (!k) {
        return 2;
    }
    luaL_checktype(L, PARTITIONS, LUA_TTABLE);
    luaL_checktype(L, REACHED, LUA_TTABLE);
    intake in = {.kafka = k,
                 .buffer = luaL_checkudata(L, BUFFER, CAT_BUFFER),
                 .most = (size_t)luaL_checkinteger(L, MOST),
                 .longest = (size_t)luaL_checkinteger(L, LONGEST)};
    lua_Integer records = luaL_checkinteger(L, RECORDS);
    luaL_argcheck(L, in.buffer->users == 0, BUFFER, "the buffer is being sent");
    lua_settop(L, RECORDS);
    lua_pushnil(L); /* PARTITION */
    int count = cat_kafka_poll_answers(L, k);
    if (count == 0) {
        count = take_all(L, &in, records);
    }
    if (count == 0) {
        count = cat_kafka_poll_errors(L, k);
    }
    note_reached(L, &in);
    int first = lua_gettop(L) - count + 1;
    lua_pushinteger(L, k->taken.records);
    lua_pushinteger(L, k->taken.bytes);
    lua_pushinteger(L, k->taken.dropped);
    k->taken = (cat_taken){0};
    lua_rotate(L, first, 3);
    return count + 3;
}

const luaL_Reg cat_kafka_intake_methods[] = {{"fill", fill}, {NULL, NULL}};
