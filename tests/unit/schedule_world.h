/*
 * schedule_world.h - a world for the scheduler: a simulated clock, sites that answer, fail and come
 * back, and invariants that hold after every step.
 */
#ifndef TESTS_UNIT_SCHEDULE_WORLD_H
#define TESTS_UNIT_SCHEDULE_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sender/schedule/schedule.h"
#include "shared/base/log.h"

#define SECOND 1000000ull
#define STEPS 1000000
#define SITES 30
#define ACCOUNTS 8
#define MESSAGES 3000
#define CONNECTIONS 40

static const struct schedule_options usual = {
	.concurrency_start = 5,
	.concurrency_max = 20,
	.connections_max = CONNECTIONS,
	.rest_first_us = 300 * SECOND,
	.rest_max_us = 1800 * SECOND,
	.rest_shared_max_us = 120 * SECOND,
};

struct message {
	struct schedule_entry entry; /* first */
	int site, account;
	bool used, sent;
	uint64_t added_us;
	unsigned passed; /* messages of other accounts of the site that went before it */
};

struct link {
	struct schedule_connection node; /* first */
	struct message *message;
	bool used;
};

/* The last two: towards the first account. */
enum mood { MOOD_GOOD, MOOD_DEAD, MOOD_LATER, MOOD_MIXED, MOOD_HIM_LATER, MOOD_HIM_DEAD };

static struct {
	struct schedule *schedule;
	uint64_t now;
	struct message messages[MESSAGES];
	struct link links[CONNECTIONS + 64];
	enum mood moods[SITES];
	unsigned waiting[SITES], open[SITES];
	unsigned connections, sends, parks, opens;
	uint64_t state;
} world;

/* Repeatable: a failure must come again. */
static inline unsigned
chance(unsigned n)
{
	world.state = world.state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(world.state >> 33) % n;
}

static const char *
site_name(int site)
{
	static char name[32];

	snprintf(name, sizeof name, "mx%d.example", site);
	return name;
}

static const char *
account_name(int account)
{
	static char name[32];

	snprintf(name, sizeof name, "account%d", account);
	return name;
}

static inline void
world_reset(const struct schedule_options *options)
{
	memset(&world, 0, sizeof world);
	world.now = 1000 * SECOND;
	world.state = 42;
	world.schedule = schedule_new(options);
}

static inline struct message *
message_add(int site, int account, unsigned cost, bool fresh)
{
	struct message *message = NULL;

	for (int i = 0; i < MESSAGES && !message; i++)
		if (!world.messages[i].used)
			message = &world.messages[i];
	if (!message)
		return NULL;
	*message = (struct message){
		.site = site, .account = account, .used = true, .added_us = world.now
	};
	schedule_add(world.schedule, &message->entry, site_name(site), false, account_name(account),
		cost, fresh, world.now);
	world.waiting[site]++;
	return message;
}

static inline struct link *
link_new(struct schedule_site *site)
{
	for (size_t i = 0; i < sizeof world.links / sizeof *world.links; i++)
		if (!world.links[i].used) {
			world.links[i] = (struct link){ .used = true };
			schedule_opening(world.schedule, &world.links[i].node, site);
			return &world.links[i];
		}
	fail_msg("more connections than there may be");
	return NULL;
}

static inline int
link_site(const struct link *link)
{
	return atoi(schedule_site_name(link->node.site) + 2);
}

static inline void
link_gone(struct link *link)
{
	world.open[link_site(link)]--;
	world.connections--;
	schedule_gone(world.schedule, &link->node);
	link->used = false;
}

static inline void
message_leaves(struct message *message)
{
	world.waiting[message->site]--;
	message->sent = true;
}

/* Counts, for the others of the site, whom this one went before. */
static inline void
count_passed(const struct message *sent)
{
	for (int i = 0; i < MESSAGES; i++) {
		struct message *other = &world.messages[i];

		if (other->used && !other->sent && other->site == sent->site &&
			other->account != sent->account)
			other->passed++;
	}
}

static inline void
do_step(const struct schedule_step *step)
{
	struct message *message = (struct message *)step->entry;
	struct link *link = (struct link *)step->connection;

	switch (step->verb) {
	case SCHEDULE_OPEN:
		assert_non_null(message);
		link = link_new(step->site);
		world.connections++;
		world.opens++;
		world.open[link_site(link)]++;
		break;
	case SCHEDULE_SEND:
		assert_false(message->sent);
		assert_null(link->message);
		message_leaves(message);
		link->message = message;
		world.sends++;
		break;
	case SCHEDULE_CLOSE: assert_null(link->message); break;
	case SCHEDULE_PARK:
		assert_true(schedule_rest_until(world.schedule, site_name(message->site),
				    account_name(message->account), world.now) > world.now);
		message_leaves(message);
		message->used = false;
		world.parks++;
		break;
	case SCHEDULE_ASK:
	case SCHEDULE_NOTHING: break;
	}
}

static inline void
settle(void)
{
	struct schedule_step step;
	unsigned turns = 0;

	while (schedule_next(world.schedule, world.now, &step) != SCHEDULE_NOTHING) {
		do_step(&step);
		assert_true(++turns < 100000);
	}
}

static inline enum schedule_feedback
answer(const struct message *message)
{
	switch (world.moods[message->site]) {
	case MOOD_HIM_LATER: return message->account ? FEEDBACK_SUCCESS : FEEDBACK_TRANSIENT;
	case MOOD_HIM_DEAD: return message->account ? FEEDBACK_SUCCESS : FEEDBACK_SITE;
	case MOOD_GOOD: return FEEDBACK_SUCCESS;
	case MOOD_DEAD: return FEEDBACK_SITE;
	case MOOD_LATER: return FEEDBACK_TRANSIENT;
	case MOOD_MIXED: return (enum schedule_feedback)chance(4);
	}
	return FEEDBACK_NONE;
}

static inline void
link_acts(struct link *link)
{
	const int site = link_site(link);
	struct message *message;

	switch (link->node.state) {
	case CONNECTION_OPENING:
		if (world.moods[site] != MOOD_DEAD) {
			schedule_ready(world.schedule, &link->node);
			return;
		}
		message = (struct message *)schedule_take(
			world.schedule, link->node.site, link->node.affinity);
		schedule_feedback(world.schedule, &link->node, FEEDBACK_SITE, world.now);
		if (message) {
			message_leaves(message);
			message->used = false;
		}
		link_gone(link);
		return;
	case CONNECTION_BUSY:
		message = link->message;
		link->message = NULL;
		message->used = false;
		schedule_feedback(world.schedule, &link->node, answer(message), world.now);
		if (world.moods[site] == MOOD_DEAD || chance(50) == 0)
			link_gone(link);
		else
			schedule_ready(world.schedule, &link->node);
		return;
	case CONNECTION_IDLE:
		if (chance(20) == 0)
			link_gone(link);
		return;
	case CONNECTION_CLOSING: link_gone(link); return;
	}
}

static inline void
check_world(void)
{
	struct schedule_stats stats;
	unsigned waiting = 0;

	schedule_stats(world.schedule, world.now, &stats);
	for (int i = 0; i < SITES; i++) {
		waiting += world.waiting[i];
		assert_true(world.open[i] <= usual.concurrency_max);
	}
	assert_int_equal(stats.waiting, waiting);
	assert_int_equal(stats.connections, world.connections);
	assert_true(world.connections <= CONNECTIONS);
	assert_true(stats.sites <= SITES);
}

/* After settle(): whoever waits has a connection on its way, or all that it may have are in use. */
static inline void
check_nobody_is_forgotten(void)
{
	unsigned moving[SITES] = { 0 };

	for (size_t i = 0; i < sizeof world.links / sizeof *world.links; i++)
		if (world.links[i].used)
			moving[link_site(&world.links[i])]++;
	for (int i = 0; i < SITES; i++)
		if (world.waiting[i] && !moving[i])
			assert_in_range(world.connections, CONNECTIONS * 3 / 4, CONNECTIONS);
}

static inline struct link *
any_link(void)
{
	size_t n = sizeof world.links / sizeof *world.links, at = chance((unsigned)n);

	for (size_t i = 0; i < n; i++)
		if (world.links[(at + i) % n].used)
			return &world.links[(at + i) % n];
	return NULL;
}

static inline void
random_step(void)
{
	struct link *link;

	world.now += chance((unsigned)SECOND / 10);
	if (chance(1000) == 0)
		world.moods[chance(SITES)] = (enum mood)chance(4);
	if (chance(3) == 0)
		message_add((int)chance(SITES), (int)chance(ACCOUNTS),
			1 + chance(SCHEDULE_COST_MAX), chance(2));
	else if ((link = any_link()))
		link_acts(link);
	settle();
}

static inline void
drain_world(void)
{
	struct link *link;

	for (int i = 0; i < SITES; i++)
		world.moods[i] = MOOD_GOOD;
	settle();
	for (unsigned turns = 0; turns < 1000000 && (link = any_link()); turns++) {
		link_acts(link);
		settle();
	}
	for (int i = 0; i < SITES; i++)
		assert_int_equal(world.waiting[i], 0);
	assert_int_equal(world.connections, 0);
}

#endif
