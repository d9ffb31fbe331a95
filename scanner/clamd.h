/*
 * clamd.h - scans messages with a pool of clamd: persistent sessions, several scans in flight on
 * each, another host when one fails. While no clamd can be trusted, scans wait here.
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
	CLAMD_BROKEN,  /* the connection ended during the scan, which may have crashed clamd */
	CLAMD_TIMEOUT, /* no answer by the deadline, though the clamd passed a check afterwards */
	CLAMD_HUNG,    /* no answer by the deadline, and the clamd does not pass a check */
	CLAMD_GARBAGE, /* an answer that makes no sense */
	CLAMD_NO_BODY, /* the queue has no such body */
};

/* A scan, to be embedded. The caller fills the first part. From clamd_scan() until done() the scan
 * belongs to the pool. done() may free it, or scan it again. */
struct clamd_scan {
	const Envelope *envelope;
	bool alone; /* no other scan beside it on that clamd, and a new connection */
	bool retry; /* an earlier scan of the message failed */
	void (*begun)(struct clamd_scan *scan); /* called when clamd gets the scan; may be NULL */
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
	bool doubted;    /* room was short during the scan: an OK means nothing */
	bool again;      /* its session ended while a piece was being read: start anew, or fail */
	enum clamd_result failure;
};

struct clamd_options {
	char *const *hosts; /* "unix:PATH" or "host:port" */
	size_t hosts_count;
	unsigned connections; /* to each host at most */
	unsigned timeout_ms;  /* of a scan */
	uint64_t stream_max;  /* the largest body that clamd must take */
	uint64_t signature_age_ms;
	const char *temporary; /* where the hosts unpack; NULL: do not look for room there */
	uint64_t recheck_ms;   /* time from one full check of a host to the next */
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
/* Starts no scan any more. Scans in flight may end. */
void clamd_drain(struct clamd *clamd);
unsigned clamd_in_flight(const struct clamd *clamd);
/* How many scans have asked for a piece of their body and not got it yet. */
unsigned clamd_reading(const struct clamd *clamd);
/* Lists the scans that a clamd has got, in no order. */
struct clamd_seen {
	const Envelope *envelope;
	const char *host;
	uint64_t started_ms; /* clock_mono_ms() */
};
void clamd_each(const struct clamd *clamd,
	void (*on_scan)(void *arg, const struct clamd_seen *seen), void *arg);
/* Closes everything and forgets the scans that have not ended: their done() is not called. No scan
 * may be reading. */
void clamd_free(struct clamd **clamd);

/* How many hosts passed their check and answer. `why`: what is wrong with the first that does not,
 * "" when all do. */
size_t clamd_up(const struct clamd *clamd, char *why, size_t why_size);

#endif
