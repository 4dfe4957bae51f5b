/* Offsets of a group: what is committed, by this member or by an administrator. */
#include "kafka.h"

#include <stdlib.h>
#include <string.h>

#define TIMEOUT 15000 /* milliseconds that an administrator's question may take */

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
    int error =
        rd_kafka_commit_queue(k->kafka, k->list, k->results, NULL, (void *)(intptr_t)++k->tickets);
    if (error) {
        return cat_kafka_failure(L, error, NULL, "cannot commit");
    }
    lua_pushinteger(L, k->tickets);
    return 1;
}

static rd_kafka_AdminOptions_t *options_of(cat_kafka *k, rd_kafka_admin_op_t kind) {
    char why[128];
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(k->kafka, kind);
    if (options) {
        rd_kafka_AdminOptions_set_request_timeout(options, TIMEOUT, why, sizeof why);
        rd_kafka_AdminOptions_set_opaque(options, (void *)(intptr_t)++k->tickets);
    }
    return options;
}

/*** Asks what a group has committed.
 * @function kafka:committed
 * @tparam string group
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
    const char *group = luaL_checkstring(L, 2);
    cat_kafka_read_list(L, k, 3);
    rd_kafka_AdminOptions_t *options = options_of(k, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS);
    if (!options) {
        return cat_kafka_failure(L, RD_KAFKA_RESP_ERR__FAIL, NULL, "cannot ask for offsets");
    }
    /* what a commit under way comes to is waited for */
    rd_kafka_error_t *error = rd_kafka_AdminOptions_set_require_stable_offsets(options, 1);
    if (error) {
        rd_kafka_error_destroy(error);
    }
    rd_kafka_ListConsumerGroupOffsets_t *asked =
        rd_kafka_ListConsumerGroupOffsets_new(group, k->list);
    rd_kafka_ListConsumerGroupOffsets(k->kafka, &asked, 1, options, k->results);
    rd_kafka_ListConsumerGroupOffsets_destroy(asked);
    rd_kafka_AdminOptions_destroy(options);
    lua_pushinteger(L, k->tickets);
    return 1;
}

/*** Sets what a group has committed; the group has to be empty.
 * @function kafka:alter
 * @tparam string group
 * @tparam {table,...} list each `topic`, `number`, `offset`, `metadata`
 * @treturn[1] integer the ticket of the answer
 * @treturn[2] nil
 * @treturn[2] table error */
static int alter(lua_State *L) {
    cat_kafka *k = cat_kafka_self(L);
    if (!k) {
        return 2;
    }
    const char *group = luaL_checkstring(L, 2);
    cat_kafka_read_list(L, k, 3);
    rd_kafka_AdminOptions_t *options = options_of(k, RD_KAFKA_ADMIN_OP_ALTERCONSUMERGROUPOFFSETS);
    if (!options) {
        return cat_kafka_failure(L, RD_KAFKA_RESP_ERR__FAIL, NULL, "cannot set offsets");
    }
    rd_kafka_AlterConsumerGroupOffsets_t *asked =
        rd_kafka_AlterConsumerGroupOffsets_new(group, k->list);
    rd_kafka_AlterConsumerGroupOffsets(k->kafka, &asked, 1, options, k->results);
    rd_kafka_AlterConsumerGroupOffsets_destroy(asked);
    rd_kafka_AdminOptions_destroy(options);
    lua_pushinteger(L, k->tickets);
    return 1;
}

/*** Asks for the members of a group.
 * @function kafka:describe
 * @tparam string group
 * @treturn[1] integer the ticket of the answer: `state`, `members`: how many
 * @treturn[2] nil
 * @treturn[2] table error */
static int describe(lua_State *L) {
    cat_kafka *k = cat_kafka_self(L);
    if (!k) {
        return 2;
    }
    const char *group = luaL_checkstring(L, 2);
    rd_kafka_AdminOptions_t *options = options_of(k, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS);
    if (!options) {
        return cat_kafka_failure(L, RD_KAFKA_RESP_ERR__FAIL, NULL, "cannot ask for the group");
    }
    rd_kafka_DescribeConsumerGroups(k->kafka, &group, 1, options, k->results);
    rd_kafka_AdminOptions_destroy(options);
    lua_pushinteger(L, k->tickets);
    return 1;
}

const luaL_Reg cat_kafka_offset_methods[] = {{"generation", generation}, {"commit", commit},
                                             {"committed", committed},   {"alter", alter},
                                             {"describe", describe},     {NULL, NULL}};
