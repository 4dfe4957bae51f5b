/* Errors of Kafka for Lua; and that a consumer is closed, or another process's. */
#include "kafka.h"

#include "../failure.h"

cat_kafka *cat_kafka_self(lua_State *L) {
    cat_kafka *k = luaL_checkudata(L, 1, CAT_KAFKA);
    if (!cat_in_owner_process(&k->guard)) {
        cat_failure(L, "cancelled", "this consumer belongs to the process that made it");
        return NULL;
    }
    if (!k->kafka) {
        cat_failure(L, "cancelled", "the consumer is closed");
        return NULL;
    }
    return k;
}

bool cat_kafka_is_unclear(int code) {
    return code < 0 || code == RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT ||
           code == RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION;
}

static const char *kind_of(int code) {
    switch (code) {
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
        return "auth";
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
        return "timeout";
    case RD_KAFKA_RESP_ERR__SSL:
        return "tls";
    case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE:
        return "protocol"; /* a code of librdkafka's own, but no fault of the way */
    default:
        return code < 0 ? "network" : "protocol";
    }
}

int cat_kafka_failure(lua_State *L, int code, const char *text, const char *what) {
    cat_failure(L, kind_of(code), "%s: %s", what, text ? text : rd_kafka_err2str(code));
    lua_pushstring(L, rd_kafka_err2name(code));
    lua_setfield(L, -2, "code");
    lua_pushboolean(L, cat_kafka_is_unclear(code));
    lua_setfield(L, -2, "is_unclear");
    return 2;
}
