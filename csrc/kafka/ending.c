/* The end of a consumer. librdkafka ends its threads while its caller waits, for as long as a
 * broker does not answer: a thread of its own does that. */
#include "kafka.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* So long the end is waited for, which it mostly needs no more of; in nanoseconds. */
#define PATIENCE 200000000L

/* So long between two looks at what is waited for, in nanoseconds; and so many of them until one
 * that leaves is answered, then twice as many, and so on. */
#define LOOK  10000000L
#define LOOKS 10

/* The first version that may be destroyed between its joining and its first assignment. */
#define ENDS_WHILE_JOINING 0x02030000

/* What is used by threads, and ends with them. */
typedef struct {
    rd_kafka_t *kafka, *producer;
    rd_kafka_queue_t *queues[3];
    cat_question *question;
    cat_stir *stir;
    int fd;
    bool closing, told; /* `told`: of partitions, once at least */
} ending;

static void look_later(void) {
    static const struct timespec look = {.tv_nsec = LOOK};
    nanosleep(&look, NULL);
}

/* Takes what was told as assigned, if that was not answered: a member of a cooperative group that
 * is ended while librdkafka waits for that answer never ends, and one of its threads runs for ever.
 * (Up to 2.3 it takes no such answer from one that is leaving, later ones take it, but do not from
 * one that is destroyed.) An empty list is an answer to whatever was told. */
static void take_nothing(rd_kafka_t *kafka) {
    rd_kafka_topic_partition_list_t *none = rd_kafka_topic_partition_list_new(0);
    rd_kafka_error_t *error = cat_kafka_answer(kafka, true, none);
    if (error) {
        rd_kafka_error_destroy(error);
    }
    rd_kafka_topic_partition_list_destroy(none);
}

/* Whether one has joined a cooperative group, and has not heard of its first assignment: librdkafka
 * aborts the process where it ends then. What was not polled is in the queue. */
static bool is_joining(rd_kafka_t *kafka, bool told, rd_kafka_queue_t *messages) {
    return !told && rd_kafka_version() < ENDS_WHILE_JOINING && cat_kafka_is_cooperative(kafka) &&
           rd_kafka_queue_length(messages) == 0;
}

rd_kafka_error_t *cat_kafka_leave(cat_kafka *k) {
    if (k->closing || is_joining(k->kafka, k->told, k->messages)) {
        return NULL;
    }
    if (cat_kafka_is_cooperative(k->kafka)) { /* else it ends, and would read nothing any more */
        take_nothing(k->kafka);
    }
    rd_kafka_error_t *error = rd_kafka_consumer_close_queue(k->kafka, k->messages);
    k->closing = !error;
    return error;
}

/* Has librdkafka answer itself from now on, as nobody polls any more, and answers what it waits for
 * already. There is no function that takes a callback back from a consumer that runs; that it looks
 * at its configuration each time is all there is. */
static void answer_nothing_more(rd_kafka_t *kafka) {
    rd_kafka_conf_set_events((rd_kafka_conf_t *)rd_kafka_conf(kafka), 0);
    take_nothing(kafka);
}

/* Waits until one that is leaving has left: once it has sent that it leaves, and is destroyed, it
 * waits for ever. Before, it waits for an answer to what was told as revoked. What is asked of it
 * in the moment in which it has left is never answered: so that is done only where it takes longer.
 */
static void leave(rd_kafka_t *kafka) {
    for (unsigned looks = 1, answered = LOOKS; !rd_kafka_consumer_closed(kafka); looks++) {
        if (looks == answered) {
            rd_kafka_assign(kafka, NULL);
            answered *= 2;
        }
        look_later();
    }
}

static void *end(void *given) {
    ending *e = given;
    cat_question_end(e->question);
    free(e->question);
    if (e->stir) {
        cat_stir_end(e->stir);
        free(e->stir);
    }
    while (e->kafka && !e->closing && is_joining(e->kafka, e->told, e->queues[0])) {
        look_later();
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
        (e->closing ? leave : answer_nothing_more)(e->kafka);
        rd_kafka_destroy_flags(e->kafka, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    }
    if (e->fd >= 0) {
        close(e->fd);
    }
    free(e);
    return NULL;
}

void cat_kafka_end(cat_kafka *k) {
    pthread_t thread;
    struct timespec until;
    ending *e = malloc(sizeof *e);
    if (e) {
        *e = (ending){.kafka = k->kafka,
                      .producer = k->producer,
                      .queues = {k->messages, k->results, k->deliveries},
                      .question = k->question,
                      .stir = k->stir,
                      .fd = k->fd,
                      .closing = k->closing,
                      .told = k->told != NULL};
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
