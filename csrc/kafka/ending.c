/* The end of a consumer. librdkafka ends its threads while its caller waits, for as long as a
 * broker does not answer: a thread of its own does that. */
#include "kafka.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* So long the end is waited for, which it mostly needs no more of; in nanoseconds. */
#define PATIENCE 200000000L

/* What is used by threads, and ends with them. */
typedef struct {
    rd_kafka_t *kafka, *producer;
    rd_kafka_queue_t *queues[3];
    cat_question *question;
    cat_stir *stir;
    int fd;
} ending;

static void *end(void *given) {
    ending *e = given;
    cat_question_end(e->question);
    free(e->question);
    if (e->stir) {
        cat_stir_end(e->stir);
        free(e->stir);
    }
    for (size_t i = 0; i < sizeof e->queues / sizeof *e->queues; i++) {
        if (e->queues[i]) {
            rd_kafka_queue_io_event_enable(e->queues[i], -1, NULL, 0);
            rd_kafka_queue_destroy(e->queues[i]);
        }
    }
    if (e->producer) {
        rd_kafka_purge(e->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_destroy(e->producer);
    }
    if (e->kafka) {
        rd_kafka_destroy_flags(e->kafka, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    }
    if (e->fd >= 0) {
        close(e->fd);
    }
    free(e);
    return NULL;
}

static void answer(cat_kafka *k) {
    rd_kafka_error_t *error = cat_kafka_answer(k, k->unanswered == CAT_ASSIGNED, k->told);
    if (error) {
        rd_kafka_error_destroy(error);
    }
    k->rebalance = CAT_NOTHING;
}

/* What was told of partitions, polled or not, has to be answered: librdkafka waits for it, and the
 * member is in its group as long. */
static void answer_all(cat_kafka *k) {
    bool is_told;
    do {
        if (k->unanswered != CAT_NOTHING) {
            answer(k);
        }
        rd_kafka_message_t *message = rd_kafka_consumer_poll(k->kafka, 0);
        is_told = message || k->unanswered != CAT_NOTHING;
        if (message) {
            rd_kafka_message_destroy(message);
        }
    } while (is_told);
}

void cat_kafka_end(cat_kafka *k) {
    pthread_t thread;
    struct timespec until;
    if (k->messages && !k->closing) { /* without a group each poll gives an error */
        answer_all(k);
    }
    ending *e = malloc(sizeof *e);
    if (e) {
        *e = (ending){.kafka = k->kafka,
                      .producer = k->producer,
                      .queues = {k->messages, k->results, k->deliveries},
                      .question = k->question,
                      .stir = k->stir,
                      .fd = k->fd};
        if (!e->kafka) {
            end(e);
        } else if (pthread_create(&thread, NULL, end, e) != 0) {
            free(e); /* all that is left alone */
        } else {
            clock_gettime(CLOCK_REALTIME, &until);
            until.tv_sec += (until.tv_nsec + PATIENCE) / 1000000000L;
            until.tv_nsec = (until.tv_nsec + PATIENCE) % 1000000000L;
            if (pthread_timedjoin_np(thread, NULL, &until) != 0) {
                pthread_detach(thread);
            }
        }
    }
    k->kafka = k->producer = NULL;
    k->messages = k->results = k->deliveries = NULL;
    k->question = NULL;
    k->stir = NULL;
    k->fd = -1;
}
