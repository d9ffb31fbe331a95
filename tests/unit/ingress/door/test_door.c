/*
 * test_door.c - who is let in and who has to go, by addresses that no test can connect from.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <event2/event.h>

#include "ingress/door/door.h"
#include "ingress/door/familiar.h"
#include "ingress/door/stats.h"
#include "shared/base/loop.h"

#define MANY 100u

static struct loop *loop;
static struct door *door;
static struct familiar *familiar;
static struct guest *guests[MANY];
static unsigned out; /* how many were turned out */
static struct guest **last_out;

static void
on_turn_out(void *session)
{
	last_out = session;
	out++;
	guest_leave(last_out);
}

static void
open_door(const struct door_options *given)
{
	struct door_options options = *given;

	for (int i = 0; i < RATE_COUNT; i++)
		if (!options.rates[i])
			options.rates[i] = 1000;
	options.familiar = familiar;
	options.turn_out = on_turn_out;
	door = door_new(&options);
}

static int
setup(void **state)
{
	(void)state;
	stats_register();
	loop = loop_new("test");
	familiar = familiar_new(3);
	out = 0;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < MANY; i++)
		guest_leave(&guests[i]);
	loop_free(&loop);
	door_free(&door);
	familiar_free(&familiar);
	return 0;
}

static struct net_address
address(const char *text)
{
	struct net_address ip;

	assert_int_equal(net_parse_ip(text, 1234, &ip), 0);
	return ip;
}

static enum door_answer
come(unsigned i, const char *client)
{
	struct net_address ip = address(client);
	enum door_answer answer = door_enter(door, &ip, loop, &guests[i]);

	if (answer == DOOR_OPEN)
		guest_seat(guests[i], &guests[i]);
	return answer;
}

/* The turned out hear of it. */
static void
turn(void)
{
	event_base_loop(loop_base(loop), EVLOOP_NONBLOCK);
}

static const struct {
	const char *one, *other;
	bool same_client, same_network;
} pairs[] = {
	{ "192.0.2.1", "192.0.2.1", true, true },
	{ "192.0.2.1", "192.0.2.2", false, true },
	{ "192.0.2.1", "192.0.3.1", false, false },
	{ "192.0.2.1", "::ffff:192.0.2.1", true, true },
	{ "::ffff:192.0.2.1", "::ffff:192.0.2.2", false, true },
	{ "::ffff:192.0.2.1", "::ffff:192.0.3.2", false, false },
	{ "2001:db8:0:1::1", "2001:db8:0:1:ffff::2", true, true },
	{ "2001:db8:0:1::1", "2001:db8:0:2::1", false, true },
	{ "2001:db8:0:1::1", "2001:db8:1:1::1", false, false },
	{ "::1", "0.0.0.1", false, false },
};

static void
one_client_is_an_address_or_an_ipv6_64(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		open_door(&(struct door_options){ .total_max = 10,
			.per_address_max = 1,
			.strangers_max = 10,
			.strangers_per_network = 10 });
		assert_int_equal(come(0, pairs[i].one), DOOR_OPEN);
		assert_int_equal(come(1, pairs[i].other),
			pairs[i].same_client ? DOOR_ADDRESS_FULL : DOOR_OPEN);
		guest_leave(&guests[0]);
		guest_leave(&guests[1]);
		assert_int_equal(come(0, pairs[i].one), DOOR_OPEN);
		guest_leave(&guests[0]);
		assert_int_equal(door_count(door), 0);
		door_free(&door);
	}
	open_door(&(struct door_options){ .total_max = 1 });
}

static void
one_network_is_an_ipv4_24_or_an_ipv6_48(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		open_door(&(struct door_options){ .total_max = 10,
			.per_address_max = 10,
			.strangers_max = 10,
			.strangers_per_network = 1 });
		out = 0;
		assert_int_equal(come(0, pairs[i].one), DOOR_OPEN);
		assert_int_equal(come(1, pairs[i].other), DOOR_OPEN);
		turn();
		assert_int_equal(out, pairs[i].same_network);
		guest_leave(&guests[0]);
		guest_leave(&guests[1]);
		door_free(&door);
	}
	open_door(&(struct door_options){ .total_max = 1 });
}

/* 65,536 /64 are one customer of a network provider. */
static void
an_ipv6_network_has_a_rate_of_its_own(void **state)
{
	enum door_answer answer = DOOR_OPEN;
	unsigned i = 0;
	char client[64];

	(void)state;
	open_door(&(struct door_options){ .total_max = MANY,
		.per_address_max = MANY,
		.strangers_max = MANY,
		.strangers_per_network = MANY,
		.rates = { 2, 2, 2 } });
	for (; i < MANY && answer == DOOR_OPEN; i++) {
		snprintf(client, sizeof client, "2001:db8:0:%x::1", i);
		answer = come(i, client);
	}
	assert_int_equal(answer, DOOR_TOO_OFTEN);
	assert_int_equal(i, 2 * 8 + 1);
	assert_int_equal(come(i, "2001:db8:1::1"), DOOR_OPEN);
}

static void
neighbours_in_an_ipv4_network_do_not_spend_each_other_s_rate(void **state)
{
	char client[64];

	(void)state;
	open_door(&(struct door_options){ .total_max = MANY,
		.per_address_max = MANY,
		.strangers_max = MANY,
		.strangers_per_network = MANY,
		.rates = { 1, 1, 1 } });
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(client, sizeof client, "192.0.2.%u", i);
		assert_int_equal(come(i, client), DOOR_OPEN);
		assert_true(guest_spend(guests[i], RATE_COMMANDS));
		assert_false(guest_spend(guests[i], RATE_COMMANDS));
	}
}

static void
whoever_moved_on_before_the_loop_turned_stays(void **state)
{
	(void)state;
	open_door(&(struct door_options){ .total_max = 2,
		.per_address_max = 9,
		.strangers_max = 1,
		.strangers_per_network = 9 });
	assert_int_equal(come(0, "192.0.2.1"), DOOR_OPEN);
	assert_int_equal(come(1, "192.0.3.1"), DOOR_OPEN);
	guest_know(guests[0]);
	turn();
	assert_int_equal(out, 0);
	assert_int_equal(door_count(door), 2);
	guest_leave(&guests[0]);
	assert_int_equal(come(0, "192.0.2.1"), DOOR_OPEN); /* familiar */
	assert_false(guest_is_stranger(guests[0]));
}

static void
a_guest_may_leave_before_it_hears_that_it_was_turned_out(void **state)
{
	(void)state;
	open_door(&(struct door_options){ .total_max = 2,
		.per_address_max = 9,
		.strangers_max = 1,
		.strangers_per_network = 9 });
	assert_int_equal(come(0, "192.0.2.1"), DOOR_OPEN);
	assert_int_equal(come(1, "192.0.3.1"), DOOR_OPEN);
	guest_leave(&guests[0]);
	turn();
	assert_int_equal(out, 0);
	assert_int_equal(door_count(door), 1);
}

/* One customer's connections that only stand there do not keep the others out. */
static void
idle_customers_give_way_to_customers_and_to_a_few_strangers(void **state)
{
	(void)state;
	open_door(&(struct door_options){ .total_max = 20,
		.per_address_max = 99,
		.strangers_max = 10,
		.strangers_per_network = 9 });
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(come(i, "192.0.2.1"), DOOR_OPEN);
		guest_know(guests[i]);
	}
	guest_place(guests[0], PLACE_BUSY);
	assert_int_equal(come(20, "192.0.2.1"), DOOR_OPEN);
	turn();
	assert_ptr_equal(last_out, &guests[1]);
	guest_place(guests[2], PLACE_IDLE); /* it came further */
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(come(30 + i, "192.0.3.1"), DOOR_OPEN);
	turn();
	assert_int_equal(out, 3);
	assert_null(guests[3]);
	assert_null(guests[4]);
	assert_int_equal(come(33, "192.0.3.1"), DOOR_OPEN); /* a stranger's place */
	turn();
	assert_ptr_equal(last_out, &guests[30]);
	for (unsigned i = 0; i < MANY; i++)
		if (guests[i] && !guest_is_stranger(guests[i]))
			guest_place(guests[i], PLACE_BUSY);
	for (unsigned i = 40; i < 42; i++) {
		assert_int_equal(come(i, "192.0.2.1"), DOOR_OPEN); /* the strangers' */
		guest_place(guests[i], PLACE_BUSY);
	}
	assert_int_equal(come(42, "192.0.2.1"), DOOR_FULL);
	assert_int_equal(come(42, "192.0.4.1"), DOOR_FULL);
}

static void
strangers_have_less_time_under_load(void **state)
{
	(void)state;
	open_door(&(struct door_options){ .total_max = 10,
		.per_address_max = 9,
		.strangers_max = 2,
		.strangers_per_network = 9,
		.patience_ms = 30000 });
	assert_int_equal(come(0, "192.0.2.1"), DOOR_OPEN);
	assert_in_range(guest_time_left(guests[0]), 20000, 30000);
	assert_int_equal(come(1, "192.0.3.1"), DOOR_OPEN);
	assert_in_range(guest_time_left(guests[0]), 0, 10000);
	guest_know(guests[1]);
	assert_true(guest_time_left(guests[1]) == UINT64_MAX);
	assert_in_range(guest_time_left(guests[0]), 10001, 30000);
}

static void
addresses_are_remembered_in_bounds(void **state)
{
	struct net_address ip[] = { address("192.0.2.1"), address("192.0.2.2"),
		address("192.0.2.3"), address("192.0.2.4") };
	struct net_address mapped = address("::ffff:192.0.2.1");

	(void)state;
	open_door(&(struct door_options){ .total_max = 1 });
	for (int i = 0; i < 3; i++)
		familiar_add(familiar, &ip[i]);
	familiar_add(familiar, &ip[0]);
	familiar_add(familiar, &ip[3]);
	assert_true(familiar_has(familiar, &ip[0]));
	assert_true(familiar_has(familiar, &mapped));
	assert_false(familiar_has(familiar, &ip[1]));
	assert_true(familiar_has(familiar, &ip[2]));
	assert_true(familiar_has(familiar, &ip[3]));
}

/* The rates of addresses that come once are kept in bounds, and so is the door. */
static void
a_million_addresses_are_no_memory(void **state)
{
	struct net_address ip = address("10.0.0.0");
	uint8_t *bytes = (uint8_t *)&ip.sa + 4; /* of a sockaddr_in */

	(void)state;
	open_door(&(struct door_options){ .total_max = 10,
		.per_address_max = 9,
		.strangers_max = 5,
		.strangers_per_network = 9,
		.rates = { 1, 1, 1 } });
	for (unsigned i = 0; i < 1000000; i++) {
		struct guest *guest;

		bytes[1] = (uint8_t)(i >> 16);
		bytes[2] = (uint8_t)(i >> 8);
		bytes[3] = (uint8_t)i;
		assert_int_equal(door_enter(door, &ip, loop, &guest), DOOR_OPEN);
		guest_leave(&guest);
	}
	assert_int_equal(come(0, "10.0.0.0"), DOOR_OPEN); /* forgotten by now */
	assert_int_equal(come(1, "10.0.0.0"), DOOR_TOO_OFTEN);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(one_client_is_an_address_or_an_ipv6_64),
		TEST(one_network_is_an_ipv4_24_or_an_ipv6_48),
		TEST(an_ipv6_network_has_a_rate_of_its_own),
		TEST(neighbours_in_an_ipv4_network_do_not_spend_each_other_s_rate),
		TEST(whoever_moved_on_before_the_loop_turned_stays),
		TEST(a_guest_may_leave_before_it_hears_that_it_was_turned_out),
		TEST(idle_customers_give_way_to_customers_and_to_a_few_strangers),
		TEST(strangers_have_less_time_under_load),
		TEST(addresses_are_remembered_in_bounds),
		TEST(a_million_addresses_are_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
