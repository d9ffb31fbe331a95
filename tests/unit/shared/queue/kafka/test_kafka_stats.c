/*
 * test_kafka_stats.c - what waits in the cluster, against librdkafka's mock cluster. (It knows no
 * times of records: ages are in tests/kafka/test_metrics.py.)
 */
#include "tests/unit/kafka_mock.h"

#include "shared/metrics/metrics.h"

static int64_t
backlog(const char *topic)
{
	char labels[48];

	snprintf(labels, sizeof labels, "topic=\"%s\"", topic);
	return metric_value(metric_find("shout_queue_backlog", labels));
}

/* Into a partition that the test chooses. */
static void
put_in(uint32_t partition, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		letter_init(&letters[i]);
		letters[i].envelope.partition = partition;
		assert_int_equal(put(TOPIC_READY, &letters[i].envelope, "body", 4), 0);
	}
}

static void
commit_of(const char *group, const char *topic, int32_t partition, int64_t offset)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_conf_t *conf = kafka_conf(&rig.config);
	rd_kafka_t *rk;

	kafka_set(conf, "group.id", group);
	rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, NULL, 0);
	rd_kafka_topic_partition_list_add(list, topic, partition)->offset = offset;
	assert_int_equal(rd_kafka_commit(rk, list, 0), 0);
	rd_kafka_topic_partition_list_destroy(list);
	rd_kafka_destroy(rk);
}

static void
what_no_group_has_committed_waits_all(void **state)
{
	(void)state;
	put_letters(TOPIC_INBOUND, 7);
	put_in(0, 2);
	put_in(1, 3);
	AWAIT_STATS(now.records[TOPIC_INBOUND] == 7 && now.records[TOPIC_READY] == 5 &&
		now.bodies == 12);
	assert_int_equal(backlog("mail.inbound"), 7);
	assert_int_equal(backlog("mail.ready"), 5);
}

static void
what_waits_lies_between_the_commit_of_its_group_and_the_end(void **state)
{
	(void)state;
	put_in(0, 10);
	put_in(1, 10);
	commit_of(KAFKA_GROUP_SENDER, "mail.ready", 0, 10);
	commit_of(KAFKA_GROUP_SENDER, "mail.ready", 1, 4);
	commit_of(KAFKA_GROUP_SCANNER, "mail.ready", 1, 9); /* it is not the scanner's */
	AWAIT_STATS(now.records[TOPIC_READY] == 6);
	assert_int_equal(stats().records[TOPIC_INBOUND], 0);
	assert_int_equal(stats().oldest_us[TOPIC_INBOUND], 0);
}

static void
what_was_known_stays_until_the_broker_answers_again(void **state)
{
	(void)state;
	put_in(0, 3);
	AWAIT_STATS(now.records[TOPIC_READY] == 3);
	rd_kafka_mock_broker_set_down(mock.cluster, 1);
	assert_int_equal(stats().records[TOPIC_READY], 3);
	rig_close_queue(); /* ends, whatever it waits for */
	rd_kafka_mock_broker_set_up(mock.cluster, 1);
	rig_open_queue();
	AWAIT_STATS(now.records[TOPIC_READY] == 3);
}

/* Once it knows the leader, librdkafka would wait for it for ever. */
static void
offsets_of_a_leader_that_is_away_are_a_timeout(void **state)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, kafka_conf(&rig.config), NULL, 0);

	(void)state;
	put_in(1, 3);
	rd_kafka_topic_partition_list_add(list, "mail.ready", 1);
	assert_int_equal(kafka_find_offsets(rk, list, RD_KAFKA_OFFSET_END, 30000), 0);
	assert_int_equal(list->elems[0].offset, 3);
	assert_int_equal(kafka_find_offsets(rk, list, RD_KAFKA_OFFSET_BEGINNING, 30000), 0);
	assert_int_equal(list->elems[0].offset, 0);
	rd_kafka_mock_broker_set_down(mock.cluster, 1);
	assert_int_not_equal(kafka_find_offsets(rk, list, RD_KAFKA_OFFSET_END, 1000), 0);
	rd_kafka_topic_partition_list_destroy(list);
	rd_kafka_destroy(rk);
}

/* A commit that cannot be read is not a group that never committed. */
static void
a_commit_that_cannot_be_read_makes_no_backlog(void **state)
{
	(void)state;
	put_in(0, 10);
	commit_of(KAFKA_GROUP_SENDER, "mail.ready", 0, 8);
	rig_close_queue();
	for (int i = 0; i < 4; i++)
		rd_kafka_mock_push_request_errors(mock.cluster, API_OFFSET_FETCH, 1,
			RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED);
	rig_open_queue();
	AWAIT_STATS(now.records[TOPIC_READY] != 0);
	assert_int_equal(stats().records[TOPIC_READY], 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		MOCK_TEST(what_no_group_has_committed_waits_all),
		MOCK_TEST(what_waits_lies_between_the_commit_of_its_group_and_the_end),
		MOCK_TEST(what_was_known_stays_until_the_broker_answers_again),
		MOCK_TEST(offsets_of_a_leader_that_is_away_are_a_timeout),
		MOCK_TEST(a_commit_that_cannot_be_read_makes_no_backlog),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
