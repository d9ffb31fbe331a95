/*
 * test_account.c - who may send: documents, look-ups against a real Redis, and without it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/syscall.h>
#include <time.h>

#include "shared/account/account.h"
#include "shared/account/owner.h"
#include "tests/unit/redis_rig.h"

#define ACCOUNT                                                                                    \
	"{\"id\":\"acme\",\"name\":\"Acme\",\"contact\":\"it@acme.example\",\"status\":"           \
	"\"active\",\"policy\":\"strict\",\"domains\":[\"Zeta.example\",\"acme.example\"],"        \
	"\"limits\":{\"messages_hour\":100}}"

static struct account_store *store;

struct found {
	unsigned count;
	int err;
	bool enabled;
	char id[32], verifier[32];
};

static void
on_found(void *arg, int err, struct account *account)
{
	struct found *found = arg;

	found->count++;
	found->err = err;
	snprintf(found->id, sizeof found->id, "%s", account ? account->id : "");
}

static void
on_user(void *arg, int err, struct account *account, struct credential *credential)
{
	struct found *found = arg;

	on_found(arg, err, account);
	found->enabled = credential && credential_works(credential);
	snprintf(found->verifier, sizeof found->verifier, "%s",
		credential ? credential->verifiers[0] : "");
}

static struct found
user(const char *name)
{
	struct found found = { 0 };

	account_by_user(store, name, on_user, &found);
	WAIT_FOR(found.count == 1);
	return found;
}

static struct found
address(const char *ip)
{
	struct found found = { 0 };
	struct net_address net;

	assert_int_equal(net_parse_ip(ip, 25, &net), 0);
	account_by_address(store, &net, on_found, &found);
	WAIT_FOR(found.count == 1);
	return found;
}

static struct found
domain(const char *name)
{
	struct found found = { 0 };

	account_by_domain(store, name, on_found, &found);
	WAIT_FOR(found.count == 1);
	return found;
}

static int
setup(void **state)
{
	struct answer a;

	(void)state;
	loop = loop_new("test");
	owner_set("");
	if (!server.pid && redis_server_start(&server) < 0)
		return -1;
	open_at(server.unix_address, REDIS_SERVER_PASSWORD);
	store = account_store_new(loop, redis);
	ASK(&a, "FLUSHALL");
	ASK(&a, "SET", "account:{acme}", ACCOUNT);
	ASK(&a, "SET", "user:acme", "{\"account\":\"acme\",\"enabled\":true,\"verifier\":\"V\"}");
	ASK(&a, "SET", "user:old", "{\"account\":\"acme\",\"enabled\":false,\"verifier\":\"V\"}");
	ASK(&a, "SET", "ip:192.0.2.1", "{\"account\":\"acme\",\"active\":true}");
	ASK(&a, "SET", "ip:192.0.2.2", "{\"account\":\"acme\",\"active\":false}");
	ASK(&a, "SET", "ip:2001:db8:0:1::/64", "{\"account\":\"acme\",\"active\":true}");
	ASK(&a, "SET", "ip:10.0.0.0/8", "{\"account\":\"acme\",\"active\":true}");
	ASK(&a, "SADD", "ip:networks", "10.0.0.0/8", "0.0.0.0/0");
	ASK(&a, "SET", "domain:acme.example", "{\"account\":\"acme\"}");
	ASK(&a, "SET", "config:applied", "1");
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	account_store_free(&store);
	redis_free(&redis);
	loop_free(&loop);
	return 0;
}

static void
a_document_becomes_a_snapshot(void **state)
{
	struct account *a = account_from_json(ACCOUNT, strlen(ACCOUNT));

	(void)state;
	assert_non_null(a);
	assert_true(a->active);
	assert_int_equal(a->policy, POLICY_STRICT);
	assert_int_equal(a->limits.messages_hour, 100);
	assert_true(a->limits.recipients_day == LIMIT_DEFAULT);
	assert_true(account_has_domain(a, "ACME.example", 12));
	assert_true(account_has_domain(a, "zeta.example", 12));
	assert_false(account_has_domain(a, "acme.exampl", 11));
	assert_false(account_has_domain(a, "acme.example.net", 16));
	assert_false(a->display_address);
	account_unref(account_ref(a));
	account_unref(a);
	assert_null(account_from_json("{", 1));
	assert_null(account_from_json("[]", 2));
	assert_null(account_from_json("{\"id\":\"x\"}", 10));
}

static void
networks_have_one_text_each(void **state)
{
	static const char *const rows[][2] = {
		{ "192.0.2.1", "192.0.2.1" },
		{ "192.0.2.1/32", "192.0.2.1" },
		{ "10.1.2.3/8", "10.0.0.0/8" },
		{ "10.255.2.3/9", "10.128.0.0/9" },
		{ "0.0.0.0/0", "0.0.0.0/0" },
		{ "2001:DB8:0:1:2:3:4:5", "2001:db8:0:1::/64" },
		{ "2001:db8::1/128", "2001:db8::/64" },
		{ "2001:db8:ffff::/33", "2001:db8:8000::/33" },
		{ "192.0.2.256", NULL },
		{ "acme.example", NULL },
		{ "", NULL },
	};
	char text[NET_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		if (!rows[i][1]) {
			assert_int_not_equal(account_network_text(rows[i][0], text), 0);
			continue;
		}
		assert_int_equal(account_network_text(rows[i][0], text), 0);
		assert_string_equal(text, rows[i][1]);
	}
}

static void
users_are_found_in_any_case(void **state)
{
	struct found f = user("ACME");

	(void)state;
	assert_int_equal(f.err, 0);
	assert_string_equal(f.id, "acme");
	assert_string_equal(f.verifier, "V");
	assert_true(f.enabled);
	assert_false(user("old").enabled);
	assert_int_equal(user("nobody").err, -ENOENT);
	assert_int_equal(user("").err, -ENOENT);
}

static void
addresses_are_found_themselves_or_in_a_network(void **state)
{
	(void)state;
	assert_string_equal(address("192.0.2.1").id, "acme");
	assert_string_equal(address("::ffff:192.0.2.1").id, "acme");
	assert_string_equal(address("2001:db8:0:1::77").id, "acme");
	assert_string_equal(address("10.20.30.40").id, "acme");
	assert_int_equal(address("192.0.2.2").err, -ENOENT); /* not active */
	assert_int_equal(address("192.0.2.3").err, -ENOENT); /* 0.0.0.0/0 has no document */
	assert_int_equal(address("2001:db8:0:2::1").err, -ENOENT);
}

static void
domains_name_their_account(void **state)
{
	(void)state;
	assert_string_equal(domain("Acme.Example").id, "acme");
	assert_int_equal(domain("other.example").err, -ENOENT);
}

static void
lookups_of_one_key_share_one_request_and_fresh_ones_none(void **state)
{
	struct found f[100] = { 0 };
	struct answer before, after;

	(void)state;
	ASK(&before, "CONFIG", "RESETSTAT");
	for (int i = 0; i < 100; i++)
		account_by_user(store, "acme", on_user, &f[i]);
	WAIT_FOR(f[99].count == 1);
	for (int i = 0; i < 100; i++)
		assert_int_equal(f[i].count, 1);
	ASK(&after, "EVAL",
		"return tonumber(string.match(redis.call('INFO', 'commandstats'), "
		"'cmdstat_get:calls=(%d+)'))",
		"0");
	assert_int_equal(after.number, 6); /* the user, the account: each with whose they are */
	account_by_user(store, "acme", on_user, &f[0]);
	assert_int_equal(f[0].count, 2); /* at once */
}

static void
what_is_known_counts_while_redis_is_away_and_nothing_else_does(void **state)
{
	(void)state;
	assert_int_equal(user("acme").err, 0);
	assert_int_equal(address("192.0.2.1").err, 0);
	assert_int_equal(address("10.20.30.40").err, 0);
	redis_server_kill(&server);
	WAIT_FOR(!redis_up(redis));
	assert_int_equal(user("acme").err, 0);
	assert_int_equal(address("192.0.2.1").err, 0);
	assert_int_equal(address("10.9.9.9").err, 0); /* in a known network */
	assert_int_equal(user("unknown").err, -EAGAIN);
	assert_int_equal(address("198.51.100.1").err, -EAGAIN);
	assert_int_equal(domain("unknown.example").err, -EAGAIN);
}

/* That there are no networks is known; whether the address has an account is not. */
static void
an_address_stays_in_doubt_where_there_are_no_networks(void **state)
{
	struct answer a;

	(void)state;
	ASK(&a, "DEL", "ip:networks");
	assert_int_equal(address("198.51.100.1").err, -ENOENT);
	redis_server_kill(&server);
	WAIT_FOR(!redis_up(redis));
	assert_int_equal(address("198.51.100.2").err, -EAGAIN);
}

static void
a_flushed_redis_says_nothing_about_anyone(void **state)
{
	struct answer a;

	(void)state;
	ASK(&a, "FLUSHALL");
	assert_int_equal(user("acme").err, -EAGAIN);
	assert_int_equal(address("192.0.2.1").err, -EAGAIN);
	ASK(&a, "SET", "config:applied", "1");
	assert_int_equal(user("acme").err, -ENOENT);
}

static void
networks_of_a_flushed_redis_are_not_kept(void **state)
{
	struct answer a;

	(void)state;
	ASK(&a, "DEL", "ip:networks", "config:applied");
	address("10.9.9.9");
	ASK(&a, "SADD", "ip:networks", "10.0.0.0/8");
	ASK(&a, "SET", "config:applied", "1");
	assert_int_equal(address("10.9.9.9").err, 0);
}

#define US "0123456789abcdef0123456789abcdef"
#define THEM "fedcba9876543210fedcba9876543210"

/* Redis as we left it, and everybody known. */
static void
ours(void)
{
	struct answer a;

	owner_set(US);
	ASK(&a, "SET", "config:owner", US);
	ASK(&a, "SET", "config:applied", "1 " US);
	assert_int_equal(user("acme").err, 0);
	assert_int_equal(address("192.0.2.1").err, 0);
	assert_int_equal(address("10.1.2.3").err, 0);
	assert_int_equal(domain("acme.example").err, 0);
	assert_int_equal(user("nobody").err, -ENOENT);
	assert_true(account_store_sure(store));
}

static time_t passed_s;

/* In place of the C library's: time passes when a test says so. */
int
clock_gettime(clockid_t id, struct timespec *now)
{
	const int err = (int)syscall(SYS_clock_gettime, id, now);

	if (!err && id == CLOCK_MONOTONIC)
		now->tv_sec += passed_s;
	return err;
}

/* No copy is fresh any more. */
static void
copies_grow_old(void)
{
	passed_s += 6;
}

static void
known_ones_are_served(void)
{
	assert_string_equal(user("acme").id, "acme");
	assert_string_equal(address("192.0.2.1").id, "acme");
	assert_string_equal(address("10.1.2.3").id, "acme");
	assert_string_equal(domain("acme.example").id, "acme");
}

/* What Redis becomes, and whether a user counts that is found there and was not known before. */
static void
nobody_is_unknown_while_the_accounts_are_not_surely_ours(void **state)
{
	static const struct {
		const char *owner, *marker; /* NULL: none */
		bool emptied, found;
	} rows[] = {
		{ US, NULL, true, true }, { NULL, NULL, true, false },
		{ US, "1", true, false }, /* an older build */
		{ US, "2 " THEM, true, false }, { THEM, NULL, true, false },
		{ THEM, "2 " THEM, true, false }, { THEM, "2 " THEM, false, false },
		{ US, "1 " US, true, true }, /* nobody says who did it */
	};
	struct answer a;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_int_equal(teardown(NULL) | setup(NULL), 0);
		ours();
		if (rows[i].emptied)
			ASK(&a, "FLUSHALL");
		ASK(&a, "SET", "user:new",
			"{\"account\":\"acme\",\"enabled\":true,\"verifier\":\"V\"}");
		ASK(&a, "SET", "ip:192.0.2.9", "{\"account\":\"them\",\"active\":true}");
		ASK(&a, "DEL", "config:applied", "config:owner");
		if (rows[i].owner)
			ASK(&a, "SET", "config:owner", rows[i].owner);
		if (rows[i].marker)
			ASK(&a, "SET", "config:applied", rows[i].marker);
		copies_grow_old();
		assert_int_equal(user("new").err, rows[i].found ? 0 : -EAGAIN);
		known_ones_are_served();
		if (!rows[i].marker || strcmp(rows[i].marker, "1 " US) != 0) {
			assert_int_equal(user("nobody").err, -EAGAIN);
			assert_int_equal(address("198.51.100.1").err, -EAGAIN);
			assert_int_equal(domain("unknown.example").err, -EAGAIN);
			assert_false(account_store_sure(store));
		}
	}
}

static void
copies_of_what_was_anothers_do_not_count(void **state)
{
	struct answer a;

	(void)state;
	ours();
	owner_set(THEM);
	copies_grow_old();
	assert_int_equal(user("acme").err, -EAGAIN);
	ASK(&a, "SET", "config:applied", "2 " THEM);
	assert_int_equal(user("acme").err, 0);
}

static void
who_is_removed_is_unknown_at_once(void **state)
{
	struct answer a;

	(void)state;
	ours();
	ASK(&a, "DEL", "user:acme", "ip:192.0.2.1", "ip:networks");
	ASK(&a, "SET", "config:applied", "2 " US);
	copies_grow_old();
	assert_int_equal(user("acme").err, -ENOENT);
	assert_int_equal(address("192.0.2.1").err, -ENOENT);
	assert_int_equal(address("10.1.2.3").err, -ENOENT);
	assert_true(account_store_sure(store));
}

/* Empties Redis and fills it again, each in one step, as fast as it can. */
static pid_t
flip(void)
{
	static const char script[] =
		"if redis.call('DEL', KEYS[1]) == 0 then "
		"for i = 0, 299 do redis.call('SET', 'user:u' .. i, ARGV[1]) end "
		"redis.call('SET', KEYS[1], '1') "
		"else for i = 0, 299 do redis.call('DEL', 'user:u' .. i) end end";
	const pid_t pid = fork();

	if (pid != 0)
		return pid;
	if (!freopen("/dev/null", "w", stdout))
		_exit(1);
	execlp("redis-cli", "redis-cli", "-s", server.unix_address + strlen("unix:"), "-a",
		REDIS_SERVER_PASSWORD, "--no-auth-warning", "-r", "-1", "EVAL", script, "1",
		"config:applied", "{\"account\":\"acme\",\"enabled\":true,\"verifier\":\"V\"}",
		NULL);
	_exit(1);
}

static void
a_refill_makes_no_customer_unknown(void **state)
{
	struct answer a;
	char name[16];
	pid_t pid;

	(void)state;
	ASK(&a, "DEL", "config:applied");
	pid = flip();
	assert_true(pid > 0);
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof name, "u%d", i);
		assert_int_not_equal(user(name).err, -ENOENT);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void
an_unreadable_document_is_no_answer(void **state)
{
	struct answer a;

	(void)state;
	ASK(&a, "SET", "account:{acme}", "{\"id\":");
	assert_int_equal(user("acme").err, -EAGAIN);
	assert_int_equal(user("acme").err, -EAGAIN);
}

static struct found
above(const char *name)
{
	struct found found = { 0 };

	account_above(store, name, on_found, &found);
	WAIT_FOR(found.count > 0);
	assert_int_equal(found.count, 1);
	return found;
}

static void
a_domain_is_the_closest_verified_parent_s(void **state)
{
	static const struct {
		const char *domain, *owner;
		int err;
	} rows[] = {
		{ "acme.example", "acme", 0 },
		{ "mail.acme.example", "acme", 0 },
		{ "branch.acme.example", "branch", 0 },
		{ "a.b.branch.acme.example", "branch", 0 },
		{ "abranch.acme.example", "acme", 0 },
		{ "notacme.example", "", -ENOENT },
		{ "example", "", -ENOENT },
		{ "[192.0.2.1]", "", -ENOENT },
		{ "gone.example", "", -ENOENT },
		{ "a.b.c.d.e.f.g.h.i.j.acme.example", "acme", 0 },
		{ "a.b.c.d.e.f.g.h.i.j.k.branch.acme.example", "", -E2BIG },
	};
	struct answer a;

	(void)state;
	ASK(&a, "SET", "account:{branch}", "{\"id\":\"branch\",\"status\":\"disabled\"}");
	ASK(&a, "SET", "domain:branch.acme.example", "{\"account\":\"branch\"}");
	ASK(&a, "SET", "domain:gone.example", "{\"account\":\"gone\"}");
	for (unsigned again = 0; again < 2; again++) { /* the copies say the same */
		for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
			struct found f = above(rows[i].domain);

			if (f.err != rows[i].err || strcmp(f.id, rows[i].owner) != 0)
				fail_msg("%s: %d %s", rows[i].domain, f.err, f.id);
		}
	}
}

/* A closer one may be another account's. */
static void
a_doubt_about_a_closer_parent_is_a_doubt(void **state)
{
	struct found f = { 0 };

	(void)state;
	assert_int_equal(above("acme.example").err, 0);
	redis_server_kill(&server);
	WAIT_FOR(!redis_up(redis));
	assert_int_equal(above("acme.example").err, 0);
	assert_int_equal(above("branch.acme.example").err, -EAGAIN);
	account_above(store, "x.y.example", on_found, &f);
	account_store_free(&store);
	assert_int_equal(f.count, 1);
	assert_int_equal(f.err, -EAGAIN);
}

static void
freeing_the_store_ends_lookups(void **state)
{
	struct found f = { 0 };
	struct answer a;

	(void)state;
	account_by_user(store, "acme", on_user, &f);
	account_store_free(&store);
	assert_int_equal(f.count, 1);
	assert_int_equal(f.err, -EAGAIN);
	ASK(&a, "PING");
	assert_int_equal(f.count, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		cmocka_unit_test(a_document_becomes_a_snapshot),
		cmocka_unit_test(networks_have_one_text_each),
		TEST(users_are_found_in_any_case),
		TEST(addresses_are_found_themselves_or_in_a_network),
		TEST(domains_name_their_account),
		TEST(lookups_of_one_key_share_one_request_and_fresh_ones_none),
		TEST(what_is_known_counts_while_redis_is_away_and_nothing_else_does),
		TEST(an_address_stays_in_doubt_where_there_are_no_networks),
		TEST(a_flushed_redis_says_nothing_about_anyone),
		TEST(networks_of_a_flushed_redis_are_not_kept),
		TEST(a_refill_makes_no_customer_unknown),
		TEST(nobody_is_unknown_while_the_accounts_are_not_surely_ours),
		TEST(copies_of_what_was_anothers_do_not_count),
		TEST(who_is_removed_is_unknown_at_once),
		TEST(an_unreadable_document_is_no_answer),
		TEST(a_domain_is_the_closest_verified_parent_s),
		TEST(a_doubt_about_a_closer_parent_is_a_doubt),
		TEST(freeing_the_store_ends_lookups),
	};
	int failed;

	log_set_level(LOG_LEVEL_ERROR);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	redis_server_remove(&server);
	return failed;
}
