/*
 * said.h - which reasons a log has named already, so that a trouble that lasts fills no log, and a
 * new reason is never hidden by an old one. Reasons that differ in digits only are one: how much
 * room is left, or which port, is no news.
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

/* Zero-initialise. One thread. */
struct said {
	struct said_reason {
		uint64_t hash, at_ms; /* 0: none; when it was named last */
		unsigned left_out;    /* how often it was not named since */
	} reasons[SAID_MAX];          /* the one that was named longest ago gives way */
};

/*
 * Whether the reason is to be named now: a new one, and one that was named `again_ms` ago
 * (SAID_ONCE: no more until said_clear()). `left_out`: how often it was not named since.
 */
bool said_now(struct said *said, const char *reason, uint64_t again_ms, unsigned *left_out);
/* Whether anything was named; that is over. `left_out`: what was not, of all reasons. */
bool said_clear(struct said *said, unsigned *left_out);
bool said_same(const char *reason, const char *other);

/* For the end of a line's list: nothing when nothing was left out. */
#define SAID_LEFT_OUT(n) "left_out", (n) ? log_int(n) : (char *)0

#endif
