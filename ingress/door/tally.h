/*
 * tally.h - events that come in floods, summed up.
 *
 * What is the same but for its time, and for the numbers in its reply, is one event a minute, and
 * another within seconds of the first, for those who look. A client that causes many different ones
 * gets events by reason alone ("merged": true), a minute with many clients some without `client`.
 */
#ifndef INGRESS_TALLY_H
#define INGRESS_TALLY_H

#include "shared/queue/queue.h"

struct tally;

enum tally_kind { TALLY_REJECTED, TALLY_AUTH_FAILED, TALLY_TLS_FAILED, TALLY_KINDS };

#define TALLY_TO_SIZE 1024

/* What happened; borrowed texts, NULL or "" where there is none. */
struct tally_case {
	enum tally_kind kind;
	const char *client, *account, *username, *helo, *command;
	const char *from;    /* "" is the null sender */
	const char *to;      /* addresses, each ended by a NUL, and the empty one last */
	unsigned recipients; /* 0, or how many there are, also beyond `to` */
	const char *reason;  /* one of a few words of ours */
	const char *reply;   /* what the client heard; of a failed handshake the error */
};

struct tally *tally_new(struct queue *queue);
/* Sends what has not been told of at all; to be called a moment after tally_add() said so. */
void tally_news(struct tally *tally);
/* Sends what there is; to be called once a minute. */
void tally_flush(struct tally *tally);
/* Flushes, then frees. Takes NULL. */
void tally_free(struct tally **tally);

/* Whether there is something new for tally_news(). */
bool tally_add(struct tally *tally, const struct tally_case *given);

#endif
