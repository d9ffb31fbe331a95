/*
 * hold.h - what is owed when a message is held: the event, and notices to those it concerns.
 */
#ifndef SHARED_HOLD_H
#define SHARED_HOLD_H

#include "shared/queue/records.h"

struct config;
struct hold;
struct loop;
struct redis;

/* Has a link to Redis of its own, which names an account's contact. */
struct hold *hold_new(struct loop *loop, struct queue *queue, const struct config *config);
/* Takes NULL. */
void hold_free(struct hold **hold);

/* That link: borrowed, and no longer than it. */
struct redis *hold_redis(const struct hold *hold);

/*
 * Tells that the message is held: for its envelope's verdict and signature (`why` NULL), or for
 * another reason (static). `cb` comes when the event is acknowledged and the notices are durable or
 * were missed: 0, or the event's error. `envelope` must live until then.
 */
void
hold_tell(struct hold *hold, const Envelope *envelope, const char *why, queue_cb cb, void *arg);

/*
 * Tells of a message that clamd has an alert for, and that goes on all the same: the event, and the
 * score. `cb`: as above. `tagged`: a field in its header says so.
 */
void hold_alert(struct hold *hold, const Envelope *envelope, bool tagged, queue_cb cb, void *arg);

#endif
