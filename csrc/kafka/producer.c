/* Messages that are sent: those that were rejected. */
#include "kafka.h"

#include "../failure.h"

#include <string.h>

static bool open_producer(lua_State *L, cat_kafka *k) {
    char why[256];
    static const uint64_t one = 1;
    rd_kafka_conf_set_log_cb(k->producer_conf, NULL); /* what fails is told by deliveries */
    rd_kafka_conf_set_events(k->producer_conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR);
    k->producer = rd_kafka_new(RD_KAFKA_PRODUCER, k->producer_conf, why, sizeof why);
    if (!k->producer) {
        cat_failure(L, "config", "librdkafka cannot begin to produce: %s", why);
        return false;
    }
    k->producer_conf = NULL; /* it is librdkafka's now */
    k->deliveries = rd_kafka_queue_get_main(k->producer);
    rd_kafka_queue_io_event_enable(k->deliveries, k->fd, &one, sizeof one);
    return true;
}

static void read_headers(lua_State *L, cat_kafka *k, int index) {
    size_t length;
    if (k->headers) {
        rd_kafka_headers_destroy(k->headers);
    }
    k->headers = rd_kafka_headers_new(8);
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        luaL_argcheck(L, lua_type(L, -2) == LUA_TSTRING, index, "names of headers are strings");
        const char *value = luaL_checklstring(L, -1, &length);
        rd_kafka_header_add(k->headers, lua_tostring(L, -2), -1, value, (ssize_t)length);
    }
}

/*** Sends a message, some time soon.
 * @function kafka:produce
 * @tparam string topic
 * @tparam ?string key
 * @tparam ?string value
 * @tparam {[string]=string,...} headers
 * @treturn[1] boolean true
 * @treturn[2] nil
 * @treturn[2] table error: of code `_QUEUE_FULL` when too much is under way */
static int produce(lua_State *L) {
    cat_kafka *k = cat_kafka_self(L);
    if (!k) {
        return 2;
    }
    size_t key_length = 0, length = 0;
    const char *topic = luaL_checkstring(L, 2);
    const char *key = luaL_optlstring(L, 3, NULL, &key_length);
    const char *value = luaL_optlstring(L, 4, NULL, &length);
    luaL_checktype(L, 5, LUA_TTABLE);
    if (!k->producer && !open_producer(L, k)) {
        return 2;
    }
    read_headers(L, k, 5);
    int error = rd_kafka_producev(
        k->producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_KEY(key, key_length),
        RD_KAFKA_V_VALUE((void *)(uintptr_t)value, length), RD_KAFKA_V_HEADERS(k->headers),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
    if (error) {
        return cat_kafka_failure(L, error, NULL, "cannot send what was rejected");
    }
    k->headers = NULL; /* they are librdkafka's now */
    k->undelivered++;
    lua_pushboolean(L, 1);
    return 1;
}

/*** How many messages were produced and are not there yet.
 * @function kafka:undelivered
 * @treturn[1] integer
 * @treturn[2] nil
 * @treturn[2] table error: one could not be delivered; it is told once */
static int undelivered(lua_State *L) {
    cat_kafka *k = cat_kafka_self(L);
    if (!k) {
        return 2;
    }
    int error = k->delivery_error;
    k->delivery_error = 0;
    if (error) {
        return cat_kafka_failure(L, error, NULL, "what was rejected could not be sent");
    }
    lua_pushinteger(L, k->undelivered);
    return 1;
}

const luaL_Reg cat_kafka_producer_methods[] = {
    {"produce", produce}, {"undelivered", undelivered}, {NULL, NULL}};
