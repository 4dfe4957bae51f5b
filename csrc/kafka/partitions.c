/* Partitions: which are read, and from where. */
#include "kafka.h"

#include <stdlib.h>
#include <string.h>

/* Where a partition waits until it is sought. Not its end: librdkafka asks where that is, asks once
 * more when the answer comes after the partition was sought, and then goes on there: what is
 * between was not read. What is read from before where it goes on is dropped. */
#define PARKED 0

/* Milliseconds that a question may take; and a seek, which librdkafka's own thread answers at once.
 */
#define TIMEOUT      5000
#define SEEK_TIMEOUT 500

/* The integer in a field of the table at the top, or another. Raises for what is none. */
static lua_Integer integer_of(lua_State *L, const char *name, lua_Integer otherwise) {
    lua_getfield(L, -1, name);
    lua_Integer value = luaL_optinteger(L, -1, otherwise);
    lua_pop(L, 1);
    return value;
}

/* Adds the partition at the top of the stack to the list. The list is the consumer's, so that
 * nothing is lost where this raises. */
static void add(lua_State *L, cat_kafka *k) {
    luaL_checktype(L, -1, LUA_TTABLE);
    lua_Integer number = integer_of(L, "number", -1);
    lua_Integer offset = integer_of(L, "offset", RD_KAFKA_OFFSET_INVALID);
    lua_getfield(L, -1, "topic");
    rd_kafka_topic_partition_t *one =
        rd_kafka_topic_partition_list_add(k->list, luaL_checkstring(L, -1), (int32_t)number);
    lua_pop(L, 1);
    one->offset = offset;
    lua_getfield(L, -1, "metadata");
    size_t length;
    const char *metadata = luaL_optlstring(L, -1, NULL, &length);
    one->metadata = metadata ? malloc(length + 1) : NULL; /* librdkafka frees it with the list */
    if (one->metadata) {
        memcpy(one->metadata, metadata, length + 1);
        one->metadata_size = length;
    }
    lua_pop(L, 1);
}

void cat_kafka_read_list(lua_State *L, cat_kafka *k, int index) {
    luaL_checktype(L, index, LUA_TTABLE);
    rd_kafka_topic_partition_list_destroy(k->list);
    k->list = rd_kafka_topic_partition_list_new(16);
    for (lua_Integer i = 1; lua_geti(L, index, i) != LUA_TNIL; i++) {
        add(L, k);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static void push_partition(lua_State *L, const rd_kafka_topic_partition_t *one) {
    lua_createtable(L, 0, 5);
    lua_pushstring(L, one->topic);
    lua_setfield(L, -2, "topic");
    lua_pushinteger(L, one->partition);
    lua_setfield(L, -2, "number");
    if (one->offset >= 0) {
        lua_pushinteger(L, one->offset);
        lua_setfield(L, -2, "offset");
    }
    if (one->metadata_size > 0) {
        lua_pushlstring(L, one->metadata, one->metadata_size);
        lua_setfield(L, -2, "metadata");
    }
    if (one->err) {
        lua_pushstring(L, rd_kafka_err2name(one->err));
        lua_setfield(L, -2, "code");
    }
}

void cat_kafka_push_list(lua_State *L, const rd_kafka_topic_partition_list_t *list) {
    lua_createtable(L, list->cnt, 0);
    for (int i = 0; i < list->cnt; i++) {
        push_partition(L, &list->elems[i]);
        lua_rawseti(L, -2, i + 1);
    }
}

int cat_kafka_error_of(const rd_kafka_topic_partition_list_t *list) {
    for (int i = 0; list && i < list->cnt; i++) {
        if (list->elems[i].err) {
            return list->elems[i].err;
        }
    }
    return 0;
}

static int finish(lua_State *L, int error, const char *what) {
    if (error) {
        return cat_kafka_failure(L, error, NULL, what);
    }
    lua_pushboolean(L, 1);
    return 1;
}

static int finish_with(lua_State *L, rd_kafka_error_t *error, const char *what) {
    int code = error ? rd_kafka_error_code(error) : 0;
    if (error) {
        rd_kafka_error_destroy(error);
    }
    return finish(L, code, what);
}

static rd_kafka_error_t *refusal_of(rd_kafka_resp_err_t code) {
    return code ? rd_kafka_error_new(code, "%s", rd_kafka_err2str(code)) : NULL;
}

bool cat_kafka_is_cooperative(rd_kafka_t *kafka) {
    const char *protocol = rd_kafka_rebalance_protocol(kafka);
    return protocol && strcmp(protocol, "COOPERATIVE") == 0;
}

rd_kafka_error_t *cat_kafka_answer(rd_kafka_t *kafka, bool takes,
                                   const rd_kafka_topic_partition_list_t *list) {
    if (!cat_kafka_is_cooperative(kafka)) {
        return refusal_of(rd_kafka_assign(kafka, takes ? list : NULL));
    }
    return takes ? rd_kafka_incremental_assign(kafka, list)
                 : rd_kafka_incremental_unassign(kafka, list);
}

/*** Takes the partitions that were told as assigned, and reads nothing of them until
 * each is sought and resumed.
 * @function kafka:assign
 * @tparam {table,...} list each `topic`, `number`
 * @treturn[1] boolean true
 * @treturn[2] nil
 * @treturn[2] table error */
static int assign(lua_State *L) {
    cat_kafka *k = cat_kafka_self(L);
    if (!k) {
        return 2;
    }
    cat_kafka_read_list(L, k, 2);
    /* Before, too: from what is deleted there nothing can be read, and librdkafka would not even
     * seek in it any more. It passes over those that it does not know yet. */
    rd_kafka_pause_partitions(k->kafka, k->list);
    for (int i = 0; i < k->list->cnt; i++) {
        k->list->elems[i].offset = PARKED;
        k->list->elems[i].err = 0;
    }
    rd_kafka_error_t *error = cat_kafka_answer(k->kafka, true, k->list);
    if (!error) {
        rd_kafka_pause_partitions(k->kafka, k->list);
    }
    return finish_with(L, error, "cannot take partitions");
}

/*** Gives the partitions back that were told as revoked or lost.
 * @function kafka:unassign
 * @tparam {table,...} list each `topic`, `number`
 * @treturn[1] boolean true
 * @treturn[2] nil
 * @treturn[2] table error */
static int unassign(lua_State *L) {
    cat_kafka *k = cat_kafka_self(L);
    if (!k) {
        return 2;
    }
    cat_kafka_read_list(L, k, 2);
    return finish_with(L, cat_kafka_answer(k->kafka, false, k->list),
                       "cannot give partitions back");
}

/* Drops the message that was polled already, if it is of one of the partitions. */
static void drop_message(cat_kafka *k) {
    const rd_kafka_message_t *message = k->message;
    if (message && message->rkt &&
        rd_kafka_topic_partition_list_find(k->list, rd_kafka_topic_name(message->rkt),
                                           message->partition)) {
        rd_kafka_message_destroy(k->message);
        k->message = NULL;
    }
}

/*** Reads partitions from their `offset` on: what was read before and not taken is dropped.
 * librdkafka answers at once, whatever brokers do. It refuses for a partition of which it has not
 * begun to read, as while a commit is under way: then that would be read from its end.
 * @function kafka:seek
 * @tparam {table,...} list each `topic`, `number`, `offset`
 * @treturn[1] boolean true
 * @treturn[2] nil
 * @treturn[2] table error: they are where they were, and are not to be resumed */
static int seek(lua_State *L) {
    cat_kafka *k = cat_kafka_self(L);
    if (!k) {
        return 2;
    }
    cat_kafka_read_list(L, k, 2);
    drop_message(k);
    rd_kafka_error_t *error = rd_kafka_seek_partitions(k->kafka, k->list, SEEK_TIMEOUT);
    return error ? finish_with(L, error, "cannot seek")
                 : finish(L, cat_kafka_error_of(k->list), "cannot seek");
}

/*** Reads nothing more of partitions. What was fetched of them is dropped: they are to be sought
 * before they are resumed.
 * @function kafka:pause
 * @tparam {table,...} list each `topic`, `number` */
static int pause_reading(lua_State *L) {
    cat_kafka *k = cat_kafka_self(L);
    if (!k) {
        return 2;
    }
    cat_kafka_read_list(L, k, 2);
    drop_message(k);
    return finish(L, rd_kafka_pause_partitions(k->kafka, k->list), "cannot pause");
}

/*** Reads partitions again.
 * @function kafka:resume
 * @tparam {table,...} list each `topic`, `number` */
static int resume(lua_State *L) {
    cat_kafka *k = cat_kafka_self(L);
    if (!k) {
        return 2;
    }
    cat_kafka_read_list(L, k, 2);
    return finish(L, rd_kafka_resume_partitions(k->kafka, k->list), "cannot resume");
}

/*** The end of a partition as it was last heard of, without asking for it.
 * @function kafka:high
 * @tparam string topic
 * @tparam integer number
 * @treturn ?integer nil: nothing was read of it yet */
static int high(lua_State *L) {
    cat_kafka *k = cat_kafka_self(L);
    if (!k) {
        return 2;
    }
    int64_t first = -1, last = -1;
    int error = rd_kafka_get_watermark_offsets(k->kafka, luaL_checkstring(L, 2),
                                               (int32_t)luaL_checkinteger(L, 3), &first, &last);
    if (error || last < 0) {
        return 0;
    }
    lua_pushinteger(L, last);
    return 1;
}

cat_question *cat_kafka_question(lua_State *L, cat_kafka *k, cat_question_kind kind) {
    luaL_argcheck(L, !k->question->is_asked, 1, "a question was asked before");
    cat_question_end(k->question); /* what is left of one that could not be asked */
    k->question->kind = kind;
    return k->question;
}

int cat_kafka_ask(lua_State *L, cat_kafka *k) {
    cat_question *q = k->question;
    q->kafka = k->kafka;
    q->fd = k->fd;
    q->ticket = ++k->tickets;
    if (!cat_question_ask(q)) {
        return cat_kafka_failure(L, RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE, NULL, "cannot ask Kafka");
    }
    lua_pushinteger(L, k->tickets);
    return 1;
}

/*** Asks how many partitions a topic has (`number` is -1), or where one begins and ends. One
 * question at a time.
 * @function kafka:ask
 * @tparam string topic
 * @tparam integer number
 * @treturn[1] integer the ticket of the answer
 * @treturn[2] nil
 * @treturn[2] table error */
static int ask(lua_State *L) {
    cat_kafka *k = cat_kafka_self(L);
    if (!k) {
        return 2;
    }
    size_t length;
    const char *topic = luaL_checklstring(L, 2, &length);
    lua_Integer number = luaL_checkinteger(L, 3);
    luaL_argcheck(L, length < sizeof k->question->topic, 2, "too long");
    cat_question *q = cat_kafka_question(L, k, number < 0 ? CAT_COUNT : CAT_ENDS);
    memcpy(q->topic, topic, length + 1);
    q->number = (int32_t)number;
    q->timeout = TIMEOUT;
    return cat_kafka_ask(L, k);
}

const luaL_Reg cat_kafka_partition_methods[] = {
    {"assign", assign}, {"unassign", unassign}, {"seek", seek}, {"pause", pause_reading},
    {"resume", resume}, {"high", high},         {"ask", ask},   {NULL, NULL}};
