/*
 * kafka_producer.c - records on their way to the brokers, and the queue thread that takes reports.
 *
 *   any thread -> kafka_produce() -> handle by lane -> broker
 *   queue thread <- reports of all handles; per turn: on_ack of each, on_turn, then the answers,
 *                   one task a loop
 *
 * Three lanes, each with a handle of librdkafka of its own: records up to 1 MB; larger records,
 * whose transmission would hold up the small ones; events, since linger belongs to a handle. A
 * handle that had a fatal error is replaced: its records under way are answered with -EIO, and it
 * is freed after its last report. Bodies are never copied; large ones take turns (kafka_large.c).
 *
 * Owns the handles and the thread. librdkafka cannot be told how long a record has waited already.
 * So a record that waited for others is answered in time here, while librdkafka goes on with it. A
 * record whose fate is unknown is answered with an error and counted (shout_queue_unknown_total):
 * it may be durable.
 */
#include "shared/queue/kafka/produce/kafka_gate.h"
#include "shared/queue/kafka/produce/kafka_handle.h"
#include "shared/queue/kafka/produce/kafka_large.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/metrics/metrics.h"
#include "shared/queue/answers.h"
#include "shared/queue/kafka/produce/kafka_tally.h"

#define EVENTS_PER_TURN 64
#define TICK_MS 100
#define REPLACE_MS 1000 /* a new handle may fail at once: do not replace without end */

struct message_list {
	struct kafka_message *first, **last;
};

struct kafka_producer {
	struct kafka_queue *queue;
	pthread_t thread;
	pthread_mutex_t wake_lock; /* taken while librdkafka holds locks of its own */
	pthread_cond_t wake;
	bool awake; /* under wake_lock: there are reports, or failed messages */
	pthread_mutex_t lock;
	/* under lock */
	struct kafka_handle *lanes[LANES];
	struct message_list failed; /* refused by us or by librdkafka */
	struct kafka_large large;
	struct kafka_gates gates; /* for small ones */
	bool closing;
	uint64_t close_by_ms;
	/* queue thread */
	struct kafka_handle *dead;
	LIST_HEAD(timed, kafka_message)
	timed; /* under way, and may be late before their report */
	struct answers *answers;
	uint64_t next_tick_ms;
	struct kafka_tally tally;
};

static void
list_add(struct message_list *list, struct kafka_message *message)
{
	if (!list->first)
		list->last = &list->first;
	message->next = NULL;
	*list->last = message;
	list->last = &message->next;
}

static struct kafka_message *
list_take(struct message_list *list)
{
	struct kafka_message *message = list->first;

	if (message)
		list->first = message->next;
	return message;
}

static void
wake(struct kafka_producer *producer)
{
	pthread_mutex_lock(&producer->wake_lock);
	producer->awake = true;
	pthread_mutex_unlock(&producer->wake_lock);
	pthread_cond_signal(&producer->wake);
}

/* librdkafka calls this for the first report of an empty queue. */
static void
on_reports(rd_kafka_t *rk, void *producer)
{
	(void)rk;
	wake(producer);
}

static void
wait_for_work(struct kafka_producer *producer)
{
	struct timespec until;
	int err = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += TICK_MS * 1000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&producer->wake_lock);
	while (!producer->awake && !err)
		err = pthread_cond_timedwait(&producer->wake, &producer->wake_lock, &until);
	producer->awake = false;
	pthread_mutex_unlock(&producer->wake_lock);
}

/* Even a message that fails at once is answered by the queue thread. */
static void
refuse(struct kafka_producer *producer, struct kafka_message *message, int err)
{
	message->err = err;
	pthread_mutex_lock(&producer->lock);
	list_add(&producer->failed, message);
	pthread_mutex_unlock(&producer->lock);
	wake(producer);
}

static void
hand_over(struct kafka_producer *producer, struct kafka_message *message)
{
	struct kafka_handle *handle;
	int err;

	pthread_mutex_lock(&producer->lock);
	handle = producer->lanes[kafka_lane_of(message)];
	atomic_fetch_add(&handle->in_flight, 1);
	pthread_mutex_unlock(&producer->lock);
	message->handle = handle;
	err = kafka_handle_send(handle, message);
	if (err)
		refuse(producer, message, err);
}

/* The message goes now, waits for others, or is refused. */
static void
produce_in_turn(
	struct kafka_producer *producer, enum kafka_lane lane, struct kafka_message *message)
{
	int may_go;

	pthread_mutex_lock(&producer->lock);
	may_go = lane == LANE_LARGE ? kafka_large_enter(&producer->large, message)
				    : kafka_gate_enter(&producer->gates, message);
	metric_set(producer->tally.large_waiting, (int64_t)producer->large.waiting);
	pthread_mutex_unlock(&producer->lock);
	if (may_go > 0)
		hand_over(producer, message);
	else if (may_go < 0)
		refuse(producer, message, may_go);
}

static void
untime(struct kafka_message *message)
{
	if (message->timed.le_prev)
		LIST_REMOVE(message, timed);
	message->timed.le_prev = NULL;
}

/* librdkafka counts the message's time from here on. A message that waited for long is answered
 * before librdkafka gives it up. The caller may reuse the value then, so librdkafka gets a copy. */
static void
hand_over_late(struct kafka_producer *producer, struct kafka_message *message)
{
	uint64_t waited_us = clock_mono_us() - message->asked_us;

	if (message->on_let_go && waited_us > PATIENCE_MS(producer->queue->late_ms) * 1000ull) {
		if (kafka_lane_of(message) != LANE_LARGE)
			kafka_message_keep(message, true);
		LIST_INSERT_HEAD(&producer->timed, message, timed);
	}
	hand_over(producer, message);
}

static void
hand_over_all(struct kafka_producer *producer, struct kafka_message *message)
{
	struct kafka_message *next;

	for (; message; message = next) {
		next = message->next;
		hand_over_late(producer, message);
	}
}

/* Under lock. */
static void
expire_all(struct kafka_producer *producer, struct kafka_message *message)
{
	struct kafka_message *next;

	for (; message; message = next) {
		next = message->next;
		message->err = -ETIMEDOUT;
		list_add(&producer->failed, message);
	}
}

/* Nobody took a record of the gate in time. The messages behind it would wait as long again. */
static void
small_next(struct kafka_producer *producer, struct kafka_gate *gate, int err)
{
	struct kafka_message *next;

	pthread_mutex_lock(&producer->lock);
	if (err == -ETIMEDOUT)
		expire_all(producer, kafka_gate_clear(&producer->gates, gate));
	next = kafka_gate_leave(&producer->gates, gate);
	pthread_mutex_unlock(&producer->lock);
	hand_over_all(producer, next);
}

static void
large_next(struct kafka_producer *producer, size_t bytes_done)
{
	struct kafka_message *next;

	pthread_mutex_lock(&producer->lock);
	next = kafka_large_leave(&producer->large, bytes_done);
	metric_set(producer->tally.large_waiting, (int64_t)producer->large.waiting);
	pthread_mutex_unlock(&producer->lock);
	hand_over_all(producer, next);
}

void
kafka_produce(struct kafka_producer *producer, struct kafka_message *message)
{
	enum kafka_lane lane = kafka_lane_of(message);

	message->asked_us = clock_mono_us();
	message->handle = NULL;
	message->gate = NULL;
	message->copy = NULL;
	message->answered = false;
	message->timed.le_prev = NULL;
	metric_add(producer->tally.in_flight, 1);
	if (lane == LANE_LARGE || (lane == LANE_SMALL && message->partition >= 0))
		produce_in_turn(producer, lane, message);
	else
		hand_over(producer, message);
}

static void
answer(struct kafka_producer *producer, struct kafka_message *message, int err, int64_t offset)
{
	kafka_tally_answer(&producer->tally, message, err);
	message->answered = true;
	message->on_ack(message, err, offset);
}

static void
settle(struct kafka_producer *producer, struct kafka_message *message, int err, int64_t offset)
{
	void (*on_let_go)(struct kafka_message *) = message->on_let_go;
	struct kafka_handle *handle = message->handle;
	struct kafka_gate *gate = message->gate;
	size_t large = handle && kafka_lane_of(message) == LANE_LARGE ? message->value_size : 0;
	void *copy = message->copy;

	metric_add(producer->tally.in_flight, -1);
	untime(message);
	if (!message->answered)
		answer(producer, message, err, offset);
	else if (!err)
		metric_add(producer->tally.unknown[message->topic], 1);
	if (on_let_go)
		on_let_go(message);
	free(copy);
	if (large)
		large_next(producer, large);
	if (gate)
		small_next(producer, gate, err);
	if (handle)
		atomic_fetch_sub(&handle->in_flight, 1);
}

static void
on_report(struct kafka_producer *producer, const rd_kafka_message_t *report)
{
	struct kafka_message *message = report->_private;

	if (report->err &&
		rd_kafka_message_status(report) == RD_KAFKA_MSG_STATUS_POSSIBLY_PERSISTED)
		metric_add(producer->tally.unknown[message->topic], 1);
	settle(producer, message, kafka_errno(report->err), report->offset);
}

static void
on_event(struct kafka_producer *producer, rd_kafka_event_t *event)
{
	const rd_kafka_message_t *report;

	if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_DR)
		while ((report = rd_kafka_event_message_next(event)))
			on_report(producer, report);
	else if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR)
		LOG_WARN("kafka", "what", "error", "text", rd_kafka_event_error_string(event));
}

static void
take_reports(struct kafka_producer *producer, struct kafka_handle *handle)
{
	rd_kafka_event_t *event;

	for (int i = 0; i < EVENTS_PER_TURN; i++) {
		event = rd_kafka_queue_poll(handle->reports, 0);
		if (!event)
			return;
		on_event(producer, event);
		rd_kafka_event_destroy(event);
	}
	wake(producer); /* there may be more */
}

static void
take_all_reports(struct kafka_producer *producer)
{
	for (enum kafka_lane lane = 0; lane < LANES; lane++)
		take_reports(producer, producer->lanes[lane]);
	for (struct kafka_handle *handle = producer->dead; handle; handle = handle->next)
		take_reports(producer, handle);
}

static void
take_failed(struct kafka_producer *producer)
{
	struct message_list failed;
	struct kafka_message *message;

	pthread_mutex_lock(&producer->lock);
	failed = producer->failed;
	producer->failed = (struct message_list){ 0 };
	pthread_mutex_unlock(&producer->lock);
	while ((message = list_take(&failed)))
		settle(producer, message, message->err, -1);
}

/* Answers late messages: those still waiting for their turn, and those that got it late. */
static void
expire(struct kafka_producer *producer, uint64_t now_us)
{
	uint64_t late_us = producer->queue->late_ms * 1000ull;
	struct kafka_message *next;

	if (now_us <= late_us)
		return;
	for (struct kafka_message *message = LIST_FIRST(&producer->timed); message;
		message = next) {
		next = LIST_NEXT(message, timed);
		if (message->asked_us >= now_us - late_us)
			continue;
		untime(message);
		answer(producer, message, -ETIMEDOUT, -1);
	}
	pthread_mutex_lock(&producer->lock);
	expire_all(producer, kafka_large_expire(&producer->large, now_us - late_us));
	expire_all(producer, kafka_gates_expire(&producer->gates, now_us - late_us));
	metric_set(producer->tally.large_waiting, (int64_t)producer->large.waiting);
	pthread_mutex_unlock(&producer->lock);
}

/* A handle does not recover from a fatal error, so a new handle takes its lane. */
static void
replace(struct kafka_producer *producer, enum kafka_lane lane)
{
	struct kafka_handle *old = producer->lanes[lane], *new;
	char why[256] = "";

	if (!old->failed) {
		rd_kafka_fatal_error(old->rk, why, sizeof why);
		LOG_ERROR("a producer failed and is replaced", "handle", rd_kafka_name(old->rk),
			"error", why);
		old->failed = true;
		rd_kafka_purge(old->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
	}
	if (clock_mono_ms() - old->born_ms < REPLACE_MS)
		return;
	new = kafka_handle_new(producer->queue, lane, on_reports, producer);
	if (!new)
		die("cannot replace a producer", why);
	metric_add(producer->tally.replaced, 1);
	pthread_mutex_lock(&producer->lock);
	producer->lanes[lane] = new;
	pthread_mutex_unlock(&producer->lock);
	old->next = producer->dead;
	producer->dead = old;
}

static void
bury(struct kafka_producer *producer)
{
	struct kafka_handle **at = &producer->dead, *handle;

	while ((handle = *at)) {
		if (atomic_load(&handle->in_flight)) {
			at = &handle->next;
			continue;
		}
		*at = handle->next;
		kafka_handle_free(handle);
	}
}

static void
tick(struct kafka_producer *producer)
{
	uint64_t now_us = clock_mono_us();

	if (now_us / 1000 < producer->next_tick_ms)
		return;
	producer->next_tick_ms = now_us / 1000 + TICK_MS;
	for (enum kafka_lane lane = 0; lane < LANES; lane++)
		if (rd_kafka_fatal_error(producer->lanes[lane]->rk, NULL, 0))
			replace(producer, lane);
	bury(producer);
	expire(producer, now_us);
}

void
kafka_answer(struct kafka_producer *producer, struct loop *loop, queue_cb cb, void *arg, int err)
{
	answers_add(&producer->answers, loop, cb, arg, err);
}

/* Whether the thread may end: the producer closes and nothing is under way. After the deadline
 * librdkafka has to give its records up. */
static bool
is_over(struct kafka_producer *producer)
{
	bool over;

	pthread_mutex_lock(&producer->lock);
	over = producer->closing && !producer->failed.first && !producer->large.waiting;
	for (enum kafka_lane lane = 0; lane < LANES && over; lane++) {
		struct kafka_handle *handle = producer->lanes[lane];

		over = !atomic_load(&handle->in_flight);
		if (!over && clock_mono_ms() > producer->close_by_ms)
			rd_kafka_purge(
				handle->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
	}
	pthread_mutex_unlock(&producer->lock);
	return over && !producer->dead;
}

static void *
run(void *arg)
{
	struct kafka_producer *producer = arg;

	pthread_setname_np(pthread_self(), "queue");
	log_set_role("queue");
	while (!is_over(producer)) {
		wait_for_work(producer);
		take_all_reports(producer);
		take_failed(producer);
		answers_send(&producer->answers);
		tick(producer);
	}
	return NULL;
}

static int
open_handles(struct kafka_producer *producer)
{
	for (enum kafka_lane lane = 0; lane < LANES; lane++) {
		producer->lanes[lane] = kafka_handle_new(
			producer->queue, lane, on_reports, producer);
		if (!producer->lanes[lane])
			return -1;
	}
	return 0;
}

static void
release(struct kafka_producer *producer)
{
	for (enum kafka_lane lane = 0; lane < LANES; lane++)
		kafka_handle_free(producer->lanes[lane]);
	kafka_gates_free(&producer->gates);
	pthread_mutex_destroy(&producer->lock);
	pthread_mutex_destroy(&producer->wake_lock);
	pthread_cond_destroy(&producer->wake);
	free(producer);
}

struct kafka_producer *
kafka_producer_new(struct kafka_queue *queue)
{
	struct kafka_producer *producer = xcalloc(1, sizeof *producer);
	pthread_condattr_t monotonic;

	producer->queue = queue;
	pthread_mutex_init(&producer->lock, NULL);
	pthread_mutex_init(&producer->wake_lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&producer->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	kafka_tally_init(&producer->tally);
	if (open_handles(producer)) {
		release(producer);
		return NULL;
	}
	thread_start(&producer->thread, run, producer);
	return producer;
}

void
kafka_producer_free(struct kafka_producer **producer_ref)
{
	struct kafka_producer *producer = *producer_ref;

	if (!producer)
		return;
	pthread_mutex_lock(&producer->lock);
	producer->closing = true;
	producer->close_by_ms = clock_mono_ms() + producer->queue->late_ms + 1000;
	pthread_mutex_unlock(&producer->lock);
	wake(producer);
	pthread_join(producer->thread, NULL);
	release(producer);
	*producer_ref = NULL;
}
