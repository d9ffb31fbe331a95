/*
 * test_redis.c - the Redis client against a real redis-server.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/metrics/metrics.h"
#include "shared/redis/redis_private.h"
#include "tests/unit/fake_names.h"
#include "tests/unit/redis_rig.h"

/* What came back of a batch of commands. */
struct tally {
	unsigned ok, errors, timeouts, resets, absent, cancelled, refused, order_breaks;
	int64_t last;
	char text[64];
};

static unsigned
tally_all(const struct tally *t)
{
	return t->ok + t->errors + t->timeouts + t->resets + t->absent + t->cancelled + t->refused;
}

static void
on_reply(void *arg, int err, const struct redis_reply *reply)
{
	struct tally *t = arg;

	if (!t)
		return;
	switch (err) {
	case 0:
		if (redis_reply_kind(reply) == REDIS_ERR) {
			t->errors++;
			break;
		}
		t->ok++;
		if (redis_reply_kind(reply) == REDIS_INT) {
			t->order_breaks += redis_reply_int(reply) <= t->last;
			t->last = redis_reply_int(reply);
		} else if (redis_reply_kind(reply) == REDIS_STR) {
			snprintf(t->text, sizeof t->text, "%s", redis_reply_str(reply, NULL));
		}
		break;
	case -ETIMEDOUT: t->timeouts++; break;
	case -ECONNRESET: t->resets++; break;
	case -ENOTCONN: t->absent++; break;
	case -ECANCELED: t->cancelled++; break;
	case -EAGAIN: t->refused++; break;
	default: fail_msg("unexpected error %d", err);
	}
}

#define SEND(tally, timeout_ms, ...)                                                               \
	redis_command(redis, timeout_ms, on_reply, tally,                                          \
		sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(char *),                          \
		(const char *[]){ __VA_ARGS__ }, NULL)

static int
setup(void **state)
{
	(void)state;
	loop = loop_new("test");
	if (!server.pid && redis_server_start(&server) < 0)
		return -1;
	open_at(server.unix_address, REDIS_SERVER_PASSWORD);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	redis_free(&redis);
	loop_free(&loop);
	return 0;
}

static void
commands_given_before_the_connection_stands_are_sent_when_it_does(void **state)
{
	struct tally t = { 0 };

	(void)state;
	SEND(&t, 5000, "SET", "k", "value");
	SEND(&t, 5000, "GET", "k");
	assert_int_equal(tally_all(&t), 0);
	WAIT_FOR(tally_all(&t) == 2);
	assert_int_equal(t.ok, 2);
	assert_string_equal(t.text, "value");
}

static void
tcp_works_as_well(void **state)
{
	struct tally t = { 0 };

	(void)state;
	redis_free(&redis);
	open_at(server.tcp_address, REDIS_SERVER_PASSWORD);
	SEND(&t, 5000, "ECHO", "hello");
	WAIT_FOR(tally_all(&t) == 1);
	assert_string_equal(t.text, "hello");
}

static void
a_certificate_is_compared_with_the_host_alone(void **state)
{
	static const char *const rows[][2] = { { "[2001:db8::1]:6379", "2001:db8::1" },
		{ "192.0.2.1:6379", "192.0.2.1" }, { "redis.example:6379", "redis.example" } };

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		redis_set_address(redis, rows[i][0]);
		assert_string_equal(redis->host, rows[i][1]);
	}
}

/* A self-signed certificate for 127.0.0.1 in the server's directory. */
static void
make_certificate(char *certificate, char *key, size_t size)
{
	char command[768];

	snprintf(certificate, size, "%s/cert.pem", server.dir);
	snprintf(key, size, "%s/key.pem", server.dir);
	snprintf(command, sizeof command,
		"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
		"-subj /CN=redis -addext subjectAltName=IP:127.0.0.1 -keyout %s -out %s "
		"2>/dev/null",
		key, certificate);
	assert_int_equal(system(command), 0);
}

/* The first try meets an address where nobody listens, or no name at all. */
static void
a_name_is_looked_up_again_for_each_connection(void **state)
{
	char address[64];
	struct tally t = { 0 };

	(void)state;
	redis_free(&redis);
	names_set(NULL, NULL);
	snprintf(address, sizeof address, FAKE_NAME ":%u", server.port);
	open_at(address, REDIS_SERVER_PASSWORD);
	SEND(&t, 5000, "PING");
	WAIT_FOR(tally_all(&t) == 1);
	assert_int_equal(t.absent, 1);
	names_set("127.0.0.2", "127.0.0.1");
	WAIT_FOR(redis_up(redis));
	names_set("127.0.0.1", NULL);
	redis_server_kill(&server);
	WAIT_FOR(!redis_up(redis));
	assert_int_equal(redis_server_start(&server), 0);
	WAIT_FOR(redis_up(redis));
	SEND(&t, 5000, "ECHO", "again");
	WAIT_FOR(t.ok == 1);
}

static void
tls_works_with_the_right_authority_only(void **state)
{
	char certificate[128], key[128], port[16], address[32];
	struct redis_options options = { .address = address,
		.password = REDIS_SERVER_PASSWORD,
		.tls = true,
		.ca = certificate };
	struct tally t = { 0 };

	(void)state;
	make_certificate(certificate, key, sizeof key);
	snprintf(port, sizeof port, "%u", redis_server_free_port());
	snprintf(address, sizeof address, "127.0.0.1:%s", port);
	SEND(&t, 5000, "CONFIG", "SET", "tls-cert-file", certificate, "tls-key-file", key,
		"tls-ca-cert-file", certificate, "tls-auth-clients", "no", "tls-port", port);
	WAIT_FOR(tally_all(&t) == 1);
	assert_int_equal(t.ok, 1);
	redis_free(&redis);
	redis = redis_new(loop, &options);
	for (int i = 0; i < 1000; i++)
		SEND(&t, 5000, "ECHO", "hello");
	WAIT_FOR(tally_all(&t) == 1001);
	assert_int_equal(t.ok, 1001);
	redis_free(&redis);
	options.ca = NULL;
	redis = redis_new(loop, &options);
	SEND(&t, 5000, "ECHO", "hello");
	WAIT_FOR(tally_all(&t) == 1002);
	assert_int_equal(t.absent, 1);
	unlink(certificate);
	unlink(key);
}

static void
ten_thousand_pipelined_commands_are_answered_in_order(void **state)
{
	struct tally t = { 0 };

	(void)state;
	SEND(NULL, 5000, "DEL", "n");
	for (int i = 0; i < 10000; i++)
		SEND(&t, 20000, "INCR", "n");
	assert_int_equal(tally_all(&t), 0);
	WAIT_FOR(tally_all(&t) == 10000);
	assert_int_equal(t.ok, 10000);
	assert_int_equal(t.last, 10000);
	assert_int_equal(t.order_breaks, 0);
}

static void
binary_arguments_and_all_kinds_of_replies_come_through(void **state)
{
	const char *argv[] = { "EVAL", "return {1, 'a\\0b', false, {2}, redis.error_reply('NO')}",
		"0" };
	struct tally t = { 0 };

	(void)state;
	redis_command(redis, 5000, on_reply, &t, 3, argv, NULL);
	redis_command(redis, 5000, on_reply, &t, 3, (const char *[]){ "SET", "b\0c", "x\0y\r\nz" },
		(const size_t[]){ 3, 3, 6 });
	redis_command(redis, 5000, on_reply, &t, 2, (const char *[]){ "STRLEN", "b\0c" },
		(const size_t[]){ 6, 3 });
	WAIT_FOR(tally_all(&t) == 3);
	assert_int_equal(t.ok, 3);
	assert_int_equal(t.last, 6);
}

static void
a_deadline_ends_a_command_once_and_its_late_answer_is_dropped_in_order(void **state)
{
	struct tally slow = { 0 }, late = { 0 }, patient = { 0 };

	(void)state;
	SEND(&slow, 50, "DEBUG", "SLEEP", "0.6");
	SEND(&late, 50, "ECHO", "late");
	SEND(&patient, 20000, "ECHO", "patient");
	WAIT_FOR(tally_all(&patient) == 1);
	assert_int_equal(slow.timeouts, 1);
	assert_int_equal(late.timeouts, 1);
	assert_int_equal(tally_all(&slow) + tally_all(&late), 2);
	assert_string_equal(patient.text, "patient");
	assert_true(redis_up(redis));
}

static void
a_server_that_hangs_is_not_up_until_it_answers_again(void **state)
{
	struct tally t = { 0 };

	(void)state;
	WAIT_FOR(redis_up(redis));
	kill(server.pid, SIGSTOP);
	SEND(&t, 50, "PING");
	WAIT_FOR(t.timeouts == 1);
	assert_false(redis_up(redis));
	kill(server.pid, SIGCONT);
	WAIT_FOR(redis_up(redis));
	assert_int_equal(tally_all(&t), 1);
}

static void
a_killed_server_ends_every_command_and_a_new_one_is_found(void **state)
{
	struct tally t = { 0 }, after = { 0 };
	unsigned given = 0;

	(void)state;
	WAIT_FOR(redis_up(redis));
	for (; given < 2000; given++)
		SEND(&t, 10000, "INCR", "m");
	kill(server.pid, SIGSTOP);
	turn();
	for (; given < 4000; given++)
		SEND(&t, 10000, "INCR", "m");
	turn();
	redis_server_kill(&server);
	WAIT_FOR(tally_all(&t) == given);
	assert_true(t.resets > 0);
	assert_false(redis_up(redis));
	SEND(&after, 1000, "PING");
	assert_int_equal(tally_all(&after), 0);
	WAIT_FOR(tally_all(&after) == 1);
	assert_int_equal(after.absent, 1);
	assert_int_equal(redis_server_start(&server), 0);
	WAIT_FOR(redis_up(redis));
	SEND(&after, 5000, "ECHO", "again");
	WAIT_FOR(after.ok == 1);
	assert_int_equal(tally_all(&t), given);
}

static int64_t
refused(const char *word)
{
	char labels[64];

	snprintf(labels, sizeof labels, "reason=\"%s\"", word);
	return metric_value(metric_find("shout_redis_refused_total", labels));
}

/* By another connection: ours may be without hope. */
static void
aside(const char *words)
{
	char command[256];

	snprintf(command, sizeof command,
		"redis-cli --no-auth-warning -p %u -a " REDIS_SERVER_PASSWORD " %s >/dev/null",
		server.port, words);
	assert_int_equal(system(command), 0);
}

static void
what_a_full_server_refuses_is_a_failure_until_there_is_room(void **state)
{
	static struct redis_script script = { .text = "return redis.call('SET', KEYS[1], '1')" };
	const char *const argv[] = { "full" };
	struct tally writes = { 0 }, reads = { 0 };
	const int64_t before = refused("OOM");

	(void)state;
	WAIT_FOR(redis_up(redis));
	aside("CONFIG SET maxmemory 1");
	SEND(&writes, 5000, "SET", "full", "1");
	redis_run(redis, &script, 5000, on_reply, &writes, 1, 1, argv);
	SEND(&reads, 5000, "GET", "full");
	WAIT_FOR(tally_all(&writes) == 2 && tally_all(&reads) == 1);
	assert_int_equal(writes.refused, 2);
	assert_int_equal(reads.errors + reads.refused, 0);
	assert_true(refused("OOM") >= before + 2);
	assert_true(redis_up(redis) && redis->refused);
	aside("CONFIG SET maxmemory 0");
	WAIT_FOR(!redis->refused); /* though nobody asked anything */
	SEND(&writes, 5000, "SET", "full", "1");
	WAIT_FOR(writes.ok == 1);
}

static void
a_server_that_is_full_is_noticed_by_who_rests(void **state)
{
	(void)state;
	WAIT_FOR(redis_up(redis));
	aside("CONFIG SET maxmemory 1");
	WAIT_FOR(redis->refused);
	aside("CONFIG SET maxmemory 0");
	WAIT_FOR(!redis->refused);
}

static void
a_replica_is_left_until_it_takes_a_write(void **state)
{
	struct tally t = { 0 };

	(void)state;
	WAIT_FOR(redis_up(redis));
	aside("REPLICAOF 127.0.0.1 1");
	SEND(&t, 5000, "SET", "k", "value");
	WAIT_FOR(tally_all(&t) == 1);
	assert_int_equal(t.refused, 1);
	assert_false(redis_up(redis));
	for (int i = 0; i < 20; i++) {
		turn();
		assert_false(redis_up(redis)); /* PING alone does not do */
	}
	aside("REPLICAOF NO ONE");
	WAIT_FOR(redis_up(redis));
	SEND(&t, 5000, "SET", "k", "value");
	WAIT_FOR(t.ok == 1);
}

static void
a_server_that_hangs_is_noticed_by_who_rests(void **state)
{
	(void)state;
	WAIT_FOR(redis_up(redis));
	kill(server.pid, SIGSTOP);
	WAIT_FOR(!redis_up(redis));
	kill(server.pid, SIGCONT);
	WAIT_FOR(redis_up(redis));
}

static void
a_script_runs_and_is_taught_again_after_script_flush(void **state)
{
	struct redis_script script = { .text = "return redis.call('INCRBY', KEYS[1], ARGV[1])" };
	struct tally t = { 0 };
	const char *argv[] = { "s", "1" };

	(void)state;
	SEND(NULL, 5000, "DEL", "s");
	for (int i = 0; i < 3; i++)
		redis_run(redis, &script, 5000, on_reply, &t, 1, 2, argv);
	WAIT_FOR(tally_all(&t) == 3);
	SEND(NULL, 5000, "SCRIPT", "FLUSH");
	for (int i = 0; i < 3; i++)
		redis_run(redis, &script, 5000, on_reply, &t, 1, 2, argv);
	WAIT_FOR(tally_all(&t) == 6);
	assert_int_equal(t.ok, 6);
	assert_int_equal(t.last, 6);
	assert_int_equal(t.order_breaks, 0);
}

static void
a_wrong_password_is_no_connection(void **state)
{
	static const char *const wrong[] = { "wrong", NULL };
	struct tally t = { 0 };

	(void)state;
	for (int i = 0; i < 2; i++) {
		redis_free(&redis);
		open_at(server.unix_address, wrong[i]);
		SEND(&t, 5000, "GET", "k");
		WAIT_FOR(tally_all(&t) == (unsigned)i + 1);
		assert_int_equal(t.absent, i + 1);
		assert_false(redis_up(redis));
	}
}

static void
freeing_cancels_what_is_pending(void **state)
{
	struct tally t = { 0 };

	(void)state;
	WAIT_FOR(redis_up(redis));
	for (int i = 0; i < 100; i++)
		SEND(&t, 5000, "GET", "k");
	redis_free(&redis);
	assert_int_equal(t.cancelled, 100);
}

struct suicide {
	struct tally t;
	bool timeout;
};

static void
on_free_within(void *arg, int err, const struct redis_reply *reply)
{
	struct suicide *s = arg;

	on_reply(&s->t, err, reply);
	redis_free(&redis);
}

static void
freeing_within_a_callback_is_safe(void **state)
{
	struct suicide s = { 0 };

	(void)state;
	for (int timed_out = 0; timed_out < 2; timed_out++) {
		memset(&s, 0, sizeof s);
		if (!redis)
			open_at(server.unix_address, REDIS_SERVER_PASSWORD);
		WAIT_FOR(redis_up(redis));
		if (timed_out)
			SEND(NULL, 5000, "DEBUG", "SLEEP", "0.3");
		redis_command(redis, timed_out ? 20 : 5000, on_free_within, &s, 1,
			(const char *[]){ "PING" }, NULL);
		for (int i = 0; i < 10; i++)
			SEND(&s.t, 5000, "GET", "k");
		WAIT_FOR(tally_all(&s.t) == 11);
		assert_int_equal(s.t.cancelled, 10);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		TEST(commands_given_before_the_connection_stands_are_sent_when_it_does),
		TEST(tcp_works_as_well),
		TEST(a_name_is_looked_up_again_for_each_connection),
		TEST(a_certificate_is_compared_with_the_host_alone),
		TEST(tls_works_with_the_right_authority_only),
		TEST(ten_thousand_pipelined_commands_are_answered_in_order),
		TEST(binary_arguments_and_all_kinds_of_replies_come_through),
		TEST(a_deadline_ends_a_command_once_and_its_late_answer_is_dropped_in_order),
		TEST(a_server_that_hangs_is_not_up_until_it_answers_again),
		TEST(a_killed_server_ends_every_command_and_a_new_one_is_found),
		TEST(what_a_full_server_refuses_is_a_failure_until_there_is_room),
		TEST(a_server_that_is_full_is_noticed_by_who_rests),
		TEST(a_replica_is_left_until_it_takes_a_write),
		TEST(a_server_that_hangs_is_noticed_by_who_rests),
		TEST(a_script_runs_and_is_taught_again_after_script_flush),
		TEST(a_wrong_password_is_no_connection),
		TEST(freeing_cancels_what_is_pending),
		TEST(freeing_within_a_callback_is_safe),
	};
	int failed;

	log_set_level(LOG_LEVEL_ERROR);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	redis_server_remove(&server);
	return failed;
}
