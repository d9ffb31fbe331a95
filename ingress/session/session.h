/*
 * session.h - one client's connection, from accept to close.
 */
#ifndef INGRESS_SESSION_H
#define INGRESS_SESSION_H

#include "ingress/door/door.h"
#include "shared/base/net.h"

struct listener;
struct worker;

/* The reply to a client that is not let in, and the reason (enum refusal, of stats.h). */
struct turned_away {
	const char *text;
	int why;
};
struct turned_away session_turned_away(enum door_answer answer);

/* Takes over a connection and its guest, on the worker's loop. */
void session_open(struct worker *worker, const struct listener *listener, int fd,
	const struct net_address *peer, struct guest *guest);
/* For the door: others need the session's place. */
void session_turn_out(void *session);
/* 421 to idle sessions; the others end after their transaction. */
void session_drain_all(struct worker *worker);
/* Ends all sessions at once, whatever they do. */
void session_drop_all(struct worker *worker);
/* Frees the sessions that have ended; called on a turn of its own. */
void session_reap(struct worker *worker);

#endif
