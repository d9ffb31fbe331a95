/*
 * kafka_state.c - who owns a partition's rows, until when, and who is told.
 *
 * kafka_consumer (mail.ready) -> claim, release, leased -> [kafka_state] -> gained, lost
 *
 * A claim is a record of mail.state; its offset is the owner's epoch. What was written before it is
 * read first, so nothing of an earlier owner is missed; what an earlier owner writes after it is a
 * zombie's. A claim says nothing about the lease: only a commit that the group's coordinator took
 * does, and it refuses one of a process that was away for too long.
 *
 * When another claim comes after ours, one of the two is not in the group any more. Nothing is
 * written meanwhile; if our next commit succeeds it is the other, and we claim again.
 */
#include "shared/queue/kafka/rows/kafka_state_private.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/log.h"
#include "shared/config/config.h"
#include "shared/metrics/metrics.h"
#include "shared/queue/kafka/rows/kafka_state.h"

#define RENEW_US (24ull * 3600 * 1000000)
#define TRIM_MS 10000
/* min.compaction.lag.ms, less what the brokers' clocks may differ by. */
#define LAG_US (55ull * 60 * 1000000)

/* Telling. */

struct notice {
	struct task task;
	struct kafka_view *view;
	uint32_t partition;
	bool gained;
};

static void
view_unref(struct kafka_view *view)
{
	if (atomic_fetch_sub(&view->uses, 1) == 1)
		free(view);
}

static void
on_notice(struct task *task)
{
	struct notice *notice = (struct notice *)task;
	struct kafka_view *view = notice->view;

	if (!view->closed && notice->gained)
		view->watch->gained(view->arg, notice->partition);
	else if (!view->closed)
		view->watch->lost(view->arg, notice->partition);
	view_unref(view);
	free(notice);
}

static void
tell(struct kafka_state *state, struct part *part, bool gained)
{
	struct notice *notice;

	if (part->told == gained || !state->view)
		return;
	part->told = gained;
	notice = xmalloc(sizeof *notice);
	*notice = (struct notice){
		{NULL, on_notice},
                state->view, (uint32_t)part->partition, gained
	};
	atomic_fetch_add(&state->view->uses, 1);
	loop_post(state->view->loop, &notice->task);
}

struct claimed {
	struct task task;
	void (*on_claimed)(void *arg, int32_t partition, int err);
	void *arg;
	int32_t partition;
	int err;
};

static void
on_claimed_task(struct task *task)
{
	struct claimed *claimed = (struct claimed *)task;

	claimed->on_claimed(claimed->arg, claimed->partition, claimed->err);
	free(claimed);
}

static void
tell_claimed(struct part *part, int err)
{
	struct claimed *claimed;
	struct loop *loop = part->loop;

	part->loop = NULL;
	if (!loop)
		return;
	claimed = xmalloc(sizeof *claimed);
	*claimed = (struct claimed){
		{NULL, on_claimed_task},
                part->on_claimed, part->arg, part->partition, err
	};
	loop_post(loop, &claimed->task);
}

/* How far the rebuild is, for /readyz. */
static void
show_progress(struct kafka_state *state)
{
	uint64_t remaining = state->mine ? follower_remaining(state->mine) : 0;
	unsigned replaying = 0, owned = 0;
	char why[64];

	for (int i = 0; i < state->parts_count; i++)
		if (state->parts[i]) {
			replaying += state->parts[i]->state == PART_REPLAYING;
			owned += state->parts[i]->state == PART_OWNED;
		}
	metric_set(state->owned, owned);
	metric_set(state->rebuild_partitions, replaying);
	metric_set(state->rebuild_remaining, replaying ? (int64_t)remaining : 0);
	if (replaying) {
		snprintf(why, sizeof why, "reading the rows of %u partitions", replaying);
		probe_set(state->probe, HEALTH_DEGRADED, why);
	} else if (state->replaying) {
		probe_set(state->probe, HEALTH_READY, NULL);
	}
	state->replaying = replaying;
}

/* Claims. */

static void part_acked(struct kafka_state *state, const struct flight *claim);

static void
claim_begin(struct kafka_state *state, struct part *part)
{
	char key[32], value[300], host[200] = "";
	struct flight *flight;
	size_t key_size, value_size;

	gethostname(host, sizeof host - 1);
	key_size = (size_t)snprintf(key, sizeof key, CLAIM_KEY "%" PRId32, part->partition);
	value_size = (size_t)snprintf(
		value, sizeof value, "{\"host\":\"%s\",\"pid\":%ld}", host, (long)getpid());
	flight = flight_new(state, FLIGHT_CLAIM, part->partition, key_size, value_size);
	flight->on_claim = part_acked;
	memcpy(flight->bytes, key, key_size);
	memcpy(flight->bytes + key_size, value, value_size);
	part_enter(part, PART_CLAIMING);
	flight->turn = ++part->turn;
	flight_produce(state, flight);
	metric_add(state->claims, 1);
}

static void
fence(struct part *part)
{
	LOG_WARN("somebody else claims a partition that was ours", "partition",
		log_int(part->partition), "epoch", log_int(part->newest_claim));
	part_enter(part, PART_FENCED);
}

/* The claim came to nothing. */
static void
part_leave(struct kafka_state *state, struct part *part, int err)
{
	part_enter(part, PART_AWAY);
	follower_want(state->mine, part->partition, false);
	tell_claimed(part, err);
}

static void
check_replayed(struct kafka_state *state, struct part *part)
{
	if (part->state != PART_REPLAYING || part->next <= part->epoch)
		return;
	if (part->newest_claim > part->epoch) {
		fence(part);
		if (part->loop) /* no commit comes before it is told */
			part_leave(state, part, -EAGAIN);
		return;
	}
	part_enter(part, PART_OWNED);
	part->told = part->told && !part->again;
	part->again = false;
	LOG_INFO("rows of a partition are ours", "partition", log_int(part->partition), "epoch",
		log_int(part->epoch), "rows",
		log_int((int64_t)row_cache_count(
			follower_cache(state->mine), part->partition, NULL)));
	tell(state, part, true);
	tell_claimed(part, 0);
}

static void
part_acked(struct kafka_state *state, const struct flight *claim)
{
	struct part *part = part_of(state, claim->message.partition);

	if (part->state != PART_CLAIMING || part->turn != claim->turn)
		return;
	if (!claim->err) {
		part_enter(part, PART_REPLAYING);
		part->epoch = claim->offset;
		check_replayed(state, part);
		return;
	}
	LOG_WARN("cannot claim a partition", "partition", log_int(part->partition), "error",
		strerror(-claim->err));
	if (part->told) { /* a second claim; the next commit tries again */
		part_enter(part, PART_FENCED);
		return;
	}
	part_leave(state, part, claim->err);
}

/* Hooks of the follower. */

static void
on_claim_read(void *arg, int32_t partition, int64_t offset)
{
	struct kafka_state *state = arg;
	struct part *part;

	pthread_mutex_lock(&state->lock);
	part = part_of(state, partition);
	if (part)
		part->newest_claim = offset;
	if (part && part->state == PART_OWNED && offset > part->epoch)
		fence(part);
	pthread_mutex_unlock(&state->lock);
}

static void
on_zombie_read(void *arg, const rd_kafka_message_t *message, int64_t newest)
{
	struct kafka_state *state = arg;
	struct part *part;

	pthread_mutex_lock(&state->lock);
	part = part_of(state, message->partition);
	if (part)
		zombie_note(part, message, newest);
	metric_add(state->zombies, 1);
	pthread_mutex_unlock(&state->lock);
}

static void
on_removed_read(void *arg, const rd_kafka_message_t *message)
{
	struct kafka_state *state = arg;
	struct part *part;

	pthread_mutex_lock(&state->lock);
	part = part_of(state, message->partition);
	if (part)
		zombies_settle(part, message);
	pthread_mutex_unlock(&state->lock);
}

/* A zombie's record is not passed until it is answered: the answer may not survive us. */
static void
on_point(void *arg, int32_t partition, struct row_point *point)
{
	struct kafka_state *state = arg;
	const struct zombie *zombie;
	struct part *part;

	pthread_mutex_lock(&state->lock);
	part = part_of(state, partition);
	zombie = part ? TAILQ_FIRST(&part->zombies) : NULL;
	if (zombie && zombie->offset < point->next) {
		point->next = zombie->offset;
		point->epoch = zombie->newest;
	}
	pthread_mutex_unlock(&state->lock);
}

static void
on_folded(void *arg, int32_t partition, int64_t next)
{
	struct kafka_state *state = arg;
	struct part *part;

	pthread_mutex_lock(&state->lock);
	part = part_of(state, partition);
	if (part && part->state != PART_AWAY) {
		part->next = next;
		check_replayed(state, part);
		rows_folded(state, part);
	}
	pthread_mutex_unlock(&state->lock);
}

/* A log that was cut off, or whose start was. What is in the cache is going, and would look as if
 * nobody needed any body: we own nothing until a claim of ours has been read behind all there is.
 */
static void
on_wiped(void *arg, int32_t partition)
{
	struct kafka_state *state = arg;
	struct part *part;

	pthread_mutex_lock(&state->lock);
	part = part_of(state, partition);
	if (part) {
		part->next = 0;
		part->newest_claim = -1;
		part->again = part->told;
	}
	if (part && (part->state == PART_OWNED || part->state == PART_REPLAYING)) {
		LOG_ERROR("mail.state is shorter than it was; it is read again", "partition",
			log_int(partition));
		part_enter(part, PART_FENCED);
		if (part->loop)
			part_leave(state, part, -EAGAIN);
	}
	pthread_mutex_unlock(&state->lock);
}

static void
on_turn(void *arg)
{
	struct kafka_state *state = arg;

	rows_turn(state);
	renew_turn(state);
	trim_turn(state);
	pthread_mutex_lock(&state->lock);
	show_progress(state);
	pthread_mutex_unlock(&state->lock);
}

struct follower *
state_follower(struct kafka_state *state, enum rows_scope scope)
{
	const struct follow_hooks owners = { on_claim_read, on_zombie_read, on_removed_read,
		on_point, on_folded, on_wiped, on_turn, state, "rows.mdb" };
	const struct follow_hooks others = {
		.turn = view_all_turn, .arg = state, .file = "rows_all.mdb"
	};

	if (scope == ROWS_MINE && !state->mine)
		state->mine = follower_new(state->queue, &owners);
	else if (scope == ROWS_ALL && !state->all)
		state->all = follower_new(state->queue, &others);
	return scope == ROWS_MINE ? state->mine : state->all;
}

/* From the consumer. */

static struct part *
part_get(struct kafka_state *state, int32_t partition)
{
	struct part *part = state->parts[partition];

	if (part)
		return part;
	part = xcalloc(1, sizeof *part);
	part->partition = partition;
	part->newest_claim = -1;
	TAILQ_INIT(&part->flying);
	TAILQ_INIT(&part->zombies);
	state->parts[partition] = part;
	if (partition >= state->parts_count)
		state->parts_count = partition + 1;
	return part;
}

void
kafka_state_claim(struct kafka_state *state, int32_t partition, struct loop *loop,
	void (*on_claimed)(void *arg, int32_t partition, int err), void *arg)
{
	struct part *part;

	assert(partition >= 0 && partition < ROW_PARTITIONS_MAX);
	pthread_mutex_lock(&state->lock);
	part = part_get(state, partition);
	tell_claimed(part, -ECANCELED);
	part->loop = loop;
	part->on_claimed = on_claimed;
	part->arg = arg;
	if (!state_follower(state, ROWS_MINE)) {
		tell_claimed(part, -EIO);
	} else {
		part->next = 0;
		part->tenure++;
		part->again = false;
		part->body_end = -1;
		part->missing_to = 0;
		part->doubtful_body = INT64_MAX;
		follower_want(state->mine, partition, true);
		claim_begin(state, part);
	}
	pthread_mutex_unlock(&state->lock);
}

void
kafka_state_forget_claims(struct kafka_state *state, const struct loop *loop)
{
	struct part *part;

	pthread_mutex_lock(&state->lock);
	for (int32_t i = 0; i < ROW_PARTITIONS_MAX; i++)
		if ((part = part_of(state, i)) && part->loop == loop)
			part->loop = NULL;
	pthread_mutex_unlock(&state->lock);
}

void
kafka_state_release(struct kafka_state *state, int32_t partition)
{
	struct part *part;

	pthread_mutex_lock(&state->lock);
	part = part_of(state, partition);
	if (part && part->state != PART_AWAY) {
		part_enter(part, PART_AWAY);
		part->turn++;
		tell_claimed(part, -ECANCELED);
		follower_want(state->mine, partition, false);
		tell(state, part, false);
		rows_released(state, part);
	}
	pthread_mutex_unlock(&state->lock);
}

void
kafka_state_leased(struct kafka_state *state, uint64_t sent_ms)
{
	if (sent_ms + LEASE_MS > atomic_load(&state->lease_ms))
		atomic_store(&state->lease_ms, sent_ms + LEASE_MS);
	pthread_mutex_lock(&state->lock);
	for (int i = 0; i < state->parts_count; i++) {
		struct part *part = state->parts[i];

		if (part && part->state == PART_FENCED && part->fenced_ms < sent_ms)
			claim_begin(state, part);
	}
	pthread_mutex_unlock(&state->lock);
}

struct kafka_state *
kafka_state_new(struct kafka_queue *queue)
{
	struct kafka_state *state = xcalloc(1, sizeof *state);

	state->queue = queue;
	state->renew_us = RENEW_US;
	state->trim_ms = TRIM_MS;
	state->lag_us = LAG_US;
	pthread_mutex_init(&state->lock, NULL);
	pthread_mutex_init(&state->acks_lock, NULL);
	TAILQ_INIT(&state->writes);
	TAILQ_INIT(&state->ended);
	state->probe = probe_new("rows");
	probe_set(state->probe, HEALTH_READY, NULL);
	state->owned = metric_gauge(
		"shout_rows_partitions", "Partitions of waiting mail that are ours", NULL);
	state->rebuild_partitions = metric_gauge("shout_rows_rebuild_partitions",
		"Partitions whose rows are being read before they are ours", NULL);
	state->rebuild_remaining = metric_gauge("shout_rows_rebuild_remaining",
		"Records of mail.state still to be read for them", NULL);
	state->claims = metric_counter("shout_rows_claims_total", "Claims of partitions", NULL);
	state->zombies = metric_counter("shout_rows_zombies_total",
		"Records of mail.state by a process that was not the owner any more", NULL);
	state->bad = metric_gauge(
		"shout_rows_bad", "Rows of waiting mail that cannot be read, and are held", NULL);
	state->bodiless = metric_counter("shout_rows_bodiless_total",
		"Times that the body of waiting mail was asked for and was not there", NULL);
	state->bodies = metric_counter("shout_rows_bodies_renewed_total",
		"Bodies of waiting mail that were appended anew for their age", NULL);
	return state;
}

uint64_t
kafka_clock_us(struct queue *base)
{
	struct kafka_state *state = ((struct kafka_queue *)base)->state;
	struct follower *follower;

	pthread_mutex_lock(&state->lock);
	follower = state->mine;
	pthread_mutex_unlock(&state->lock);
	return follower ? follower_clock_us(follower) : 0;
}

/* The producer reports every record in its time; what was read back by then is answered. */
static void
await_writes(struct kafka_state *state)
{
	const uint64_t until = clock_mono_ms() + LATE_MS;
	bool busy = state->mine != NULL;

	while (busy) {
		pthread_mutex_lock(&state->lock);
		busy = atomic_load(&state->unacked) || atomic_load(&state->reading) ||
			((!TAILQ_EMPTY(&state->writes) || !TAILQ_EMPTY(&state->ended)) &&
				clock_mono_ms() < until);
		pthread_mutex_unlock(&state->lock);
		if (busy)
			usleep(1000);
	}
}

static void
part_free(struct part *part)
{
	struct zombie *zombie;
	struct flight *flight;

	if (part)
		free(part->renewal);
	while (part && (flight = TAILQ_FIRST(&part->flying))) {
		TAILQ_REMOVE(&part->flying, flight, link);
		free(flight);
	}
	while (part && (zombie = TAILQ_FIRST(&part->zombies)))
		zombie_free(part, zombie);
	free(part);
}

void
kafka_state_free(struct kafka_state **state_ref)
{
	struct kafka_state *state = *state_ref;

	*state_ref = NULL;
	if (!state)
		return;
	pthread_mutex_lock(&state->lock);
	state->closing = true;
	pthread_mutex_unlock(&state->lock);
	await_writes(state);
	follower_free(&state->mine);
	follower_free(&state->all);
	for (int i = 0; i < state->parts_count; i++)
		part_free(state->parts[i]);
	rows_free(state);
	pthread_mutex_destroy(&state->lock);
	pthread_mutex_destroy(&state->acks_lock);
	free(state);
}
