/*
 * test_account_service.c - which host an account gets, its mailboxes and its plan, and the limits
 * that follow from them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "control/account/accounts.h"
#include "control/account/transfer.h"
#include "control/config/directory.h"
#include "control/config/plan.h"
#include "shared/config/config.h"
#include "tests/unit/control/account/edit_rig.h"

static char small[] = "small", bare[] = "bare";
static char first[] = "Shout01.relay.example", second[] = "shout02.relay.example";
static char *hosts[] = { first, second };
static struct plan_config plans[] = {
	{ .name = small,
		.mailboxes_min = 2,
		.mailboxes_max = 20,
		.messages_hour = 40,
		.messages_day = 400 },
	{ .name = bare, .messages_day = 3 },
};

static int
setup(void **state)
{
	(void)state;
	config.service.hosts = hosts;
	config.service.hosts_count = 2;
	config.service.plans = plans;
	config.service.plans_count = 2;
	config.limits.defaults.messages_day = 5000;
	config.limits.defaults.recipients_day = 7;
	directory = directory_new();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	forget();
	directory_free(&directory);
	return 0;
}

static int
run(int (*fn)(struct edit *edit, const char *id, const json_t *body), const char *id,
	const char *text)
{
	json_t *body = json_loads(text, 0, NULL);
	int err;

	assert_non_null(body);
	forget();
	err = fn(&edit, id, body);
	json_decref(body);
	if (!err)
		apply();
	return err;
}

static int
create_fn(struct edit *e, const char *id, const json_t *body)
{
	(void)id;
	return account_create(e, body);
}

/* Makes an account with these mailboxes in its one domain; `more` are further fields. */
static int
create(const char *domain, int mailboxes, const char *more, char id[16])
{
	char body[400];
	int err;

	snprintf(body, sizeof body,
		"{\"name\":\"n\",\"contact\":\"a@b.example\",\"domains\":[{\"name\":\"%s\","
		"\"mailboxes\":%d}]%s}",
		domain, mailboxes, more);
	err = run(create_fn, NULL, body);
	if (!err)
		snprintf(id, 16, "%s", json_string_value(json_object_get(edit.reply, "account")));
	return err;
}

static const char *
text_in(const char *id, const char *field)
{
	const char *text = json_string_value(
		json_object_get(directory_get(directory, "account", id), field));

	return text ? text : "";
}

static json_int_t
limit(const char *id, const char *name)
{
	json_t *shown = account_show(directory, &config, id);
	const json_int_t number = json_integer_value(
		json_object_get(json_object_get(shown, "limits_in_force"), name));

	json_decref(shown);
	return number;
}

static int
delete_fn(struct edit *e, const char *id, const json_t *body)
{
	(void)body;
	return account_delete(e, id);
}

static void
an_account_gets_the_host_with_the_fewest_others(void **state)
{
	char a[16], b[16], c[16], d[16];

	(void)state;
	create("a.example", 1, "", a);
	create("b.example", 1, "", b);
	create("c.example", 1, "", c);
	assert_string_equal(text_in(a, "host"), first);
	assert_string_equal(text_in(b, "host"), second);
	assert_string_equal(text_in(c, "host"), first);
	assert_int_equal(run(delete_fn, a, "{}"), 0);
	assert_int_equal(run(delete_fn, c, "{}"), 0);
	create("d.example", 1, "", d);
	assert_string_equal(text_in(d, "host"), first);
}

static void
a_moved_account_keeps_the_host_before_for_a_while(void **state)
{
	json_t *shown;
	char id[16];

	(void)state;
	create("a.example", 1, "", id);
	assert_int_equal(run(account_change, id, "{\"host\":\"shout03.relay.example\"}"), -1);
	assert_string_equal(edit.fault.field, "host");
	assert_non_null(strstr(edit.fault.error, second));
	assert_int_equal(run(account_change, id, "{\"host\":\"shout02.relay.example\"}"), 0);
	shown = account_show(directory, &config, id);
	assert_string_equal(json_string_value(json_object_get(shown, "host")), second);
	assert_string_equal(json_string_value(json_object_get(shown, "host_before")), first);
	assert_non_null(json_object_get(shown, "host_before_until"));
	json_decref(shown);
	json_object_set_new(
		directory_get(directory, "account", id), "host_before_until_us", json_integer(1));
	shown = account_show(directory, &config, id);
	assert_null(json_object_get(shown, "host_before"));
	assert_null(json_object_get(shown, "host_before_until"));
	json_decref(shown);
}

static void
without_hosts_none_is_given(void **state)
{
	char id[16];

	(void)state;
	config.service.hosts_count = 0;
	create("a.example", 1, "", id);
	assert_string_equal(text_in(id, "host"), "");
	assert_int_equal(run(account_change, id, "{\"host\":\"shout02.relay.example\"}"), -1);
}

static void
limits_follow_from_the_mailboxes_of_all_domains(void **state)
{
	char id[16];

	(void)state;
	assert_int_equal(create("a.example", 5, ",\"plan\":\"small\"", id), 0);
	assert_int_equal(limit(id, "messages_hour"), 200);
	assert_int_equal(limit(id, "messages_day"), 2000);
	assert_int_equal(limit(id, "recipients_day"), 7); /* the plan gives none */
	assert_int_equal(
		run(account_add_domain, id, "{\"name\":\"b.example\",\"mailboxes\":10}"), 0);
	assert_int_equal(limit(id, "messages_day"), 6000);
	assert_int_equal(run(account_change, id, "{\"limits\":{\"messages_day\":9}}"), 0);
	assert_int_equal(limit(id, "messages_day"), 9);
	assert_int_equal(run(account_change, id, "{\"limits\":{\"messages_day\":\"default\"}}"), 0);
	assert_int_equal(limit(id, "messages_day"), 6000);
	assert_int_equal(run(account_change, id, "{\"plan\":\"none\"}"), 0);
	assert_int_equal(limit(id, "messages_day"), 5000);
}

/* 0 mailboxes must not give a limit of 0, which would be none. */
static void
no_mailboxes_are_no_way_around_a_limit(void **state)
{
	char id[16];

	(void)state;
	assert_int_equal(create("a.example", 0, ",\"plan\":\"bare\"", id), 0);
	assert_int_equal(limit(id, "messages_day"), 3);
}

static void
mailboxes_stay_within_the_plan(void **state)
{
	static const char *const wrong[] = {
		"{\"domains\":[{\"name\":\"a.example\",\"mailboxes\":1}]}",
		"{\"domains\":[{\"name\":\"a.example\",\"mailboxes\":21}]}",
		"{\"domains\":[{\"name\":\"a.example\",\"mailboxes\":-1}]}",
		"{\"domains\":[{\"name\":\"a.example\",\"mailboxes\":\"5\"}]}",
		"{\"domains\":[{\"name\":\"a.example\"}]}",
		"{\"domains\":[{\"mailboxes\":3}]}",
		"{\"domains\":[{\"name\":\"other.example\",\"mailboxes\":3}]}",
		("{\"domains\":[{\"name\":\"a.example\",\"mailboxes\":3},"
		 "{\"name\":\"A.example\",\"mailboxes\":4}]}"),
		"{\"domains\":[{\"name\":\"a.example\",\"mailboxes\":3,\"verified\":true}]}",
		"{\"domains\":[]}",
		"{}",
	};
	char id[16], none[16];

	(void)state;
	assert_int_equal(create("b.example", 1, ",\"plan\":\"small\"", none), -1);
	assert_int_equal(create("b.example", 5, ",\"plan\":\"large\"", none), -1);
	assert_string_equal(edit.fault.field, "plan");
	assert_int_equal(create("a.example", 5, ",\"plan\":\"small\"", id), 0);
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		assert_int_equal(run(account_set_mailboxes, id, wrong[i]), -1);
		assert_true(edit.fault.status >= 400);
		assert_int_equal(plan_mailboxes(directory_get(directory, "account", id)), 5);
	}
	assert_int_equal(run(account_set_mailboxes, id,
				 "{\"domains\":[{\"name\":\"A.example\",\"mailboxes\":20}]}"),
		0);
	assert_int_equal(limit(id, "messages_hour"), 800);
	assert_int_equal(
		run(account_add_domain, id, "{\"name\":\"c.example\",\"mailboxes\":1}"), -1);
	assert_int_equal(run(account_add_domain, id, "{\"name\":\"c.example\"}"), 0);
}

static int
disable_fn(struct edit *e, const char *id, const json_t *body)
{
	(void)body;
	return account_disable(e, id, NULL);
}

static void
mailboxes_change_only_while_the_account_is_active(void **state)
{
	char id[16];

	(void)state;
	create("a.example", 5, "", id);
	assert_int_equal(run(disable_fn, id, "{}"), 0);
	assert_int_equal(run(account_set_mailboxes, id,
				 "{\"domains\":[{\"name\":\"a.example\",\"mailboxes\":6}]}"),
		-1);
	assert_int_equal(edit.fault.status, 409);
}

static json_t *
exported(const char *id)
{
	json_t *document = account_export(directory, id);

	assert_non_null(document);
	return document;
}

static void
import(const json_t *document)
{
	forget();
	assert_int_equal(account_import(&edit, document, true, false), 0);
	apply();
}

static void
a_file_carries_language_plan_and_host(void **state)
{
	json_t *document, *account;
	char id[16];

	(void)state;
	create("a.example", 5, ",\"plan\":\"small\",\"language\":\"en\"", id);
	run(account_change, id, "{\"host\":\"shout02.relay.example\"}");
	document = exported(id);
	account = json_deep_copy(directory_get(directory, "account", id));
	directory_free(&directory);
	directory = directory_new();
	import(document);
	json_object_del(account, "version");
	json_object_del(directory_get(directory, "account", id), "version");
	assert_true(json_equal(directory_get(directory, "account", id), account));
	json_decref(account);
	json_decref(document);
}

static void
an_account_from_elsewhere_gets_a_host_of_ours_and_keeps_it(void **state)
{
	json_t *document;
	char a[16], b[16];

	(void)state;
	create("a.example", 1, "", a);
	create("b.example", 1, "", b);
	document = exported(b);
	json_object_set_new(json_object_get(document, "account"), "host",
		json_string("mail.elsewhere.example"));
	import(document);
	assert_string_equal(text_in(b, "host"), second);
	json_object_del(json_object_get(document, "account"), "host");
	import(document);
	assert_string_equal(text_in(b, "host"), second);
	json_object_set_new(json_object_get(document, "account"), "plan", json_string("theirs"));
	forget();
	assert_int_equal(account_import(&edit, document, true, false), -1);
	assert_string_equal(edit.fault.field, "account.plan");
	json_decref(document);
}

static void
hostile_files_are_refused(void **state)
{
	static const char *const fields[][2] = {
		{ "language", "\"fr\"" },
		{ "language", "null" },
		{ "plan", "\"a\\r\\nb\"" },
		{ "plan", "7" },
		{ "host", "\"a b\"" },
		{ "host", "\"x\\r\\nRCPT TO:<a@b>\"" },
		{ "host_before", "\"..\"" },
		{ "host_before_until_us", "-1" },
	};
	json_t *document;
	char id[16];

	(void)state;
	create("a.example", 1, "", id);
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
		document = exported(id);
		json_object_set_new(json_object_get(document, "account"), fields[i][0],
			json_loads(fields[i][1], JSON_DECODE_ANY, NULL));
		forget();
		assert_int_equal(account_import(&edit, document, true, false), -1);
		json_decref(document);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		TEST(an_account_gets_the_host_with_the_fewest_others),
		TEST(a_moved_account_keeps_the_host_before_for_a_while),
		TEST(without_hosts_none_is_given),
		TEST(limits_follow_from_the_mailboxes_of_all_domains),
		TEST(no_mailboxes_are_no_way_around_a_limit),
		TEST(mailboxes_stay_within_the_plan),
		TEST(mailboxes_change_only_while_the_account_is_active),
		TEST(a_file_carries_language_plan_and_host),
		TEST(an_account_from_elsewhere_gets_a_host_of_ours_and_keeps_it),
		TEST(hostile_files_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
