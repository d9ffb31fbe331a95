/*
 * test_trace.c - rows depend on the events alone: not on their order, nor on how often they come;
 * searches find them by every field; a broken file is known as broken.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "control/look/event_pick.h"
#include "control/trace/day.h"
#include "control/trace/replies.h"
#include "control/trace/search.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"

#define DAY "20261124"

static char directory[64];

static int
setup(void **state)
{
	(void)state;
	snprintf(directory, sizeof directory, "/tmp/test-trace-XXXXXX");
	return mkdtemp(directory) ? 0 : -1;
}

static int
teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof command, "rm -r %s", directory);
	return system(command); /* NOLINT(cert-env33-c) */
}

/* The id of a message of that day, by its number. */
static const uint8_t *
id_of(unsigned number)
{
	static uint8_t id[ID_SIZE];

	id_at(day_begin_us(DAY) + number * UINT64_C(1000000), id);
	id[15] = (uint8_t)number;
	return id;
}

static void
take(struct day *day, unsigned number, const char *text)
{
	json_error_t error;
	json_t *event = json_loads(text, 0, &error);

	if (!event)
		fail_msg("%s in %s", error.text, text);
	assert_int_equal(day_take(day, id_of(number), event_time_us(event), event), 0);
	json_decref(event);
}

#define TIME(second) "\"time\":\"2026-11-24T00:00:" second ".000Z\","
#define ACCEPTED                                                                                   \
	"{" TIME("01") "\"event\":\"accepted\",\"account\":\"a\",\"credential\":\"u\","            \
		       "\"from\":\"Me@x.example\",\"message_id\":\"<1@x>\",\"size\":5,"            \
		       "\"to\":[\"p@y.example\",\"q@z.example\"]}"
static const char *const story[] = {
	ACCEPTED,
	"{" TIME(
		"02") "\"event\":\"held\",\"verdict\":\"infected\",\"scanned\":\"2026-11-24T00:00:02.000Z\","
		      "\"event_id\":\"e1\"}",
	"{" TIME("03") "\"event\":\"released\",\"rule\":\"7\",\"by\":\"me\"}",
	"{" TIME(
		"04") "\"event\":\"deferred\",\"site\":\"y\",\"to\":[\"p@y.example\"],\"attempts\":1,"
		      "\"reply\":\"451 x\",\"class\":\"greylisted\",\"due\":\"2026-11-24T00:05:00.000Z\"}",
	"{" TIME(
		"05") "\"event\":\"bounced\",\"site\":\"z\",\"to\":[\"q@z.example\"],\"attempts\":1,"
		      "\"reply\":\"550 no\",\"class\":\"bad-mailbox\"}",
	"{" TIME(
		"06") "\"event\":\"delivered\",\"site\":\"y\",\"to\":[\"p@y.example\"],\"attempts\":2,"
		      "\"reply\":\"250 ok\"}",
};
#define STORY (sizeof story / sizeof *story)

static json_t *
shown(unsigned number)
{
	json_t *message;

	assert_int_equal(search_message(directory, id_of(number), NULL, &message), 0);
	json_object_del(message, "id");
	json_object_del(message, "at");
	return message;
}

static struct day *
writing(void)
{
	struct day *day;

	assert_int_equal(day_open(directory, DAY, true, &day), 0);
	assert_int_equal(day_begin(day), 0);
	return day;
}

static void
written(struct day **day)
{
	assert_int_equal(day_commit(*day), 0);
	day_close(day);
}

static void
order_and_repetition_change_nothing(void **state)
{
	struct day *day = writing();
	unsigned number = 1;
	json_t *right;

	(void)state;
	for (size_t i = 0; i < STORY; i++)
		take(day, number, story[i]);
	written(&day);
	right = shown(number);
	assert_string_equal(
		json_text(json_array_get(json_object_get(right, "to"), 0), "state"), "delivered");
	assert_string_equal(
		json_text(json_array_get(json_object_get(right, "to"), 1), "class"), "bad-mailbox");
	assert_int_equal(json_array_size(json_object_get(right, "events")), 5);
	/* Each event first, and each one again at the end. */
	for (size_t first = 0; first < STORY; first++)
		for (unsigned step = 1; step < STORY; step += 4, number++) {
			json_t *other;

			day = writing();
			for (size_t i = 0; i < STORY; i++)
				take(day, number + 1, story[(first + i * step) % STORY]);
			take(day, number + 1, story[first]);
			written(&day);
			other = shown(number + 1);
			assert_true(json_equal(right, other));
			json_decref(other);
		}
	json_decref(right);
}

static void
the_same_attempt_sent_again_later_is_one(void **state)
{
	struct day *day = writing();
	json_t *message;

	(void)state;
	take(day, 1, story[5]);
	take(day, 1,
		"{" TIME("30") "\"event\":\"delivered\",\"site\":\"y\",\"to\":[\"p@y.example\"],"
			       "\"attempts\":2,\"reply\":\"250 known\"}");
	written(&day);
	message = shown(1);
	assert_int_equal(json_array_size(json_object_get(message, "events")), 1);
	json_decref(message);
}

static void
what_is_rolled_back_is_not_there(void **state)
{
	struct day *day = writing();
	json_t *message;

	(void)state;
	take(day, 1, ACCEPTED);
	day_rollback(day);
	day_close(&day);
	assert_int_equal(search_message(directory, id_of(1), NULL, &message), -ENOENT);
}

/* The numbers of the messages that a field finds, as a text. */
static const char *
found(enum trace_field field, const char *text)
{
	static char out[256];
	struct trace_filter filter;
	struct search *search;
	char broken[DAY_NAME_SIZE];
	uint8_t next[ID_SIZE], id[ID_SIZE];
	json_t *messages, *one;
	bool more;
	size_t i;

	filter_init(&filter);
	assert_int_equal(filter_set(&filter, field, text), 0);
	search = search_new(directory, &filter, 10, NULL);
	assert_int_equal(search_run(search, 60000, broken), SEARCH_DONE);
	messages = search_take(search, &more, next);
	*out = '\0';
	json_array_foreach(messages, i, one)
	{
		assert_int_equal(id_parse(json_text(one, "id"), id), 0);
		snprintf(out + strlen(out), sizeof out - strlen(out), "%d ", id[15]);
	}
	json_decref(messages);
	search_free(&search);
	filter_wipe(&filter);
	return out;
}

static void
every_field_finds(void **state)
{
	struct day *day = writing();

	(void)state;
	take(day, 1, ACCEPTED);
	take(day, 2, story[4]); /* its acceptance comes later, or never */
	take(day, 3, ACCEPTED);
	take(day, 3, story[3]);
	written(&day);
	assert_string_equal(found(TRACE_ACCOUNT, "a"), "3 1 ");
	assert_string_equal(found(TRACE_ACCOUNT, "A"), "");
	assert_string_equal(found(TRACE_SENDER, "me@X.example"), "3 1 ");
	assert_string_equal(found(TRACE_CREDENTIAL, "u"), "3 1 ");
	assert_string_equal(found(TRACE_MESSAGE_ID, "<1@X>"), "3 1 ");
	assert_string_equal(found(TRACE_RECIPIENT, "Q@z.example"), "3 2 1 ");
	assert_string_equal(found(TRACE_DOMAIN, "Y.example"), "3 1 ");
	assert_string_equal(found(TRACE_CLASS, "greylisted"), "3 ");
	assert_string_equal(found(TRACE_STATE, "bounced"), "2 ");
	assert_string_equal(found(TRACE_STATE, "accepted"), "3 1 ");
	assert_string_equal(found(TRACE_RECIPIENT, "%@z.example"), "");
}

/* An id behind that of number 200, of which the last bytes count. */
static const uint8_t *
later_id(unsigned number)
{
	static uint8_t id[ID_SIZE];

	id_at(day_begin_us(DAY) + UINT64_C(3600) * 1000000 + number * UINT64_C(1000), id);
	id[15] = 0;
	return id;
}

#define MANY 140000 /* messages: more than two epochs */

static void
many_messages(struct day **day)
{
	for (unsigned i = 0; i < MANY; i++) {
		json_t *event = json_loads(
			"{\"event\":\"accepted\",\"account\":\"many\",\"to\":[\"m@y.example\"]}", 0,
			NULL);

		assert_int_equal(day_take(*day, later_id(i), 1, event), 0);
		json_decref(event);
		if (i == MANY / 2) { /* another process goes on */
			written(day);
			*day = writing();
		}
	}
}

static void
the_order_of_many_messages_is_that_of_their_ids(void **state)
{
	struct trace_filter filter;
	struct day *day = writing();
	struct search *search;
	char broken[DAY_NAME_SIZE];
	uint8_t next[ID_SIZE];
	json_t *messages;
	bool more;

	(void)state;
	take(day, 1, ACCEPTED);
	many_messages(&day);
	take(day, 2, ACCEPTED); /* late: its id is of the first epoch */
	take(day, 1, story[5]);
	written(&day);
	assert_string_equal(found(TRACE_SENDER, "me@x.example"), "2 1 ");
	assert_string_equal(found(TRACE_STATE, "delivered"), "1 ");
	filter_init(&filter);
	assert_int_equal(filter_set(&filter, TRACE_RECIPIENT, "m@y.example"), 0);
	search = search_new(directory, &filter, MANY + 1, NULL);
	assert_int_equal(search_run(search, 600000, broken), SEARCH_DONE);
	messages = search_take(search, &more, next);
	assert_int_equal(json_array_size(messages), MANY);
	for (unsigned i = 0; i < MANY; i++) {
		uint8_t id[ID_SIZE];

		id_parse(json_text(json_array_get(messages, MANY - 1 - i), "id"), id);
		assert_memory_equal(id, later_id(i), ID_SIZE);
	}
	json_decref(messages);
	search_free(&search);
	filter_wipe(&filter);
}

static void
a_file_of_another_form_is_known(void **state)
{
	struct day *day = writing();
	struct trace_filter filter;
	struct search *search;
	char broken[DAY_NAME_SIZE];

	(void)state;
	take(day, 1, ACCEPTED);
	assert_int_equal(
		sqlite3_exec(day_connection(day), "PRAGMA user_version=1", NULL, NULL, NULL), 0);
	written(&day);
	assert_int_equal(day_check(directory, DAY), -ESTALE);
	assert_int_equal(day_open(directory, DAY, true, &day), -ESTALE);
	filter_init(&filter);
	search = search_new(directory, &filter, 10, NULL);
	assert_int_equal(search_run(search, 60000, broken), SEARCH_DONE);
	search_free(&search);
}

static void
a_broken_file_is_known_as_broken(void **state)
{
	static const char nonsense[] = "this is no database, and long enough to be none";
	struct trace_filter filter;
	struct search *search;
	char path[96], broken[DAY_NAME_SIZE];
	struct day *day = writing();
	int fd;

	(void)state;
	written(&day);
	snprintf(path, sizeof path, "%s/" DAY ".db", directory);
	fd = open(path, O_WRONLY);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(write(fd, nonsense, sizeof nonsense), sizeof nonsense);
	close(fd);
	assert_int_equal(day_check(directory, DAY), -EBADMSG);
	filter_init(&filter);
	search = search_new(directory, &filter, 10, NULL);
	assert_int_equal(search_run(search, 60000, broken), SEARCH_FAILED);
	assert_string_equal(broken, DAY);
	search_free(&search);
}

static void
each_class_has_a_meaning_without_gaps(void **state)
{
	const struct reply_facts facts = { .site = "big.example", .domain = "x.example" };
	json_t *meaning = reply_meaning("rate-limited", &facts);
	char *text;

	(void)state;
	assert_string_equal(json_text(json_object_get(meaning, "en"), "what"),
		"big.example asks us to go slower.");
	json_decref(meaning);
	meaning = reply_meaning("auth-spf", &(const struct reply_facts){ 0 });
	text = json_dumps(meaning, 0);
	assert_null(strchr(strstr(text, "what"), '{') ? strstr(text, "{DOMAIN}") : NULL);
	free(text);
	json_decref(meaning);
	meaning = reply_meaning("4.7.x", &facts);
	assert_true(json_is_null(meaning));
	json_decref(meaning);
}

#define WITH_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_DIRECTORY(order_and_repetition_change_nothing),
		WITH_DIRECTORY(the_same_attempt_sent_again_later_is_one),
		WITH_DIRECTORY(what_is_rolled_back_is_not_there),
		WITH_DIRECTORY(every_field_finds),
		WITH_DIRECTORY(the_order_of_many_messages_is_that_of_their_ids),
		WITH_DIRECTORY(a_file_of_another_form_is_known),
		WITH_DIRECTORY(a_broken_file_is_known_as_broken),
		cmocka_unit_test(each_class_has_a_meaning_without_gaps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
