/* Fetching goes on as soon as there is room. Once its queue is full librdkafka looks at it again
 * after a second, unless something else wakes the thread of that broker: a question to it does.
 * Versions from 2.2 on have a property for the time instead. */
#ifndef CAT_KAFKA_STIR_H
#define CAT_KAFKA_STIR_H

#include "question.h"

#include <stddef.h>

typedef struct {
    bool is_needed; /* this librdkafka has no such property */
    size_t most;    /* messages that the queue had since it was stirred last */
    long long at;   /* when that was, microseconds */
    cat_question question;
} cat_stir;

/* Sets the time where there is a property for it, and notes whether there is. */
void cat_stir_configure(cat_stir *stir, rd_kafka_conf_t *conf);

/* Wakes the broker of a message that was just read from the queue, where that is half empty. */
void cat_stir_look(cat_stir *stir, rd_kafka_t *kafka, rd_kafka_queue_t *queue,
                   const rd_kafka_message_t *message);

/* Ends it. */
void cat_stir_end(cat_stir *stir);

#endif
