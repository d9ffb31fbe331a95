/*
 * tally.h - events that come in floods, summed up: one a minute for each kind, client and name, as
 * long as there are few of these, and one for all others.
 */
#ifndef INGRESS_TALLY_H
#define INGRESS_TALLY_H

#include "shared/queue/queue.h"

struct tally;

enum tally_kind { TALLY_REJECTED, TALLY_AUTH_FAILED, TALLY_TLS_FAILED, TALLY_KINDS };

struct tally *tally_new(struct queue *queue);
/* Sends what there is; to be called once a minute. */
void tally_flush(struct tally *tally);
/* Flushes, then frees. Takes NULL. */
void tally_free(struct tally **tally);

/* `who`: the account or username, or NULL. `what`: the reply, reason or error; the first counts. */
void tally_add(struct tally *tally, enum tally_kind kind, const char *client, const char *who,
	const char *what);

#endif
