/* Fetching goes on as soon as there is room. */
#include "stir.h"

#include <string.h>
#include <time.h>

#define BACKOFF "20"  /* milliseconds, of the property */
#define LEAST   20000 /* microseconds between two questions */
#define TIMEOUT 500   /* milliseconds */

void cat_stir_configure(cat_stir *stir, rd_kafka_conf_t *conf) {
    stir->is_needed =
        rd_kafka_conf_set(conf, "fetch.queue.backoff.ms", BACKOFF, NULL, 0) != RD_KAFKA_CONF_OK;
}

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000LL + time.tv_nsec / 1000;
}

static void ask(cat_stir *stir, rd_kafka_t *kafka, const rd_kafka_message_t *message) {
    const char *topic = rd_kafka_topic_name(message->rkt);
    size_t length = strlen(topic);
    cat_question *q = &stir->question;
    if (length >= sizeof q->topic) {
        return;
    }
    memcpy(q->topic, topic, length + 1);
    q->kind = CAT_ENDS;
    q->number = message->partition;
    q->kafka = kafka;
    q->fd = -1;
    q->timeout = TIMEOUT;
    cat_question_ask(q); /* without a thread for it, fetching goes on later */
}

void cat_stir_look(cat_stir *stir, rd_kafka_t *kafka, rd_kafka_queue_t *queue,
                   const rd_kafka_message_t *message) {
    if (!stir->is_needed || (stir->question.is_asked && !stir->question.is_answered)) {
        return;
    }
    cat_question_end(&stir->question);
    size_t length = rd_kafka_queue_length(queue);
    stir->most = length > stir->most ? length : stir->most;
    if (length <= stir->most / 2 && now() - stir->at >= LEAST) {
        stir->most = length;
        stir->at = now();
        ask(stir, kafka, message);
    }
}

void cat_stir_end(cat_stir *stir) {
    cat_question_end(&stir->question);
}
