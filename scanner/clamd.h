/*
 * clamd.h - scans messages with a pool of clamd: persistent sessions, several scans in flight on
 * each, the next host when one fails. Scans wait here for as long as no clamd can be trusted.
 *
 * Everything happens on one loop.
 */
#ifndef SCANNER_CLAMD_H
#define SCANNER_CLAMD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "scanner/spelling.h"
#include "scanner/verdict.h"
#include "shared/base/fair.h"
#include "shared/queue/records.h"

struct clamd;

enum clamd_result {
	CLAMD_ANSWER,  /* verdict and signature say which */
	CLAMD_BROKEN,  /* the connection ended during the scan: clamd may have crashed of it */
	CLAMD_TIMEOUT, /* no answer by the deadline, from a clamd that passed a check after that */
	CLAMD_HUNG,    /* no answer by the deadline, and the clamd does not pass a check */
	CLAMD_GARBAGE, /* an answer that makes no sense */
	CLAMD_NO_BODY, /* the queue has no such body */
};

/* One scan; embed it. The caller fills the first part; from clamd_scan() until done() it belongs to
 * the pool. done() may free it, or scan it again. */
struct clamd_scan {
	const Envelope *envelope;
	bool alone; /* with nothing beside it on that clamd, on a new connection */
	bool retry; /* a scan of it failed before */
	void (*begun)(struct clamd_scan *scan); /* clamd gets it; NULL is fine */
	void (*done)(struct clamd_scan *scan, enum clamd_result result, enum verdict verdict,
		const char *signature);

	struct fair_entry turn;       /* waits, or is under way */
	TAILQ_ENTRY(clamd_scan) link; /* in a session, or late */
	struct clamd *clamd;
	struct session *session;   /* NULL: waits */
	uint64_t sent, started_ms; /* bytes of the body given to clamd; when it began */
	struct spelling spelling;
	unsigned number; /* in the session */
	bool reading;    /* a piece of the body is on its way to us */
	bool doubted;    /* room was short meanwhile: an OK means nothing */
	bool again;      /* its session went while reading: start anew, or fail */
	enum clamd_result failure;
};

struct clamd_options {
	char *const *hosts; /* "unix:PATH" or "host:port" */
	size_t hosts_count;
	unsigned connections; /* to each host at most */
	unsigned timeout_ms;  /* of a scan */
	uint64_t stream_max;  /* the largest body that clamd must take */
	uint64_t signature_age_ms;
	const char *temporary; /* where they unpack: there has to be room; NULL: do not look */
	uint64_t recheck_ms;   /* every so often a host proves itself in full */
	/* Like queue_body(), with `body_arg` for the queue. */
	void (*body)(void *body_arg, const Envelope *envelope, uint64_t offset, size_t length,
		queue_body_cb cb, void *arg);
	void *body_arg;
};

/* Starts to check the hosts; `options` are copied but for `hosts`. NULL when a host's address makes
 * no sense (logged). */
struct clamd *clamd_new(struct loop *loop, const struct clamd_options *options);
void clamd_scan(struct clamd *clamd, struct clamd_scan *scan);
/* Other values of options.timeout_ms and signature_age_ms, also for scans under way. */
void clamd_change(struct clamd *clamd, unsigned timeout_ms, uint64_t signature_age_ms);
/* Starts no scan any more; what is in flight may end. */
void clamd_drain(struct clamd *clamd);
unsigned clamd_in_flight(const struct clamd *clamd);
/* How many scans have asked for a piece of their body and not got it yet. */
unsigned clamd_reading(const struct clamd *clamd);
/* Those that a clamd has got, in no order. */
struct clamd_seen {
	const Envelope *envelope;
	const char *host;
	uint64_t started_ms; /* clock_mono_ms() */
};
void clamd_each(const struct clamd *clamd,
	void (*on_scan)(void *arg, const struct clamd_seen *seen), void *arg);
/* Closes everything; scans that have not ended are forgotten: their done() does not come. No scan
 * may be reading. */
void clamd_free(struct clamd **clamd);

/* How many hosts passed their check and answer; and why not, of the first that does not ("" when
 * all do). */
size_t clamd_up(const struct clamd *clamd, char *why, size_t why_size);

#endif
