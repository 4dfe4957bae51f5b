/*** A member of a Kafka group, by librdkafka. Nothing here waits: what was asked for is answered by
 * `poll`, and the descriptor is readable when there is something to poll. Callbacks of librdkafka
 * only note what they are told; no Lua runs in them.
 * @module catalog.kafka */
#include "kafka.h"

#include "../failure.h"
#include "../handle.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

/* --- what librdkafka tells --- */

/* Called by rd_kafka_consumer_poll, on this thread. What it tells is answered by Lua, later. The
 * poll ends here: a message that it went on to would be of a partition that stays, and is read
 * once. */
static void on_rebalance(rd_kafka_t *kafka, rd_kafka_resp_err_t err,
                         rd_kafka_topic_partition_list_t *list, void *opaque) {
    cat_kafka *k = opaque;
    rd_kafka_yield(kafka);
    bool is_known =
        err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS || err == RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS;
    if (k->told) {
        rd_kafka_topic_partition_list_destroy(k->told);
    }
    k->told = is_known ? rd_kafka_topic_partition_list_copy(list) : NULL;
    if (!k->told) {
        rd_kafka_assign(kafka, NULL);
        k->rebalance = CAT_NOTHING;
        return;
    }
    k->rebalance = err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS ? CAT_ASSIGNED
                   : rd_kafka_assignment_lost(kafka)           ? CAT_LOST
                                                               : CAT_REVOKED;
}

static void on_error(rd_kafka_t *kafka, int code, const char *reason, void *opaque) {
    cat_kafka *k = opaque;
    if (k->error_count == CAT_ERRORS) {
        return; /* the first ones say why */
    }
    cat_kafka_error *error = &k->errors[k->error_count++];
    *error = (cat_kafka_error){.code = code};
    snprintf(error->text, sizeof error->text, "%s", reason);
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        error->is_fatal = true;
        error->code = rd_kafka_fatal_error(kafka, error->text, sizeof error->text);
    }
}

/* Its errors come by on_error; the rest is for who reads logs. */
static void on_log(const rd_kafka_t *kafka, int level, const char *facility, const char *text) {
    (void)kafka;
    (void)level;
    (void)facility;
    (void)text;
}

/* --- making it --- */

/* Sets the properties of the table at an index. Pushes nil and an error where one is refused. */
static int configure(lua_State *L, rd_kafka_conf_t *conf, int index) {
    char why[256];
    size_t size;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        luaL_argcheck(L, lua_type(L, -2) == LUA_TSTRING, index, "names of properties are strings");
        const char *name = lua_tostring(L, -2);
        const char *value = luaL_tolstring(L, -1, NULL);
        if (rd_kafka_conf_set(conf, name, value, why, sizeof why) != RD_KAFKA_CONF_OK) {
            /* what librdkafka says has the value in it, which may be a secret */
            return cat_failure(L, "config", "librdkafka does not take the property %s: %s", name,
                               rd_kafka_conf_get(conf, name, NULL, &size) == RD_KAFKA_CONF_OK
                                   ? "its value cannot be used"
                                   : "it has none of this name");
        }
        lua_pop(L, 1);
    }
    return 0;
}

static int open_kafka(lua_State *L, cat_kafka *k) {
    char why[256];
    rd_kafka_conf_set_opaque(k->conf, k);
    rd_kafka_conf_set_rebalance_cb(k->conf, on_rebalance);
    rd_kafka_conf_set_error_cb(k->conf, on_error);
    rd_kafka_conf_set_log_cb(k->conf, on_log);
    k->kafka = rd_kafka_new(RD_KAFKA_CONSUMER, k->conf, why, sizeof why);
    if (!k->kafka) {
        return cat_failure(L, "config", "librdkafka cannot begin: %s", why);
    }
    k->conf = NULL; /* it is librdkafka's now */
    rd_kafka_poll_set_consumer(k->kafka);
    k->messages = rd_kafka_queue_get_consumer(k->kafka);
    if (!k->messages) {
        return cat_failure(L, "config", "the consumer needs a group: group.id");
    }
    k->results = rd_kafka_queue_new(k->kafka);
    static const uint64_t one = 1;
    rd_kafka_queue_io_event_enable(k->messages, k->fd, &one, sizeof one);
    rd_kafka_queue_io_event_enable(k->results, k->fd, &one, sizeof one);
    return 0;
}

/*** Makes a consumer, which is in no group yet.
 * @function new
 * @tparam {[string]=string,...} properties of librdkafka, by their names
 * @tparam {[string]=string,...} producing those of its producer
 * @treturn[1] kafka
 * @treturn[2] nil
 * @treturn[2] table error of kind `config`: a property is refused; `limit`: no descriptors are left
 */
static int new_kafka(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, 2, LUA_TTABLE);
    cat_kafka *k = lua_newuserdatauv(L, sizeof *k, 0);
    memset(k, 0, sizeof *k);
    k->fd = -1;
    luaL_setmetatable(L, CAT_KAFKA);
    k->conf = rd_kafka_conf_new();
    k->producer_conf = rd_kafka_conf_new();
    k->list = rd_kafka_topic_partition_list_new(16);
    k->question = calloc(1, sizeof *k->question);
    k->stir = calloc(1, sizeof *k->stir);
    k->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!k->list || !k->question || !k->stir || k->fd < 0 || !cat_init_fork_guard(&k->guard)) {
        return cat_failure(L, "limit", "cannot make a consumer: %s", strerror(errno));
    }
    cat_stir_configure(k->stir, k->conf); /* before what is given, which may have it otherwise */
    int refused = configure(L, k->conf, 1);
    refused = refused ? refused : configure(L, k->producer_conf, 2);
    refused = refused ? refused : open_kafka(L, k);
    if (refused) {
        return refused;
    }
    lua_pushvalue(L, 3);
    return 1;
}

/*** The descriptor that is readable when there is something to poll. It is the consumer's.
 * @function kafka:fd
 * @treturn integer */
static int kafka_fd(lua_State *L) {
    const cat_kafka *k = luaL_checkudata(L, 1, CAT_KAFKA);
    lua_pushinteger(L, k->fd);
    return 1;
}

/* --- the group --- */

/*** Joins the group, for some topics.
 * @function kafka:subscribe
 * @tparam {string,...} topics
 * @treturn[1] boolean true
 * @treturn[2] nil
 * @treturn[2] table error */
static int kafka_subscribe(lua_State *L) {
    cat_kafka *k = cat_kafka_self(L);
    if (!k) {
        return 2;
    }
    luaL_checktype(L, 2, LUA_TTABLE);
    rd_kafka_topic_partition_list_destroy(k->list);
    k->list = rd_kafka_topic_partition_list_new(4);
    for (lua_Integer i = 1; lua_geti(L, 2, i) != LUA_TNIL; i++) {
        rd_kafka_topic_partition_list_add(k->list, luaL_checkstring(L, -1), RD_KAFKA_PARTITION_UA);
        lua_pop(L, 1);
    }
    int error = rd_kafka_subscribe(k->kafka, k->list);
    if (error) {
        return cat_kafka_failure(L, error, NULL, "cannot join the group");
    }
    lua_pushboolean(L, 1);
    return 1;
}

/*** Leaves the group. Its partitions are told as given back, by `poll`.
 * @function kafka:unsubscribe */
static int kafka_unsubscribe(lua_State *L) {
    cat_kafka *k = cat_kafka_self(L);
    if (!k) {
        return 2;
    }
    rd_kafka_unsubscribe(k->kafka);
    lua_pushboolean(L, 1);
    return 1;
}

/*** Begins to leave for good: `poll` goes on until `closed`.
 * @function kafka:begin_close */
static int kafka_begin_close(lua_State *L) {
    cat_kafka *k = cat_kafka_self(L);
    if (!k) {
        return 2;
    }
    rd_kafka_error_t *error = cat_kafka_leave(k);
    k->leaving = !error;
    if (error) {
        int code = rd_kafka_error_code(error);
        rd_kafka_error_destroy(error);
        return cat_kafka_failure(L, code, NULL, "cannot leave the group");
    }
    lua_pushboolean(L, 1);
    return 1;
}

/*** Whether it has left. One that was joining when it began to leave goes on with that here.
 * @function kafka:closed
 * @treturn boolean */
static int kafka_closed(lua_State *L) {
    cat_kafka *k = luaL_checkudata(L, 1, CAT_KAFKA);
    if (k->kafka && !cat_kafka_self(L)) {
        return 2;
    }
    rd_kafka_error_t *error = k->kafka && k->leaving ? cat_kafka_leave(k) : NULL;
    if (error) {
        rd_kafka_error_destroy(error);
    }
    lua_pushboolean(L, !k->kafka || rd_kafka_consumer_closed(k->kafka));
    return 1;
}

/* --- the end --- */

static void free_reading(cat_kafka *k) {
    if (k->message) {
        rd_kafka_message_destroy(k->message);
    }
    if (k->event) {
        rd_kafka_event_destroy(k->event);
    }
    if (k->headers) {
        rd_kafka_headers_destroy(k->headers);
    }
    if (k->told) {
        rd_kafka_topic_partition_list_destroy(k->told);
    }
    if (k->list) {
        rd_kafka_topic_partition_list_destroy(k->list);
    }
    k->message = NULL;
    k->event = NULL;
    k->headers = NULL;
    k->told = k->list = NULL;
}

/*** Ends it at once, whether it has left the group or not. In a forked child it does nothing: the
 * threads of librdkafka are not there.
 * @function kafka:close */
static int kafka_close(lua_State *L) {
    cat_kafka *k = luaL_checkudata(L, 1, CAT_KAFKA);
    if (k->guard.owner_page && !cat_in_owner_process(&k->guard)) {
        return 0;
    }
    cat_kafka_end(k);
    free_reading(k);
    if (k->conf) {
        rd_kafka_conf_destroy(k->conf);
    }
    if (k->producer_conf) {
        rd_kafka_conf_destroy(k->producer_conf);
    }
    k->conf = k->producer_conf = NULL;
    cat_free_fork_guard(&k->guard);
    return 0;
}

static const luaL_Reg methods[] = {{"fd", kafka_fd},
                                   {"subscribe", kafka_subscribe},
                                   {"unsubscribe", kafka_unsubscribe},
                                   {"begin_close", kafka_begin_close},
                                   {"closed", kafka_closed},
                                   {"close", kafka_close},
                                   {NULL, NULL}};

/*** The version of librdkafka.
 * @function version
 * @treturn string */
static int version(lua_State *L) {
    lua_pushstring(L, rd_kafka_version_str());
    return 1;
}

__attribute__((visibility("default"))) int luaopen_catalog_kafka(lua_State *L);

int luaopen_catalog_kafka(lua_State *L) {
    static const luaL_Reg events[] = {
        {"__gc", kafka_close}, {"__close", kafka_close}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"new", new_kafka}, {"version", version}, {NULL, NULL}};
    cat_handle(L, CAT_KAFKA, events, methods);
    luaL_getmetatable(L, CAT_KAFKA);
    lua_getfield(L, -1, "__index");
    luaL_setfuncs(L, cat_kafka_partition_methods, 0);
    luaL_setfuncs(L, cat_kafka_offset_methods, 0);
    luaL_setfuncs(L, cat_kafka_event_methods, 0);
    luaL_setfuncs(L, cat_kafka_intake_methods, 0);
    luaL_setfuncs(L, cat_kafka_producer_methods, 0);
    luaL_newlib(L, functions);
    return 1;
}
