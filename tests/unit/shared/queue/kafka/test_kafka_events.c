/*
 * test_kafka_events.c - mail.events against librdkafka's mock cluster: events that are not taken.
 */
#include "tests/unit/events_read.h"
#include "tests/unit/kafka_mock.h"

#include <errno.h>

#define EVENT "{\"time\":\"2026-01-02T03:04:05.678Z\",\"event\":\"rejected\"}"

static void
refuse_one(void)
{
	rd_kafka_mock_push_request_errors(
		mock.cluster, API_PRODUCE, 1, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
}

/* Standard error in a file, whose text ends up in `out`. */
static FILE *
log_to_file(int *stderr_out)
{
	FILE *file = tmpfile();

	assert_non_null(file);
	*stderr_out = dup(STDERR_FILENO);
	dup2(fileno(file), STDERR_FILENO);
	return file;
}

static void
log_back(FILE *file, int stderr_fd, char *out, size_t size)
{
	dup2(stderr_fd, STDERR_FILENO);
	close(stderr_fd);
	rewind(file);
	out[fread(out, 1, size - 1, file)] = '\0';
	fclose(file);
}

static void
one_that_nobody_waits_for_is_counted_and_logged(void **state)
{
	uint64_t before = stats().events_lost;
	char text[4096];
	int stderr_fd;
	FILE *file;

	(void)state;
	refuse_one();
	file = log_to_file(&stderr_fd);
	queue_event_put(rig.queue, EVENT_OF_MAIL, EVENT, strlen(EVENT), NULL, NULL);
	rig_close_queue(); /* waits for it */
	log_back(file, stderr_fd, text, sizeof text);
	rig_open_queue();
	assert_int_equal(stats().events_lost, before + 1);
	assert_non_null(strstr(text, "an event cannot be written"));
	assert_non_null(strstr(text, "\\\"event\\\":\\\"rejected\\\""));
}

static void
whoever_waits_for_one_is_told_and_may_put_it_again(void **state)
{
	uint64_t before = stats().events_lost;

	(void)state;
	refuse_one();
	assert_int_equal(event_put(EVENT), -EIO);
	assert_int_equal(event_put(EVENT), 0);
	assert_int_equal(stats().events_lost, before);
}

static void
an_error_that_passes_loses_none(void **state)
{
	uint64_t before = stats().events_lost;

	(void)state;
	rd_kafka_mock_push_request_errors(mock.cluster, API_PRODUCE, 2,
		RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, RD_KAFKA_RESP_ERR__TRANSPORT);
	assert_int_equal(event_put(EVENT), 0);
	assert_int_equal(stats().events_lost, before);
}

static bool
on_event(void *arg, const char *json, size_t length)
{
	(void)arg, (void)json, (void)length;
	fail();
	return false;
}

static void
reading_gives_up_when_the_broker_does_not_answer(void **state)
{
	(void)state;
	assert_int_equal(event_put(EVENT), 0);
	rd_kafka_mock_broker_set_down(mock.cluster, 1);
	events_read(rig.queue, 0, on_event, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		MOCK_TEST(one_that_nobody_waits_for_is_counted_and_logged),
		MOCK_TEST(whoever_waits_for_one_is_told_and_may_put_it_again),
		MOCK_TEST(an_error_that_passes_loses_none),
		MOCK_TEST(reading_gives_up_when_the_broker_does_not_answer),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
