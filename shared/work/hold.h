/*
 * hold.h - tells of a message that is held: the event, and notices to the people concerned.
 */
#ifndef SHARED_HOLD_H
#define SHARED_HOLD_H

#include "shared/queue/records.h"

struct config;
struct hold;
struct loop;
struct redis;
struct scores;

/* Has its own connection to Redis, which names the accounts' contacts. */
struct hold *hold_new(struct loop *loop, struct queue *queue, const struct config *config);
/* Takes NULL. */
void hold_free(struct hold **hold);

/* The hold's connection, borrowed: it ends with the hold. */
struct redis *hold_redis(const struct hold *hold);

/* What the hold counts viruses by, borrowed likewise. */
struct scores *hold_scores(const struct hold *hold);

/*
 * Tells that a message is held, for its envelope's verdict and signature (`why` NULL) or for
 * another reason (`why`, which lives as long as the envelope). `cb` comes when the event is
 * acknowledged and the notices are durable or were missed: 0, or the event's error. `envelope` must
 * live until then.
 */
void
hold_tell(struct hold *hold, const Envelope *envelope, const char *why, queue_cb cb, void *arg);

/*
 * Tells of a message that clamd alerts about and that goes on: the event, and the score. `tagged`:
 * a field in the message's header says so. `cb`: as for hold_tell().
 */
void hold_alert(struct hold *hold, const Envelope *envelope, bool tagged, queue_cb cb, void *arg);

#endif
