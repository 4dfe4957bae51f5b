/* What librdkafka answers only to who waits: a thread of its own asks that. */
#include "question.h"

#include <unistd.h>

static void ask_count(cat_question *q) {
    const struct rd_kafka_metadata *found = NULL;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(q->kafka, q->topic, NULL);
    if (!topic) {
        q->error = rd_kafka_last_error();
        return;
    }
    q->error = rd_kafka_metadata(q->kafka, 0, topic, &found, q->timeout);
    rd_kafka_topic_destroy(topic);
    if (q->error) {
        return;
    }
    if (found->topic_cnt != 1) {
        q->error = RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    } else {
        q->error = found->topics[0].err;
        q->count = found->topics[0].partition_cnt;
    }
    rd_kafka_metadata_destroy(found);
}

static void *ask(void *given) {
    cat_question *q = given;
    if (q->number < 0) {
        ask_count(q);
    } else {
        q->error = rd_kafka_query_watermark_offsets(q->kafka, q->topic, q->number, &q->low,
                                                    &q->high, q->timeout);
    }
    q->is_answered = true;
    if (q->fd >= 0) {
        uint64_t one = 1;
        ssize_t ignored = write(q->fd, &one, sizeof one);
        (void)ignored;
    }
    return NULL;
}

bool cat_question_ask(cat_question *q) {
    q->is_answered = false;
    q->error = q->count = 0;
    q->low = q->high = 0;
    q->is_asked = pthread_create(&q->thread, NULL, ask, q) == 0;
    return q->is_asked;
}

void cat_question_end(cat_question *q) {
    if (q && q->is_asked) {
        pthread_join(q->thread, NULL);
        q->is_asked = false;
    }
}
