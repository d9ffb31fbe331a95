/*
 * kafka_state.c - who owns a partition's rows, until when, and who is told.
 *
 * kafka_consumer (mail.ready) -> claim, release, leased -> [kafka_state] -> gained, lost
 *
 * A claim is a record of mail.state; its offset is the owner's epoch. The owner first reads all
 * records before its claim, so it misses nothing of an earlier owner. Records of an earlier owner
 * behind the claim are a zombie's. A claim says nothing about the lease. Only a commit that the
 * group's coordinator took gives a lease, and the coordinator refuses commits of a process that was
 * away for too long.
 *
 * When another claim comes after ours, one of the two owners is not in the group any more. Nothing
 * is written meanwhile. If our next commit succeeds, the other owner is out, and we claim again.
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
/* min.compaction.lag.ms, less the difference that brokers' clocks may have. */
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
		view->subscriber->gained(view->arg, notice->partition);
	else if (!view->closed)
		view->subscriber->lost(view->arg, notice->partition);
	view_unref(view);
	free(notice);
}

static void
tell(struct kafka_state *state, struct state_partition *partition, bool gained)
{
	struct notice *notice;

	if (partition->told == gained || !state->view)
		return;
	partition->told = gained;
	notice = xmalloc(sizeof *notice);
	*notice = (struct notice){ { NULL, on_notice }, state->view, (uint32_t)partition->number,
		gained };
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
tell_claimed(struct state_partition *partition, int err)
{
	struct claimed *claimed;
	struct loop *loop = partition->loop;

	partition->loop = NULL;
	if (!loop)
		return;
	claimed = xmalloc(sizeof *claimed);
	*claimed = (struct claimed){ { NULL, on_claimed_task }, partition->on_claimed,
		partition->arg, partition->number, err };
	loop_post(loop, &claimed->task);
}

/* Tells /readyz how far the rebuild is. */
static void
show_progress(struct kafka_state *state)
{
	uint64_t remaining = state->mine ? follower_remaining(state->mine) : 0;
	unsigned replaying = 0, owned = 0;
	char why[64];

	for (int i = 0; i < state->partitions_count; i++)
		if (state->partitions[i]) {
			replaying += state->partitions[i]->state == OWNERSHIP_REPLAYING;
			owned += state->partitions[i]->state == OWNERSHIP_OURS;
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
claim_begin(struct kafka_state *state, struct state_partition *partition)
{
	char key[32], value[300], host[200] = "";
	struct flight *flight;
	size_t key_size, value_size;

	gethostname(host, sizeof host - 1);
	key_size = (size_t)snprintf(key, sizeof key, CLAIM_KEY "%" PRId32, partition->number);
	value_size = (size_t)snprintf(
		value, sizeof value, "{\"host\":\"%s\",\"pid\":%ld}", host, (long)getpid());
	flight = flight_new(state, FLIGHT_CLAIM, partition->number, key_size, value_size);
	flight->on_claim = part_acked;
	memcpy(flight->bytes, key, key_size);
	memcpy(flight->bytes + key_size, value, value_size);
	state_partition_enter(partition, OWNERSHIP_CLAIMING);
	flight->turn = ++partition->turn;
	flight_produce(state, flight);
	metric_add(state->claims, 1);
}

static void
fence(struct state_partition *partition)
{
	LOG_WARN("somebody else claims a partition that was ours", "partition",
		log_int(partition->number), "epoch", log_int(partition->newest_claim));
	state_partition_enter(partition, OWNERSHIP_FENCED);
}

/* The claim came to nothing. */
static void
state_partition_leave(struct kafka_state *state, struct state_partition *partition, int err)
{
	state_partition_enter(partition, OWNERSHIP_AWAY);
	follower_want(state->mine, partition->number, false);
	tell_claimed(partition, err);
}

static void
check_replayed(struct kafka_state *state, struct state_partition *partition)
{
	if (partition->state != OWNERSHIP_REPLAYING || partition->next <= partition->epoch)
		return;
	if (partition->newest_claim > partition->epoch) {
		fence(partition);
		if (partition->loop) /* no commit comes before the consumer is told */
			state_partition_leave(state, partition, -EAGAIN);
		return;
	}
	state_partition_enter(partition, OWNERSHIP_OURS);
	partition->told = partition->told && !partition->again;
	partition->again = false;
	LOG_INFO("rows of a partition are ours", "partition", log_int(partition->number), "epoch",
		log_int(partition->epoch), "rows",
		log_int((int64_t)row_cache_count(
			follower_cache(state->mine), partition->number, NULL)));
	tell(state, partition, true);
	tell_claimed(partition, 0);
}

static void
part_acked(struct kafka_state *state, const struct flight *claim)
{
	struct state_partition *partition = state_partition_of(state, claim->message.partition);

	if (partition->state != OWNERSHIP_CLAIMING || partition->turn != claim->turn)
		return;
	if (!claim->err) {
		state_partition_enter(partition, OWNERSHIP_REPLAYING);
		partition->epoch = claim->offset;
		check_replayed(state, partition);
		return;
	}
	LOG_WARN("cannot claim a partition", "partition", log_int(partition->number), "error",
		strerror(-claim->err));
	if (partition->told) { /* this was not the first claim: the next commit claims again */
		state_partition_enter(partition, OWNERSHIP_FENCED);
		return;
	}
	state_partition_leave(state, partition, claim->err);
}

/* Hooks of the follower. */

static void
on_claim_read(void *arg, int32_t number, int64_t offset)
{
	struct kafka_state *state = arg;
	struct state_partition *partition;

	pthread_mutex_lock(&state->lock);
	partition = state_partition_of(state, number);
	if (partition)
		partition->newest_claim = offset;
	if (partition && partition->state == OWNERSHIP_OURS && offset > partition->epoch)
		fence(partition);
	pthread_mutex_unlock(&state->lock);
}

static void
on_zombie_read(void *arg, const rd_kafka_message_t *message, int64_t newest)
{
	struct kafka_state *state = arg;
	struct state_partition *partition;

	pthread_mutex_lock(&state->lock);
	partition = state_partition_of(state, message->partition);
	if (partition)
		zombie_note(partition, message, newest);
	metric_add(state->zombies, 1);
	pthread_mutex_unlock(&state->lock);
}

static void
on_removed_read(void *arg, const rd_kafka_message_t *message)
{
	struct kafka_state *state = arg;
	struct state_partition *partition;

	pthread_mutex_lock(&state->lock);
	partition = state_partition_of(state, message->partition);
	if (partition)
		zombies_settle(partition, message);
	pthread_mutex_unlock(&state->lock);
}

/* The checkpoint stays before a zombie's record until that is answered: the answer may not survive
 * a crash of ours. */
static void
on_point(void *arg, int32_t number, struct row_point *point)
{
	struct kafka_state *state = arg;
	const struct zombie *zombie;
	struct state_partition *partition;

	pthread_mutex_lock(&state->lock);
	partition = state_partition_of(state, number);
	zombie = partition ? TAILQ_FIRST(&partition->zombies) : NULL;
	if (zombie && zombie->offset < point->next) {
		point->next = zombie->offset;
		point->epoch = zombie->newest;
	}
	pthread_mutex_unlock(&state->lock);
}

static void
on_folded(void *arg, int32_t number, int64_t next)
{
	struct kafka_state *state = arg;
	struct state_partition *partition;

	pthread_mutex_lock(&state->lock);
	partition = state_partition_of(state, number);
	if (partition && partition->state != OWNERSHIP_AWAY) {
		partition->next = next;
		check_replayed(state, partition);
		rows_folded(state, partition);
	}
	pthread_mutex_unlock(&state->lock);
}

/* A log was cut off, at its end or its start. The cache is being emptied, and would look as if no
 * body were needed. So we own nothing until a claim of ours has been read behind all records. */
static void
on_wiped(void *arg, int32_t number)
{
	struct kafka_state *state = arg;
	struct state_partition *partition;

	pthread_mutex_lock(&state->lock);
	partition = state_partition_of(state, number);
	if (partition) {
		partition->next = 0;
		partition->newest_claim = -1;
		partition->again = partition->told;
	}
	if (partition &&
		(partition->state == OWNERSHIP_OURS || partition->state == OWNERSHIP_REPLAYING)) {
		LOG_ERROR("mail.state is shorter than it was; it is read again", "partition",
			log_int(number));
		state_partition_enter(partition, OWNERSHIP_FENCED);
		if (partition->loop)
			state_partition_leave(state, partition, -EAGAIN);
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

static struct state_partition *
state_partition_get(struct kafka_state *state, int32_t number)
{
	struct state_partition *partition = state->partitions[number];

	if (partition)
		return partition;
	partition = xcalloc(1, sizeof *partition);
	partition->number = number;
	partition->newest_claim = -1;
	TAILQ_INIT(&partition->flying);
	TAILQ_INIT(&partition->zombies);
	state->partitions[number] = partition;
	if (number >= state->partitions_count)
		state->partitions_count = number + 1;
	return partition;
}

void
kafka_state_claim(struct kafka_state *state, int32_t number, struct loop *loop,
	void (*on_claimed)(void *arg, int32_t number, int err), void *arg)
{
	struct state_partition *partition;

	assert(number >= 0 && number < ROW_PARTITIONS_MAX);
	pthread_mutex_lock(&state->lock);
	partition = state_partition_get(state, number);
	tell_claimed(partition, -ECANCELED);
	partition->loop = loop;
	partition->on_claimed = on_claimed;
	partition->arg = arg;
	if (!state_follower(state, ROWS_MINE)) {
		tell_claimed(partition, -EIO);
	} else {
		partition->next = 0;
		partition->tenure++;
		partition->again = false;
		partition->body_end = -1;
		partition->missing_to = 0;
		partition->doubtful_body = INT64_MAX;
		follower_want(state->mine, number, true);
		claim_begin(state, partition);
	}
	pthread_mutex_unlock(&state->lock);
}

void
kafka_state_forget_claims(struct kafka_state *state, const struct loop *loop)
{
	struct state_partition *partition;

	pthread_mutex_lock(&state->lock);
	for (int32_t i = 0; i < ROW_PARTITIONS_MAX; i++)
		if ((partition = state_partition_of(state, i)) && partition->loop == loop)
			partition->loop = NULL;
	pthread_mutex_unlock(&state->lock);
}

void
kafka_state_release(struct kafka_state *state, int32_t number)
{
	struct state_partition *partition;

	pthread_mutex_lock(&state->lock);
	partition = state_partition_of(state, number);
	if (partition && partition->state != OWNERSHIP_AWAY) {
		state_partition_enter(partition, OWNERSHIP_AWAY);
		partition->turn++;
		tell_claimed(partition, -ECANCELED);
		follower_want(state->mine, number, false);
		tell(state, partition, false);
		rows_released(state, partition);
	}
	pthread_mutex_unlock(&state->lock);
}

void
kafka_state_leased(struct kafka_state *state, uint64_t sent_ms)
{
	if (sent_ms + LEASE_MS > atomic_load(&state->lease_ms))
		atomic_store(&state->lease_ms, sent_ms + LEASE_MS);
	pthread_mutex_lock(&state->lock);
	for (int i = 0; i < state->partitions_count; i++) {
		struct state_partition *partition = state->partitions[i];

		if (partition && partition->state == OWNERSHIP_FENCED &&
			partition->fenced_ms < sent_ms)
			claim_begin(state, partition);
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

/* Waits until the producer has reported every record, and until calls are answered, at most
 * LATE_MS. */
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
state_partition_free(struct state_partition *partition)
{
	struct zombie *zombie;
	struct flight *flight;

	if (partition)
		free(partition->renewal);
	while (partition && (flight = TAILQ_FIRST(&partition->flying))) {
		TAILQ_REMOVE(&partition->flying, flight, link);
		free(flight);
	}
	while (partition && (zombie = TAILQ_FIRST(&partition->zombies)))
		zombie_free(partition, zombie);
	free(partition);
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
	for (int i = 0; i < state->partitions_count; i++)
		state_partition_free(state->partitions[i]);
	rows_free(state);
	pthread_mutex_destroy(&state->lock);
	pthread_mutex_destroy(&state->acks_lock);
	free(state);
}
