/*
 * clamd_check.h - finds out whether a clamd can be trusted: it answers, it knows EICAR, it says so
 * when it gives up at a limit, and it takes messages as large as ours.
 */
#ifndef SCANNER_CLAMD_CHECK_H
#define SCANNER_CLAMD_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/net.h"

struct clamd_check;
struct loop;

/* Each depth includes the ones before. */
enum clamd_check_depth {
	CHECK_ALIVE,   /* it answers */
	CHECK_SAMPLES, /* it finds viruses and says when it gives up */
	CHECK_FULL,    /* it takes messages as large as ours */
};

struct clamd_check_options {
	uint64_t stream_max; /* the size of our largest message */
	unsigned timeout_ms; /* for each answer */
};

struct clamd_check_report {
	enum clamd_check_depth depth;
	char why[256];        /* empty: all is well */
	bool refused;         /* it answers, but its settings will not do */
	bool silent;          /* it took the connection and said nothing */
	bool lost;            /* the connection ended between two questions */
	unsigned threads;     /* MaxThreads, 0 when it did not say */
	uint64_t signed_at_s; /* date of the signatures, seconds since 1970, 0 when unknown */
};

typedef void (*clamd_check_cb)(void *arg, const struct clamd_check_report *report);

struct clamd_check *clamd_check_new(struct loop *loop, const struct net_address *address,
	const struct clamd_check_options *options, clamd_check_cb cb, void *arg);
/* Sets the address of the next connection; only while there is no connection. */
void clamd_check_aim(struct clamd_check *check, const struct net_address *address);
/* Sets another time for each answer, from the next question on. */
void clamd_check_change(struct clamd_check *check, unsigned timeout_ms);
bool clamd_check_connected(const struct clamd_check *check);
/*
 * Begins a check, or deepens the one under way. `cb` is called once for the check, not before this
 * returns. When all is well the connection stays open, for the next check. When the connection ends
 * later, `cb` is called with report.lost. The clamd that answers on a new connection may be
 * another, with other settings, so it is checked in full.
 */
void clamd_check_run(struct clamd_check *check, enum clamd_check_depth depth);
/* Takes NULL; not inside `cb`. */
void clamd_check_free(struct clamd_check **check);

/* When the signatures of "ClamAV 1.4.6/27200/Mon Nov 23 10:00:00 2026" were made; 0 when the text
 * does not say (databases of one's own have no date). Pure. */
uint64_t clamd_check_signed_at(const char *version);
/* MaxThreads in an answer of STATS, 0 when it does not say. Pure. */
unsigned clamd_check_threads(const char *stats);

#endif
