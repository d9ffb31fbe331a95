/*
 * test_kafka_config.c - relay.config against librdkafka's mock cluster: what a subscriber is told
 * when brokers fail.
 */
#include "tests/unit/kafka_mock.h"

#include <errno.h>

static char told[4000];
static struct config_subscriber *subscriber;

static void
on_entry(void *arg, const char *key, const char *json)
{
	size_t length;

	(void)arg;
	pthread_mutex_lock(&rig.lock);
	length = strlen(told);
	snprintf(told + length, sizeof told - length, "%s=%s;", key ? key : "END",
		json ? json : "-");
	changed();
	pthread_mutex_unlock(&rig.lock);
}

static void
subscribe(void)
{
	told[0] = '\0';
	subscriber = queue_config_subscribe(rig.queue, rig.loop, on_entry, NULL);
}

static void
unsubscribe_run(void *arg)
{
	(void)arg;
	queue_config_unsubscribe(&subscriber);
}

static void
unsubscribe(void)
{
	run_on(rig.loop, unsubscribe_run, NULL);
}

static void
set_down(bool down)
{
	if (down)
		rd_kafka_mock_broker_set_down(mock.cluster, 1);
	else
		rd_kafka_mock_broker_set_up(mock.cluster, 1);
}

static void
changes_come_in_order(void **state)
{
	char key[8];

	(void)state;
	assert_int_equal(config_put("b", "1"), 0);
	assert_int_equal(config_put("a", "1"), 0);
	subscribe();
	AWAIT(strstr(told, "END=-;"));
	for (int i = 0; i < 5; i++) {
		snprintf(key, sizeof key, "%d", 5 - i);
		assert_int_equal(config_put(key, "x"), 0);
	}
	AWAIT(strstr(told, "1=x;"));
	assert_string_equal(told, "a=1;b=1;END=-;5=x;4=x;3=x;2=x;1=x;");
	unsubscribe();
}

static void
a_subscriber_goes_on_where_it_was_once_the_broker_is_back(void **state)
{
	(void)state;
	assert_int_equal(config_put("a", "1"), 0);
	subscribe();
	AWAIT(strstr(told, "END=-;"));
	set_down(true);
	set_down(false);
	assert_int_equal(config_put("a", "2"), 0);
	assert_int_equal(config_put("b", ""), 0);
	AWAIT(strstr(told, "b=-;"));
	assert_string_equal(told, "a=1;END=-;a=2;b=-;");
	unsubscribe();
}

static void
a_subscriber_that_begins_while_the_broker_is_down_is_told_all_afterwards(void **state)
{
	(void)state;
	assert_int_equal(config_put("a", "1"), 0);
	assert_int_equal(config_put("b", "1"), 0);
	set_down(true);
	subscribe();
	set_down(false);
	AWAIT(strstr(told, "END=-;"));
	assert_string_equal(told, "a=1;b=1;END=-;");
	unsubscribe();
}

/* An end that is told before all was read would be taken for a table without the rest. */
static void
failing_fetches_neither_end_the_snapshot_nor_lose_a_change(void **state)
{
	(void)state;
	assert_int_equal(config_put("a", "1"), 0);
	rd_kafka_mock_push_request_errors(mock.cluster, API_FETCH, 3,
		RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, RD_KAFKA_RESP_ERR__TRANSPORT,
		RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
	subscribe();
	AWAIT(strstr(told, "END=-;"));
	assert_string_equal(told, "a=1;END=-;");
	rd_kafka_mock_push_request_errors(mock.cluster, API_FETCH, 2, RD_KAFKA_RESP_ERR__TRANSPORT,
		RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE);
	assert_int_equal(config_put("a", "2"), 0);
	AWAIT(strstr(told, "a=2;"));
	assert_string_equal(told, "a=1;END=-;a=2;");
	unsubscribe();
}

static void
a_put_that_fails_says_so_and_is_not_told(void **state)
{
	(void)state;
	subscribe();
	rd_kafka_mock_push_request_errors(
		mock.cluster, API_PRODUCE, 1, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
	assert_int_equal(config_put("a", "1"), -EIO);
	assert_int_equal(config_put("b", "1"), 0);
	AWAIT(strstr(told, "b=1;"));
	assert_null(strstr(told, "a=1;"));
	unsubscribe();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		MOCK_TEST(changes_come_in_order),
		MOCK_TEST(a_subscriber_goes_on_where_it_was_once_the_broker_is_back),
		MOCK_TEST(a_subscriber_that_begins_while_the_broker_is_down_is_told_all_afterwards),
		MOCK_TEST(failing_fetches_neither_end_the_snapshot_nor_lose_a_change),
		MOCK_TEST(a_put_that_fails_says_so_and_is_not_told),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
