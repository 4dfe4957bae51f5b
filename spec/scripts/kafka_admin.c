/* What a broker is told in specs, by librdkafka; what has failed it says, and ends with 1.
 *
 *   kafka_admin BROKERS topic NAME PARTITIONS [REPLICAS] [CONFIG=VALUE...]
 *   kafka_admin BROKERS partitions NAME COUNT         the topic gains partitions
 *   kafka_admin BROKERS allow PRINCIPAL topic|group NAME
 *   kafka_admin BROKERS note GROUP TOPIC PARTITION OFFSET METADATA
 *   kafka_admin BROKERS forget GROUP TOPIC PARTITION  its offset, as when it expires
 *   kafka_admin BROKERS delete TOPIC PARTITION OFFSET  what is before it; -1: all
 *   kafka_admin BROKERS configure broker|topic NAME CONFIG=VALUE
 *   kafka_admin BROKERS transaction TOPIC PARTITION commit|abort    lines of the standard input */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT 20000 /* milliseconds */

static rd_kafka_t *kafka;
static rd_kafka_queue_t *queue;

static int fail(const char *what, const char *why) {
    fprintf(stderr, "kafka_admin: %s: %s\n", what, why);
    return 1;
}

/* What came of something that was asked for of one thing. */
static int finish(const char *what, const rd_kafka_topic_result_t *const *topics,
                  const rd_kafka_group_result_t *const *groups) {
    rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_NO_ERROR;
    if (topics) {
        err = rd_kafka_topic_result_error(topics[0]);
    }
    if (groups) {
        const rd_kafka_topic_partition_list_t *list = rd_kafka_group_result_partitions(groups[0]);
        const rd_kafka_error_t *error = rd_kafka_group_result_error(groups[0]);
        err = error ? rd_kafka_error_code(error) : list && list->cnt ? list->elems[0].err : err;
    }
    return err ? fail(what, rd_kafka_err2str(err)) : 0;
}

/* Waits for the answer, which is the caller's; NULL: it has failed. */
static rd_kafka_event_t *answer(const char *what) {
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, TIMEOUT);
    if (!event || rd_kafka_event_error(event)) {
        fail(what, event ? rd_kafka_event_error_string(event) : "no answer");
        rd_kafka_event_destroy(event);
        return NULL;
    }
    return event;
}

static int make_topic(int argc, char **argv) {
    char why[256];
    int replicas = argc > 2 && !strchr(argv[2], '=') ? atoi(argv[2]) : 1;
    rd_kafka_NewTopic_t *topic =
        rd_kafka_NewTopic_new(argv[0], atoi(argv[1]), replicas, why, sizeof why);
    if (!topic) {
        return fail(argv[0], why);
    }
    for (int i = 2; i < argc; i++) {
        char *equals = strchr(argv[i], '=');
        if (equals) {
            *equals = '\0';
            rd_kafka_NewTopic_set_config(topic, argv[i], equals + 1);
        }
    }
    rd_kafka_CreateTopics(kafka, &topic, 1, NULL, queue);
    rd_kafka_NewTopic_destroy(topic);
    rd_kafka_event_t *event = answer(argv[0]);
    size_t count;
    int status = !event || finish(argv[0],
                                  rd_kafka_CreateTopics_result_topics(
                                      rd_kafka_event_CreateTopics_result(event), &count),
                                  NULL);
    rd_kafka_event_destroy(event);
    return status;
}

static int add_partitions(char **argv) {
    char why[256];
    rd_kafka_NewPartitions_t *more =
        rd_kafka_NewPartitions_new(argv[0], (size_t)atoi(argv[1]), why, sizeof why);
    if (!more) {
        return fail(argv[0], why);
    }
    rd_kafka_CreatePartitions(kafka, &more, 1, NULL, queue);
    rd_kafka_NewPartitions_destroy(more);
    rd_kafka_event_t *event = answer(argv[0]);
    size_t count;
    int status = !event || finish(argv[0],
                                  rd_kafka_CreatePartitions_result_topics(
                                      rd_kafka_event_CreatePartitions_result(event), &count),
                                  NULL);
    rd_kafka_event_destroy(event);
    return status;
}

static int allow(char **argv) {
    char why[256];
    rd_kafka_ResourceType_t kind =
        strcmp(argv[1], "group") == 0 ? RD_KAFKA_RESOURCE_GROUP : RD_KAFKA_RESOURCE_TOPIC;
    rd_kafka_AclBinding_t *binding = rd_kafka_AclBinding_new(
        kind, argv[2], RD_KAFKA_RESOURCE_PATTERN_LITERAL, argv[0], "*", RD_KAFKA_ACL_OPERATION_ALL,
        RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW, why, sizeof why);
    if (!binding) {
        return fail(argv[2], why);
    }
    rd_kafka_CreateAcls(kafka, &binding, 1, NULL, queue);
    rd_kafka_AclBinding_destroy(binding);
    rd_kafka_event_t *event = answer(argv[2]);
    if (!event) {
        return 1;
    }
    size_t count;
    const rd_kafka_acl_result_t **results =
        rd_kafka_CreateAcls_result_acls(rd_kafka_event_CreateAcls_result(event), &count);
    const rd_kafka_error_t *error = rd_kafka_acl_result_error(results[0]);
    int status = error ? fail(argv[2], rd_kafka_error_string(error)) : 0;
    rd_kafka_event_destroy(event);
    return status;
}

static int note(char **argv) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_t *one =
        rd_kafka_topic_partition_list_add(list, argv[1], atoi(argv[2]));
    one->offset = atoll(argv[3]);
    one->metadata = strdup(argv[4]); /* librdkafka frees it with the list */
    one->metadata_size = strlen(argv[4]);
    rd_kafka_AlterConsumerGroupOffsets_t *asked =
        rd_kafka_AlterConsumerGroupOffsets_new(argv[0], list);
    rd_kafka_AlterConsumerGroupOffsets(kafka, &asked, 1, NULL, queue);
    rd_kafka_AlterConsumerGroupOffsets_destroy(asked);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_event_t *event = answer(argv[0]);
    size_t count;
    int status =
        !event || finish(argv[0], NULL,
                         rd_kafka_AlterConsumerGroupOffsets_result_groups(
                             rd_kafka_event_AlterConsumerGroupOffsets_result(event), &count));
    rd_kafka_event_destroy(event);
    return status;
}

static int forget(char **argv) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, argv[1], atoi(argv[2]));
    rd_kafka_DeleteConsumerGroupOffsets_t *asked =
        rd_kafka_DeleteConsumerGroupOffsets_new(argv[0], list);
    rd_kafka_DeleteConsumerGroupOffsets(kafka, &asked, 1, NULL, queue);
    rd_kafka_DeleteConsumerGroupOffsets_destroy(asked);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_event_t *event = answer(argv[0]);
    size_t count;
    int status =
        !event || finish(argv[0], NULL,
                         rd_kafka_DeleteConsumerGroupOffsets_result_groups(
                             rd_kafka_event_DeleteConsumerGroupOffsets_result(event), &count));
    rd_kafka_event_destroy(event);
    return status;
}

static int delete_records(char **argv) {
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, argv[0], atoi(argv[1]))->offset = atoll(argv[2]);
    rd_kafka_DeleteRecords_t *asked = rd_kafka_DeleteRecords_new(list);
    rd_kafka_DeleteRecords(kafka, &asked, 1, NULL, queue);
    rd_kafka_DeleteRecords_destroy(asked);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_event_t *event = answer(argv[0]);
    if (!event) {
        return 1;
    }
    const rd_kafka_topic_partition_list_t *results =
        rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(event));
    int err = results->elems[0].err;
    rd_kafka_event_destroy(event);
    return err ? fail(argv[0], rd_kafka_err2str(err)) : 0;
}

static int configure(char **argv) {
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(
        strcmp(argv[0], "broker") == 0 ? RD_KAFKA_RESOURCE_BROKER : RD_KAFKA_RESOURCE_TOPIC,
        argv[1]);
    char *equals = strchr(argv[2], '=');
    if (!resource || !equals) {
        return fail(argv[2], "is no CONFIG=VALUE");
    }
    *equals = '\0';
    rd_kafka_ConfigResource_set_config(resource, argv[2], equals + 1);
    rd_kafka_AlterConfigs(kafka, &resource, 1, NULL, queue);
    rd_kafka_ConfigResource_destroy(resource);
    rd_kafka_event_t *event = answer(argv[1]);
    if (!event) {
        return 1;
    }
    size_t count;
    const rd_kafka_ConfigResource_t **results =
        rd_kafka_AlterConfigs_result_resources(rd_kafka_event_AlterConfigs_result(event), &count);
    const char *why = rd_kafka_ConfigResource_error_string(results[0]);
    int status = why ? fail(argv[1], why) : 0;
    rd_kafka_event_destroy(event);
    return status;
}

static int end_transaction(rd_kafka_error_t *error) {
    if (!error) {
        return 0;
    }
    int status = fail("the transaction", rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
    return status;
}

/* Sends the lines of the standard input, and ends as it is told to. */
static int make_transaction(char **argv) {
    char line[4096];
    int status = end_transaction(rd_kafka_init_transactions(kafka, TIMEOUT)) ||
                 end_transaction(rd_kafka_begin_transaction(kafka));
    while (!status && fgets(line, sizeof line, stdin)) {
        size_t length = strcspn(line, "\n");
        rd_kafka_resp_err_t err =
            rd_kafka_producev(kafka, RD_KAFKA_V_TOPIC(argv[0]), RD_KAFKA_V_PARTITION(atoi(argv[1])),
                              RD_KAFKA_V_VALUE(line, length),
                              RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
        status = err ? fail("the transaction", rd_kafka_err2str(err)) : 0;
    }
    if (!status && rd_kafka_flush(kafka, TIMEOUT)) { /* so that those of an abort are there, too */
        status = fail("the transaction", "not all was sent");
    }
    if (status) {
        return status;
    }
    return end_transaction(strcmp(argv[2], "abort") == 0
                               ? rd_kafka_abort_transaction(kafka, TIMEOUT)
                               : rd_kafka_commit_transaction(kafka, TIMEOUT));
}

static const struct {
    const char *name;
    int arguments;
    int (*run)(char **argv);
} commands[] = {{"partitions", 2, add_partitions},
                {"allow", 3, allow},
                {"note", 5, note},
                {"forget", 3, forget},
                {"delete", 3, delete_records},
                {"configure", 3, configure},
                {"transaction", 3, make_transaction}};

static int run(const char *what, int argc, char **argv) {
    if (strcmp(what, "topic") == 0 && argc >= 2) {
        return make_topic(argc, argv);
    }
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(what, commands[i].name) == 0 && argc == commands[i].arguments) {
            return commands[i].run(argv);
        }
    }
    return fail(what, "is not known, or has other arguments");
}

int main(int argc, char **argv) {
    char why[256];
    if (argc < 3) {
        return fail("usage", "kafka_admin BROKERS COMMAND ...");
    }
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", argv[1], why, sizeof why);
    rd_kafka_conf_set(conf, "log_level", "0", why, sizeof why);
    if (strcmp(argv[2], "transaction") == 0) {
        rd_kafka_conf_set(conf, "transactional.id", "kafka_admin", why, sizeof why);
        rd_kafka_conf_set(conf, "linger.ms", "0", why, sizeof why);
    }
    kafka = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (!kafka) {
        rd_kafka_conf_destroy(conf);
        return fail("librdkafka", why);
    }
    queue = rd_kafka_queue_new(kafka);
    int status = run(argv[2], argc - 3, argv + 3);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(kafka);
    return status;
}
