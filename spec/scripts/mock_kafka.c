/* A Kafka cluster that librdkafka plays: where the real one cannot be had. Prints its brokers, and
 * ends with its standard input. Usage: mock_kafka PARTITIONS */
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>

#define NUMBERED 30

int main(int argc, char **argv) {
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "log_level", "0", why, sizeof why);
    rd_kafka_t *kafka = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    rd_kafka_mock_cluster_t *cluster = kafka ? rd_kafka_mock_cluster_new(kafka, 1) : NULL;
    if (!cluster || argc != 2) {
        fprintf(stderr, "mock_kafka: %s\n", kafka ? "no cluster" : why);
        return 1;
    }
    const char *topics[] = {"events", "others", "rejected"};
    for (size_t i = 0; i < sizeof topics / sizeof *topics; i++) {
        rd_kafka_mock_topic_create(cluster, topics[i], atoi(argv[1]), 1);
    }
    for (int i = 1; i <= NUMBERED; i++) { /* others, which it makes by itself, have 4 partitions */
        char name[16];
        snprintf(name, sizeof name, "topic%d", i);
        rd_kafka_mock_topic_create(cluster, name, atoi(argv[1]), 1);
    }
    printf("%s\n", rd_kafka_mock_cluster_bootstraps(cluster));
    fflush(stdout);
    while (getchar() != EOF) {
    }
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(kafka);
    return 0;
}
