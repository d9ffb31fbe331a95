/*
 * stats.c - the role's metrics, and what each kind of refusal means for its session.
 */
#include "ingress/door/stats.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "shared/base/log.h"
#include "shared/metrics/metrics.h"

struct stats stats;

static const struct {
	const char *name;
	bool fault; /* counts against ingress.errors_max */
} refusals[REFUSE_COUNT] = {
	[REFUSE_SYNTAX] = { "syntax", true },
	[REFUSE_ORDER] = { "order", true },
	[REFUSE_AUTH] = { "auth", true },
	[REFUSE_TLS] = { "tls", true },
	[REFUSE_ORIGINATOR] = { "originator", true },
	[REFUSE_SUSPENDED] = { "suspended", true },
	[REFUSE_RECIPIENT] = { "recipient", true },
	[REFUSE_RECIPIENTS] = { "recipients", false },
	[REFUSE_QUOTA] = { "quota", false },
	[REFUSE_SIZE] = { "size", false },
	[REFUSE_CONTENT] = { "content", true },
	[REFUSE_LOOP] = { "loop", true },
	[REFUSE_SPACE] = { "space", false },
	[REFUSE_UNAVAILABLE] = { "unavailable", false },
	[REFUSE_CONNECTIONS] = { "connections", false },
	[REFUSE_RATE] = { "rate", false },
	[REFUSE_PROXY] = { "proxy", false },
	[REFUSE_SHUTDOWN] = { "shutdown", false },
	[REFUSE_TIMEOUT] = { "timeout", false },
};

bool
refusal_is_fault(enum refusal why)
{
	return refusals[why].fault;
}

const char *
refusal_name(enum refusal why)
{
	return refusals[why].name;
}

static void
register_auth(void)
{
	static const char name[] = "shout_ingress_auth_total", help[] = "AUTH exchanges by result";

	stats.auth_ok = metric_counter(name, help, "result=\"ok\"");
	stats.auth_failed = metric_counter(name, help, "result=\"failed\"");
	stats.auth_unsure = metric_counter(name, help, "result=\"unsure\"");
}

/* The expiry of a file that is no longer served is NaN, so that nobody is alarmed for its sake. */
#define NOT_SERVED INT64_MIN

struct served {
	struct served *next;
	char *file;
	_Atomic int64_t expires_s;
};
static struct served *served; /* the main thread's; entries are never removed */

static double
ask_expiry(void *arg)
{
	struct served *one = arg;
	const int64_t expires_s = one->expires_s;

	return expires_s == NOT_SERVED ? (double)NAN : (double)expires_s;
}

static struct served *
served_get(const char *file)
{
	char labels[METRIC_LABELS_MAX] = "";
	struct served *one = served;

	while (one && strcmp(one->file, file) != 0)
		one = one->next;
	if (one)
		return one;
	one = xcalloc(1, sizeof *one);
	one->file = xstrdup(file);
	one->next = served;
	served = one;
	metric_label(labels, "file", file);
	metric_ask(metric_gauge("shout_certificate_expiry_timestamp_seconds",
			   "When a certificate of ingress expires, seconds since 1970", labels),
		ask_expiry, one);
	return one;
}

void
stats_certificate(const char *file, int64_t expires_s)
{
	served_get(file)->expires_s = expires_s;
}

void
stats_certificates_gone(void)
{
	for (struct served *one = served; one; one = one->next)
		one->expires_s = NOT_SERVED;
}

void
stats_register(void)
{
	char label[64];

	stats.connections = metric_counter(
		"shout_ingress_connections_total", "Connections accepted", NULL);
	stats.sessions = metric_gauge("shout_ingress_sessions", "Sessions open now", NULL);
	stats.strangers = metric_gauge(
		"shout_ingress_strangers", "Sessions open now of clients who are not known", NULL);
	stats.turned_out = metric_counter("shout_ingress_turned_out_total",
		"Idle connections closed because others needed their place", NULL);
	stats.accepted = metric_counter(
		"shout_ingress_messages_total", "Messages acknowledged with 250", NULL);
	stats.bytes = metric_counter(
		"shout_ingress_bytes_total", "Bytes of acknowledged messages", NULL);
	stats.latency = metric_histogram(
		"shout_ingress_accept_seconds", "From the final dot to the 250", NULL);
	stats.tls_ok = metric_counter(
		"shout_ingress_tls_total", "TLS handshakes by result", "result=\"ok\"");
	stats.tls_failed = metric_counter(
		"shout_ingress_tls_total", "TLS handshakes by result", "result=\"failed\"");
	register_auth();
	for (int i = 0; i < REFUSE_COUNT; i++) {
		snprintf(label, sizeof label, "reason=\"%s\"", refusals[i].name);
		stats.refused[i] = metric_counter(
			"shout_ingress_refused_total", "Refusals by reason", label);
	}
}
