/* What librdkafka answers only to who waits: a thread of its own asks that. */
#ifndef CAT_KAFKA_QUESTION_H
#define CAT_KAFKA_QUESTION_H

#include "describe.h"

#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* How many partitions a topic has; how far one goes; what the group of the consumer has committed;
 * what that group is. */
typedef enum { CAT_COUNT, CAT_ENDS, CAT_COMMITTED, CAT_GROUP } cat_question_kind;

typedef struct {
    pthread_t thread;
    bool is_asked; /* the thread runs, or has run and was not taken leave of */
    _Atomic bool is_answered;
    _Atomic bool is_over; /* nobody waits for the answer any more */
    cat_question_kind kind;
    rd_kafka_t *kafka;
    int fd;                                /* is written to when it is answered; -1: to nobody */
    int timeout;                           /* milliseconds */
    char topic[256];                       /* of CAT_COUNT and CAT_ENDS */
    int32_t number;                        /* of CAT_ENDS: the partition */
    rd_kafka_topic_partition_list_t *list; /* of CAT_COMMITTED: the question's own */
    int64_t low, high;
    int count, error;
    cat_description group;
    long long ticket;
} cat_question;

/* Asks. False when no thread can be begun. */
bool cat_question_ask(cat_question *q);

/* Takes leave of the thread, which has answered or soon does. */
void cat_question_end(cat_question *q);

#endif
