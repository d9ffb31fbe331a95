/*
 * poison.h - a message that ends the process which works on it must not do so for ever.
 *
 * A role notes in a file of state_dir what it has under work. The file outlives the process, not
 * the machine. After a death (a process that did not close it) what was under work then is suspect:
 * when it comes again, it is begun before everything else and one at a time, and a death counts
 * against the one that was alone. At POISON_STRIKES the role has to hold it. Nobody is blamed for a
 * death in company, nor for one in other roles' company: of the roles in one process one at a time
 * has a suspect alone.
 *
 * Costs a few stores for each message: no system call, no lock. Everything on the role's loop.
 */
#ifndef SHARED_POISON_H
#define SHARED_POISON_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "shared/mail/envelope.h"

#define POISON_STRIKES 3

struct loop;
struct poison;

/* A message in work; zeroed before its first use, and the owner's. */
struct poison_work {
	TAILQ_ENTRY(poison_work) link;
	void (*run)(struct poison_work *work);
	uint8_t id[ID_SIZE];
	unsigned slot; /* 0: it is not under work */
	bool waiting;  /* for poison_start() to call `run` */
	bool suspect;  /* it was under work when a process died */
};

/* Never fails: without the file (it says why) nothing is remembered. */
struct poison *poison_open(const char *state_dir, const char *role, struct loop *loop);
/* Nothing is begun any more. */
void poison_stop(struct poison *poison);
/* The process ends well. Takes NULL. */
void poison_close(struct poison **poison);

/* Calls `run` once it is this message's turn, at once as a rule; from then on it is under work. */
void poison_start(struct poison *poison, struct poison_work *work, const uint8_t *id,
	void (*run)(struct poison_work *work));
/* Nobody works on it for a while; the next suspect may go. And work goes on, without a turn. */
void poison_rest(struct poison *poison, struct poison_work *work);
void poison_resume(struct poison *poison, struct poison_work *work, const uint8_t *id);
/* It is over, in whatever state it was: harmless. */
void poison_end(struct poison *poison, struct poison_work *work);

/* How many processes it has ended while it was alone; 0 again once it was held. */
unsigned poison_strikes(const struct poison *poison, const uint8_t *id);
void poison_forget(struct poison *poison, const uint8_t *id);

#endif
