/*
 * session.h - one client's connection, from accept to close.
 */
#ifndef INGRESS_SESSION_H
#define INGRESS_SESSION_H

#include "shared/net.h"

struct listener;
struct worker;

/* Takes a connection over, on the worker's loop. */
void session_open(struct worker *worker, const struct listener *listener, int fd,
	const struct net_address *peer);
/* 421 to idle sessions; the others end when their transaction has. */
void session_drain_all(struct worker *worker);
/* At once, whatever they do. */
void session_drop_all(struct worker *worker);
/* Frees what has ended; called on a turn of its own. */
void session_reap(struct worker *worker);

#endif
