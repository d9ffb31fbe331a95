/*
 * scanner_private.h - what scanner.c (the role) and message.c (a message's way) share.
 */
#ifndef SCANNER_PRIVATE_H
#define SCANNER_PRIVATE_H

#include <sys/queue.h>

#include "scanner/clamd.h"
#include "scanner/fixup.h"
#include "scanner/signer.h"
#include "shared/base/loop.h"
#include "shared/base/said.h"
#include "shared/base/timer.h"
#include "shared/metrics/metrics.h"
#include "shared/queue/records.h"
#include "shared/work/hold.h"
#include "shared/work/inflight.h"
#include "shared/work/poison.h"

enum stage {
	STAGE_QUEUED,  /* waits for its turn (poison.h) */
	STAGE_SCAN,    /* in the pool */
	STAGE_PAUSE,   /* a scan, or what follows it, failed: `timer` tries again */
	STAGE_SCORE,   /* Redis judges its sender */
	STAGE_SIGN,    /* the signer reads it */
	STAGE_HOLD,    /* the event and notices are on their way */
	STAGE_FORWARD, /* mail.ready is to acknowledge it */
};

struct message {
	struct clamd_scan scan; /* first: on_scanned() gets this */
	struct record *record;
	struct poison_work work;
	struct sign_job signing;
	TAILQ_ENTRY(message) link;
	enum stage stage;
	void (*after_pause)(struct message *message);
	struct timer timer;
	uint64_t started_us;
	unsigned tries, strikes, errors;
	bool poison;       /* held because it ended this process */
	bool waited;       /* it has waited for its sender's pace */
	bool held;         /* hold() comes next, not forward() */
	bool tagged;       /* its header says what clamd found */
	Envelope envelope; /* a changed copy of the record's, which still owns the parts */
	char *signature, *reason;
	uint8_t *prefix;
	char message_id[FIXUP_ID_MAX];
};

TAILQ_HEAD(message_list, message);

struct scanner {
	const struct config *config;
	struct queue *queue;
	struct loop *loop;
	struct consumer *consumer;
	struct clamd *clamd; /* NULL when scanning is disabled */
	struct signer *signer;
	struct hold *hold;
	struct inflight_reporter *reporter;
	struct poison *poison;
	struct message_list all;
	unsigned paused;
	struct timer second;
	struct task begin, drain, stop;
	struct task_again reload;
	uint64_t stop_ms, patient_ms; /* patient_ms: no complaints of no clamd before */
	struct said said;
	bool draining, stopping;
	struct probe *probe;
	struct metric *scans[VERDICTS], *failures, *latency, *waiting;
};
extern struct scanner *scanner;

/* message.c: a record of mail.inbound, which leaves as one of mail.ready. */
void scanner_on_record(void *arg, struct record *record);
/* message.c: its record is somebody else's by now. */
void scanner_message_free(struct message *message);

#endif
