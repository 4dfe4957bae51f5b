/* What has happened, one thing after the other. */
#include "kafka.h"

#include <unistd.h>

/* Where there are messages, what else is to be looked at is, every so many of them. */
#define TURN 16

/* --- answers: a ticket, then true or a value, or nil and an error --- */

static int push_answer(lua_State *L, lua_Integer ticket) {
    lua_pushliteral(L, "answer");
    lua_pushinteger(L, ticket);
    return 2;
}

static int push_done(lua_State *L, int error, const char *text, const char *what) {
    if (error) {
        return 2 + cat_kafka_failure(L, error, text, what);
    }
    lua_pushboolean(L, 1);
    return 3;
}

static int push_commit(lua_State *L, const cat_kafka *k, rd_kafka_event_t *event,
                       lua_Integer ticket) {
    int error = rd_kafka_event_error(event);
    /* rule 5: none of its partitions was refused */
    error = error ? error : cat_kafka_error_of(rd_kafka_event_topic_partition_list(event));
    return push_done(L, error, NULL,
                     ticket == k->altering ? "the offsets of the group cannot be set"
                                           : "the commit was refused");
}

/* What an event of the results is; 0: nothing that is told. */
static int push_result(lua_State *L, const cat_kafka *k, rd_kafka_event_t *event) {
    if (rd_kafka_event_type(event) != RD_KAFKA_EVENT_OFFSET_COMMIT) {
        return 0;
    }
    lua_Integer ticket = (lua_Integer)(intptr_t)rd_kafka_event_opaque(event);
    push_answer(L, ticket);
    return push_commit(L, k, event, ticket);
}

static const char *const UNANSWERED[] = {[CAT_COUNT] = "Kafka cannot be asked for the topic",
                                         [CAT_ENDS] = "Kafka cannot be asked for the topic",
                                         [CAT_COMMITTED] =
                                             "the offsets of the group cannot be read",
                                         [CAT_GROUP] = "the group cannot be looked at"};

static int push_ends(lua_State *L, const cat_question *q) {
    lua_createtable(L, 0, 2);
    lua_pushinteger(L, q->low);
    lua_setfield(L, -2, "low");
    lua_pushinteger(L, q->high);
    lua_setfield(L, -2, "high");
    return 3;
}

static int push_group(lua_State *L, const cat_description *group) {
    lua_createtable(L, 0, 2);
    lua_pushstring(L, group->state);
    lua_setfield(L, -2, "state");
    lua_pushinteger(L, (lua_Integer)group->members);
    lua_setfield(L, -2, "members");
    return 3;
}

static int push_question(lua_State *L, const cat_question *q) {
    push_answer(L, (lua_Integer)q->ticket);
    int error = q->error ? q->error : cat_kafka_error_of(q->list);
    if (error) {
        return push_done(L, error, NULL, UNANSWERED[q->kind]);
    }
    switch (q->kind) {
    case CAT_ENDS:
        return push_ends(L, q);
    case CAT_COMMITTED:
        cat_kafka_push_list(L, q->list);
        return 3;
    case CAT_GROUP:
        return push_group(L, &q->group);
    case CAT_COUNT:
        break;
    }
    lua_pushinteger(L, q->count);
    return 3;
}

/* --- messages, and what comes among them --- */

/* What a message is that tells of an error of its partition. */
static int push_fault(lua_State *L, cat_kafka *k) {
    const rd_kafka_message_t *message = k->message;
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        lua_pushliteral(L, "eof");
        cat_kafka_push_place(L, message);
        return 2;
    }
    char why[256];
    int fatal = message->err == RD_KAFKA_RESP_ERR__FATAL
                    ? (int)rd_kafka_fatal_error(k->kafka, why, sizeof why)
                    : 0;
    lua_pushliteral(L, "error");
    cat_kafka_failure(L, fatal ? fatal : (int)message->err,
                      fatal ? why : rd_kafka_message_errstr(message), "Kafka");
    lua_remove(L, -2);
    lua_pushboolean(L, fatal != 0);
    lua_setfield(L, -2, "is_fatal");
    if (message->rkt) {
        lua_pushstring(L, rd_kafka_topic_name(message->rkt));
        lua_setfield(L, -2, "topic");
        lua_pushinteger(L, message->partition);
        lua_setfield(L, -2, "partition");
    }
    return 2;
}

/* --- what is polled --- */

static int push_rebalance(lua_State *L, cat_kafka *k) {
    static const char *const names[] = {
        [CAT_ASSIGNED] = "assigned", [CAT_REVOKED] = "revoked", [CAT_LOST] = "lost"};
    lua_pushstring(L, names[k->rebalance]);
    cat_kafka_push_list(L, k->told);
    k->rebalance = CAT_NOTHING;
    return 2;
}

static int push_error(lua_State *L, cat_kafka *k) {
    const cat_kafka_error *error = &k->errors[0];
    lua_pushliteral(L, "error");
    cat_kafka_failure(L, error->code, error->text, "Kafka");
    lua_remove(L, -2);
    lua_pushboolean(L, error->is_fatal);
    lua_setfield(L, -2, "is_fatal");
    k->error_count--;
    for (int i = 0; i < k->error_count; i++) {
        k->errors[i] = k->errors[i + 1];
    }
    return 2;
}

/* Notes what became of messages that were produced. */
static void count_deliveries(cat_kafka *k) {
    rd_kafka_event_t *event;
    while (k->producer && (event = rd_kafka_queue_poll(k->deliveries, 0))) {
        const rd_kafka_message_t *message;
        while ((message = rd_kafka_event_message_next(event))) {
            k->undelivered--;
            k->delivery_error = message->err ? (int)message->err : k->delivery_error;
        }
        rd_kafka_event_destroy(event);
    }
}

/* The next event of what was asked for; 0: there is none. */
static int poll_results(lua_State *L, cat_kafka *k) {
    int count = 0;
    while (count == 0 && (k->event || (k->event = rd_kafka_queue_poll(k->results, 0)))) {
        count = push_result(L, k, k->event);
        rd_kafka_event_destroy(k->event);
        k->event = NULL;
    }
    return count;
}

int cat_kafka_poll_answers(lua_State *L, cat_kafka *k) {
    count_deliveries(k);
    int count = poll_results(L, k);
    if (count == 0 && k->question->is_asked && k->question->is_answered) {
        count = push_question(L, k->question);
        cat_question_end(k->question);
    }
    return count;
}

int cat_kafka_poll_errors(lua_State *L, cat_kafka *k) {
    return k->error_count > 0 ? push_error(L, k) : 0;
}

/* What has happened to partitions comes before a message that was read with it: it is looked at
 * afterwards whose that is. */
bool cat_kafka_has_message(cat_kafka *k) {
    if (k->rebalance == CAT_NOTHING && !k->message) {
        k->message = rd_kafka_consumer_poll(k->kafka, 0);
        if (k->message && k->message->rkt && k->messages_polled++ % TURN == 0) {
            cat_stir_look(k->stir, k->kafka, k->messages, k->message);
        }
    }
    return k->rebalance == CAT_NOTHING && k->message;
}

int cat_kafka_poll_messages(lua_State *L, cat_kafka *k) {
    if (!cat_kafka_has_message(k)) {
        return k->rebalance != CAT_NOTHING ? push_rebalance(L, k) : 0;
    }
    int count = 2;
    if (k->message->err) {
        count = push_fault(L, k);
    } else {
        lua_pushliteral(L, "message");
        cat_kafka_push_message(L, k->message);
    }
    rd_kafka_message_destroy(k->message);
    k->message = NULL;
    return count;
}

/*** What has happened.
 * @function kafka:poll
 * @tparam ?boolean without_messages true: nor what happens to partitions, which comes among them
 * @treturn[1] string `message`: a table with `topic`, `partition`, `offset`, and where they are
 * there `value`, `key`, `timestamp` (milliseconds since the epoch), `headers`; `eof`: `topic`,
 * `partition`, `offset`, a partition was read to its end; `assigned`, `revoked`, `lost`: a list of
 * partitions, which `assign` or `unassign` answers; `error`: an error, with `topic` and `partition`
 * where it is one's, and `is_fatal`; `answer`: a ticket, then a value, or nil and an error
 * @return[1] as it says
 * @treturn[2] nil nothing has happened; or nil and an error */
static int poll(lua_State *L) {
    cat_kafka *k = cat_kafka_self(L);
    if (!k) {
        return 2;
    }
    bool without_messages = lua_toboolean(L, 2);
    lua_settop(L, 1);
    bool is_turn = without_messages || k->messages_polled % TURN == 0;
    int count = is_turn ? cat_kafka_poll_answers(L, k) : 0;
    if (count == 0 && !without_messages) {
        count = cat_kafka_poll_messages(L, k);
    }
    if (count == 0 && !is_turn) {
        count = cat_kafka_poll_answers(L, k);
    }
    if (count == 0) {
        count = cat_kafka_poll_errors(L, k);
    }
    return count;
}

/*** Takes the descriptor's readability away: to be called before `poll` is, until it gives nothing.
 * @function kafka:drain_fd */
static int drain_fd(lua_State *L) {
    const cat_kafka *k = cat_kafka_self(L);
    uint64_t count;
    if (k) {
        ssize_t ignored = read(k->fd, &count, sizeof count);
        (void)ignored;
    }
    return 0;
}

const luaL_Reg cat_kafka_event_methods[] = {{"poll", poll}, {"drain_fd", drain_fd}, {NULL, NULL}};
