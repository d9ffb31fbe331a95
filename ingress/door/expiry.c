/*
 * expiry.c - tells before a certificate ends.
 *
 * certificates in use -> [expiry] -> /metrics, /readyz ("certificate"), the log once a day
 */
#include "ingress/door/expiry.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "ingress/door/stats.h"
#include "shared/base/date.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/tls.h"
#include "shared/config/config.h"
#include "shared/metrics/metrics.h"

#define SOON_S (14 * 86400)
#define DAY_MS 86400000ull
#define WHY_MAX 512

/* The first that ends. A reload and the first worker's clock may come at the same time. */
static struct {
	pthread_mutex_t lock;
	char file[256];
	int64_t ends_s;
	uint64_t logged_ms; /* 0: it has not been told yet */
} first = { .lock = PTHREAD_MUTEX_INITIALIZER, .ends_s = INT64_MAX };

static void
describe(int64_t left_s, char why[WHY_MAX])
{
	char when[DATE_SIZE];

	date_iso((uint64_t)first.ends_s * 1000000, when);
	if (left_s > 0)
		snprintf(why, WHY_MAX,
			"%s expires in %" PRId64 " days (%.10s): renew it, then send SIGHUP",
			first.file, left_s / 86400, when);
	else
		snprintf(why, WHY_MAX,
			"%s has expired (%.10s): clients that check it break TLS off; renew it, "
			"then send SIGHUP",
			first.file, when);
}

void
expiry_look(void)
{
	char why[WHY_MAX] = "";
	int64_t left_s;

	pthread_mutex_lock(&first.lock);
	left_s = first.ends_s - (int64_t)(clock_us() / 1000000);
	if (left_s < SOON_S)
		describe(left_s, why);
	probe_set(probe_new("certificate"), why[0] ? HEALTH_DEGRADED : HEALTH_READY, why);
	if (why[0] && (!first.logged_ms || clock_mono_ms() - first.logged_ms >= DAY_MS)) {
		first.logged_ms = clock_mono_ms();
		LOG_WARN("a certificate ends", "error", why);
	}
	pthread_mutex_unlock(&first.lock);
}

void
expiry_tell(struct tls_server *tls, const struct tls_files *files, unsigned count)
{
	pthread_mutex_lock(&first.lock);
	first.ends_s = INT64_MAX;
	first.logged_ms = 0;
	for (unsigned i = 0; i < count; i++) {
		const int64_t ends_s = tls_server_expiry(tls, i);

		stats_certificate(files[i].certificate, ends_s);
		if (ends_s >= first.ends_s)
			continue;
		first.ends_s = ends_s;
		snprintf(first.file, sizeof first.file, "%s", files[i].certificate);
	}
	pthread_mutex_unlock(&first.lock);
	expiry_look();
}
