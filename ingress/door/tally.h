/*
 * tally.h - events that come in floods, summed up.
 *
 * Cases that differ only in their time and in the numbers of the reply become one event a minute.
 * The first event comes within seconds, for operators who look on. A client that causes many
 * different cases gets events by reason alone ("merged": true). In a minute with many clients some
 * events have no `client`.
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
	const char *reply;   /* what the client heard, or the error of a failed handshake */
};

struct tally *tally_new(struct queue *queue);
/* Sends the cases that no event has told of; to be called a moment after tally_add() returned
 * true. */
void tally_news(struct tally *tally);
/* Sends all cases since the last event; to be called once a minute. */
void tally_flush(struct tally *tally);
/* Flushes, then frees. Takes NULL. */
void tally_free(struct tally **tally);

/* Adds a case. True: tally_news() is to be called. */
bool tally_add(struct tally *tally, const struct tally_case *given);

#endif
