/*
 * ingress.c - the role that takes mail in: listeners, workers, start, drain, stop, reload.
 *
 *   customer -> [ingress] -> session -> cmd_*.c -> accept -> mail.inbound
 *
 * Every worker listens on every address (SO_REUSEPORT) and shares nothing with the others but the
 * door, the password thread and the TLS contexts. The main thread reaches them by their mailboxes.
 *
 * Stopping: listeners close, idle sessions hear 421, and transactions may finish. Sessions that are
 * still there after DRAIN_MS are cut off. Then the role waits for the queue's answers.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

#include "ingress/acceptor.h"
#include "ingress/door/expiry.h"
#include "ingress/door/familiar.h"
#include "ingress/door/stats.h"
#include "ingress/door/tally.h"
#include "ingress/session/record.h"
#include "ingress/session/session.h"
#include "ingress/session/worker.h"
#include "ingress/verb/password.h"
#include "ingress/verb/verb.h"
#include "shared/base/log.h"
#include "shared/base/timer.h"
#include "shared/base/tls_tickets.h"
#include "shared/metrics/metrics.h"
#include "shared/process/descriptors.h"
#include "shared/process/sandbox.h"
#include "shared/work/role.h"

#define DRAIN_MS 20000
#define QUEUE_MS 25000 /* longer than any answer of the queue takes */
#define FAMILIAR_MAX 65536
#define CUSTOMER_IDLE_MS 10000
#define MINUTE_MS 60000

static struct ingress ingress;

/* ---- workers ---- */

struct hello {
	struct task task;
	struct worker *worker;
};

static void
on_hello(struct task *task)
{
	struct hello *hello = (struct hello *)task;

	worker_enter(hello->worker);
	log_set_role("ingress");
	free(hello);
}

static void
on_reap(void *arg)
{
	session_reap(arg);
}

/* For the first worker alone: all workers share the keys. */
static void
turn_ticket_keys(uint64_t now_ms)
{
	if (now_ms - ingress.keys_ms < TLS_TICKET_S * 1000)
		return;
	ingress.keys_ms = now_ms;
	for (size_t i = 0; i < 2; i++)
		if (ingress.tls[i])
			tls_server_turn_keys(ingress.tls[i]);
}

static void
on_minute(void *arg)
{
	struct worker *worker = arg;

	tally_flush(worker->tally);
	if (worker == ingress.workers) {
		turn_ticket_keys(clock_mono_ms());
		if (ingress.tls[TLS_MODERN] || ingress.tls[TLS_LEGACY])
			expiry_look();
	}
}

static void
on_news(void *arg)
{
	struct worker *worker = arg;

	tally_news(worker->tally);
}

static void
on_drain(struct task *task)
{
	struct worker *worker = worker_here();

	(void)task;
	if (worker->draining)
		return;
	worker->draining = true;
	for (unsigned i = 0; i < ingress.listeners_count; i++)
		acceptor_drain(&worker->acceptors[i]);
	session_drain_all(worker);
}

static void
on_drop(struct task *task)
{
	(void)task;
	session_drop_all(worker_here());
	wire_list_drop(&worker_here()->wires);
}

/* The embedded queue knows how many messages wait; a node of a cluster does not. */
static uint64_t
messages_queued(void *arg)
{
	struct queue_stats now;

	(void)arg;
	if (ingress.config->queue.backend != BACKEND_LMDB)
		return UINT64_MAX;
	queue_stats(ingress.queue, &now);
	return now.records[TOPIC_INBOUND] + now.records[TOPIC_READY];
}

static struct limits_options
limits_of(const struct config *config)
{
	return (struct limits_options){ .defaults = account_limits_default(config),
		.in_flight_max = config->ingress.in_flight_max,
		.waiting_max = config->ingress.waiting_max,
		.queued = messages_queued };
}

static void
on_worker_reload(struct task_again *task)
{
	struct worker *worker = (struct worker *)((char *)task - offsetof(struct worker, reload));
	const struct limits_options limits = limits_of(ingress.config);

	limits_change(worker->limits, &limits);
}

static void
worker_helpers(struct worker *worker)
{
	const struct config *config = ingress.config;
	struct limits_options limits = limits_of(config);

	worker->redis = redis_open(worker->loop, config);
	worker->accounts = account_store_new(worker->loop, worker->redis);
	worker->limits = limits_new(worker->loop, worker->redis, &limits);
	worker->uses = uses_new(worker->loop, worker->redis);
	worker->talks = talks_new(worker->loop, worker->redis, record_flush, worker);
	worker->tally = tally_new(ingress.queue);
	worker->cache = password_cache_new();
	worker->scratch = xmalloc(SCRATCH_SIZE);
}

static int
worker_open(struct worker *worker)
{
	worker->ingress = &ingress;
	worker->loop = loop_new("ingress");
	timer_init(&worker->reaper, worker->loop, on_reap, worker);
	timer_init(&worker->minute, worker->loop, on_minute, worker);
	timer_repeat(&worker->minute, MINUTE_MS);
	timer_init(&worker->news, worker->loop, on_news, worker);
	worker->drain.run = on_drain;
	worker->drop.run = on_drop;
	worker->reload.run = on_worker_reload;
	worker_helpers(worker);
	worker->acceptors = xcalloc(ingress.listeners_count, sizeof *worker->acceptors);
	for (unsigned i = 0; i < ingress.listeners_count; i++)
		if (acceptor_open(&worker->acceptors[i], worker, &ingress.listeners[i],
			    ingress.listeners[i].fds[worker - ingress.workers]) < 0)
			return -1;
	return 0;
}

static void
worker_start(struct worker *worker)
{
	struct hello *hello = xcalloc(1, sizeof *hello);

	hello->task.run = on_hello;
	hello->worker = worker;
	loop_post(worker->loop, &hello->task);
	loop_start(worker->loop);
}

/* The loop must have ended, or never have run. */
static void
worker_close(struct worker *worker)
{
	if (!worker->loop)
		return;
	for (unsigned i = 0; worker->acceptors && i < ingress.listeners_count; i++)
		acceptor_close(&worker->acceptors[i]);
	session_reap(worker);
	wire_list_drop(&worker->wires);
	limits_free(&worker->limits);
	uses_free(&worker->uses);
	talks_free(&worker->talks);
	account_store_free(&worker->accounts);
	redis_free(&worker->redis);
	tally_free(&worker->tally);
	mail_event_free(&worker->event);
	password_cache_free(&worker->cache);
	timer_cancel(&worker->reaper);
	timer_cancel(&worker->minute);
	timer_cancel(&worker->news);
	loop_free(&worker->loop);
	free(worker->acceptors);
	free(worker->sessions);
	free(worker->scratch);
}

/* ---- the role ---- */

static void
close_all(void)
{
	for (unsigned i = 0; i < ingress.workers_count; i++) {
		struct worker *worker = &ingress.workers[i];

		if (worker->loop)
			loop_stop(worker->loop);
		if (worker->loop)
			loop_join(worker->loop);
	}
	passwords_free(&ingress.passwords); /* its last answers are in the workers' mailboxes */
	for (unsigned i = 0; i < ingress.workers_count; i++)
		worker_close(&ingress.workers[i]);
	for (unsigned i = 0; i < ingress.listeners_count; i++) {
		free(ingress.listeners[i].proxies);
		free(ingress.listeners[i].fds);
	}
	free(ingress.workers);
	free(ingress.listeners);
	tls_server_free(&ingress.tls[TLS_MODERN]);
	tls_server_free(&ingress.tls[TLS_LEGACY]);
	door_free(&ingress.door);
	familiar_free(&ingress.familiar);
	memset(&ingress, 0, sizeof ingress);
}

static int
listener_tls(struct listener *listener)
{
	const struct config *config = ingress.config;
	enum tls_profile profile = listener->config->profile;
	char why[512];

	if (listener->config->tls == LISTEN_PLAIN)
		return 0;
	if (!ingress.tls[profile])
		ingress.tls[profile] = tls_server_new(config->ingress.tls.files,
			config->ingress.tls.files_count, profile, why, sizeof why);
	if (!ingress.tls[profile]) {
		LOG_ERROR("cannot offer TLS", "error", why);
		return -1;
	}
	listener->tls = ingress.tls[profile];
	ingress.keys_ms = clock_mono_ms();
	return 0;
}

/* A port that another process listens on would share its connections with us (SO_REUSEPORT), so
 * that is refused. */
static int
nobody_listens(const struct net_address *address)
{
	const int fd = net_bind(address);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : 0;
}

/* Opens a socket for each worker. */
static int
listener_bind(struct listener *listener)
{
	int err = net_parse(listener->config->address, &listener->address);

	listener->fds = xcalloc(ingress.workers_count, sizeof *listener->fds);
	if (err >= 0)
		err = nobody_listens(&listener->address);
	for (unsigned i = 0; i < ingress.workers_count && err >= 0; i++)
		err = listener->fds[i] = net_bind_shared(&listener->address);
	if (err < 0)
		LOG_ERROR("cannot listen", "address", listener->config->address, "error",
			strerror(-err));
	return err < 0 ? -1 : 0;
}

static int
listener_prepare(struct listener *listener, const struct listen_config *config)
{
	listener->config = config;
	listener->proxies_count = config->proxies_count;
	listener->proxies = xcalloc(config->proxies_count, sizeof *listener->proxies);
	if (listener_bind(listener) < 0)
		return -1;
	for (unsigned i = 0; i < config->proxies_count; i++)
		if (network_parse(config->proxies[i], &listener->proxies[i]) < 0) {
			LOG_ERROR("not a network", "proxy", config->proxies[i]);
			return -1;
		}
	return listener_tls(listener);
}

static int
ingress_prepare(const struct config *config)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	ingress.config = config;
	ingress.verbs = &smtp_verbs;
	ingress.workers_count = config->ingress.threads;
	if (ingress.workers_count == 0)
		ingress.workers_count = cores > 0 ? (unsigned)cores : 1;
	ingress.listeners_count = config->ingress.listen_count;
	ingress.listeners = xcalloc(config->ingress.listen_count, sizeof *ingress.listeners);
	for (unsigned i = 0; i < config->ingress.listen_count; i++)
		if (listener_prepare(&ingress.listeners[i], &config->ingress.listen[i]) < 0)
			return -1;
	return 0;
}

static int
open_all(void)
{
	ingress.workers = xcalloc(ingress.workers_count, sizeof *ingress.workers);
	for (unsigned i = 0; i < ingress.workers_count; i++)
		if (worker_open(&ingress.workers[i]) < 0)
			return -1;
	return 0;
}

/* How many connections there may be at once. 0: the process cannot have enough files open. */
static unsigned
places(const struct config *config)
{
	struct descriptors share = descriptors_share(config);

	if (share.connections == 0)
		LOG_ERROR("the limit of open files leaves none for clients", "limit",
			log_int((int64_t)share.limit), "needed", log_int((int64_t)share.needed));
	else if (share.connections < config->ingress.connections_max)
		LOG_WARN("the limit of open files lets in fewer clients than "
			 "ingress.connections_max",
			"limit", log_int((int64_t)share.limit), "needed",
			log_int((int64_t)share.needed), "connections", log_int(share.connections));
	return share.connections;
}

static struct door_options
door_options(const struct config *config, unsigned total)
{
	return (struct door_options){ .total_max = total,
		.per_address_max = config->ingress.connections_per_address,
		.strangers_max = total -
			(unsigned)((uint64_t)total * config->ingress.known_share / 100),
		.strangers_per_network = config->ingress.strangers_per_network,
		.rates = { config->ingress.stranger_rates.connections,
			config->ingress.stranger_rates.handshakes,
			config->ingress.stranger_rates.commands },
		.idle_ms = CUSTOMER_IDLE_MS,
		.patience_ms = config->ingress.stranger_timeout,
		.familiar = ingress.familiar,
		.turn_out = session_turn_out };
}

static void
open_door(const struct config *config, unsigned total)
{
	struct door_options options;

	ingress.familiar = familiar_new(FAMILIAR_MAX);
	options = door_options(config, total);
	ingress.door = door_new(&options);
}

/* All profiles have the same certificate files. */
static void
tell_expiry(void)
{
	struct tls_server *tls = ingress.tls[TLS_MODERN] ? ingress.tls[TLS_MODERN]
							 : ingress.tls[TLS_LEGACY];

	stats_certificates_gone();
	if (tls)
		expiry_tell(tls, ingress.config->ingress.tls.files,
			ingress.config->ingress.tls.files_count);
}

static int
ingress_start(const struct config *config, struct queue *queue)
{
	unsigned total;

	stats_register();
	tell_expiry();
	probe_set(probe_new("ingress"), HEALTH_FAILED, "starting");
	ingress.queue = queue;
	total = places(config);
	if (total == 0)
		return -1;
	open_door(config, total);
	ingress.passwords = passwords_new();
	if (open_all() < 0) {
		close_all();
		return -1;
	}
	for (unsigned i = 0; i < ingress.workers_count; i++)
		worker_start(&ingress.workers[i]);
	for (unsigned i = 0; i < ingress.listeners_count; i++)
		LOG_INFO("listening", "address", config->ingress.listen[i].address);
	if (ingress.listeners_count)
		probe_set(probe_new("ingress"), HEALTH_READY, NULL);
	else
		probe_set(probe_new("ingress"), HEALTH_DEGRADED, "no listener is configured");
	return 0;
}

static void
ingress_drain(void)
{
	probe_set(probe_new("ingress"), HEALTH_FAILED, "stopping: no new connections");
	for (unsigned i = 0; i < ingress.workers_count; i++) {
		struct worker *worker = &ingress.workers[i];

		if (!worker->drain_posted)
			loop_post(worker->loop, &worker->drain);
		worker->drain_posted = true;
	}
}

/* Waits by looking again and again: the role stops once a process, so polling is good enough. */
static void
wait_idle(uint64_t ms)
{
	const struct timespec pause = { 0, 5000000 };
	uint64_t deadline = clock_mono_ms() + ms;

	while (atomic_load(&ingress.busy) > 0 && clock_mono_ms() < deadline)
		nanosleep(&pause, NULL);
}

static void
ingress_stop(void)
{
	ingress_drain();
	wait_idle(DRAIN_MS);
	for (unsigned i = 0; i < ingress.workers_count; i++)
		loop_post(ingress.workers[i].loop, &ingress.workers[i].drop);
	wait_idle(QUEUE_MS);
	close_all();
}

static void
reload_certificates(const struct config *config)
{
	bool all = true;
	char why[512];

	for (unsigned i = 0; i < 2; i++) {
		if (!ingress.tls[i])
			continue;
		if (tls_server_reload(ingress.tls[i], config->ingress.tls.files,
			    config->ingress.tls.files_count, why, sizeof why) < 0) {
			LOG_ERROR("certificates stay as they were", "error", why);
			all = false;
		} else {
			LOG_INFO("certificates read again");
		}
	}
	if (all)
		tell_expiry();
}

static void
ingress_reload(void)
{
	const unsigned total = places(ingress.config);
	const struct door_options options = door_options(ingress.config, total);

	reload_certificates(ingress.config);
	if (total)
		door_change(ingress.door, &options);
	for (unsigned i = 0; i < ingress.workers_count; i++)
		loop_post_again(ingress.workers[i].loop, &ingress.workers[i].reload);
}

const struct role ingress_role = {
	.name = "ingress",
	.needs = SANDBOX_ACCEPT | SANDBOX_KEYS,
	.prepare = ingress_prepare,
	.start = ingress_start,
	.drain = ingress_drain,
	.stop = ingress_stop,
	.reload = ingress_reload,
};
