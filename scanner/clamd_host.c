/*
 * clamd_host.c - whether a clamd takes part.
 *
 * clamd -> [clamd_host] -> clamd_check
 *
 * A host is used once it has passed its check, is checked again every HEALTH_MS, and leaves at the
 * first doubt. A host that does not answer is tried again soon. A host with wrong settings is tried
 * again now and then, since its operator may have changed them. The check is a full one after a
 * restart, and every recheck_ms beside the scans.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "scanner/clamd_private.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/metrics/metrics.h"

#define THREADS_DEFAULT 10
#define HEALTH_MS 10000
#define HEALTH_TIMEOUT_MS 10000
#define BACKOFF_FIRST_MS 250
#define BACKOFF_MAX_MS 10000
#define UNREACHED_MS 1000
#define REFUSED_MS 30000
#define LOG_AGAIN_MS 60000

static void
host_down(struct host *host, const struct clamd_check_report *report)
{
	struct session *session;
	unsigned left_out;

	host->state = HOST_DOWN;
	host->told_up = false;
	metric_set(host->up, 0);
	metric_set(host->refused, report->refused);
	snprintf(host->why, sizeof host->why, "%s: %s", host->name, report->why);
	if (said_now(&host->said, report->why, LOG_AGAIN_MS, &left_out))
		LOG_ERROR(report->refused ? "clamd is not fit for use" : "clamd does not answer",
			"host", host->name, "error", report->why, SAID_LEFT_OUT(left_out));
	while ((session = LIST_FIRST(&host->sessions)))
		clamd_session_fail(session, report->silent ? NOBODY : EVERYBODY, CLAMD_BROKEN);
	clamd_late_fail(host, false);
	timer_set(&host->timer, report->refused ? REFUSED_MS : host->backoff_ms);
	host->backoff_ms = host->backoff_ms * 2 < BACKOFF_MAX_MS ? host->backoff_ms * 2
								 : BACKOFF_MAX_MS;
}

static void
host_signatures(struct host *host, uint64_t signed_at_s)
{
	uint64_t now_s = clock_us() / 1000000, age_s;

	if (!signed_at_s)
		return;
	age_s = now_s > signed_at_s ? now_s - signed_at_s : 0;
	if (!host->signature_age) {
		char labels[METRIC_LABELS_MAX] = "";

		metric_label(labels, "host", host->name);
		host->signature_age = metric_gauge("shout_scanner_signature_age_seconds",
			"Age of a clamd's signatures", labels);
	}
	metric_set(host->signature_age, (int64_t)age_s);
	if (age_s * 1000 > host->clamd->options.signature_age_ms && host->state != HOST_UP)
		LOG_WARN("the virus signatures are old: is freshclam running?", "host", host->name,
			"age_s", log_int((int64_t)age_s));
}

static void
host_up(struct host *host, const struct clamd_check_report *report)
{
	const uint64_t recheck_ms = host->clamd->options.recheck_ms;
	unsigned left_out;

	host_signatures(host, report->signed_at_s);
	host->capacity = report->threads ? report->threads : THREADS_DEFAULT;
	if (!host->told_up) {
		said_clear(&host->said, &left_out);
		LOG_INFO("clamd is ready", "host", host->name, "threads", log_int(host->capacity),
			SAID_LEFT_OUT(left_out));
	}
	if (report->depth == CHECK_FULL)
		host->proved_ms = clock_mono_ms();
	host->state = HOST_UP;
	host->told_up = true;
	host->why[0] = '\0';
	host->backoff_ms = BACKOFF_FIRST_MS;
	metric_set(host->up, 1);
	metric_set(host->refused, 0);
	timer_set(&host->timer, recheck_ms < HEALTH_MS ? (unsigned)recheck_ms : HEALTH_MS);
	clamd_late_fail(host, true);
	clamd_dispatch_soon(host->clamd);
}

static void
on_check(void *arg, const struct clamd_check_report *report)
{
	struct host *host = arg;

	if (report->lost)
		clamd_host_doubt(host);
	else if (report->why[0])
		host_down(host, report);
	else
		host_up(host, report);
}

static void
host_ask(struct host *host, enum clamd_check_depth depth)
{
	timer_cancel(&host->timer);
	clamd_check_run(host->check, depth);
}

/* A name is looked up for each new connection of the check. Sessions use that address until the
 * next look-up. */
static void
on_resolved(void *arg, const struct net_address *addresses, size_t count, const char *why)
{
	struct host *host = arg;
	struct clamd_check_report report = { 0 };

	host->resolve = NULL;
	if (count) {
		host->address = addresses[host->tries++ % count];
		clamd_check_aim(host->check, &host->address);
		host_ask(host, CHECK_SAMPLES);
		return;
	}
	snprintf(report.why, sizeof report.why, "%s", why);
	host_down(host, &report);
}

void
clamd_host_doubt(struct host *host)
{
	host->state = HOST_CHECKING;
	metric_set(host->up, 0);
	if (!host->why[0])
		snprintf(host->why, sizeof host->why, "%s: is being checked", host->name);
	if (!host->named || clamd_check_connected(host->check)) {
		host_ask(host, CHECK_SAMPLES);
	} else if (!host->resolve) {
		timer_cancel(&host->timer);
		host->resolve = resolve_start(host->clamd->loop, host->name, on_resolved, host);
	}
}

void
clamd_host_unreached(struct host *host, int err)
{
	unsigned left_out;

	host->state = HOST_DOWN;
	metric_set(host->up, 0);
	snprintf(host->why, sizeof host->why, "%s: no new connection to it: %s", host->name,
		strerror(-err));
	if (said_now(&host->said, host->why, LOG_AGAIN_MS, &left_out))
		LOG_ERROR("clamd cannot be connected to", "host", host->name, "error",
			strerror(-err), SAID_LEFT_OUT(left_out));
	timer_set(&host->timer, UNREACHED_MS);
}

static void
on_timer(void *arg)
{
	struct host *host = arg;
	uint64_t recheck_ms = host->clamd->options.recheck_ms;

	if (host->state != HOST_UP)
		clamd_host_doubt(host);
	else
		host_ask(host,
			clock_mono_ms() - host->proved_ms >= recheck_ms ? CHECK_FULL : CHECK_ALIVE);
}

static unsigned
check_timeout_ms(const struct clamd *clamd)
{
	const unsigned ms = clamd->options.timeout_ms;

	return ms < HEALTH_TIMEOUT_MS ? ms : HEALTH_TIMEOUT_MS;
}

void
clamd_host_change(struct host *host)
{
	clamd_check_change(host->check, check_timeout_ms(host->clamd));
}

int
clamd_host_init(struct clamd *clamd, struct host *host, const char *name)
{
	const struct clamd_options *options = &clamd->options;
	const struct clamd_check_options check = {
		.stream_max = options->stream_max,
		.timeout_ms = check_timeout_ms(clamd),
	};
	char labels[METRIC_LABELS_MAX] = "";

	host->named = net_parse(name, &host->address) < 0;
	if (host->named && !strchr(name, ':')) {
		LOG_ERROR("no address of a clamd", "host", name);
		return -EINVAL;
	}
	host->clamd = clamd;
	host->name = name;
	host->backoff_ms = BACKOFF_FIRST_MS;
	TAILQ_INIT(&host->late);
	metric_label(labels, "host", name);
	host->up = metric_gauge("shout_scanner_clamd_up", "Whether a clamd is in use", labels);
	host->refused = metric_gauge("shout_scanner_clamd_refused",
		"Whether a clamd's settings would let viruses or large messages through", labels);
	timer_init(&host->timer, clamd->loop, on_timer, host);
	host->check = clamd_check_new(clamd->loop, &host->address, &check, on_check, host);
	clamd_host_doubt(host);
	return 0;
}
