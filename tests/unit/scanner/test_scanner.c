/*
 * test_scanner.c - the scanner role between a real queue, a real clamd and a real Redis.
 */
#include "tests/unit/events_read.h"
#include "tests/unit/queue_rig.h"

#include "tests/unit/clamd_server.h"
#include "tests/unit/fake_clamd.h"
#include "tests/unit/redis_server.h"

#include "shared/metrics/metrics.h"
#include "shared/queue/event.h"
#include "shared/redis/redis.h"
#include "shared/work/role.h"

#define ACCOUNT                                                                                    \
	"{\"id\":\"acme\",\"name\":\"Acme\",\"contact\":\"boss@customer.example\","                \
	"\"status\":\"active\",\"policy\":\"resent\",\"domains\":[\"customer.example\"]}"

static struct clamd_server clamd, other;
static struct redis_server redis_server;
static char *hosts[2];

/* A command, as a shell reads it. */
static void
redis_do(const char *words)
{
	char command[1024];

	snprintf(command, sizeof command, "redis-cli -s %s -a %s --no-auth-warning %s >/dev/null",
		redis_server.unix_address + 5, REDIS_SERVER_PASSWORD, words);
	assert_int_equal(system(command), 0);
}

static void
start(void)
{
	assert_int_equal(scanner_role.start(&rig.config, rig.queue), 0);
}

/* What was given back comes again after the next start of the queue. */
static void
restart(void)
{
	for (size_t i = 0; i < rig.count; i++)
		abandon(rig.records[i]);
	rig_close_queue();
	rig_open_queue();
	consume(TOPIC_READY, RECORDS_MAX);
	start();
}

static int
set_up(void **state)
{
	if (rig_setup(state) < 0)
		return -1;
	hosts[0] = clamd.address;
	rig.config.hostname = (char *)"relay.example";
	rig.config.redis.address = redis_server.unix_address;
	rig.config.redis.password = (char *)REDIS_SERVER_PASSWORD;
	rig.config.ingress.message_size_limit = 1 << 20;
	rig.config.sender.held_lifetime = 86400000;
	rig.config.scanner.enabled = true;
	rig.config.scanner.clamd = hosts;
	rig.config.scanner.clamd_count = 1;
	rig.config.scanner.connections = 4;
	rig.config.scanner.timeout = 1000;
	rig.config.scanner.signature_age = 172800000;
	consume(TOPIC_READY, RECORDS_MAX);
	redis_do("DEL notices:{held}:due notices:{held}:count:boss@customer.example "
		 "notices:{held}:list:boss@customer.example");
	return clamd.pid ? 0 : clamd_server_start(&clamd);
}

static int
tear_down(void **state)
{
	scanner_role.stop();
	for (size_t i = 0; i < rig.count; i++)
		abandon(rig.records[i]);
	return rig_teardown(state);
}

static void
post_body(struct letter *letter, const void *body, size_t size)
{
	letter_init(letter);
	letter->envelope.account = (char *)"acme";
	letter->envelope.size = size;
	assert_int_equal(put(TOPIC_INBOUND, &letter->envelope, body, size), 0);
}

static void
post_clean(struct letter *letter)
{
	static const char clean[] = "Subject: hello\r\n\r\nnothing here\r\n";

	post_body(letter, clean, sizeof clean - 1);
}

static void
post_virus(struct letter *letter, const char *mail_from)
{
	size_t size;
	char *mail = sample_mail(&size);

	letter_init(letter);
	letter->envelope.account = (char *)"acme";
	letter->envelope.mail_from = (char *)(uintptr_t)mail_from;
	letter->envelope.size = size;
	assert_int_equal(put(TOPIC_INBOUND, &letter->envelope, mail, size), 0);
	free(mail);
}

/* The message of that letter in mail.ready, or NULL. */
static const Envelope *
arrived(const struct letter *letter)
{
	for (size_t i = 0; i < rig.count; i++)
		if (is_letter(rig.records[i], letter))
			return record_envelope(rig.records[i]);
	return NULL;
}

static size_t
notices_to(const char *address)
{
	size_t count = 0;

	for (size_t i = 0; i < rig.count; i++) {
		const Envelope *envelope = record_envelope(rig.records[i]);

		count += envelope->kind == ENVELOPE__KIND__NOTICE && !*envelope->mail_from &&
			strcmp(envelope->recipients[0]->address, address) == 0;
	}
	return count;
}

static bool
find_held(void *arg, const char *json, size_t length)
{
	char **found = arg;

	if (memmem(json, length, "\"event\":\"held\"", 14)) {
		free(*found);
		*found = xstrndup(json, length);
	}
	return true;
}

static void
a_clean_message_goes_on(void **state)
{
	(void)state;
	start();
	post_clean(&letters[0]);
	AWAIT(arrived(&letters[0]));
	assert_int_equal(arrived(&letters[0])->verdict, ENVELOPE__VERDICT__CLEAN);
	assert_string_equal(arrived(&letters[0])->mail_from, "anna@customer.example");
	AWAIT_STATS(now.records[TOPIC_INBOUND] == 0);
}

static void
missing_fields_go_before_what_is_there(void **state)
{
	static const char body[] = "Subject: bare\r\n\r\nx\r\n";
	static char prefix[] = "X-Was: there\r\n";
	const Envelope *envelope;
	char *text;

	(void)state;
	start();
	letter_init(&letters[0]);
	letters[0].envelope.size = sizeof body - 1;
	letters[0].envelope.missing = MISSING_DATE | MISSING_FROM;
	letters[0].envelope.prefix.data = (uint8_t *)prefix;
	letters[0].envelope.prefix.len = sizeof prefix - 1;
	assert_int_equal(put(TOPIC_INBOUND, &letters[0].envelope, body, sizeof body - 1), 0);
	AWAIT(arrived(&letters[0]));
	envelope = arrived(&letters[0]);
	text = xstrndup((const char *)envelope->prefix.data, envelope->prefix.len);
	assert_non_null(strstr(text, "Date: "));
	assert_non_null(strstr(text, "\r\nFrom: <anna@customer.example>\r\nX-Was: there\r\n"));
	assert_null(strstr(text, "Message-ID"));
	free(text);
}

static void
a_virus_is_held_and_those_concerned_are_told(void **state)
{
	char *event = NULL;

	(void)state;
	start();
	post_virus(&letters[0], "anna@customer.example");
	AWAIT(arrived(&letters[0]));
	assert_int_equal(arrived(&letters[0])->verdict, ENVELOPE__VERDICT__INFECTED);
	assert_non_null(strstr(arrived(&letters[0])->signature, "Eicar-Test"));
	AWAIT(rig.count == 3);
	assert_int_equal(notices_to("boss@customer.example"), 1);
	assert_int_equal(notices_to("anna@customer.example"), 1);
	events_read(rig.queue, 0, find_held, &event);
	assert_non_null(event);
	assert_non_null(strstr(event, "\"verdict\":\"infected\""));
	assert_non_null(strstr(event, "Eicar-Test"));
	assert_non_null(strstr(event, "\"account\":\"acme\""));
	free(event);
}

static void
only_the_contact_is_told_of_a_null_or_foreign_sender(void **state)
{
	(void)state;
	start();
	post_virus(&letters[0], "");
	post_virus(&letters[1], "someone@elsewhere.example");
	AWAIT(arrived(&letters[0]) && arrived(&letters[1]));
	AWAIT(rig.count == 4);
	assert_int_equal(notices_to("boss@customer.example"), 2);
}

static void
who_is_the_contact_is_told_once_however_the_address_is_written(void **state)
{
	(void)state;
	start();
	post_virus(&letters[0], "Boss@Customer.example");
	post_virus(&letters[1], "\"boss\"@customer.example");
	AWAIT(arrived(&letters[0]) && arrived(&letters[1]));
	AWAIT(rig.count == 4);
	assert_int_equal(notices_to("boss@customer.example"), 2);
	assert_int_equal(notices_to("\"boss\"@customer.example"), 0);
}

/* How many of the letters the latest notice names. */
static unsigned
named_in_the_latest(const struct letter *of, unsigned count)
{
	struct reading reading = { .length = 4096, .data = xcalloc(1, 1 << 20) };
	char id[ID_TEXT_SIZE];
	unsigned named = 0;

	for (size_t i = 0; i < rig.count; i++)
		if (record_envelope(rig.records[i])->kind == ENVELOPE__KIND__NOTICE)
			reading.envelope = record_envelope(rig.records[i]);
	run_on(rig.loop, read_run, &reading);
	AWAIT(reading.done);
	for (unsigned i = 0; i < count; i++) {
		id_format(of[i].envelope.id.data, id);
		named += strstr((char *)reading.data, id) != NULL;
	}
	free(reading.data);
	return named;
}

/* Five an hour; the others together, whatever happens to the process meanwhile. */
static void
many_viruses_are_told_of_together(void **state)
{
	static struct letter many[12];

	(void)state;
	start();
	for (int i = 0; i < 12; i++) {
		post_virus(&many[i], "anna@customer.example");
		AWAIT(arrived(&many[i]));
	}
	AWAIT_STATS(now.records[TOPIC_INBOUND] == 0);
	assert_int_equal(notices_to("boss@customer.example"), 5);
	assert_int_equal(notices_to("anna@customer.example"), 5);
	scanner_role.stop();
	restart();
	redis_do("ZADD notices:{held}:due 0 boss@customer.example");
	AWAIT(notices_to("boss@customer.example") == 6);
	assert_int_equal(named_in_the_latest(many, 5), 0);
	assert_int_equal(named_in_the_latest(many + 5, 7), 7);
	assert_int_equal(notices_to("anna@customer.example"), 5);
}

#define GATHERED 1300

/* How many of the gathered entries a notice names; each must be named once in all. */
static unsigned
named_once(const Envelope *notice, bool named[GATHERED])
{
	struct reading reading = {
		.length = 4096, .data = xcalloc(1, 1 << 20), .envelope = notice
	};
	unsigned count = 0;

	run_on(rig.loop, read_run, &reading);
	AWAIT(reading.done);
	for (const char *at = (char *)reading.data; (at = strstr(at, "Id: ")); count++) {
		const int number = atoi(at + 4);

		assert_in_range(number, 1, GATHERED);
		assert_false(named[number - 1]);
		named[number - 1] = true;
		at++;
	}
	free(reading.data);
	return count;
}

/* Their texts are 2.6 MB. */
static void
what_is_gathered_takes_as_many_mails_as_it_needs(void **state)
{
	static bool named[GATHERED];
	unsigned count = 0;

	(void)state;
	redis_do("EVAL \"for i = 1, 1300 do local key = string.format('%026d', i) "
		 "redis.call('HSET', 'notices:{held}:list:boss@customer.example', key, "
		 "'Id: ' .. key .. '\\\\r\\\\n' .. ('x'):rep(2000) .. '\\\\r\\\\n') end\" 0");
	redis_do("ZADD notices:{held}:due 0 boss@customer.example");
	start();
	for (size_t seen = 0; count < GATHERED; seen++) {
		AWAIT(rig.count > seen);
		assert_in_range(record_envelope(rig.records[seen])->size, 1, QUEUE_INLINE_MAX);
		count += named_once(record_envelope(rig.records[seen]), named);
	}
	assert_int_equal(count, GATHERED);
}

static void
a_virus_is_held_also_while_redis_is_away(void **state)
{
	(void)state;
	rig.config.redis.address = (char *)"unix:/nonexistent/redis";
	start();
	post_virus(&letters[0], "anna@customer.example");
	AWAIT(arrived(&letters[0]));
	assert_int_equal(arrived(&letters[0])->verdict, ENVELOPE__VERDICT__INFECTED);
	assert_int_equal(rig.count, 1);
}

static void
what_is_nested_too_deep_is_held_as_unscannable(void **state)
{
	size_t size;
	char *zip = sample_zip(40, &size);

	(void)state;
	start();
	post_body(&letters[0], zip, size);
	free(zip);
	AWAIT(arrived(&letters[0]));
	assert_int_equal(arrived(&letters[0])->verdict, ENVELOPE__VERDICT__UNSCANNABLE);
	assert_non_null(strstr(arrived(&letters[0])->signature, "MaxRecursion"));
}

static size_t
arrived_of(size_t count)
{
	size_t found = 0;

	for (size_t i = 0; i < count; i++)
		found += arrived(&letters[i]) != NULL;
	return found;
}

static void
mail_waits_for_a_clamd_that_was_killed(void **state)
{
	(void)state;
	start();
	for (size_t i = 0; i < 60; i++) {
		post_clean(&letters[i]);
		if (i == 20)
			child_kill(&clamd.pid);
		if (i == 40)
			assert_int_equal(clamd_server_start(&clamd), 0);
	}
	AWAIT(arrived_of(60) == 60);
	assert_int_equal(rig.count, 60);
	for (size_t i = 0; i < 60; i++)
		assert_int_equal(arrived(&letters[i])->verdict, ENVELOPE__VERDICT__CLEAN);
}

static void
mail_waits_for_a_clamd_that_hangs(void **state)
{
	(void)state;
	start();
	post_clean(&letters[0]);
	AWAIT(arrived(&letters[0]));
	kill(clamd.pid, SIGSTOP);
	for (size_t i = 1; i < 40; i++)
		post_clean(&letters[i]);
	for (struct metric *failures = metric_find("shout_scanner_failures_total", NULL);
		metric_value(failures) == 0;)
		usleep(10000);
	assert_int_equal(arrived_of(40), 1);
	kill(clamd.pid, SIGCONT);
	AWAIT(arrived_of(40) == 40);
	assert_int_equal(rig.count, 40);
}

static void
one_clamd_of_two_is_enough(void **state)
{
	(void)state;
	hosts[0] = other.address; /* never started */
	hosts[1] = clamd.address;
	rig.config.scanner.clamd_count = 2;
	start();
	for (size_t i = 0; i < 20; i++)
		post_clean(&letters[i]);
	AWAIT(arrived_of(20) == 20);
}

static void
a_clamd_that_does_not_alert_at_its_limits_gets_no_mail(void **state)
{
	char name[160];
	struct metric *refused;

	(void)state;
	child_kill(&other.pid);
	assert_int_equal(clamd_server_start(&other), 0);
	hosts[0] = other.address;
	snprintf(name, sizeof name, "host=\"%s\"", other.address);
	start();
	post_clean(&letters[0]);
	refused = metric_find("shout_scanner_clamd_refused", name);
	while (metric_value(refused) == 0)
		usleep(10000);
	assert_null(arrived(&letters[0]));
	scanner_role.stop();
	hosts[0] = clamd.address;
	restart();
	AWAIT(arrived(&letters[0]));
	child_kill(&other.pid);
}

static void
what_a_stopped_scanner_had_in_hand_comes_again(void **state)
{
	(void)state;
	child_kill(&clamd.pid);
	start();
	for (size_t i = 0; i < 20; i++)
		post_clean(&letters[i]);
	scanner_role.drain();
	scanner_role.stop();
	assert_int_equal(rig.count, 0);
	assert_int_equal(clamd_server_start(&clamd), 0);
	restart();
	AWAIT(arrived_of(20) == 20);
	assert_int_equal(rig.count, 20);
}

static struct fake fake;

static void
start_with_fake(void)
{
	fake_loop = loop_new("fake");
	snprintf(fake_directory, sizeof fake_directory, "%s", rig.dir);
	fake_init(&fake);
	fake_listen(&fake);
	loop_start(fake_loop);
	hosts[0] = fake.host;
	start();
}

static void
end_with_fake(void)
{
	scanner_role.stop();
	loop_stop(fake_loop);
	loop_join(fake_loop);
	fake_end(&fake);
	loop_free(&fake_loop);
}

static void
assert_held(const char *why)
{
	char *event = NULL;

	assert_int_equal(notices_to("boss@customer.example"), 1);
	events_read(rig.queue, 0, find_held, &event);
	assert_non_null(event);
	assert_non_null(strstr(event, why));
	free(event);
}

/* One of 30 fails whenever it is scanned; what was in flight with it is clean. */
static void
hold_one_of_30(const char poison[5])
{
	start_with_fake();
	for (size_t i = 0; i < 30; i++)
		post_body(&letters[i], i == 10 ? poison : "clean", 5);
	AWAIT(arrived_of(30) == 30);
	for (size_t i = 0; i < 30; i++)
		assert_int_equal(arrived(&letters[i])->verdict,
			i == 10 ? ENVELOPE__VERDICT__UNSCANNABLE : ENVELOPE__VERDICT__CLEAN);
	assert_held("for the third time");
	end_with_fake();
}

static void
a_message_that_breaks_clamd_three_times_is_held_and_others_go_on(void **state)
{
	(void)state;
	hold_one_of_30("close");
}

static void
a_message_that_takes_too_long_three_times_is_held_and_others_go_on(void **state)
{
	(void)state;
	hold_one_of_30("hang.");
}

/* The first has waited longer than the limit, the second has not. */
static void
a_message_that_clamd_only_has_errors_for_is_held_in_the_end(void **state)
{
	(void)state;
	rig.config.scanner.error_limit = 3 * 86400000;
	start_with_fake();
	for (size_t i = 0; i < 2; i++) {
		letter_init(&letters[i]);
		letters[i].envelope.account = (char *)"acme";
		letters[i].envelope.size = 5;
		letters[i].envelope.accepted_us -= i ? 0 : UINT64_C(3) * 86400 * 1000000;
		assert_int_equal(put(TOPIC_INBOUND, &letters[i].envelope, "error", 5), 0);
	}
	AWAIT(arrived(&letters[0]) && rig.count == 3);
	assert_int_equal(arrived(&letters[0])->verdict, ENVELOPE__VERDICT__UNSCANNABLE);
	assert_held("clamd answers: Can't allocate memory");
	assert_null(arrived(&letters[1]));
	end_with_fake();
}

static void
hang_up(struct task *task)
{
	(void)task;
	fake.blind = true; /* so that the scans are not begun anew */
	fake_hang_up(&fake);
}

/* More than a window that was read in order could hold. */
static void
mail_behind_600_slow_messages_of_another_account_goes_on(void **state)
{
	struct letter slow;
	struct task task = { .run = hang_up };

	(void)state;
	rig.config.scanner.timeout = 60000;
	start_with_fake();
	for (size_t i = 0; i < 600; i++)
		post_body(&slow, "hang.", 5);
	for (size_t i = 0; i < 20; i++) {
		letter_init(&letters[i]);
		letters[i].envelope.account = (char *)"other";
		letters[i].envelope.size = 5;
		assert_int_equal(put(TOPIC_INBOUND, &letters[i].envelope, "clean", 5), 0);
	}
	AWAIT(arrived_of(20) == 20);
	assert_int_equal(rig.count, 20);
	loop_post(fake_loop, &task);
	end_with_fake();
}

static void
a_disabled_scanner_passes_mail_on_unscanned(void **state)
{
	(void)state;
	rig.config.scanner.enabled = false;
	start();
	post_virus(&letters[0], "anna@customer.example");
	AWAIT(arrived(&letters[0]));
	assert_int_equal(arrived(&letters[0])->verdict, ENVELOPE__VERDICT__NONE);
}

static int
begin(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	log_set_level(getenv("VERBOSE") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR + 1);
	if (clamd_server_init(&clamd, "AlertExceedsMax yes") < 0 ||
		clamd_server_init(&other, "AlertExceedsMax no") < 0 ||
		redis_server_start(&redis_server) < 0)
		return -1;
	redis_do("SET account:{acme} '" ACCOUNT "'");
	redis_do("SET config:applied 1");
	return 0;
}

static int
end(void **state)
{
	(void)state;
	clamd_server_remove(&clamd);
	clamd_server_remove(&other);
	redis_server_remove(&redis_server);
	return 0;
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_clean_message_goes_on),
		TEST(missing_fields_go_before_what_is_there),
		TEST(a_virus_is_held_and_those_concerned_are_told),
		TEST(only_the_contact_is_told_of_a_null_or_foreign_sender),
		TEST(who_is_the_contact_is_told_once_however_the_address_is_written),
		TEST(many_viruses_are_told_of_together),
		TEST(what_is_gathered_takes_as_many_mails_as_it_needs),
		TEST(a_virus_is_held_also_while_redis_is_away),
		TEST(what_is_nested_too_deep_is_held_as_unscannable),
		TEST(mail_waits_for_a_clamd_that_was_killed),
		TEST(mail_waits_for_a_clamd_that_hangs),
		TEST(one_clamd_of_two_is_enough),
		TEST(a_clamd_that_does_not_alert_at_its_limits_gets_no_mail),
		TEST(what_a_stopped_scanner_had_in_hand_comes_again),
		TEST(a_message_that_breaks_clamd_three_times_is_held_and_others_go_on),
		TEST(a_message_that_takes_too_long_three_times_is_held_and_others_go_on),
		TEST(a_message_that_clamd_only_has_errors_for_is_held_in_the_end),
		TEST(mail_behind_600_slow_messages_of_another_account_goes_on),
		TEST(a_disabled_scanner_passes_mail_on_unscanned),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
