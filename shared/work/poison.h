/*
 * poison.h - keeps a message that ends its process from doing so for ever.
 *
 * A role notes in a file of state_dir which messages are under work. The file outlives the process,
 * not the machine. After a death (the process did not close the file) those messages are suspects.
 * A suspect that comes again begins before all other mail, and alone; a death counts against the
 * suspect that was alone. At POISON_STRIKES the role has to hold it. A death in company counts
 * against nobody, so of the roles in one process only one at a time has a suspect alone.
 *
 * A message costs a few stores: no system call, no lock. Call everything on the role's loop.
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

/* A message under work. The owner's; zero it before its first use. */
struct poison_work {
	TAILQ_ENTRY(poison_work) link;
	void (*run)(struct poison_work *work);
	uint8_t id[ID_SIZE];
	unsigned slot; /* 0: not under work */
	bool waiting;  /* until poison_start() calls `run` */
	bool suspect;  /* it was under work when a process died */
};

/* Never fails. Without the file it logs why, and nothing is remembered. */
struct poison *poison_open(const char *state_dir, const char *role, struct loop *loop);
/* From now on no message begins. */
void poison_stop(struct poison *poison);
/* A good end: nothing under work becomes a suspect. Takes NULL. */
void poison_close(struct poison **poison);

/* Calls `run` when it is the message's turn, mostly at once. From then on the message is under
 * work. */
void poison_start(struct poison *poison, struct poison_work *work, const uint8_t *id,
	void (*run)(struct poison_work *work));
/* poison_pause(): nobody works on the message for a while, and the next suspect may go.
 * poison_resume(): the work goes on, without a turn. */
void poison_pause(struct poison *poison, struct poison_work *work);
void poison_resume(struct poison *poison, struct poison_work *work, const uint8_t *id);
/* The work is over, whatever its state: the message was harmless. */
void poison_end(struct poison *poison, struct poison_work *work);

/* How many processes the message has ended while it was alone. 0 again once it was held. */
unsigned poison_strikes(const struct poison *poison, const uint8_t *id);
void poison_forget(struct poison *poison, const uint8_t *id);

#endif
