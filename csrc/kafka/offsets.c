/* Offsets of a group: what is committed, by this member or for a person. */
#include "kafka.h"

#include <stdlib.h>
#include <string.h>

#define TIMEOUT 15000 /* milliseconds that a question of a group may take */

/* The generation that this member is in; -1: none. librdkafka tells it only in what it writes for
 * others to read: a name, the number, the group. */
static int32_t generation_of(const cat_kafka *k) {
    static const size_t NAME = 7; /* "CGMDv2:" */
    int32_t generation = -1;
    void *written = NULL;
    size_t size = 0;
    rd_kafka_consumer_group_metadata_t *member = rd_kafka_consumer_group_metadata(k->kafka);
    if (!member) {
        return -1;
    }
    rd_kafka_error_t *error = rd_kafka_consumer_group_metadata_write(member, &written, &size);
    if (error) {
        rd_kafka_error_destroy(error);
    } else if (size >= NAME + sizeof generation && memcmp(written, "CGMDv2:", NAME) == 0) {
        memcpy(&generation, (const char *)written + NAME, sizeof generation);
        free(written);
    } else {
        free(written);
    }
    rd_kafka_consumer_group_metadata_destroy(member);
    return generation;
}

/*** The generation of the group that this member is in.
 * @function kafka:generation
 * @treturn integer -1: it is in none */
static int generation(lua_State *L) {
    const cat_kafka *k = cat_kafka_self(L);
    if (!k) {
        return 2;
    }
    lua_pushinteger(L, generation_of(k));
    return 1;
}

/* Sends the offsets of the list, and pushes the ticket of the answer, or nil and an error. */
static int send_offsets(lua_State *L, cat_kafka *k, const char *failed) {
    int error =
        rd_kafka_commit_queue(k->kafka, k->list, k->results, NULL, (void *)(intptr_t)++k->tickets);
    if (error) {
        return cat_kafka_failure(L, error, NULL, failed);
    }
    lua_pushinteger(L, k->tickets);
    return 1;
}

/*** Commits offsets, with metadata. Refused at once where this member is in no generation: an empty
 * group takes a commit of nobody.
 * @function kafka:commit
 * @tparam {table,...} list each `topic`, `number`, `offset`, `metadata`
 * @treturn[1] integer the ticket of the answer
 * @treturn[2] nil
 * @treturn[2] table error; nothing was sent */
static int commit(lua_State *L) {
    cat_kafka *k = cat_kafka_self(L);
    if (!k) {
        return 2;
    }
    cat_kafka_read_list(L, k, 2);
    /* rule 9: never of nobody */
    if (generation_of(k) < 0 || rd_kafka_assignment_lost(k->kafka)) {
        return cat_kafka_failure(L, RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID, NULL, "cannot commit");
    }
    return send_offsets(L, k, "cannot commit");
}

/*** Asks what the group of this consumer has committed. One question at a time, as of `ask`.
 * @function kafka:committed
 * @tparam {table,...} list each `topic`, `number`
 * @treturn[1] integer the ticket of the answer: a list, each with `offset` and `metadata` where
 * there is any
 * @treturn[2] nil
 * @treturn[2] table error */
static int committed(lua_State *L) {
    cat_kafka *k = cat_kafka_self(L);
    if (!k) {
        return 2;
    }
    cat_kafka_read_list(L, k, 2);
    cat_question *q = cat_kafka_question(L, k, CAT_COMMITTED);
    q->list = rd_kafka_topic_partition_list_copy(k->list);
    q->timeout = TIMEOUT;
    return cat_kafka_ask(L, k);
}

/*** Sets what the group of this consumer has committed. The group has to be empty, and this
 * consumer has not joined it. Its coordinator has to be found, as it is when `committed` has
 * answered: librdkafka waits with offsets for one, and does not end well meanwhile.
 * @function kafka:alter
 * @tparam {table,...} list each `topic`, `number`, `offset`, `metadata`
 * @treturn[1] integer the ticket of the answer
 * @treturn[2] nil
 * @treturn[2] table error */
static int alter(lua_State *L) {
    cat_kafka *k = cat_kafka_self(L);
    if (!k) {
        return 2;
    }
    cat_kafka_read_list(L, k, 2);
    k->altering = k->tickets + 1;
    return send_offsets(L, k, "cannot set offsets");
}

/*** Asks for the members of the group of this consumer. One question at a time, as of `ask`.
 * @function kafka:describe
 * @treturn[1] integer the ticket of the answer: `state`, `members`: how many
 * @treturn[2] nil
 * @treturn[2] table error */
static int describe(lua_State *L) {
    cat_kafka *k = cat_kafka_self(L);
    if (!k) {
        return 2;
    }
    cat_kafka_question(L, k, CAT_GROUP)->timeout = TIMEOUT;
    return cat_kafka_ask(L, k);
}

const luaL_Reg cat_kafka_offset_methods[] = {{"generation", generation}, {"commit", commit},
                                             {"committed", committed},   {"alter", alter},
                                             {"describe", describe},     {NULL, NULL}};
