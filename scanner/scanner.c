/*
 * scanner.c - the scanner role: starts, stops, and tells how it is.
 *
 * ingress -> mail.inbound -> [scanner] -> mail.ready -> sender
 * What becomes of a message is in message.c.
 */
#include <stdio.h>
#include <stdlib.h>

#include "scanner/scanner_private.h"
#include "scanner/told.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/config/config.h"
#include "shared/queue/event.h"
#include "shared/work/role.h"

#define WINDOW 20000
#define RECHECK_MS 3600000
#define STOP_MS 10000
#define STOP_LOOK_MS 20
#define ALERT_MS 60000
/* The bytes that ingress may put before a message of message_size_limit. */
#define TRACE_MAX (64u * 1024)
#define STREAM_CEILING (2000u << 20)

struct scanner *scanner;

/* Whether every message is in a stage from which it can be given back. */
static bool
can_stop(void)
{
	struct message *message;

	TAILQ_FOREACH (message, &scanner->all, link)
		if (message->stage == STAGE_SCORE || message->stage == STAGE_SIGN ||
			message->stage == STAGE_HOLD || message->stage == STAGE_FORWARD)
			return false;
	if (!scanner->clamd)
		return true;
	if (clamd_reading(scanner->clamd))
		return false;
	return !clamd_in_flight(scanner->clamd) || clock_mono_ms() >= scanner->stop_ms;
}

static void
stop_now(void)
{
	struct message *message;

	inflight_reporter_free(&scanner->reporter);
	clamd_free(&scanner->clamd);
	while ((message = TAILQ_FIRST(&scanner->all))) {
		record_abandon(message->record);
		scanner_message_free(message);
	}
	signer_free(&scanner->signer);
	hold_free(&scanner->hold);
	poison_close(&scanner->poison);
	timer_cancel(&scanner->second);
	loop_stop(scanner->loop);
}

static void
tell_state(void)
{
	char why[512] = "", shown[576];
	unsigned waiting = 0, left_out;
	bool ready;
	struct message *message;

	TAILQ_FOREACH (message, &scanner->all, link)
		waiting++;
	metric_set(scanner->waiting, waiting);
	if (!scanner->clamd)
		return;
	ready = clamd_up(scanner->clamd, why, sizeof why) > 0;
	snprintf(shown, sizeof shown, "%s; mail waits for clamd (%u)", why, waiting);
	probe_set(scanner->probe, ready ? HEALTH_READY : HEALTH_FAILED, ready ? NULL : shown);
	if (!ready && clock_mono_ms() >= scanner->patient_ms &&
		said_now(&scanner->said, why, ALERT_MS, &left_out))
		LOG_ERROR("no clamd can be used: mail waits", "error", why, "waiting",
			log_int(waiting), SAID_LEFT_OUT(left_out));
}

static void
on_second(void *arg)
{
	(void)arg;
	if (scanner->stopping && can_stop())
		stop_now();
	else
		tell_state();
}

/* Mail comes once the keys are known, so that none of it goes on unsigned. */
static void
on_keys(void *arg)
{
	(void)arg;
	if (!scanner->draining)
		scanner->consumer = queue_consume(scanner->queue, TOPIC_INBOUND, scanner->loop,
			WINDOW, scanner_on_record, NULL);
}

static void
on_begin(struct task *task)
{
	(void)task;
	log_set_role("scanner");
	scanner->signer = signer_new(scanner->config, scanner->queue, scanner->loop, on_keys, NULL);
}

static void
on_drain(struct task *task)
{
	(void)task;
	scanner->draining = true;
	if (scanner->consumer)
		consumer_stop(scanner->consumer);
	scanner->consumer = NULL;
}

static void
on_stop(struct task *task)
{
	on_drain(task);
	scanner->stopping = true;
	poison_stop(scanner->poison);
	scanner->stop_ms = clock_mono_ms() + STOP_MS;
	if (scanner->clamd)
		clamd_drain(scanner->clamd);
	timer_repeat(&scanner->second, STOP_LOOK_MS);
}

static void
on_reload(struct task_again *task)
{
	(void)task;
	if (scanner->clamd)
		clamd_change(scanner->clamd, (unsigned)scanner->config->scanner.timeout,
			scanner->config->scanner.signature_age);
}

static void
register_metrics(void)
{
	for (int i = 0; i < VERDICTS; i++) {
		char labels[32];

		snprintf(labels, sizeof labels, "verdict=\"%s\"",
			envelope_verdict_name((Envelope__Verdict)i));
		scanner->scans[i] = metric_counter(
			"shout_scanner_scans_total", "Messages by verdict", labels);
	}
	scanner->failures = metric_counter("shout_scanner_failures_total",
		"Scans that ended without a verdict and are made again", NULL);
	scanner->latency = metric_histogram("shout_scanner_scan_seconds",
		"From the pool taking a message to its verdict", NULL);
	scanner->waiting = metric_gauge(
		"shout_scanner_waiting", "Messages in hand, scanned or waiting for it", NULL);
}

static void
read_body(void *queue, const Envelope *envelope, uint64_t offset, size_t length, queue_body_cb cb,
	void *arg)
{
	queue_body(queue, envelope, offset, length, cb, arg);
}

static int
start_clamd(void)
{
	const struct config *config = scanner->config;
	uint64_t stream_max = config->ingress.message_size_limit + TRACE_MAX;
	struct clamd_options options = {
		.hosts = config->scanner.clamd,
		.hosts_count = config->scanner.clamd_count,
		.connections = config->scanner.connections,
		.timeout_ms = (unsigned)config->scanner.timeout,
		.stream_max = stream_max < STREAM_CEILING ? stream_max : STREAM_CEILING,
		.signature_age_ms = config->scanner.signature_age,
		.temporary = config->scanner.clamd_temporary,
		.recheck_ms = RECHECK_MS,
		.body = read_body,
		.body_arg = scanner->queue,
	};

	if (!config->scanner.enabled) {
		LOG_WARN("scanner.enabled is false: mail goes on UNSCANNED");
		metric_set(metric_gauge("shout_scanner_disabled",
				   "1 when mail goes on unscanned (scanner.enabled)", NULL),
			1);
		probe_set(probe_new("scanner"), HEALTH_READY, "off (scanner.enabled is false)");
		return 0;
	}
	scanner->probe = probe_new("scanner");
	probe_set(scanner->probe, HEALTH_FAILED, "clamd is being checked");
	scanner->clamd = clamd_new(scanner->loop, &options);
	return scanner->clamd ? 0 : -1;
}

static int
scanner_start(const struct config *config, struct queue *queue)
{
	scanner = xcalloc(1, sizeof *scanner);
	scanner->config = config;
	scanner->queue = queue;
	scanner->loop = loop_new("scanner");
	scanner->patient_ms = clock_mono_ms() + ALERT_MS; /* the first check takes its time */
	TAILQ_INIT(&scanner->all);
	scanner->begin.run = on_begin;
	scanner->drain.run = on_drain;
	scanner->stop.run = on_stop;
	scanner->reload.run = on_reload;
	register_metrics();
	if (start_clamd() < 0) {
		loop_free(&scanner->loop);
		free(scanner);
		scanner = NULL;
		return -1;
	}
	scanner->poison = poison_open(config->state_dir, "scanner", scanner->loop);
	scanner->hold = hold_new(scanner->loop, queue, config);
	if (scanner->clamd)
		scanner->reporter = inflight_reporter_new(scanner->loop, hold_redis(scanner->hold),
			"scanner", mail_event_node(), told_scans, scanner->clamd);
	timer_init(&scanner->second, scanner->loop, on_second, NULL);
	timer_repeat(&scanner->second, 1000);
	loop_post(scanner->loop, &scanner->begin);
	loop_start(scanner->loop);
	return 0;
}

static void
scanner_drain(void)
{
	if (scanner)
		loop_post(scanner->loop, &scanner->drain);
}

static void
scanner_stop(void)
{
	if (!scanner)
		return;
	loop_post(scanner->loop, &scanner->stop);
	loop_join(scanner->loop);
	loop_free(&scanner->loop);
	free(scanner);
	scanner = NULL;
}

static void
scanner_reload(void)
{
	if (scanner)
		loop_post_again(scanner->loop, &scanner->reload);
}

const struct role scanner_role = {
	.name = "scanner",
	.start = scanner_start,
	.drain = scanner_drain,
	.stop = scanner_stop,
	.reload = scanner_reload,
};
