/*
 * acceptor.h - a worker at one of the listeners. On the worker's loop.
 */
#ifndef INGRESS_ACCEPTOR_H
#define INGRESS_ACCEPTOR_H

#include "ingress/session/worker.h"

/* Listens on `fd`, the worker's of the listener, and takes it over. -1 after logging why. */
int acceptor_open(
	struct acceptor *acceptor, struct worker *worker, const struct listener *listener, int fd);
/* Once more is nothing. */
void acceptor_close(struct acceptor *acceptor);
/* Takes those whom the kernel has let in already, then closes. */
void acceptor_drain(struct acceptor *acceptor);

#endif
