/*
 * test_score.c - rolling counts and the ladder, in a real Redis, some by a clock of the test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/config/config.h"
#include "shared/score/score.h"
#include "tests/unit/redis_rig.h"

#define WEEK (SCORE_WINDOWS - 1) /* no period of it ends while a test runs */

static struct scores *scores, *other;
static struct config config;

static Envelope
of(const char *account)
{
	Envelope envelope = ENVELOPE__INIT;

	envelope.account = (char *)(uintptr_t)account;
	envelope.credential = (char *)"user";
	envelope.mail_from = (char *)"anna@a.example";
	return envelope;
}

static void
add(struct scores *to, const char *account, enum score score, unsigned n)
{
	const Envelope envelope = of(account);

	scores_add(to, &envelope, score, n);
}

struct seen {
	unsigned answers;
	int err;
	uint64_t counts[SCORE_WINDOWS][SCORES];
};

static void
on_seen(void *arg, int err, const uint64_t counts[SCORE_WINDOWS][SCORES])
{
	struct seen *seen = arg;

	seen->answers++;
	seen->err = err;
	if (counts)
		memcpy(seen->counts, counts, sizeof seen->counts);
}

static struct seen
look(const char *account)
{
	struct seen seen = { 0 };

	scores_read(redis, &config, account, on_seen, &seen);
	WAIT_FOR(seen.answers == 1);
	return seen;
}

static void
several_who_count_are_added_up_in_every_window(void **state)
{
	(void)state;
	for (int i = 0; i < 1000; i++)
		add(i % 2 ? scores : other, "acme", SCORE_RECIPIENTS, 3);
	add(scores, "acme", SCORE_VIRUSES, 1);
	add(scores, "beta", SCORE_HARD_BOUNCES, 2);
	add(scores, "", SCORE_RECIPIENTS, 5);
	add(scores, "acme", SCORE_UNKNOWN_USERS, 0);
	WAIT_FOR(look("acme").counts[WEEK][SCORE_RECIPIENTS] == 3000);
	WAIT_FOR(look("beta").counts[WEEK][SCORE_HARD_BOUNCES] == 2);
	for (int i = 0; i < SCORE_WINDOWS; i++) {
		const uint64_t recipients = look("acme").counts[i][SCORE_RECIPIENTS];

		assert_true(recipients <= 3000 && recipients > 2000); /* a period may just end */
		assert_int_equal(look("acme").counts[i][SCORE_VIRUSES], 1);
		assert_int_equal(look("acme").counts[i][SCORE_HARD_BOUNCES], 0);
		assert_int_equal(look("beta").counts[i][SCORE_RECIPIENTS], 0);
	}
}

/* The script by a clock of the test. */

static const char script[] =
#include "shared/score/ladder.lua.h"
#include "shared/score/score.lua.h"
	;
static const char thresholds[] =
	"{\"minimum\":50,\"unknown_notify\":5,\"unknown_hold\":10,\"complaints_notify\":1,"
	"\"complaints_hold\":3,\"viruses\":3,\"spam\":10,\"throttle\":3,\"hold\":10,\"learning\":0,"
	"\"floor\":[200,100,15]}";

struct outcome {
	bool came;
	int64_t changes, step, wait_ms, rung;
};

static void
on_outcome(void *arg, int err, const struct redis_reply *reply)
{
	struct outcome *outcome = arg;

	outcome->came = true;
	assert_int_equal(err, 0);
	if (redis_reply_kind(reply) == REDIS_ERR)
		fail_msg("%s", redis_reply_str(reply, NULL));
	if (!redis_reply_count(reply))
		return;
	outcome->changes = (int64_t)redis_reply_count(redis_reply_at(reply, 0));
	if (redis_reply_count(reply) != 5)
		return;
	outcome->step = redis_reply_int(redis_reply_at(reply, 1));
	outcome->wait_ms = redis_reply_int(redis_reply_at(reply, 2));
	outcome->rung = redis_reply_int(redis_reply_at(reply, 4));
}

static uint64_t now_s; /* of the script */
static unsigned next_stranger;

/* Runs an operation for an originator of acme; `words` (NULL-ended) follow the clock. */
static struct outcome
act(const char *originator, const char *operation, const char *const *words)
{
	struct outcome outcome = { 0 };
	char key[128], clock[32];
	const char *argv[64] = { "EVAL", script, "3", "score:{acme}:a", "score:{acme}:c:user", key,
		operation, thresholds, clock };
	int argc = 9;

	snprintf(key, sizeof key, "score:{acme}:o:%s", originator);
	snprintf(clock, sizeof clock, "%llu", (unsigned long long)now_s);
	for (; *words; words++)
		argv[argc++] = *words;
	redis_command(redis, 10000, on_outcome, &outcome, argc, argv, NULL);
	WAIT_FOR(outcome.came);
	return outcome;
}

/* A message to one recipient, or to one that nobody wrote to before. */
static struct outcome
pass_to(const char *originator, const char *recipient)
{
	char place[32], name[64];

	if (!recipient)
		snprintf(name, sizeof name, "stranger%u@x.example", next_stranger++);
	snprintf(place, sizeof place, "%llu",
		(unsigned long long)score_place(recipient ? recipient : name));
	return act(originator, "pass", (const char *const[]){ "192.0.2.1", place, NULL });
}

static struct outcome
results(const char *originator, unsigned ended, unsigned unknown)
{
	char n[2][16];

	snprintf(n[0], sizeof n[0], "%u", ended);
	snprintf(n[1], sizeof n[1], "%u", unknown);
	return act(originator, "add",
		(const char *const[]){ "0", "0", n[0], n[1], n[1], "0", "0", "0", "0", NULL });
}

/* How many go out before the originator is held, at 2 s between them. */
static unsigned
until_held(const char *originator)
{
	unsigned n = 0;

	while (pass_to(originator, NULL).step < STEP_HOLD && n < 1000) {
		now_s += 2;
		n++;
	}
	return n;
}

static void
a_burst_to_strangers_is_slowed_then_held(void **state)
{
	struct outcome outcome;
	unsigned n;

	(void)state;
	now_s = 1800000000;
	for (n = 0; n < 49; n++)
		assert_int_equal(pass_to("anna", NULL).step, STEP_NONE);
	outcome = pass_to("anna", NULL);
	assert_int_equal(outcome.step, STEP_THROTTLE);
	assert_int_equal(outcome.changes, 1);
	for (n = 50; n < 149; n++)
		outcome = pass_to("anna", NULL);
	assert_int_equal(outcome.step, STEP_SUSPECT);
	assert_true(outcome.wait_ms > 60000 && outcome.wait_ms <= 600000);
	outcome = pass_to("anna", NULL);
	assert_int_equal(outcome.step, STEP_HOLD);
	assert_int_equal(outcome.rung, RUNG_ORIGINATOR + 1);
	/* the others of the company go on, also when results come late */
	assert_int_equal(results("anna", 150, 150).changes, 0);
	assert_int_equal(pass_to("boss", NULL).step, STEP_NONE);
	/* it does not end by itself */
	now_s += 10 * 86400;
	assert_int_equal(pass_to("anna", "friend").step, STEP_HOLD);
}

static void
a_throttle_ends_by_itself(void **state)
{
	(void)state;
	now_s = 1800000000;
	for (unsigned n = 0; n < 60; n++)
		pass_to("anna", NULL);
	assert_int_equal(pass_to("anna", NULL).step, STEP_THROTTLE);
	now_s += 7200;
	assert_int_equal(pass_to("anna", NULL).step, STEP_NONE);
}

static void
known_recipients_are_no_burst(void **state)
{
	char name[32], place[32];

	(void)state;
	now_s = 1800000000;
	for (unsigned n = 0; n < 500; n++) {
		snprintf(name, sizeof name, "reader%u@x.example", n);
		snprintf(place, sizeof place, "%llu", (unsigned long long)score_place(name));
		act("news", "add",
			(const char *const[]){
				"0", "0", "1", "0", "0", "0", "0", "0", "0", place, NULL });
	}
	for (int quarter = 0; quarter < 2; quarter++) { /* the next quarter still knows them */
		for (unsigned n = 0; n < 500; n++) {
			snprintf(name, sizeof name, "reader%u@x.example", n);
			assert_int_equal(pass_to("news", name).step, STEP_NONE);
		}
		now_s += 90 * 86400;
	}
}

/* Office hours for four weeks, then the hours of each day of the week are known. */
static void
a_baseline_is_learnt_by_the_hour_of_the_week(void **state)
{
	unsigned learnt;

	(void)state;
	now_s = 1800000000 / 604800 * 604800 + 9 * 3600;
	for (unsigned day = 0; day < 14; day++, now_s += 86400)
		for (unsigned n = 0; n < 40; n++) {
			pass_to("sales", NULL);
			if (n == 20)
				results("sales", 100, 0);
		}
	learnt = until_held("sales");
	assert_in_range(learnt, 350, 450); /* ten times 40, and not the floor's 150 */
}

static void
a_false_alarm_teaches_and_forgiving_does_not(void **state)
{
	(void)state;
	now_s = 1800000000;
	assert_in_range(until_held("anna"), 100, 160);
	act("anna", "forgive", (const char *const[]){ "3", "forgive", NULL });
	assert_true(pass_to("anna", NULL).step <= STEP_NOTIFY); /* for a day */
	now_s += 2 * 86400;
	assert_in_range(until_held("anna"), 100, 160);
	act("anna", "forgive", (const char *const[]){ "3", "release", NULL });
	now_s += 2 * 86400;
	assert_true(
		until_held("anna") >= 900); /* ten times what was released, less two days' fading */
}

static void
unknown_users_are_held_by_their_share(void **state)
{
	(void)state;
	now_s = 1800000000;
	results("anna", 49, 49);
	assert_int_equal(pass_to("anna", "friend").step, STEP_NONE); /* too few to tell */
	results("boss", 1000, 50);
	assert_int_equal(pass_to("boss", "friend").step, STEP_NOTIFY);
	results("anna", 1, 1);
	assert_int_equal(pass_to("anna", "friend").step, STEP_HOLD);
	assert_true(pass_to("boss", "friend").step <= STEP_NOTIFY);
}

static void
viruses_hold_even_who_is_forgiven(void **state)
{
	(void)state;
	now_s = 1800000000;
	act("anna", "forgive", (const char *const[]){ "3", "forgive", NULL });
	act("anna", "add",
		(const char *const[]){ "0", "0", "0", "0", "0", "0", "2", "0", "0", NULL });
	assert_int_equal(pass_to("anna", "friend").step, STEP_NONE);
	act("anna", "add",
		(const char *const[]){ "0", "0", "0", "0", "0", "0", "1", "0", "0", NULL });
	assert_int_equal(pass_to("anna", "friend").step, STEP_HOLD);
}

/* A million random steps of the ladder: what holds whatever the figures. */
static const char steps[] =
#include "shared/score/ladder.lua.h"
	"local t = cjson.decode(ARGV[1])\n"
	"math.randomseed(tonumber(ARGV[2]))\n"
	"local names = { 'recipients', 'strangers', 'ended', 'hard_bounces', 'unknown_users',\n"
	"	'complaints', 'viruses', 'alerts', 'spam' }\n"
	"local function figures()\n"
	"	local c = {}\n"
	"	for _, n in ipairs(names) do c[n] = math.random(0, 10 ^ math.random(0, 4)) end\n"
	"	c.unknown_users = math.min(c.unknown_users, c.ended)\n"
	"	return c\n"
	"end\n"
	"local was = 0\n"
	"for i = 1, 100000 do\n"
	"	local h, d, e = figures(), figures(), math.random(15, 1000)\n"
	"	local f = math.random(2) == 1\n"
	"	local step, why, limit = ladder(was, h, d, e, f, false, t)\n"
	"	if step < 0 or step > 5 or (was >= 4 and step < was) then return 'range' end\n"
	"	if step > 0 and why and (why == '' or limit == '') then return 'no figures' end\n"
	"	if was < 4 and f and h.viruses < t.viruses and step > 1 then return 'forgiven' end\n"
	"	if was < 4 and h.strangers < 50 and h.ended < 50 and d.ended < 50 and h.viruses < 3\n"
	"		and h.spam < 10 and step ~= 0 then return 'too few' end\n"
	"	if not f and h.strangers >= 50 and h.strangers >= 10 * e and step < 4 then\n"
	"		return 'not held'\n"
	"	end\n"
	"	local more = {}\n"
	"	for k, v in pairs(h) do more[k] = v end\n"
	"	more.strangers = more.strangers + math.random(0, 100)\n"
	"	more.spam = more.spam + math.random(0, 9)\n"
	"	local higher = ladder(was, more, d, e, f, false, t)\n"
	"	if higher < step then return 'worse figures, lower step' end\n"
	"	was = math.random(20) == 1 and 0 or step\n"
	"end\n"
	"return 'good'\n";

static void
a_million_steps_of_the_ladder_keep_its_rules(void **state)
{
	struct answer answer;
	char seed[16];

	(void)state;
	for (int i = 0; i < 10; i++) {
		snprintf(seed, sizeof seed, "%d", i);
		ASK(&answer, "EVAL", steps, "0", thresholds, seed);
		assert_string_equal(answer.text, "good");
	}
}

static void
without_redis_it_gathers_and_tells_later(void **state)
{
	(void)state;
	redis_server_kill(&server);
	WAIT_FOR(!redis_up(redis));
	add(scores, "acme", SCORE_VIRUSES, 4);
	assert_int_equal(look("acme").err, -ENOTCONN);
	assert_int_equal(redis_server_start(&server), 0);
	WAIT_FOR(redis_up(redis));
	WAIT_FOR(look("acme").counts[WEEK][SCORE_VIRUSES] == 4);
}

static void
the_end_tells_what_is_left(void **state)
{
	(void)state;
	add(scores, "acme", SCORE_VIRUSES, 9);
	scores_free(&scores);
	assert_int_equal(look("acme").counts[WEEK][SCORE_VIRUSES], 9);
}

static int
setup(void **state)
{
	struct answer answer;

	(void)state;
	if (!server.pid && redis_server_start(&server) < 0)
		return -1;
	loop = loop_new("test");
	open_at(server.unix_address, REDIS_SERVER_PASSWORD);
	config.score.enabled = true;
	config.score.minimum = 50;
	config.score.unknown_hold = config.score.unknown_notify = 100;
	config.score.complaints_hold = config.score.complaints_notify = 1000;
	config.score.viruses = 1000000;
	config.score.spam = 1000000;
	config.score.throttle = 3;
	config.score.hold = 10;
	config.score.floor.account = config.score.floor.credential = 1000000;
	config.score.floor.originator = 1000000;
	scores = scores_new(loop, redis, &config, NULL, NULL);
	other = scores_new(loop, redis, &config, NULL, NULL);
	WAIT_FOR(redis_up(redis));
	ASK(&answer, "FLUSHALL");
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	scores_free(&scores);
	scores_free(&other);
	redis_free(&redis);
	loop_free(&loop);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		TEST(several_who_count_are_added_up_in_every_window),
		TEST(a_burst_to_strangers_is_slowed_then_held),
		TEST(a_throttle_ends_by_itself),
		TEST(known_recipients_are_no_burst),
		TEST(a_baseline_is_learnt_by_the_hour_of_the_week),
		TEST(a_false_alarm_teaches_and_forgiving_does_not),
		TEST(unknown_users_are_held_by_their_share),
		TEST(viruses_hold_even_who_is_forgiven),
		TEST(a_million_steps_of_the_ladder_keep_its_rules),
		TEST(without_redis_it_gathers_and_tells_later),
		TEST(the_end_tells_what_is_left),
	};
	int failed;

	log_set_level(LOG_LEVEL_ERROR);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	redis_server_remove(&server);
	return failed;
}
