/*
 * test_resolve.c - looking names up beside the loop.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <event2/event.h>

#include "shared/base/loop.h"
#include "shared/base/resolve.h"
#include "tests/unit/fake_names.h"

static struct loop *loop;

struct found {
	unsigned answers;
	size_t count;
	char first[NET_TEXT_MAX], why[256];
};

static void
on_found(void *arg, const struct net_address *addresses, size_t count, const char *why)
{
	struct found *found = arg;

	found->answers++;
	found->count = count;
	if (count)
		net_format(&addresses[0], found->first);
	snprintf(found->why, sizeof found->why, "%s", why);
	event_base_loopbreak(loop_base(loop));
}

static struct found
look_up(const char *text)
{
	struct found found = { 0 };

	resolve_start(loop, text, on_found, &found);
	assert_int_equal(found.answers, 0);
	event_base_dispatch(loop_base(loop));
	assert_int_equal(found.answers, 1);
	return found;
}

static void
a_name_has_its_addresses_with_the_port(void **state)
{
	struct found found;

	(void)state;
	names_set("192.0.2.1", "2001:db8::1");
	found = look_up(FAKE_NAME ":6379");
	assert_int_equal(found.count, 2);
	assert_string_equal(found.first, "192.0.2.1:6379");
	assert_string_equal(found.why, "");
}

static void
a_name_may_have_more_addresses_than_are_used(void **state)
{
	(void)state;
	names_set("192.0.2.1", "192.0.2.2");
	for (size_t i = 0; i < RESOLVE_MAX + 1; i++)
		names.ips[i] = "192.0.2.1";
	names.ips[RESOLVE_MAX + 1] = NULL;
	assert_int_equal(look_up(FAKE_NAME ":1").count, RESOLVE_MAX);
}

static void
an_unknown_name_is_told_in_words(void **state)
{
	struct found found = look_up("nobody.test:1");

	(void)state;
	assert_int_equal(found.count, 0);
	assert_string_equal(found.why, "cannot look up \"nobody.test\": Name or service not known");
	assert_non_null(strstr(look_up("nobody").why, "has no port"));
}

static void
what_is_an_address_needs_no_lookup(void **state)
{
	const unsigned asked = names.asked;

	(void)state;
	assert_string_equal(look_up("127.0.0.1:25").first, "127.0.0.1:25");
	assert_string_equal(look_up("localhost:25").first, "127.0.0.1:25");
	assert_string_equal(look_up("unix:/run/x").first, "unix:/run/x");
	assert_int_equal(names.asked, asked);
}

/* The lookup is under way; `waits` for its end after the loop has gone, too. */
static struct resolve *
start_blocked(struct found *found)
{
	const unsigned asked = names.asked;
	struct resolve *resolve;

	names.blocked = true;
	resolve = resolve_start(loop, FAKE_NAME ":1", on_found, found);
	pthread_mutex_lock(&names.lock);
	while (names.asked == asked)
		pthread_cond_wait(&names.changed, &names.lock);
	pthread_mutex_unlock(&names.lock);
	return resolve;
}

static void
release(void)
{
	const unsigned answered = names.answered;

	pthread_mutex_lock(&names.lock);
	names.blocked = false;
	pthread_cond_broadcast(&names.changed);
	while (names.answered == answered)
		pthread_cond_wait(&names.changed, &names.lock);
	pthread_mutex_unlock(&names.lock);
}

static void
a_cancelled_lookup_does_not_answer(void **state)
{
	struct found found = { 0 };
	struct resolve *resolve = start_blocked(&found);

	(void)state;
	resolve_cancel(&resolve);
	assert_null(resolve);
	release();
	look_up("127.0.0.1:1"); /* what came before it would have come by now */
	assert_int_equal(found.answers, 0);
	resolve = resolve_start(loop, "127.0.0.1:1", on_found, &found);
	resolve_cancel(&resolve);
	look_up("127.0.0.1:1");
	assert_int_equal(found.answers, 0);
}

static void
the_loop_may_go_before_a_cancelled_lookup_ends(void **state)
{
	struct found found = { 0 };
	struct resolve *resolve = start_blocked(&found);

	(void)state;
	resolve_cancel(&resolve);
	loop_free(&loop);
	release();
	loop = loop_new("test");
	assert_int_equal(found.answers, 0);
}

/* The loop is quick enough to end a lookup while its thread still tells of it. */
static void
a_lookup_ends_after_its_thread_let_go_of_it(void **state)
{
	(void)state;
	names_set("192.0.2.1", "192.0.2.2");
	for (int i = 0; i < 3000; i++)
		assert_int_equal(look_up(FAKE_NAME ":1").count, 2);
}

static int
setup(void **state)
{
	(void)state;
	loop = loop_new("test");
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	loop_free(&loop);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_has_its_addresses_with_the_port),
		cmocka_unit_test(a_name_may_have_more_addresses_than_are_used),
		cmocka_unit_test(an_unknown_name_is_told_in_words),
		cmocka_unit_test(what_is_an_address_needs_no_lookup),
		cmocka_unit_test(a_cancelled_lookup_does_not_answer),
		cmocka_unit_test(the_loop_may_go_before_a_cancelled_lookup_ends),
		cmocka_unit_test(a_lookup_ends_after_its_thread_let_go_of_it),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
