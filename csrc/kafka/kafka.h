/* A member of a Kafka group, and what is asked of Kafka beside. */
#ifndef CAT_KAFKA_H
#define CAT_KAFKA_H

#include "../fork_guard.h"
#include "question.h"
#include "stir.h"

#include <lauxlib.h>
#include <librdkafka/rdkafka.h>
#include <stdbool.h>

#define CAT_KAFKA  "catalog.kafka"
#define CAT_ERRORS 8 /* so many errors are kept until they are asked for */

typedef struct {
    int code;
    bool is_fatal;
    char text[512];
} cat_kafka_error;

/* What is told of partitions, in the order in which it happened. */
typedef enum { CAT_NOTHING, CAT_ASSIGNED, CAT_REVOKED, CAT_LOST } cat_rebalance;

/* Of messages that `fill` has taken: what was not told yet. */
typedef struct {
    lua_Integer records, bytes, dropped;
} cat_taken;

typedef struct {
    rd_kafka_t *kafka, *producer;          /* `producer`: NULL until something is produced */
    rd_kafka_queue_t *messages, *results;  /* `results`: of what was asked for */
    rd_kafka_queue_t *deliveries;          /* of the producer */
    rd_kafka_conf_t *conf, *producer_conf; /* until it is made */
    int fd;                                /* readable when there is something */
    cat_fork_guard guard;
    cat_rebalance rebalance;               /* that was told, and not polled yet */
    rd_kafka_topic_partition_list_t *told; /* its partitions */
    rd_kafka_topic_partition_list_t *list; /* of the call that is made */
    rd_kafka_message_t *message;           /* the next one, where it was polled already */
    rd_kafka_event_t *event;               /* that is being read */
    rd_kafka_headers_t *headers;           /* of what is produced */
    cat_question *question;                /* that a thread asks */
    cat_stir *stir;
    cat_taken taken;
    cat_kafka_error errors[CAT_ERRORS];
    int error_count;
    lua_Integer tickets;
    lua_Integer altering; /* the ticket of offsets that were set for the group */
    long undelivered;     /* messages that were produced, and are not there yet */
    int delivery_error;
    bool leaving, closing; /* `closing`: librdkafka was told that it leaves */
    unsigned messages_polled;
} cat_kafka;

/* The consumer that a method is called with, in the process that made it. Else pushes nil and an
 * error; then it is NULL. */
cat_kafka *cat_kafka_self(lua_State *L);

/* Whether its group gives partitions one by one, and not all of them anew each time. */
bool cat_kafka_is_cooperative(rd_kafka_t *kafka);

/* Takes or gives back partitions that were told. NULL, or an error that is the caller's. */
rd_kafka_error_t *cat_kafka_answer(rd_kafka_t *kafka, bool takes,
                                   const rd_kafka_topic_partition_list_t *list);

/* Begins to leave the group, unless it has begun or is still joining. NULL, or an error that is the
 * caller's. */
rd_kafka_error_t *cat_kafka_leave(cat_kafka *k);

/* Ends its threads, without waiting for them, and closes the descriptor that they write to. */
void cat_kafka_end(cat_kafka *k);

/* Pushes nil and an error. `is_unclear`: nobody knows whether it has happened. */
int cat_kafka_failure(lua_State *L, int code, const char *text, const char *what);

/* Whether an error says that nobody knows whether something has happened. */
bool cat_kafka_is_unclear(int code);

/* Fills `list` from the list of tables at an index: `topic`, `number`, and where they are there
 * `offset`, `metadata`. Raises for what is none. */
void cat_kafka_read_list(lua_State *L, cat_kafka *k, int index);

/* Pushes a list of tables. */
void cat_kafka_push_list(lua_State *L, const rd_kafka_topic_partition_list_t *list);

/* The first error of partitions, which may be NULL. */
int cat_kafka_error_of(const rd_kafka_topic_partition_list_t *list);

/* Pushes a table with `topic`, `partition`, `offset`; and one with all that a message has. */
void cat_kafka_push_place(lua_State *L, const rd_kafka_message_t *message);
void cat_kafka_push_message(lua_State *L, const rd_kafka_message_t *message);

/* The question of the consumer, for what its kind needs. Raises while one is asked. */
cat_question *cat_kafka_question(lua_State *L, cat_kafka *k, cat_question_kind kind);

/* Asks it, and pushes the ticket of the answer, or nil and an error. */
int cat_kafka_ask(lua_State *L, cat_kafka *k);

/* Whether `k->message` is the next thing that has come. */
bool cat_kafka_has_message(cat_kafka *k);

/* Each pushes the next thing of its kind that has happened, as `poll` tells it, and gives how many
 * values it has pushed; 0: nothing. Where they raise it is told the next time. */
int cat_kafka_poll_answers(lua_State *L, cat_kafka *k);
int cat_kafka_poll_messages(lua_State *L, cat_kafka *k);
int cat_kafka_poll_errors(lua_State *L, cat_kafka *k);

/* The methods of each part. */
extern const luaL_Reg cat_kafka_partition_methods[], cat_kafka_offset_methods[],
    cat_kafka_event_methods[], cat_kafka_intake_methods[], cat_kafka_producer_methods[];

#endif
