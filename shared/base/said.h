/*
 * said.h - which reasons a log has named already. A lasting trouble does not fill the log, and an
 * old reason never hides a new one. Reasons that differ only in digits count as one: another port
 * or another amount of free room is no news.
 *
 *     if (said_now(&host->said, why, MINUTE_MS, &left_out))
 *         LOG_WARN("clamd does not answer", "error", why, SAID_LEFT_OUT(left_out));
 */
#ifndef SHARED_SAID_H
#define SHARED_SAID_H

#include <stdbool.h>
#include <stdint.h>

#define SAID_MAX 16
#define SAID_ONCE UINT64_MAX

/* For one thread. Zero-initialise. */
struct said {
	struct said_reason {
		uint64_t hash, at_ms; /* 0: a free entry; when the log last named the reason */
		unsigned left_out;    /* how often the log has left the reason out since */
	} reasons[SAID_MAX];          /* the reason that was named longest ago gives way */
};

/*
 * Whether the log should name the reason now: it is new, or was last named `again_ms` ago or
 * earlier (SAID_ONCE: never again until said_clear()). `left_out`: how often it was left out since
 * then.
 */
bool said_now(struct said *said, const char *reason, uint64_t again_ms, unsigned *left_out);
/* The trouble is over. Whether any reason was named; `left_out`: how often reasons were left out,
 * in all. */
bool said_clear(struct said *said, unsigned *left_out);
bool said_same(const char *reason, const char *other);

/* The last arguments of a log line: the number left out, unless that is 0. */
#define SAID_LEFT_OUT(n) "left_out", (n) ? log_int(n) : (char *)0

#endif
