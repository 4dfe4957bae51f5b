/* A message as a table of Lua. */
#include "kafka.h"

static void push_text(lua_State *L, const char *name, const void *text, size_t length) {
    if (text) {
        lua_pushlstring(L, text, length);
        lua_setfield(L, -2, name);
    }
}

static void push_headers(lua_State *L, const rd_kafka_message_t *message) {
    rd_kafka_headers_t *headers;
    const char *name;
    const void *value;
    size_t size;
    if (rd_kafka_message_headers(message, &headers) != 0) {
        return;
    }
    lua_newtable(L);
    for (size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &size) == 0; i++) {
        lua_pushlstring(L, value ? value : "", value ? size : 0);
        lua_setfield(L, -2, name);
    }
    lua_setfield(L, -2, "headers");
}

void cat_kafka_push_place(lua_State *L, const rd_kafka_message_t *message) {
    lua_createtable(L, 0, 7);
    lua_pushstring(L, message->rkt ? rd_kafka_topic_name(message->rkt) : "");
    lua_setfield(L, -2, "topic");
    lua_pushinteger(L, message->partition);
    lua_setfield(L, -2, "partition");
    lua_pushinteger(L, message->offset);
    lua_setfield(L, -2, "offset");
}

void cat_kafka_push_message(lua_State *L, const rd_kafka_message_t *message) {
    cat_kafka_push_place(L, message);
    push_text(L, "value", message->payload, message->len);
    push_text(L, "key", message->key, message->key_len);
    rd_kafka_timestamp_type_t type;
    int64_t timestamp = rd_kafka_message_timestamp(message, &type);
    if (type != RD_KAFKA_TIMESTAMP_NOT_AVAILABLE) {
        lua_pushinteger(L, timestamp);
        lua_setfield(L, -2, "timestamp");
    }
    push_headers(L, message);
}
