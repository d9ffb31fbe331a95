/*
 * clamd_check.h - finds out whether a clamd can be trusted: it answers, knows EICAR, says so when
 * it gives up at a limit, and takes messages as large as ours.
 */
#ifndef SCANNER_CLAMD_CHECK_H
#define SCANNER_CLAMD_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/net.h"

struct clamd_check;
struct loop;

struct clamd_check_options {
	bool samples;        /* scan the samples; else only ask for the version */
	uint64_t stream_max; /* with samples: also a stream of this size, 0: not */
	unsigned timeout_ms; /* for each answer */
};

struct clamd_check_report {
	char why[256];        /* empty: all is well */
	bool refused;         /* it answers, but its settings will not do */
	bool silent;          /* it took the connection and said nothing */
	unsigned threads;     /* MaxThreads, 0 when it did not say */
	uint64_t signed_at_s; /* date of the signatures, seconds since 1970, 0 when unknown */
};

typedef void (*clamd_check_cb)(void *arg, const struct clamd_check_report *report);

/* `cb` comes once, not before this returns; clamd_check_stop() is due in any case, also inside it.
 */
struct clamd_check *clamd_check_start(struct loop *loop, const struct net_address *address,
	const struct clamd_check_options *options, clamd_check_cb cb, void *arg);
/* Takes NULL. */
void clamd_check_stop(struct clamd_check **check);

/* "ClamAV 1.4.6/27200/Mon Nov 23 10:00:00 2026": when the signatures were made, 0 when it does not
 * say (databases of one's own have no date). Pure. */
uint64_t clamd_check_signed_at(const char *version);
/* MaxThreads in an answer of STATS, 0 when it does not say. Pure. */
unsigned clamd_check_threads(const char *stats);

#endif
