/* What librdkafka answers only to who waits: a thread of its own asks that. */
#ifndef CAT_KAFKA_QUESTION_H
#define CAT_KAFKA_QUESTION_H

#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct {
    pthread_t thread;
    bool is_asked; /* the thread runs, or has run and was not taken leave of */
    _Atomic bool is_answered;
    rd_kafka_t *kafka;
    int fd;      /* is written to when it is answered; -1: nobody waits for that */
    int timeout; /* milliseconds */
    char topic[256];
    int32_t number; /* a partition; -1: how many there are is asked for */
    int64_t low, high;
    int count, error;
    long long ticket;
} cat_question;

/* Asks how many partitions a topic has, or how far one goes. False when no thread can be begun. */
bool cat_question_ask(cat_question *q);

/* Takes leave of the thread, which has answered or soon does. */
void cat_question_end(cat_question *q);

#endif
