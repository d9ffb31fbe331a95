/*
 * stats.h - the role's metrics.
 */
#ifndef INGRESS_STATS_H
#define INGRESS_STATS_H

#include <stdbool.h>
#include <stdint.h>

struct metric;

enum refusal {
	REFUSE_SYNTAX,
	REFUSE_ORDER,
	REFUSE_AUTH, /* no AUTH, a failed one, or one too often */
	REFUSE_TLS,
	REFUSE_ORIGINATOR,
	REFUSE_SUSPENDED,
	REFUSE_RECIPIENT,
	REFUSE_RECIPIENTS, /* too many */
	REFUSE_QUOTA,
	REFUSE_SIZE,
	REFUSE_CONTENT,
	REFUSE_LOOP,
	REFUSE_SPACE,
	REFUSE_UNAVAILABLE,
	REFUSE_CONNECTIONS,
	REFUSE_RATE,
	REFUSE_PROXY,
	REFUSE_SHUTDOWN,
	REFUSE_TIMEOUT,
	REFUSE_COUNT
};

struct stats {
	struct metric *connections, *sessions, *strangers, *turned_out, *accepted, *bytes, *latency;
	struct metric *auth_ok, *auth_failed, *auth_unsure, *tls_ok, *tls_failed;
	struct metric *refused[REFUSE_COUNT];
};

extern struct stats stats;
void stats_register(void);
/* When the certificate of a file expires, seconds since 1970. */
void stats_certificate(const char *file, int64_t expires_s);
/* Forgets which certificates are served. Each that is still served is told of again. */
void stats_certificates_gone(void);
/* Whether the refusal counts against ingress.errors_max. */
bool refusal_is_fault(enum refusal why);
/* The refusal's name in metrics and events. */
const char *refusal_name(enum refusal why);

#endif
