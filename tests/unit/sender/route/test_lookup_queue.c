/*
 * test_lookup_queue.c - whose look-up begins next, with a name server that is slow for some names.
 *
 * The server runs on the test's own loop. A name that begins with "slow" has its answer after
 * SLOW_S, any other at once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include "sender/route/lookup_queue.h"
#include "sender/route/site_private.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/net.h"
#include "shared/config/config.h"

#define SLOW_S 3
#define QUERY_MAX 512

static struct {
	struct config config;
	struct loop *loop;
	struct site_resolver *resolver;
	int fd;
	struct event *readable;
	char forwarder[NET_TEXT_MAX];
	char *forward[1];
	LIST_HEAD(, late_reply) late;
	unsigned slow, quick; /* answers */
} rig;

struct late_reply {
	LIST_ENTRY(late_reply) link;
	struct event *timer;
	struct net_address to;
	uint8_t query[QUERY_MAX];
	size_t size;
};

/* One MX, whatever is asked. */
static void
reply_send(const struct late_reply *reply)
{
	static const uint8_t mx[] = "\xc0\x0c\0\xf\0\1\0\0\1\x2c\0\6\0\xa\2mx";
	uint8_t out[QUERY_MAX + sizeof mx];
	size_t end = 12;

	while (end < reply->size && reply->query[end])
		end += 1 + (size_t)reply->query[end];
	end += 5;
	assert_true(end <= reply->size);
	memcpy(out, reply->query, end);
	memcpy(out + 2, "\x81\x80\0\1\0\1\0\0\0\0", 10);
	memcpy(out + end, mx, sizeof mx);
	(void)!sendto(rig.fd, out, end + sizeof mx, 0, (const struct sockaddr *)&reply->to.sa,
		reply->to.length);
}

static void
reply_free(struct late_reply *reply)
{
	if (reply->timer) {
		LIST_REMOVE(reply, link);
		event_free(reply->timer);
	}
	free(reply);
}

static void
on_late(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	reply_send(arg);
	reply_free(arg);
}

static void
on_query(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval slow = { SLOW_S, 0 };
	struct late_reply *reply = xcalloc(1, sizeof *reply);
	ssize_t size;

	(void)what, (void)arg;
	reply->to.length = sizeof reply->to.sa;
	size = recvfrom(fd, reply->query, sizeof reply->query, 0, (struct sockaddr *)&reply->to.sa,
		&reply->to.length);
	assert_true(size > 16);
	reply->size = (size_t)size;
	if (memcmp(reply->query + 13, "slow", 4) == 0) {
		reply->timer = evtimer_new(loop_base(rig.loop), on_late, reply);
		event_add(reply->timer, &slow);
		LIST_INSERT_HEAD(&rig.late, reply, link);
		return;
	}
	reply_send(reply);
	reply_free(reply);
}

static int
set_up(void **state)
{
	struct net_address address;

	(void)state;
	memset(&rig, 0, sizeof rig);
	rig.loop = loop_new("test");
	rig.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	net_parse("127.0.0.1:0", &address);
	assert_int_equal(bind(rig.fd, (struct sockaddr *)&address.sa, address.length), 0);
	assert_int_equal(net_local(rig.fd, &address), 0);
	net_format(&address, rig.forwarder);
	rig.readable = event_new(loop_base(rig.loop), rig.fd, EV_READ | EV_PERSIST, on_query, NULL);
	event_add(rig.readable, NULL);
	rig.forward[0] = rig.forwarder;
	rig.config.hostname = (char *)"relay.example";
	rig.config.sender.route = (char *)"mx";
	rig.config.sender.retry.max = 14400000;
	rig.config.dns.forward = rig.forward;
	rig.config.dns.forward_count = 1;
	rig.config.dns.trust_anchor = (char *)"none";
	rig.resolver = site_resolver_new(rig.loop, &rig.config);
	return rig.resolver ? 0 : -1;
}

static int
tear_down(void **state)
{
	(void)state;
	site_resolver_free(&rig.resolver);
	while (!LIST_EMPTY(&rig.late))
		reply_free(LIST_FIRST(&rig.late));
	event_free(rig.readable);
	close(rig.fd);
	loop_free(&rig.loop);
	return 0;
}

static void
on_route(void *arg, struct route *route, const struct outcome *failure)
{
	unsigned *count = arg;

	(void)failure;
	assert_non_null(route);
	(*count)++;
}

static void
ask_below(const char *parent, const char *account, const char *name, unsigned from, unsigned to,
	unsigned *count)
{
	char domain[64];

	for (; from < to; from++) {
		snprintf(domain, sizeof domain, "%s%u.%s", name, from, parent);
		site_route(rig.resolver, domain, account, on_route, count);
	}
}

static void
ask(const char *account, const char *name, unsigned from, unsigned to, unsigned *count)
{
	ask_below("example", account, name, from, to, count);
}

static void
turn(void)
{
	event_base_loop(loop_base(rig.loop), EVLOOP_ONCE);
}

static void
a_thousand_slow_names_of_one_account_delay_no_other(void **state)
{
	(void)state;
	ask("slow", "slow", 0, 1000, &rig.slow);
	turn();
	ask("other", "quick", 0, 100, &rig.quick);
	while (rig.quick < 100)
		turn();
	assert_in_range(rig.slow, 0, LOOKUPS_MAX);
	assert_in_range(lookup_queue_under_way(rig.resolver->queue), 1, LOOKUPS_MAX - 1);
}

static void
who_joins_a_name_that_waits_has_it_by_the_own_turn(void **state)
{
	(void)state;
	ask("slow", "slow", 0, 1000, &rig.slow);
	ask("slow", "quick", 0, 1, &rig.slow);
	turn();
	ask("other", "quick", 0, 1, &rig.quick);
	while (!rig.quick)
		turn();
	assert_in_range(rig.slow, 1, LOOKUPS_MAX);
}

static const char *const accounts[] = { "a", "b", "c", "d", "e", "f", "g", "h" };

/* Each of them has less than its share. */
static void
a_slow_domain_that_many_mail_delays_no_other(void **state)
{
	char account[16];

	(void)state;
	for (unsigned i = 0; i < 2 * LOOKUPS_MAX; i++) {
		snprintf(account, sizeof account, "%u", i);
		ask_below("one.example", account, "slow", i, i + 1, &rig.slow);
	}
	turn();
	ask("other", "quick", 0, 100, &rig.quick);
	while (rig.quick < 100)
		turn();
	assert_int_equal(rig.slow, 0);
	assert_in_range(lookup_queue_under_way(rig.resolver->queue), 1, LOOKUPS_MAX - 1);
}

static void
all_names_below_one_domain_have_their_turns(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 8; i++)
		ask_below("one.example", accounts[i], "quick", 100 * i, 100 * i + 100, &rig.quick);
	while (rig.quick < 800)
		turn();
	assert_int_equal(lookup_queue_under_way(rig.resolver->queue), 0);
}

static void
begin(void *arg)
{
	(*(unsigned *)arg)++;
}

/* Who stands aside and goes makes no difference to the others. */
static void
who_stands_aside_may_go(void **state)
{
	struct lookup_turn *turns[400];
	unsigned begun = 0, last = 0;
	char name[64];

	(void)state;
	for (unsigned i = 0; i < 400; i++) {
		snprintf(name, sizeof name, "n%u.one.example", i);
		turns[i] = lookup_turn_new(rig.resolver->queue, name, accounts[i % 8], i % 3 == 0,
			begin, i < 399 ? &begun : &last);
	}
	turn();
	assert_int_equal(begun, 96);
	for (unsigned i = 0; i < 399; i++)
		lookup_turn_end(turns[i]);
	while (!last)
		turn();
	lookup_turn_end(turns[399]);
	assert_int_equal(lookup_queue_under_way(rig.resolver->queue), 0);
}

static void
on_result(void *arg, const struct dns_result *result)
{
	(void)result;
	(*(unsigned *)arg)++;
}

static void
a_look_up_counts_until_the_library_is_done_with_it(void **state)
{
	struct lookup_turn *one;
	unsigned begun = 0, answered = 0;

	(void)state;
	one = lookup_turn_new(rig.resolver->queue, "slow.example", "a", false, begin, &begun);
	while (!begun)
		turn();
	lookup_turn_ask(one, "slow.example", ANSWER_MX, on_result, &answered);
	lookup_turn_end(one);
	assert_int_equal(lookup_queue_under_way(rig.resolver->queue), 1);
	while (!answered)
		turn();
	assert_int_equal(lookup_queue_under_way(rig.resolver->queue), 0);
}

static void
who_asks_no_more_is_not_told(void **state)
{
	unsigned unheard = 0;

	(void)state;
	ask("a", "quick", 0, 1, &unheard);
	ask("a", "quick", 0, 1, &rig.quick);
	site_route_forget(rig.resolver, "quick0.example", &unheard);
	while (!rig.quick)
		turn();
	assert_int_equal(unheard, 0);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_thousand_slow_names_of_one_account_delay_no_other),
		TEST(who_joins_a_name_that_waits_has_it_by_the_own_turn),
		TEST(a_slow_domain_that_many_mail_delays_no_other),
		TEST(all_names_below_one_domain_have_their_turns),
		TEST(who_stands_aside_may_go),
		TEST(a_look_up_counts_until_the_library_is_done_with_it),
		TEST(who_asks_no_more_is_not_told),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
