/* What the group of a consumer is. */
#ifndef CAT_KAFKA_DESCRIBE_H
#define CAT_KAFKA_DESCRIBE_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct {
    const char *state; /* librdkafka's name of it, which stays */
    size_t members;
} cat_description;

/* Asks for it, and waits. Gives 0, or an error of librdkafka.
 * `timeout`: milliseconds; `is_over`: nobody waits any more. */
int cat_describe(rd_kafka_t *kafka, int timeout, const _Atomic bool *is_over,
                 cat_description *found);

#endif
