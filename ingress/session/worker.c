/*
 * worker.c - which worker of the role runs in this thread.
 */
#include "ingress/session/worker.h"

static _Thread_local struct worker *here;

struct worker *
worker_here(void)
{
	return here;
}

void
worker_enter(struct worker *worker)
{
	here = worker;
}
