/*
 * sender.c - the sender role: starts its parts, takes records in, and ends in good order.
 *
 * scanner -> mail.ready -> [sender] -> the internet
 *
 * The sender has one loop. What is in hand is bounded: SENDER_WINDOW records and DEFERRAL_MAX rows,
 * both counted by weight, so that those with many recipients count for more.
 *
 * A stop, in this order:
 *
 *   nothing new begins
 *   an attempt has STOP_MS to end
 *   a message that is out has REPLY_MS for its reply, because it would arrive twice otherwise
 *   what is unfinished is given up, and comes again after the next start
 *   the loop lives until the queue has answered its last call, however long the disk stands still:
 *     closing the queue would wait for that answer anyway
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "sender/egress/egress.h"
#include "sender/egress/limiter.h"
#include "sender/mail/attempt.h"
#include "sender/mail/item.h"
#include "sender/mail/lane.h"
#include "sender/mail/ledger.h"
#include "sender/mail/mail.h"
#include "sender/mail/mail_end.h"
#include "sender/mail/mail_partition.h"
#include "sender/mail/provider.h"
#include "sender/mail/reply_counts.h"
#include "sender/mail/sender.h"
#include "sender/mail/suspend.h"
#include "sender/operator/move.h"
#include "sender/operator/rule.h"
#include "sender/operator/told.h"
#include "sender/policy/window.h"
#include "sender/reply/replies.h"
#include "sender/route/local.h"
#include "sender/route/site.h"
#include "sender/schedule/schedule.h"
#include "sender/sender_metrics.h"
#include "sender/smtp/client.h"
#include "sender/waiting/deferral.h"
#include "sender/waiting/trust.h"
#include "shared/account/limits.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/timer.h"
#include "shared/config/config.h"
#include "shared/metrics/metrics.h"
#include "shared/process/sandbox.h"
#include "shared/queue/event.h"
#include "shared/queue/queue.h"
#include "shared/redis/redis.h"
#include "shared/score/score.h"
#include "shared/work/hold.h"
#include "shared/work/inflight.h"
#include "shared/work/poison.h"
#include "shared/work/role.h"
#include "shared/work/standing.h"

/*
 * A stop ends attempts, then settles their results:
 *
 *   STOP_MS    for attempts
 *   REPLY_MS   from the same beginning, for attempts whose message is out
 *   SETTLE_MS  for the results, in steps (the body for a DSN, the DSN, the event, the row), each of
 *              which may take QUEUE_LATE_MS
 *   then       no step begins any more, and the step under way is awaited
 *
 * So with a queue that hangs, a stop takes at most STOP_MS + SETTLE_MS + QUEUE_LATE_MS. With a
 * remote that hangs too, REPLY_MS takes the place of STOP_MS.
 */
#define STOP_MS 10000
#define REPLY_MS 60000
#define SETTLE_MS (QUEUE_LATE_MS + 2000)
#define STOP_POLL_MS 20
#define GAUGES_US 500000
#define AGE_EVERY_US UINT64_C(250000)
#define AGE_SOONEST_US UINT64_C(100000)

static struct {
	struct sender sender;
	struct task begin, drain, stop;
	struct task_again reload;
	struct timer stop_timer, gauges_timer;
	uint64_t stop_ms, reply_ms, last_ms; /* last_ms: when an attempt was last under way */
	bool aborted, aborted_all;
	uint64_t gauges_us;
	struct probe *probe;
	bool running;
} role;

static void
gauges_update(struct sender *sender)
{
	const uint64_t now = clock_us();
	struct schedule_stats schedule;
	struct deferral_stats deferral;

	if (now - role.gauges_us < GAUGES_US) {
		/* the last change has to show, too */
		if (!timer_is_set(&role.gauges_timer))
			timer_set(&role.gauges_timer, GAUGES_US / 1000);
		return;
	}
	role.gauges_us = now;
	schedule_stats(sender->schedule, now, &schedule);
	deferral_stats(sender->deferral, &deferral);
	metric_set(sender->metrics.sites, (int64_t)schedule.sites);
	metric_set(sender->metrics.resting, (int64_t)schedule.resting);
	metric_set(sender->metrics.waiting, (int64_t)schedule.waiting);
	metric_set(sender->metrics.rows, (int64_t)deferral.rows);
	metric_set(sender->metrics.held, (int64_t)rows_count(sender->rows, SITE_HELD));
	metric_set(sender->metrics.loaded, (int64_t)deferral.loaded);
	metric_set(sender->metrics.timers, (int64_t)deferral.timers);
	metric_set(sender->metrics.oldest_due, (int64_t)(deferral.oldest_due_us / 1000000));
}

static void
on_gauges(void *arg)
{
	role.gauges_us = 0;
	gauges_update(arg);
}

static void
age_arm(struct sender *sender)
{
	uint64_t now = clock_mono_us(), next;

	if (TAILQ_EMPTY(&sender->arrivals) || timer_is_set(&sender->age_timer))
		return;
	next = mail_age(sender, now);
	if (!next)
		return;
	next -= now;
	next = next < AGE_EVERY_US ? next : AGE_EVERY_US; /* others come meanwhile */
	next = next > AGE_SOONEST_US ? next : AGE_SOONEST_US;
	timer_set(&sender->age_timer, (next + 999) / 1000);
}

static void
on_pump(void *arg)
{
	struct sender *sender = arg;

	if (!sender->draining)
		attempt_pump(sender);
	age_arm(sender);
	gauges_update(sender);
}

/* Callbacks of deferral.c. */

static void
load_row(void *arg, Row *row)
{
	struct sender *sender = arg;

	rules_load(sender->rules, row);
	sender_wake(sender);
}

static uint64_t
rest_until(void *arg, const char *site, uint64_t now)
{
	struct sender *sender = arg;

	if (sender->draining || !rules_known(sender->rules) ||
		suspensions_cover_site(sender->suspensions, site))
		return UINT64_MAX;
	if (!rows_mine(sender->rows, ROWS_ANY) || local_stands(sender->local))
		return now + 1000000;
	return lanes_rest_until(sender, site, now);
}

static size_t
site_room(void *arg, const char *site, size_t window)
{
	const struct sender *sender = arg;

	return lanes_room(sender, site, window);
}

static void
tell_waiting(void *arg, const char *account, int64_t rows)
{
	const struct sender *sender = arg;

	limits_waiting(sender->limits, account, rows);
}

/* A fault of this machine is over. */
static void
on_recovery(void *arg)
{
	struct sender *sender = arg;

	if (sender->draining)
		return;
	deferral_poke(sender->deferral, NULL);
	sender_wake(sender);
}

static void
on_resolver(void *arg, const char *why)
{
	const struct sender *sender = arg;

	local_resolver(sender->local, why);
}

/* Starting. */

static uint64_t
least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void
times_from(struct retry_times *times, const struct config *config)
{
	*times = (struct retry_times){
		.first_us = config->sender.retry.first * 1000,
		.max_us = config->sender.retry.max * 1000,
		.lifetime_us = config->sender.lifetime * 1000,
		.null_lifetime_us = config->sender.null_lifetime * 1000,
		.held_lifetime_us = config->sender.held_lifetime * 1000,
		.delay_dsn_us = config->sender.delay_dsn * 1000,
		.rest_max_us = least(config->sender.rest.max, config->sender.retry.max) * 1000,
		.rest_route_us = least(config->sender.rest.route, config->sender.retry.max) * 1000,
	};
}

static struct schedule_options
schedule_options(const struct sender *sender)
{
	const struct config *config = sender->config;

	return (struct schedule_options){
		.concurrency_start = config->sender.concurrency_start,
		.concurrency_max = config->sender.concurrency_max,
		.connections_max = config->sender.connections_max,
		.rest_first_us = sender->times.first_us,
		.rest_max_us = sender->times.rest_max_us,
		.rest_shared_max_us = sender->times.rest_route_us,
	};
}

static uint64_t
ahead_us(const struct sender *sender)
{
	return sender->times.max_us + sender->times.max_us / 5 + 60 * 1000000ull;
}

static struct limits_options
limits_options(const struct config *config)
{
	return (struct limits_options){ .in_flight_max = config->ingress.in_flight_max,
		.waiting_max = config->ingress.waiting_max };
}

static void
schedule_start(struct sender *sender)
{
	const struct schedule_options options = schedule_options(sender);

	sender->window = window_new(SENDER_WINDOW);
	sender->schedule = schedule_new(&options);
	sender->egress = egress_new();
}

static void
on_rows_gained(void *arg, uint32_t partition)
{
	struct sender *sender = arg;

	mail_gained(sender, partition);
	/* operators may have decided about these rows while no sender had the partition */
	rules_sweep(sender->rules);
	sender_wake(sender);
}

static void
on_rows_lost(void *arg, uint32_t partition)
{
	mail_lost(arg, partition);
}

static void
rows_start(struct sender *sender)
{
	static const struct rows_subscriber subscriber = { on_rows_gained, on_rows_lost };

	sender->rows = rows_open(sender->queue, ROWS_MINE, sender->loop, &subscriber, sender);
	sender->deferral = deferral_new(&(struct deferral_options){
		.loop = sender->loop,
		.rows = sender->rows,
		.window = DEFERRAL_WINDOW,
		.max = DEFERRAL_MAX,
		.ahead_us = ahead_us(sender),
		.load = load_row,
		.rest_until = rest_until,
		.room = site_room,
		.waiting = tell_waiting,
		.arg = sender,
	});
}

static void
wake(void *arg)
{
	sender_wake(arg);
}

static void
redis_start(struct sender *sender)
{
	const struct config *config = sender->config;
	const struct limits_options limits = limits_options(config);

	sender->redis = redis_open(sender->loop, config);
	sender->limits = limits_new(sender->loop, sender->redis, &limits);
	sender->limiter = limiter_new(sender->loop, sender->redis, sender->schedule,
		&(struct limiter_events){
			.wake = wake, .rests = move_on_rest, .full = move_on_full, .arg = sender });
	sender->standing = standing_new(sender->queue);
	sender->scores = scores_new(
		sender->loop, sender->redis, config, standing_tell, sender->standing);
	sender->ledger = ledger_new(sender->redis);
	sender->trust = trust_new(sender->loop, sender->redis, sender->queue);
	sender->reply_counts = reply_counts_new(sender->loop, sender->redis);
	sender->reporter = inflight_reporter_new(
		sender->loop, sender->redis, "sender", mail_event_node(), told_fill, sender);
}

static void
sender_free(struct sender *sender)
{
	rules_stop(sender->rules);
	deferral_free(&sender->deferral);
	rows_close(&sender->rows);
	poison_close(&sender->poison);
	providers_free(&sender->providers);
	schedule_free(&sender->schedule);
	egress_free(&sender->egress);
	window_free(&sender->window);
	mail_event_free(&sender->event);
	timer_cancel(&sender->pump);
	timer_cancel(&sender->age_timer);
	timer_cancel(&sender->lease_timer);
	timer_cancel(&role.stop_timer);
	timer_cancel(&role.gauges_timer);
	loop_free(&sender->loop);
	rules_free(&sender->rules);
	replies_free(&sender->replies);
	memset(&role.sender, 0, sizeof role.sender);
}

static void
on_begin(struct task *task)
{
	struct sender *sender = &role.sender;

	(void)task;
	log_set_role("sender");
	rules_start(sender->rules);
	rows_start(sender);
}

/* Records are taken only now: before the suspensions are known nothing may go out. */
static void
on_known(struct sender *sender)
{
	if (sender->draining)
		return;
	deferral_poke(sender->deferral, NULL);
	sender->consumer = queue_consume(
		sender->queue, TOPIC_READY, sender->loop, SENDER_WINDOW, mail_on_record, sender);
	probe_set(role.probe, HEALTH_READY, NULL);
}

/* Stopping. */

static void
on_drain(struct task *task)
{
	struct sender *sender = &role.sender;

	(void)task;
	if (sender->draining)
		return;
	sender->draining = true;
	poison_stop(sender->poison);
	if (sender->consumer)
		consumer_stop(sender->consumer);
	sender->consumer = NULL;
	rules_stop(sender->rules);
	probe_set(role.probe, HEALTH_FAILED, "stopping");
}

static void
stop_now(struct sender *sender)
{
	timer_cancel(&role.stop_timer);
	client_context_free(&sender->clients);
	sender->local = NULL;
	site_resolver_free(&sender->resolver);
	attempt_free_all(sender);
	mail_drop_all(sender);
	inflight_reporter_free(&sender->reporter);
	limiter_free(&sender->limiter);
	limits_free(&sender->limits);
	trust_free(&sender->trust);
	scores_free(&sender->scores);
	standing_free(&sender->standing);
	reply_counts_free(&sender->reply_counts);
	redis_free(&sender->redis);
	ledger_free(&sender->ledger);
	hold_free(&sender->hold);
	loop_stop(sender->loop);
}

static void
on_stop_poll(void *arg)
{
	struct sender *sender = arg;
	const uint64_t now = clock_mono_ms();

	if (sender->attempting && now >= role.stop_ms && !role.aborted) {
		role.aborted = true;
		attempt_abort_all(sender, true);
	}
	if (sender->attempting && now >= role.reply_ms && !role.aborted_all) {
		role.aborted_all = true;
		attempt_abort_all(sender, false);
	}
	if (sender->attempting && !role.aborted_all)
		role.last_ms = now;
	if (now >= role.last_ms + SETTLE_MS && !sender->ending) {
		sender->ending = true;
		LOG_WARN("the queue is slow, what is unfinished comes again after the next start");
	}
	if ((!sender->attempting || sender->ending) && !sender->settling && !sender->rewriting)
		stop_now(sender);
}

static void
on_stop(struct task *task)
{
	on_drain(task);
	role.stop_ms = clock_mono_ms() + STOP_MS;
	role.reply_ms = clock_mono_ms() + REPLY_MS;
	role.last_ms = clock_mono_ms();
	timer_repeat(&role.stop_timer, STOP_POLL_MS);
}

static void
log_lines(const char *message, char *lines)
{
	char *rest = lines;

	for (char *line; (line = strsep(&rest, "\n"));)
		if (*line)
			LOG_ERROR(message, "error", line);
	free(lines);
}

static void
replies_again(struct sender *sender)
{
	const char *own = sender->config->sender.replies;
	char *why;

	if (own && !replies_reload(sender->replies, own, &why))
		log_lines("the response rules stay as they were", why);
	else if (own)
		LOG_INFO("response rules read again", "file", own, "rules",
			log_int((int64_t)replies_own_count(sender->replies)));
}

static void
on_reload(struct task_again *task)
{
	struct sender *sender = &role.sender;
	struct schedule_options schedule;
	const struct limits_options limits = limits_options(sender->config);

	(void)task;
	if (role.aborted_all)
		return;
	replies_again(sender);
	times_from(&sender->times, sender->config);
	schedule = schedule_options(sender);
	schedule_change(sender->schedule, &schedule);
	if (sender->deferral)
		deferral_change(sender->deferral, ahead_us(sender));
	limits_change(sender->limits, &limits);
	sender_wake(sender);
}

static int
sender_start(const struct config *config, struct queue *queue)
{
	struct sender *sender = &role.sender;
	char *why;

	sender->replies = replies_new(config->sender.replies, &why);
	if (!sender->replies) {
		log_lines("the response rules cannot be used", why);
		return -1;
	}
	sender->config = config;
	sender->queue = queue;
	sender->loop = loop_new("sender");
	TAILQ_INIT(&sender->arrivals);
	TAILQ_INIT(&sender->connections);
	TAILQ_INIT(&sender->peers);
	times_from(&sender->times, config);
	sender_metrics_new(&sender->metrics);
	sender->providers = providers_new();
	timer_init(&sender->pump, sender->loop, on_pump, sender);
	timer_init(&sender->age_timer, sender->loop, on_pump, sender);
	timer_init(&sender->lease_timer, sender->loop, on_pump, sender);
	timer_init(&role.stop_timer, sender->loop, on_stop_poll, sender);
	timer_init(&role.gauges_timer, sender->loop, on_gauges, sender);
	role.aborted = role.aborted_all = false;
	role.probe = probe_new("sender");
	probe_set(role.probe, HEALTH_FAILED, "starting");
	schedule_start(sender);
	sender->poison = poison_open(config->state_dir, "sender", sender->loop);
	sender->rules = rules_new(sender, on_known);
	sender->resolver = site_resolver_new(sender->loop, config);
	if (!sender->resolver) {
		sender_free(sender);
		return -1;
	}
	redis_start(sender);
	sender->clients = client_context_new(
		sender->loop, config, queue, sender->resolver, sender->redis, sender->replies);
	sender->local = client_context_local(sender->clients);
	local_on_recovery(sender->local, on_recovery, sender);
	site_resolver_on_change(sender->resolver, on_resolver, sender);
	role.begin.run = on_begin;
	role.drain.run = on_drain;
	role.stop.run = on_stop;
	role.reload.run = on_reload;
	role.running = true;
	loop_post(sender->loop, &role.begin);
	loop_start(sender->loop);
	return 0;
}

static void
sender_drain(void)
{
	if (role.running)
		loop_post(role.sender.loop, &role.drain);
}

static void
sender_stop(void)
{
	if (!role.running)
		return;
	loop_post(role.sender.loop, &role.stop);
	loop_join(role.sender.loop);
	sender_free(&role.sender);
	role.running = false;
}

static void
sender_reload(void)
{
	if (role.running)
		loop_post_again(role.sender.loop, &role.reload);
}

const struct role sender_role = {
	.name = "sender",
	.needs = SANDBOX_BIND,
	.start = sender_start,
	.drain = sender_drain,
	.stop = sender_stop,
	.reload = sender_reload,
};
