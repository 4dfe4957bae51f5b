/* What the group of a consumer is. Each broker is asked for it by its number, and all but the
 * coordinator of the group say that they are not. librdkafka would find the coordinator, but where
 * such a question fails, or has timed out when the coordinator comes, it uses memory that it has
 * freed, and aborts the process: https://github.com/confluentinc/librdkafka/issues/4605. So nothing
 * that it sends to a coordinator for an administrator may be used. */
#include "describe.h"

#include <stdlib.h>
#include <time.h>

/* Milliseconds: for which it is first tried; after which it is looked whether somebody waits. */
#define FIRST 2000
#define SLICE 100

/* The name of the consumer's group, which is the caller's to free; or NULL. */
static char *group_of(rd_kafka_t *kafka) {
    size_t size = 0;
    const rd_kafka_conf_t *conf = rd_kafka_conf(kafka);
    if (rd_kafka_conf_get(conf, "group.id", NULL, &size) != RD_KAFKA_CONF_OK) {
        return NULL;
    }
    char *group = malloc(size);
    if (group) {
        rd_kafka_conf_get(conf, "group.id", group, &size);
    }
    return group;
}

/* Asks one broker; false: nothing was asked. */
static bool ask(rd_kafka_t *kafka, const char *group, int32_t broker, int timeout,
                rd_kafka_queue_t *queue) {
    char why[128];
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(kafka, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS);
    /* without its number the coordinator would be asked */
    bool is_asked = options &&
                    !rd_kafka_AdminOptions_set_broker(options, broker, why, sizeof why) &&
                    !rd_kafka_AdminOptions_set_request_timeout(options, timeout, why, sizeof why);
    if (is_asked) {
        rd_kafka_DescribeConsumerGroups(kafka, &group, 1, options, queue);
    }
    if (options) {
        rd_kafka_AdminOptions_destroy(options);
    }
    return is_asked;
}

/* Reads what one broker has answered. */
static int read_answer(rd_kafka_event_t *event, cat_description *found) {
    size_t count = 0;
    int error = rd_kafka_event_error(event);
    if (error) {
        return error;
    }
    const rd_kafka_ConsumerGroupDescription_t **groups =
        rd_kafka_DescribeConsumerGroups_result_groups(
            rd_kafka_event_DescribeConsumerGroups_result(event), &count);
    if (count != 1) {
        return RD_KAFKA_RESP_ERR__FAIL;
    }
    const rd_kafka_error_t *fault = rd_kafka_ConsumerGroupDescription_error(groups[0]);
    if (fault) {
        return rd_kafka_error_code(fault);
    }
    found->state =
        rd_kafka_consumer_group_state_name(rd_kafka_ConsumerGroupDescription_state(groups[0]));
    found->members = rd_kafka_ConsumerGroupDescription_member_count(groups[0]);
    return 0;
}

/* Waits until one has answered, or none is left: then why, of one that did not only say that it is
 * not the coordinator. */
static int wait_for_one(rd_kafka_queue_t *queue, int asked, const _Atomic bool *is_over,
                        cat_description *found) {
    int error = RD_KAFKA_RESP_ERR_NOT_COORDINATOR;
    while (asked > 0 && !*is_over) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(queue, SLICE);
        if (!event) {
            continue;
        }
        int refused = read_answer(event, found);
        rd_kafka_event_destroy(event);
        asked--;
        if (!refused) {
            return 0;
        }
        error = error == RD_KAFKA_RESP_ERR_NOT_COORDINATOR ? refused : error;
    }
    return error;
}

static int ask_all(rd_kafka_t *kafka, const char *group, int timeout, const _Atomic bool *is_over,
                   cat_description *found) {
    const struct rd_kafka_metadata *known = NULL;
    int asked = 0;
    int error = rd_kafka_metadata(kafka, 0, NULL, &known, timeout);
    if (error) {
        return error;
    }
    rd_kafka_queue_t *queue = rd_kafka_queue_new(kafka);
    for (int i = 0; i < known->broker_cnt; i++) {
        asked += ask(kafka, group, known->brokers[i].id, timeout, queue);
    }
    rd_kafka_metadata_destroy(known);
    error = wait_for_one(queue, asked, is_over, found);
    rd_kafka_queue_destroy(queue);
    return error;
}

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000LL + time.tv_nsec / 1000000;
}

/* Whether it is worth another try: while the group gets another coordinator all say that they are
 * none, or the one that was it is waited for in vain. */
static bool is_passing(int error) {
    return error == RD_KAFKA_RESP_ERR_NOT_COORDINATOR ||
           error == RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE ||
           error == RD_KAFKA_RESP_ERR__TIMED_OUT || error == RD_KAFKA_RESP_ERR__TRANSPORT;
}

/* Lets a little time pass, where there is any left and somebody waits. */
static bool rest(int left, const _Atomic bool *is_over) {
    nanosleep(&(struct timespec){.tv_nsec = SLICE * 1000000L}, NULL);
    return left > 0 && !*is_over;
}

/* Tries for longer and longer. */
static int insist(rd_kafka_t *kafka, const char *group, int timeout, const _Atomic bool *is_over,
                  cat_description *found) {
    const long long last = now() + timeout;
    int left = timeout, most = FIRST, error;
    do {
        error = ask_all(kafka, group, most < left ? most : left, is_over, found);
        most *= 2;
        left = (int)(last - now()) - SLICE;
    } while (is_passing(error) && rest(left, is_over));
    return error;
}

int cat_describe(rd_kafka_t *kafka, int timeout, const _Atomic bool *is_over,
                 cat_description *found) {
    char *group = group_of(kafka);
    if (!group) {
        return RD_KAFKA_RESP_ERR__UNKNOWN_GROUP;
    }
    int error = insist(kafka, group, timeout, is_over, found);
    free(group);
    return error;
}
