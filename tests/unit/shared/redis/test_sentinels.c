/*
 * test_sentinels.c - the Redis client behind sentinels: real Redis servers and real sentinels, and
 * fake sentinels for lies.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/metrics/metrics.h"
#include "shared/redis/redis_private.h"
#include "tests/unit/redis_rig.h"
#include "tests/unit/sentinel_server.h"

#define FAKES 3

/* The rig's `server` begins as the master, this one as its replica. */
static struct redis_server second;
static struct sentinel_server sentinels[3];
static struct sentinel_fake fakes[FAKES];
static bool far_away; /* what net_peer() says of a sentinel */

int __real_net_peer(int fd, struct net_address *out);
int __wrap_net_peer(int fd, struct net_address *out);

int
__wrap_net_peer(int fd, struct net_address *out)
{
	return far_away ? net_parse_ip("192.0.2.1", 26379, out) : __real_net_peer(fd, out);
}

static void
open_by(const char *const *addresses, unsigned count, const char *password)
{
	const struct redis_options options = { .sentinels = addresses,
		.sentinels_count = count,
		.master = SENTINEL_MASTER,
		.sentinel_password = password,
		.password = REDIS_SERVER_PASSWORD };

	redis = redis_new(loop, &options);
}

static void
open_by_fakes(void)
{
	const char *const addresses[FAKES] = { fakes[0].address, fakes[1].address,
		fakes[2].address };

	open_by(addresses, FAKES, NULL);
}

/* By another connection; what redis-cli prints. */
static const char *
cli(unsigned port, const char *password, const char *words)
{
	static char out[4096];
	char command[256];
	size_t length;
	FILE *pipe;

	snprintf(command, sizeof command, "redis-cli --no-auth-warning -p %u -a %s %s 2>&1", port,
		password, words);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	length = fread(out, 1, sizeof out - 1, pipe);
	out[length] = '\0';
	pclose(pipe);
	return out;
}

static const char *
ask_server(const struct redis_server *one, const char *words)
{
	return cli(one->port, REDIS_SERVER_PASSWORD, words);
}

static bool
says(const struct redis_server *one, const char *words, const char *what)
{
	return strstr(ask_server(one, words), what) != NULL;
}

static void
follow(const struct redis_server *replica, const struct redis_server *master)
{
	char words[64];

	snprintf(words, sizeof words, "REPLICAOF 127.0.0.1 %u", master->port);
	ask_server(replica, words);
	WAIT_FOR(says(replica, "INFO replication", "master_link_status:up"));
}

static void
fake_names_server(struct sentinel_fake *fake, const struct redis_server *one)
{
	fake_names(fake, "127.0.0.1", log_int(one->port));
}

static bool
up_with(const struct redis_server *one)
{
	return redis_up(redis) && strcmp(redis->address, one->tcp_address) == 0;
}

static int64_t
sentinel_up(const char *address)
{
	char labels[METRIC_LABELS_MAX] = "";

	metric_label(labels, "sentinel", address);
	return metric_value(metric_find("shout_redis_sentinel_up", labels));
}

static int64_t
changes(void)
{
	const struct metric *metric = metric_find("shout_redis_master_changes_total", NULL);

	return metric ? metric_value(metric) : 0;
}

static int
setup(void **state)
{
	(void)state;
	loop = loop_new("test");
	far_away = false;
	if ((!server.pid && redis_server_start(&server) < 0) ||
		(!second.pid && redis_server_start(&second) < 0))
		return -1;
	ask_server(&server, "REPLICAOF NO ONE");
	follow(&second, &server);
	for (int i = 0; i < FAKES; i++) {
		fake_open(&fakes[i], loop_base(loop));
		fake_names_server(&fakes[i], &server);
	}
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	redis_free(&redis);
	for (int i = 0; i < FAKES; i++)
		fake_close(&fakes[i]);
	for (int i = 0; i < 3; i++)
		sentinel_kill(&sentinels[i]);
	turn();
	loop_free(&loop);
	return 0;
}

/* Waits until the sentinels know each other and the replica, so that they can replace the master.
 */
static void
start_sentinels(void)
{
	const char *const addresses[] = { sentinels[0].address, sentinels[1].address,
		sentinels[2].address };

	for (int i = 0; i < 3; i++)
		assert_int_equal(sentinel_start(&sentinels[i], server.port, 2, ""), 0);
	for (int i = 0; i < 3; i++) {
		WAIT_FOR(strstr(cli(sentinels[i].port, SENTINEL_PASSWORD,
					"SENTINEL CKQUORUM " SENTINEL_MASTER),
			"OK 3 usable"));
		WAIT_FOR(strstr(cli(sentinels[i].port, SENTINEL_PASSWORD,
					"SENTINEL REPLICAS " SENTINEL_MASTER),
			"master-link-status\nok"));
	}
	open_by(addresses, 3, SENTINEL_PASSWORD);
}

static void
a_killed_master_is_replaced_and_not_used_when_it_comes_back(void **state)
{
	struct answer answer;
	const int64_t before = changes();

	(void)state;
	start_sentinels();
	WAIT_FOR(up_with(&server));
	ASK(&answer, "SET", "k", "old");
	assert_int_equal(answer.err, 0);
	redis_server_kill(&server);
	WAIT_FOR(up_with(&second));
	ASK(&answer, "SET", "k", "new");
	assert_int_equal(answer.err, 0);
	assert_string_equal(answer.text, "OK");
	assert_true(changes() > before);
	assert_int_equal(redis_server_start(&server), 0);
	WAIT_FOR(says(&server, "ROLE", "slave"));
	assert_true(up_with(&second));
	redis_give_up(redis, "test");
	WAIT_FOR(redis_up(redis));
	assert_true(up_with(&second));
	ASK(&answer, "GET", "k");
	assert_string_equal(answer.text, "new");
	assert_true(changes() > before);
}

static void
a_demoted_master_is_left(void **state)
{
	struct answer answer;

	(void)state;
	start_sentinels();
	WAIT_FOR(up_with(&server));
	WAIT_FOR(strstr(
		cli(sentinels[0].port, SENTINEL_PASSWORD, "SENTINEL FAILOVER " SENTINEL_MASTER),
		"OK"));
	WAIT_FOR(up_with(&second));
	ASK(&answer, "SET", "k", "value");
	assert_int_equal(answer.err, 0);
}

static void
without_any_sentinel_the_master_is_kept_and_found_again_once_one_is_back(void **state)
{
	struct answer answer;
	const char *const addresses[] = { fakes[0].address, fakes[1].address };

	(void)state;
	open_by(addresses, 2, NULL);
	WAIT_FOR(up_with(&server));
	WAIT_FOR(sentinel_up(fakes[0].address) == 1 && sentinel_up(fakes[1].address) == 1);
	fake_close(&fakes[0]);
	fakes[1].silent = true;
	WAIT_FOR(sentinel_up(fakes[0].address) == 0 && sentinel_up(fakes[1].address) == 0);
	assert_true(up_with(&server));
	ASK(&answer, "PING");
	assert_string_equal(answer.text, "PONG");
	redis_give_up(redis, "test");
	WAIT_FOR(strstr(redis_why(redis), "no sentinel names it: "));
	assert_non_null(strstr(redis_why(redis), fakes[0].address));
	assert_non_null(strstr(redis_why(redis), "Connection refused"));
	assert_non_null(strstr(redis_why(redis), "no answer within a second"));
	assert_false(redis_up(redis));
	fakes[1].silent = false;
	WAIT_FOR(up_with(&server));
}

/* Each lie is told by two of three; the third is right. */
static void
what_is_no_masters_address_is_passed_over(void **state)
{
	static const struct {
		const char *says, *why;
	} lies[] = {
		{ "*-1\r\n", "it knows no such master" },
		{ "$-1\r\n", "it knows no such master" },
		{ "-IDONTKNOW I have\tno idea\r\n", "IDONTKNOW I have no idea" },
		{ "220 smtp.example ESMTP\r\n", "Protocol error" },
		{ "+OK\r\n", "its answer is no address" },
		{ ":7\r\n", "its answer is no address" },
		{ "*0\r\n", "its answer is no address" },
		{ "*1\r\n$9\r\n127.0.0.1\r\n", "its answer is no address" },
		{ "*3\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\n1\r\n", "its answer is no address" },
		{ "*2\r\n:1\r\n:2\r\n", "its answer is no address" },
		{ "*2\r\n$0\r\n\r\n$4\r\n6379\r\n", "its answer is no address" },
		{ "*2\r\n$3\r\na b\r\n$4\r\n6379\r\n", "its answer is no address" },
		{ "*2\r\n$9\r\n127.0.0.1\r\n$1\r\n0\r\n", "its answer is no address" },
		{ "*2\r\n$9\r\n127.0.0.1\r\n$5\r\n65536\r\n", "its answer is no address" },
		{ "*2\r\n$9\r\n127.0.0.1\r\n$2\r\n6x\r\n", "its answer is no address" },
		{ "*2\r\n$9\r\n127.0.0.1\r\n$0\r\n\r\n", "its answer is no address" },
		{ "*2\r\n$7\r\n0.0.0.0\r\n$4\r\n6379\r\n", "its own loopback address" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
		const char *only[] = { fakes[0].address, fakes[0].address, fakes[2].address };

		snprintf(fakes[0].says, sizeof fakes[0].says, "%s", lies[i].says);
		open_by(only, 1, NULL);
		WAIT_FOR(strstr(redis_why(redis), lies[i].why));
		assert_false(redis_up(redis));
		assert_int_equal(sentinel_up(fakes[0].address), 0);
		redis_free(&redis);
		open_by(only, 3, NULL);
		WAIT_FOR(up_with(&server));
		redis_free(&redis);
	}
}

static void
a_sentinel_elsewhere_that_names_loopback_means_another_machine(void **state)
{
	(void)state;
	far_away = true;
	open_by_fakes();
	WAIT_FOR(strstr(redis_why(redis), "it names its own loopback address, 127.0.0.1:"));
	fake_names(&fakes[0], "::1", "6379");
	fake_names(&fakes[1], "localhost", "6379");
	fake_names(&fakes[2], "::ffff:127.0.0.1", log_int(server.port));
	WAIT_FOR(strstr(redis_why(redis), "loopback address, [::1]:6379; "));
	assert_false(redis_up(redis));
	far_away = false;
	WAIT_FOR(redis_up(redis)); /* now they are on this machine, as we are */
}

static void
a_sentinel_that_hangs_costs_a_second_and_no_more(void **state)
{
	struct answer answer;

	(void)state;
	fakes[0].silent = fakes[1].silent = true;
	open_by_fakes();
	ASK(&answer, "PING"); /* has ten seconds */
	assert_string_equal(answer.text, "PONG");
	assert_true(up_with(&server));
}

static void
a_wrong_name_and_a_wrong_password_are_said(void **state)
{
	const char *address = sentinels[0].address;
	struct redis_options options = { .sentinels = &address,
		.sentinels_count = 1,
		.master = "nomail",
		.sentinel_password = SENTINEL_PASSWORD,
		.password = REDIS_SERVER_PASSWORD };

	(void)state;
	assert_int_equal(sentinel_start(&sentinels[0], server.port, 1, ""), 0);
	redis = redis_new(loop, &options);
	WAIT_FOR(strstr(redis_why(redis), "it knows no such master"));
	redis_free(&redis);
	options.master = SENTINEL_MASTER;
	options.sentinel_password = "wrong";
	redis = redis_new(loop, &options);
	WAIT_FOR(strstr(redis_why(redis), "WRONGPASS"));
	redis_free(&redis);
	options.sentinel_password = NULL;
	redis = redis_new(loop, &options);
	WAIT_FOR(strstr(redis_why(redis), "NOAUTH"));
	redis_free(&redis);
	options.sentinel_password = SENTINEL_PASSWORD;
	redis = redis_new(loop, &options);
	WAIT_FOR(up_with(&server));
}

static void
a_replica_is_not_used_whoever_names_it(void **state)
{
	struct answer answer;

	(void)state;
	fake_names_server(&fakes[0], &second);
	fake_names_server(&fakes[1], &second);
	open_by_fakes();
	WAIT_FOR(*redis_why(redis));
	assert_non_null(strstr(redis_why(redis),
		"it is a replica, not the master; its master is "
		"127.0.0.1"));
	WAIT_FOR(up_with(&server));
	redis_free(&redis);
	ask_server(&second, "CONFIG SET replica-read-only no");
	fake_names_server(&fakes[2], &second);
	open_by_fakes();
	for (int i = 0; i < 4; i++) {
		ASK(&answer, "SET", "k", "lost");
		assert_int_equal(answer.err, -ENOTCONN);
	}
	ask_server(&second, "CONFIG SET replica-read-only yes");
}

static void
a_master_that_refuses_writes_is_left_for_the_one_that_sentinels_name(void **state)
{
	struct answer answer;
	const int64_t before = changes();

	(void)state;
	open_by_fakes();
	WAIT_FOR(up_with(&server));
	for (int i = 0; i < FAKES; i++)
		fake_names_server(&fakes[i], &second);
	ask_server(&second, "REPLICAOF NO ONE");
	follow(&server, &second);
	ASK(&answer, "SET", "k", "value");
	assert_int_equal(answer.err, -EAGAIN);
	WAIT_FOR(up_with(&second));
	ASK(&answer, "SET", "k", "value");
	assert_int_equal(answer.err, 0);
	assert_true(changes() > before);
}

static void
a_master_that_became_a_replica_which_takes_writes_is_left_too(void **state)
{
	(void)state;
	ask_server(&server, "CONFIG SET replica-read-only no");
	open_by_fakes();
	WAIT_FOR(up_with(&server));
	ask_server(&second, "REPLICAOF NO ONE");
	follow(&server, &second);
	for (int i = 0; i < FAKES; i++)
		fakes[i].says[0] = '\0'; /* their votes do not move it */
	WAIT_FOR(!redis_up(redis));
	assert_non_null(strstr(redis_why(redis), "it is a replica, not the master"));
	ask_server(&server, "CONFIG SET replica-read-only yes");
}

/* Both say that they are masters, as when the old one is cut off from all but us. */
static void
an_old_master_is_left_when_most_sentinels_name_another_one(void **state)
{
	unsigned asked;

	(void)state;
	ask_server(&second, "REPLICAOF NO ONE");
	open_by_fakes();
	WAIT_FOR(up_with(&server));
	fake_names_server(&fakes[1], &second);
	fakes[2].silent = true; /* two of those that answer are no two of three */
	asked = fakes[1].asked;
	WAIT_FOR(fakes[1].asked >= asked + 2);
	assert_true(up_with(&server));
	fakes[2].silent = false;
	fake_names_server(&fakes[2], &second);
	WAIT_FOR(up_with(&second));
	asked = fakes[0].asked;
	WAIT_FOR(fakes[0].asked >= asked + 2);
	assert_true(up_with(&second)); /* the first sentinel alone names the old one */
}

/* A sentinel of its own, and TLS on each way. */
static void
tls_counts_for_sentinels_too(void **state)
{
	char command[1024], extra[1024], words[512];
	const unsigned port = redis_server_free_port(), plain = redis_server_free_port();
	char address[32], ca[128];
	const char *sentinel = address;
	struct redis_options options = { .sentinels = &sentinel,
		.sentinels_count = 1,
		.master = SENTINEL_MASTER,
		.sentinel_password = SENTINEL_PASSWORD,
		.password = REDIS_SERVER_PASSWORD,
		.tls = true,
		.ca = ca };

	(void)state;
	snprintf(ca, sizeof ca, "%s/cert.pem", server.dir);
	snprintf(command, sizeof command,
		"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "
		"/CN=redis -addext subjectAltName=IP:127.0.0.1 -keyout %s/key.pem -out %s "
		"2>/dev/null",
		server.dir, ca);
	assert_int_equal(system(command), 0);
	snprintf(words, sizeof words,
		"CONFIG SET tls-cert-file %s tls-key-file %s/key.pem tls-ca-cert-file %s "
		"tls-auth-clients no tls-port %u",
		ca, server.dir, ca, port);
	assert_true(says(&server, words, "OK"));
	snprintf(address, sizeof address, "127.0.0.1:%u", plain);
	snprintf(extra, sizeof extra,
		"tls-port %u\ntls-replication yes\ntls-auth-clients no\ntls-cert-file %s\n"
		"tls-key-file %s/key.pem\ntls-ca-cert-file %s\n",
		plain, ca, server.dir, ca);
	assert_int_equal(sentinel_start(&sentinels[0], port, 1, extra), 0);
	redis = redis_new(loop, &options);
	snprintf(words, sizeof words, "127.0.0.1:%u", port);
	WAIT_FOR(redis_up(redis));
	assert_string_equal(redis->address, words);
	redis_free(&redis);
	options.ca = NULL;
	redis = redis_new(loop, &options);
	WAIT_FOR(strstr(redis_why(redis), "no sentinel names it: "));
	assert_false(redis_up(redis));
	assert_true(says(&server, "CONFIG SET tls-port 0", "OK"));
}

static void
freeing_while_sentinels_are_asked_ends_each_command_once(void **state)
{
	struct answer answer = { 0 };

	(void)state;
	for (int turns = 0; turns < 4; turns++) {
		for (int i = 0; i < FAKES; i++)
			fakes[i].silent = turns & 1;
		open_by_fakes();
		memset(&answer, 0, sizeof answer);
		redis_command(redis, 5000, on_answer, &answer, 1, (const char *[]){ "PING" }, NULL);
		for (int i = 0; i < turns / 2; i++)
			turn();
		redis_free(&redis);
		assert_true(answer.came);
	}
}

struct said_by {
	unsigned named, not ;
	char last[128];
};

static void
on_said(void *arg, const char *address, const char *why)
{
	struct said_by *said = arg;

	said->named += address != NULL;
	said->not += address == NULL;
	snprintf(said->last, sizeof said->last, "%s", address ? address : why);
}

static void
each_sentinel_can_be_asked_alone(void **state)
{
	struct said_by said[2] = { 0 };

	(void)state;
	snprintf(fakes[1].says, sizeof fakes[1].says, "*-1\r\n");
	open_by_fakes();
	redis_ask_sentinel(redis, 0, on_said, &said[0]);
	redis_ask_sentinel(redis, 1, on_said, &said[1]);
	WAIT_FOR(said[0].named == 1 && said[1].not == 1);
	assert_string_equal(said[0].last, server.tcp_address);
	assert_string_equal(said[1].last, "it knows no such master");
	fakes[2].silent = true;
	redis_ask_sentinel(redis, 2, on_said, &said[0]);
	turn();
	redis_free(&redis);
	turn();
	assert_int_equal(said[0].named + said[0].not, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		TEST(a_killed_master_is_replaced_and_not_used_when_it_comes_back),
		TEST(a_demoted_master_is_left),
		TEST(without_any_sentinel_the_master_is_kept_and_found_again_once_one_is_back),
		TEST(what_is_no_masters_address_is_passed_over),
		TEST(a_sentinel_elsewhere_that_names_loopback_means_another_machine),
		TEST(a_sentinel_that_hangs_costs_a_second_and_no_more),
		TEST(a_wrong_name_and_a_wrong_password_are_said),
		TEST(a_replica_is_not_used_whoever_names_it),
		TEST(a_master_that_refuses_writes_is_left_for_the_one_that_sentinels_name),
		TEST(a_master_that_became_a_replica_which_takes_writes_is_left_too),
		TEST(an_old_master_is_left_when_most_sentinels_name_another_one),
		TEST(tls_counts_for_sentinels_too),
		TEST(freeing_while_sentinels_are_asked_ends_each_command_once),
		TEST(each_sentinel_can_be_asked_alone),
	};
	int failed;

	log_set_level(LOG_LEVEL_ERROR);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	redis_server_remove(&server);
	redis_server_remove(&second);
	return failed;
}
