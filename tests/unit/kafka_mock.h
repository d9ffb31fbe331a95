/*
 * kafka_mock.h - the cluster's queue as a whole, as queue_open() makes it, on librdkafka's mock
 * cluster, which fails as told. With the calls of queue_rig.h.
 */
#ifndef TESTS_KAFKA_MOCK_H
#define TESTS_KAFKA_MOCK_H

#include "tests/unit/queue_rig.h"

#include "shared/queue/kafka/client/kafka_client.h"
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#define API_PRODUCE 0
#define API_FETCH 1
#define API_OFFSET_FETCH 9
#define MOCK_PARTITIONS 2

static struct {
	rd_kafka_t *rk; /* keeps the cluster */
	rd_kafka_mock_cluster_t *cluster;
} mock;

static inline int
mock_setup(void **state)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	(void)state;
	kafka_set(conf, "log_level", "2");
	mock.rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, NULL, 0);
	mock.cluster = rd_kafka_mock_cluster_new(mock.rk, 1);
	for (enum kafka_topic topic = KAFKA_NONE + 1; topic < KAFKA_TOPICS; topic++)
		if (rd_kafka_mock_topic_create(mock.cluster, kafka_topic_name[topic],
			    topic >= KAFKA_EVENTS ? 1 : MOCK_PARTITIONS, 1))
			return -1;
	if (rig_init())
		return -1;
	rig.config.queue.backend = BACKEND_KAFKA;
	rig.config.queue.brokers = (char *)(uintptr_t)rd_kafka_mock_cluster_bootstraps(
		mock.cluster);
	rig.config.queue.partitions = MOCK_PARTITIONS;
	rig.config.queue.replication = 1;
	rig_open_queue();
	return 0;
}

static inline int
mock_teardown(void **state)
{
	int err = rig_teardown(state);

	rd_kafka_mock_cluster_destroy(mock.cluster);
	rd_kafka_destroy(mock.rk);
	return err;
}

#define MOCK_TEST(name) cmocka_unit_test_setup_teardown(name, mock_setup, mock_teardown)

#endif
