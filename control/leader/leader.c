/*
 * leader.c - the lease of the leading control process.
 *
 * Redis <-> [leader] <- rounds, mails, daily checks (leader_leads())
 *
 *   leader:{control}:<owner>   who leads, with the lease as its time to live
 *
 * The key has the owner's id, for Redis may be another relay's by mistake.
 */
#include "control/leader/leader.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/config/directory.h"
#include "shared/account/owner.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/random.h"
#include "shared/base/timer.h"
#include "shared/metrics/metrics.h"
#include "shared/redis/redis.h"

#define TIMEOUT_MS 1500
#define ME_SIZE 320
#define KEY_SIZE (sizeof "leader:{control}:" + OWNER_ID_SIZE)
#define NONCE                                                                                      \
	8 /* signs; hosts may be named alike, and processes of containers are numbered alike */

static struct redis_script take_script = {
	.text = "local holder = redis.call('GET', KEYS[1])\n"
		"if holder and holder ~= ARGV[1] then return holder end\n"
		"redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])\n"
		"return ARGV[1]\n",
};
static struct redis_script give_back_script = {
	.text = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) "
		"end\n"
		"return 0\n",
};

struct leader {
	struct redis *redis;
	const struct directory *directory;
	bool alone, closed, led, asking;
	unsigned lease_ms;
	uint64_t asked_ms, heard_ms; /* of Redis's last answer */
	_Atomic uint64_t until_ms;   /* clock_boot_ms() at which the lease ends */
	struct timer timer;
	struct probe *probe;
	struct metric *metric;
	char me[ME_SIZE], holder[ME_SIZE];
};

bool
leader_leads(const struct leader *leader)
{
	return !leader || clock_boot_ms() < atomic_load(&leader->until_ms);
}

/* The holder's name without what tells processes of one name apart. */
static void
tell_other(const struct leader *leader)
{
	char text[ME_SIZE + 16];
	const size_t length = strcspn(leader->holder, " ");

	snprintf(text, sizeof text, "%.*s leads", (int)length, leader->holder);
	probe_set(leader->probe, HEALTH_READY, text);
}

static void
tell(struct leader *leader)
{
	const bool leads = leader_leads(leader);

	metric_set(leader->metric, leads);
	if (leads != leader->led)
		LOG_INFO(leads ? "control: this process leads"
			       : "control: this process no longer leads",
			"lease", leader->me);
	leader->led = leads;
	if (leads)
		probe_set(leader->probe, HEALTH_READY, "this process leads");
	else if (leader->holder[0] && clock_boot_ms() < leader->heard_ms + leader->lease_ms)
		tell_other(leader);
	else
		probe_set(leader->probe, HEALTH_DEGRADED,
			"nobody leads: rounds over the accounts, mails and daily checks wait for "
			"Redis");
}

static void
make_key(const struct leader *leader, char key[KEY_SIZE])
{
	snprintf(key, KEY_SIZE, "leader:{control}:%s", directory_owner(leader->directory));
}

/* Our lease ends before Redis's does. */
static unsigned
own_lease_ms(const struct leader *leader)
{
	return leader->lease_ms - leader->lease_ms / 6;
}

static void
on_answer(void *arg, int err, const struct redis_reply *reply)
{
	struct leader *leader = arg;
	const char *holder = !err && redis_reply_kind(reply) == REDIS_STR
		? redis_reply_str(reply, NULL)
		: NULL;

	leader->asking = false;
	if (leader->closed || err == -ECANCELED)
		return;
	if (holder) {
		leader->heard_ms = clock_boot_ms();
		snprintf(leader->holder, sizeof leader->holder, "%s", holder);
		atomic_store(&leader->until_ms,
			strcmp(holder, leader->me) == 0 ? leader->asked_ms + own_lease_ms(leader)
							: 0);
	}
	tell(leader);
}

static void
on_timer(void *arg)
{
	char key[KEY_SIZE], lease[16];
	const char *argv[] = { key, NULL, lease };
	struct leader *leader = arg;

	tell(leader);
	if (leader->asking)
		return;
	leader->asking = true;
	leader->asked_ms = clock_boot_ms();
	argv[1] = leader->me;
	make_key(leader, key);
	snprintf(lease, sizeof lease, "%u", leader->lease_ms);
	redis_run(leader->redis, &take_script, TIMEOUT_MS, on_answer, leader, 1, 3, argv);
}

struct leader *
leader_new(struct loop *loop, struct redis *redis, const struct directory *directory,
	const struct leader_options *options)
{
	struct leader *leader = xcalloc(1, sizeof *leader);
	char nonce[NONCE + 1];

	leader->redis = redis;
	leader->directory = directory;
	leader->alone = options->alone;
	leader->lease_ms = options->lease_ms ? options->lease_ms : LEADER_LEASE_MS;
	random_text(nonce, NONCE, "0123456789abcdef");
	snprintf(leader->me, sizeof leader->me, "%.255s %ld-%s", options->name, (long)getpid(),
		nonce);
	leader->probe = probe_new("leader");
	leader->metric = metric_gauge("shout_control_leader",
		"Whether this control process does the work in the background", NULL);
	timer_init(&leader->timer, loop, on_timer, leader);
	return leader;
}

void
leader_start(struct leader *leader)
{
	if (leader->alone) {
		atomic_store(&leader->until_ms, UINT64_MAX);
		tell(leader);
		return;
	}
	on_timer(leader);
	timer_repeat(&leader->timer, leader->lease_ms / 3);
}

void
leader_close(struct leader *leader)
{
	char key[KEY_SIZE];
	const char *argv[] = { key, leader->me };

	timer_cancel(&leader->timer);
	leader->closed = true;
	atomic_store(&leader->until_ms, 0);
	metric_set(leader->metric, 0);
	if (leader->alone || !redis_up(leader->redis))
		return;
	make_key(leader, key);
	redis_run(leader->redis, &give_back_script, TIMEOUT_MS, NULL, NULL, 1, 2, argv);
}

void
leader_free(struct leader **leader)
{
	if (!*leader)
		return;
	timer_cancel(&(*leader)->timer);
	free(*leader);
	*leader = NULL;
}
