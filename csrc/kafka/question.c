/* What librdkafka answers only to who waits: a thread of its own asks that. */
#include "question.h"

#include <unistd.h>

#define FIRST 100 /* milliseconds for which offsets are first asked for */

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

/* Asks for longer and longer, so that it ends soon where nobody waits any more. */
static void ask_committed(cat_question *q) {
    int left = q->timeout;
    for (int most = FIRST; left > 0 && !q->is_over; most *= 2) {
        int slice = most < left ? most : left;
        q->error = rd_kafka_committed(q->kafka, q->list, slice);
        if (q->error != RD_KAFKA_RESP_ERR__TIMED_OUT) {
            return;
        }
        left -= slice;
    }
}

static void *ask(void *given) {
    cat_question *q = given;
    switch (q->kind) {
    case CAT_COUNT:
        ask_count(q);
        break;
    case CAT_ENDS:
        q->error = rd_kafka_query_watermark_offsets(q->kafka, q->topic, q->number, &q->low,
                                                    &q->high, q->timeout);
        break;
    case CAT_COMMITTED:
        ask_committed(q);
        break;
    case CAT_GROUP:
        q->error = cat_describe(q->kafka, q->timeout, &q->is_over, &q->group);
        break;
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
    q->is_answered = q->is_over = false;
    q->error = q->count = 0;
    q->low = q->high = 0;
    q->is_asked = pthread_create(&q->thread, NULL, ask, q) == 0;
    return q->is_asked;
}

void cat_question_end(cat_question *q) {
    if (!q) {
        return;
    }
    q->is_over = true;
    if (q->is_asked) {
        pthread_join(q->thread, NULL);
        q->is_asked = false;
    }
    if (q->list) {
        rd_kafka_topic_partition_list_destroy(q->list);
        q->list = NULL;
    }
}
