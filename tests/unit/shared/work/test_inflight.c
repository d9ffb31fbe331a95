/*
 * test_inflight.c - what is in hand is told in a real Redis, and read by others.
 */
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/base/json.h"
#include "shared/work/inflight.h"
#include "tests/unit/redis_rig.h"

#define ID "01kasa7f3k2m7f3k2m7f3k2m7f"

static struct {
	const char *site; /* of the mail; NULL: nothing is in hand */
	unsigned fills;
	struct inflight *seen;
	unsigned answers;
} t;

static void
fill(void *arg, struct json *json)
{
	(void)arg;
	t.fills++;
	json_open(json, "mail", '[');
	if (t.site) {
		json_open(json, NULL, '{');
		json_str(json, "id", ID);
		json_str(json, "stage", "attempting");
		json_str(json, "site", t.site);
		json_close(json, '}');
	}
	json_close(json, ']');
}

static void
on_read(void *arg, struct inflight *seen)
{
	(void)arg;
	inflight_free(&t.seen);
	inflight_parse(seen);
	t.seen = seen;
	t.answers++;
}

static size_t
nodes(void)
{
	const unsigned before = t.answers;

	inflight_read(redis, on_read, NULL);
	WAIT_FOR(t.answers > before);
	return t.seen ? json_array_size(t.seen->nodes) : 0;
}

static const json_t *
found(const char *site)
{
	uint8_t id[ID_SIZE];

	nodes();
	assert_int_equal(id_parse(ID, id), 0);
	return inflight_find(t.seen, id, site, "attempting");
}

static void
what_is_told_is_read_by_others_until_it_is_over(void **state)
{
	struct inflight_reporter *one, *other;

	(void)state;
	t.site = "mx.a.example";
	one = inflight_reporter_new(loop, redis, "sender", "node1", fill, NULL);
	other = inflight_reporter_new(loop, redis, "scanner", "node1", fill, NULL);
	WAIT_FOR(nodes() == 2);
	assert_non_null(found("mx.a.example"));
	assert_non_null(found(NULL));
	assert_null(found("mx.b.example"));
	assert_string_equal(
		json_string_value(json_object_get(found("mx.a.example"), "node")), "node1");
	t.site = NULL;
	WAIT_FOR(!found(NULL));
	assert_int_equal(nodes(), 2);
	inflight_reporter_free(&one);
	inflight_reporter_free(&other);
	WAIT_FOR(nodes() == 0);
}

/* In containers each process is 1, and pods of a role have the relay's name in common. */
static void
processes_of_one_name_and_number_are_told_apart(void **state)
{
	struct inflight_reporter *one, *other;

	(void)state;
	if (unshare(CLONE_NEWUTS) < 0)
		skip();
	assert_int_equal(sethostname("pod-a", 5), 0);
	one = inflight_reporter_new(loop, redis, "scanner", "shout.test", fill, NULL);
	assert_int_equal(sethostname("pod-b", 5), 0);
	other = inflight_reporter_new(loop, redis, "scanner", "shout.test", fill, NULL);
	WAIT_FOR(nodes() == 2);
	inflight_reporter_free(&one);
	inflight_reporter_free(&other);
	WAIT_FOR(nodes() == 0);
}

/* As one that died half a minute ago, by the clock of Redis, and one that nobody can read. */
static void
who_died_is_forgotten(void **state)
{
	struct answer answer;

	(void)state;
	ASK(&answer, "EVAL",
		"local t = redis.call('TIME') "
		"redis.call('HSET', 'inflight', 'dead', string.format('%.0f ', t[1] * 1000 - 30000) .. "
		"'{\"role\":\"sender\",\"node\":\"dead\",\"mail\":[]}') "
		"redis.call('HSET', 'inflight', 'long', string.format('%.0f ', t[1] * 1000 - 90000) .. "
		"'{\"role\":\"sender\",\"node\":\"long\",\"mail\":[]}') "
		"redis.call('HSET', 'inflight', 'odd', 'what?') "
		"redis.call('HSET', 'inflight', 'torn', string.format('%.0f ', t[1] * 1000) .. '{\"role') "
		"return 1",
		"0");
	assert_int_equal(answer.number, 1);
	assert_int_equal(nodes(), 0);
	assert_non_null(t.seen);
	ASK(&answer, "HLEN", "inflight");
	assert_int_equal(answer.number, 2); /* the others are gone */
}

static void
several_senders_know_one_site(void **state)
{
	static const char *const reports[] = {
		"{\"role\":\"sender\",\"node\":\"a\",\"sites\":[{\"site\":\"mx\",\"reply\":\"old\","
		"\"said\":1,\"next\":500,\"rests_for\":\"x\"}]}",
		"{\"role\":\"sender\",\"node\":\"b\",\"sites\":[{\"site\":\"mx\",\"reply\":\"new\","
		"\"said\":2,\"next\":900}]}",
		"{\"role\":\"sender\",\"node\":\"c\",\"sites\":[{\"site\":\"mx\",\"opening\":\"h\",\"opened\":7}]}",
	};
	struct inflight *seen;
	const json_t *site;

	(void)state;
	for (size_t first = 0; first < 3; first++) {
		seen = inflight_new();
		for (size_t i = 0; i < 3; i++) {
			const char *report = reports[(first + i) % 3];

			inflight_add(seen, report, strlen(report), 0);
		}
		inflight_add(seen, "[]", 2, 0);
		inflight_parse(seen);
		inflight_parse(seen);
		assert_int_equal(json_array_size(seen->nodes), 3);
		site = inflight_site(seen, "mx");
		assert_string_equal(json_string_value(json_object_get(site, "reply")), "new");
		assert_int_equal(json_integer_value(json_object_get(site, "next")), 500);
		assert_string_equal(json_string_value(json_object_get(site, "rests_for")), "x");
		assert_string_equal(json_string_value(json_object_get(site, "opening")), "h");
		assert_null(inflight_site(seen, "mx2"));
		inflight_free(&seen);
	}
	assert_null(inflight_site(NULL, "mx"));
}

static void
without_redis_nothing_is_known(void **state)
{
	(void)state;
	redis_server_kill(&server);
	assert_int_equal(nodes(), 0);
	assert_null(t.seen);
}

static int
begin(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN); /* as Shout does */
	if (redis_server_start(&server) < 0)
		return -1;
	loop = loop_new("test");
	open_at(server.unix_address, REDIS_SERVER_PASSWORD);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	inflight_free(&t.seen);
	redis_free(&redis);
	loop_free(&loop);
	redis_server_remove(&server);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_told_is_read_by_others_until_it_is_over),
		cmocka_unit_test(processes_of_one_name_and_number_are_told_apart),
		cmocka_unit_test(who_died_is_forgotten),
		cmocka_unit_test(several_senders_know_one_site),
		cmocka_unit_test(without_redis_nothing_is_known),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
