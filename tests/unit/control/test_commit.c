/*
 * test_commit.c - a change of relay.config and its event, whatever ends when.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/config/commit.h"
#include "control/config/directory.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "tests/unit/queue_fake.h"

/* What is durable. The queue does one thing at a time, when it is told to. */
static struct {
	json_t *entries, *events, *mails;
} store;

static void
make_durable(const struct fake_call *call)
{
	if (call->kind == OP_EVENT) {
		assert_int_equal(fake.class, EVENT_AUDIT);
		json_array_append_new(store.events, json_loads(call->text, 0, NULL));
	} else if (!strchr(call->key, '/') && strchr(call->key, '-')) {
		json_object_set_new(store.mails, call->key, json_loads(call->text, 0, NULL));
	} else if (*call->text)
		json_object_set_new(store.entries, call->key, json_loads(call->text, 0, NULL));
	else
		json_object_del(store.entries, call->key);
}

static void
answer_all(int err)
{
	while (queue_fake_answer(err))
		;
}

/* A control */

static struct loop *loop;
static struct directory *directory;
static struct commits *commits;
static unsigned closed;

/* A mail's record waits in the fake queue as an event does: under a key of its own. */
static bool mailing, leading = true;

static bool
send_mail(void *arg, const struct commit_told *told, queue_cb cb, void *cb_arg)
{
	(void)arg;
	if (told->lost)
		json_object_set_new(told->event, "unsent", json_pack("[s]", "password"));
	if (mailing)
		queue_config_put(&fake.queue, told->id,
			told->secrets ? "{\"secret\":1}" : "{\"secret\":0}", cb, cb_arg);
	return mailing;
}

static bool
leads(void *arg)
{
	(void)arg;
	return leading;
}

static void
start(bool alone)
{
	const char *key;
	json_t *value;

	loop = loop_new("test");
	directory = directory_new();
	json_object_foreach(store.entries, key, value)
		directory_set(directory, key, json_deep_copy(value));
	commits = commits_new(loop, &fake.queue, directory, NULL, alone);
	commits_hook(commits, &(struct commit_hooks){ .mail = send_mail, .leads = leads });
	commits_start(commits);
}

static void
stop(void)
{
	commits_free(&commits);
	directory_free(&directory);
	loop_free(&loop);
}

/* What is under way is not done, and nobody hears of it. */
static void
die_here(void)
{
	json_t *entries = json_deep_copy(store.entries), *events = json_deep_copy(store.events);
	json_t *mails = json_deep_copy(store.mails);

	answer_all(-ECANCELED);
	stop();
	json_decref(store.entries);
	json_decref(store.events);
	json_decref(store.mails);
	store.entries = entries;
	store.events = events;
	store.mails = mails;
}

static int
setup(void **state)
{
	(void)state;
	queue_fake_reset();
	fake.late[OP_EVENT] = fake.late[OP_CONFIG] = true;
	fake.on_done = make_durable;
	store.entries = json_pack("{s:{s:i,s:s,s:s}, s:{s:i,s:s,s:s}, s:{s:i,s:s}}", "account/a",
		"version", 1, "id", "a", "name", "old", "user/u", "version", 1, "account", "z",
		"verifier", "hidden", "account/z", "version", 1, "id", "z");
	store.events = json_array();
	store.mails = json_object();
	mailing = false;
	leading = true;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	json_decref(store.entries);
	json_decref(store.events);
	json_decref(store.mails);
	return 0;
}

static int answered, answered_err;

static void
on_done(void *arg, int err, int applied_err)
{
	(void)arg, (void)applied_err;
	answered++;
	answered_err = err;
}

/* One changed, one new, two removed. */
static json_t *
entries(void)
{
	return json_pack("{s:n, s:{s:i,s:s,s:s}, s:n, s:{s:i,s:s}}", "account/z", "account/a",
		"version", 2, "id", "a", "name", "new", "user/u", "account/n", "version", 2, "id",
		"n");
}

static void
begin(json_t *changed)
{
	const struct change change = {
		.what = "test", .author = { .by = "me" }, .entries = changed
	};

	answered = 0;
	commit_begin(commits, &change, on_done, NULL);
}

static bool
is_told(const char *object)
{
	json_t *event, *change;
	size_t e, c;

	json_array_foreach(store.events, e, event) json_array_foreach(
		json_object_get(event, "changes"), c,
		change) if (strcmp(object, json_string_value(json_object_get(change, "object"))) ==
		0) return true;
	return false;
}

static bool
is_changed(const char *key, const json_t *before)
{
	const json_t *now = json_object_get(store.entries, key);

	return before ? !now || !json_equal(now, before) : now != NULL;
}

static size_t
notes(void)
{
	size_t count = 0;
	const char *key;
	json_t *value;

	json_object_foreach(store.entries, key, value) count += strncmp(key, "audit/", 6) == 0;
	return count;
}

static const json_t *
changes_told(void)
{
	return json_object_get(json_array_get(store.events, 0), "changes");
}

static void
a_change_is_noted_made_told_and_answered_in_this_order(void **state)
{
	const json_t *event;

	(void)state;
	start(true);
	begin(entries());
	assert_string_equal(
		json_string_value(json_object_get(directory_entry(directory, "account/a"), "name")),
		"new"); /* claimed */
	assert_int_equal(fake.waiting_count, 1);
	queue_fake_answer(0);
	assert_int_equal(notes(), 1);
	assert_int_equal(fake.calls[OP_CONFIG] + fake.calls[OP_EVENT], 4);
	answer_all(0);
	assert_int_equal(answered, 1);
	assert_int_equal(answered_err, 0);
	assert_int_equal(json_array_size(store.events), 1);
	event = json_array_get(store.events, 0);
	assert_string_equal(json_string_value(json_object_get(event, "what")), "test");
	assert_string_equal(json_string_value(json_object_get(event, "by")), "me");
	assert_int_equal(json_array_size(changes_told()), 4);
	assert_null(json_object_get(store.entries, "account/z"));
	stop();
}

static void
an_account_goes_after_its_users(void **state)
{
	(void)state;
	start(true);
	begin(entries());
	for (int i = 0; i < 4; i++)
		queue_fake_answer(0);
	assert_null(json_object_get(store.entries, "user/u"));
	assert_non_null(json_object_get(store.entries, "account/z"));
	answer_all(0);
	assert_null(json_object_get(store.entries, "account/z"));
	stop();
}

/* `done`: the operation that was under way is durable, but nobody heard. */
static void
cut(size_t at, bool done)
{
	json_t *before = json_deep_copy(store.entries);
	static const char *const keys[] = { "account/a", "account/z", "account/n", "user/u" };

	start(true);
	begin(entries());
	for (size_t i = 0; i < at; i++)
		queue_fake_answer(0);
	if (done && fake.waiting_count)
		make_durable(&fake.waiting[0]);
	die_here();
	start(true);
	answer_all(0);
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		assert_int_equal(
			is_told(keys[i]), is_changed(keys[i], json_object_get(before, keys[i])));
	json_decref(before);
	stop();
}

static void
what_was_changed_is_told_wherever_the_process_ended(void **state)
{
	for (size_t at = 0; at < 8; at++) {
		for (int done = 0; done < 2; done++) {
			cut(at, done);
			teardown(state);
			setup(state);
		}
	}
}

static void
a_note_of_nothing_goes(void **state)
{
	(void)state;
	start(true);
	begin(entries());
	queue_fake_answer(0);
	die_here();
	assert_int_equal(notes(), 1);
	start(true);
	answer_all(0);
	assert_int_equal(notes(), 0);
	assert_int_equal(json_array_size(store.events), 0);
	stop();
}

static void
what_another_process_has_in_hand_is_left_to_it(void **state)
{
	(void)state;
	start(false);
	begin(entries());
	for (int i = 0; i < 5; i++)
		queue_fake_answer(0);
	die_here();
	start(false);
	answer_all(0);
	assert_int_equal(notes(), 1);
	assert_int_equal(json_array_size(store.events), 0);
	stop();
}

static void
what_the_queue_does_not_take_is_as_before(void **state)
{
	json_t *before = json_deep_copy(store.entries);

	(void)state;
	for (int at = 0; at < 2; at++) {
		start(true);
		begin(entries());
		for (int i = 0; i < at; i++)
			queue_fake_answer(0);
		answer_all(-ENOSPC);
		assert_int_equal(answered, 1);
		assert_int_equal(answered_err, -ENOSPC);
		assert_true(json_equal(directory_entry(directory, "account/a"),
			json_object_get(before, "account/a")));
		assert_non_null(directory_entry(directory, "user/u"));
		assert_null(directory_entry(directory, "account/n"));
		assert_int_equal(json_array_size(store.events), 0);
		stop();
	}
	json_decref(before);
}

static void
a_later_change_stays_when_an_earlier_one_fails(void **state)
{
	(void)state;
	start(true);
	begin(json_pack("{s:{s:i,s:s,s:s}}", "account/a", "version", 2, "id", "a", "name", "2"));
	begin(json_pack("{s:{s:i,s:s,s:s}}", "account/a", "version", 3, "id", "a", "name", "3"));
	queue_fake_answer(-ENOSPC);
	answer_all(0);
	assert_int_equal(directory_version(directory_entry(directory, "account/a")), 3);
	assert_int_equal(directory_version(json_object_get(store.entries, "account/a")), 3);
	assert_int_equal(json_array_size(store.events), 1);
	stop();
}

static void
on_closed(void *arg)
{
	(void)arg;
	closed++;
}

static void
who_closes_waits_for_what_is_under_way(void **state)
{
	(void)state;
	start(true);
	begin(entries());
	closed = 0;
	commits_close(commits, on_closed, NULL);
	assert_int_equal(closed, 0);
	answer_all(0);
	assert_int_equal(closed, 1);
	assert_int_equal(answered, 1);
	assert_int_equal(notes(), 0);
	stop();
}

static void
no_secret_is_noted_or_told(void **state)
{
	char *everything;

	(void)state;
	start(true);
	begin(entries());
	answer_all(0);
	everything = json_dumps(store.entries, 0);
	assert_null(strstr(everything, "hidden"));
	free(everything);
	everything = json_dumps(store.events, 0);
	assert_null(strstr(everything, "hidden"));
	assert_non_null(strstr(everything, "(secret)"));
	free(everything);
	stop();
}

static void
only_what_differs_is_told(void **state)
{
	const json_t *change;
	char *text;

	(void)state;
	json_object_set_new(store.entries, "account/a",
		json_pack("{s:i,s:s,s:s,s:[{s:s},{s:s}]}", "version", 1, "id", "a", "name", "n",
			"domains", "name", "x", "name", "y"));
	start(true);
	begin(json_pack("{s:{s:i,s:s,s:s,s:[{s:s},{s:s}]}}", "account/a", "version", 2, "id", "a",
		"name", "n", "domains", "name", "y", "name", "z"));
	answer_all(0);
	change = json_array_get(changes_told(), 0);
	text = json_dumps(change, JSON_COMPACT);
	assert_string_equal(text,
		"{\"object\":\"account/a\",\"before\":{\"domains\":[{\"name\":\"x\"}]},"
		"\"after\":{\"domains\":[{\"name\":\"z\"}]}}");
	free(text);
	assert_string_equal(
		json_string_value(json_object_get(json_array_get(store.events, 0), "account")),
		"a");
	stop();
}

/* A change with a secret, cut after `at` answers of the queue. */
static void
cut_mails(size_t at, bool done)
{
	struct change change = { .what = "test",
		.author = { .by = "me" },
		.entries = json_pack(
			"{s:{s:i,s:s,s:s}}", "account/a", "version", 2, "id", "a", "name", "new"),
		.secrets = json_pack("{s:s}", "password", "only here") };
	bool changed, lost;

	mailing = true;
	start(true);
	commit_begin(commits, &change, NULL, NULL);
	for (size_t i = 0; i < at; i++)
		queue_fake_answer(0);
	if (done && fake.waiting_count)
		make_durable(&fake.waiting[0]);
	die_here();
	changed = directory_version(json_object_get(store.entries, "account/a")) == 2;
	lost = changed && json_object_size(store.mails) == 0;
	start(true);
	answer_all(0);
	assert_int_equal(json_object_size(store.mails), changed); /* one id, however often */
	if (lost)
		assert_non_null(json_object_get(
			json_array_get(store.events, json_array_size(store.events) - 1), "unsent"));
	assert_int_equal(is_told("account/a"), changed);
	stop();
}

static void
a_change_has_its_mails_wherever_the_process_ended(void **state)
{
	for (size_t at = 0; at < 7; at++) {
		for (int done = 0; done < 2; done++) {
			cut_mails(at, done);
			teardown(state);
			setup(state);
		}
	}
}

static void
mails_that_went_are_not_sent_again(void **state)
{
	(void)state;
	mailing = true;
	start(true);
	begin(json_pack("{s:{s:i,s:s}}", "account/n", "version", 2, "id", "n"));
	answer_all(0);
	assert_int_equal(answered, 1);
	assert_int_equal(json_object_size(store.mails), 1);
	assert_int_equal(notes(), 1);
	json_object_clear(store.mails);
	die_here();
	start(true);
	answer_all(0);
	assert_int_equal(json_object_size(store.mails), 0);
	stop();
}

static void
a_mail_that_the_queue_refuses_is_tried_again(void **state)
{
	(void)state;
	mailing = true;
	start(true);
	begin(json_pack("{s:{s:i,s:s}}", "account/n", "version", 2, "id", "n"));
	queue_fake_answer(0);
	queue_fake_answer(0);
	queue_fake_answer(-ENOSPC); /* the mail */
	answer_all(0);
	assert_int_equal(answered_err, 0); /* the change counts */
	assert_int_equal(json_object_size(store.mails), 0);
	die_here();
	start(true);
	answer_all(0);
	assert_int_equal(json_object_size(store.mails), 1);
	stop();
}

static void
who_does_not_lead_tells_nothing_of_others(void **state)
{
	(void)state;
	mailing = true;
	start(true);
	begin(json_pack("{s:{s:i,s:s}}", "account/n", "version", 2, "id", "n"));
	queue_fake_answer(0);
	queue_fake_answer(0);
	die_here();
	leading = false;
	start(true);
	answer_all(0);
	assert_int_equal(json_object_size(store.mails), 0);
	assert_int_equal(json_array_size(store.events), 0);
	assert_int_equal(notes(), 1);
	stop();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_change_is_noted_made_told_and_answered_in_this_order),
		TEST(an_account_goes_after_its_users),
		TEST(what_was_changed_is_told_wherever_the_process_ended),
		TEST(a_note_of_nothing_goes),
		TEST(what_another_process_has_in_hand_is_left_to_it),
		TEST(what_the_queue_does_not_take_is_as_before),
		TEST(a_later_change_stays_when_an_earlier_one_fails),
		TEST(who_closes_waits_for_what_is_under_way),
		TEST(no_secret_is_noted_or_told),
		TEST(only_what_differs_is_told),
		TEST(a_change_has_its_mails_wherever_the_process_ended),
		TEST(mails_that_went_are_not_sent_again),
		TEST(a_mail_that_the_queue_refuses_is_tried_again),
		TEST(who_does_not_lead_tells_nothing_of_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
