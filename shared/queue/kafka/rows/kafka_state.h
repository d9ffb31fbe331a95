/*
 * kafka_state.h - mail.state: who owns a partition of waiting mail.
 */
#ifndef SHARED_KAFKA_STATE_H
#define SHARED_KAFKA_STATE_H

#include "shared/base/loop.h"
#include "shared/queue/kafka/body/kafka_body.h"

/*
 * Owner's half, called by the consumer of mail.ready on its loop:
 *   claim:   writes the claim, replays mail.state up to it, opens the partition's rows, tells the
 *            view `gained`, then on_claimed on `loop`. err: the claim failed; try again. Each
 *            claim is answered once; -ECANCELED when the partition is released meanwhile.
 *   release: the partition is somebody else's: tells the view `lost`; its writes fail from now on.
 *   leased:  a commit that was sent at `sent_ms` (clock_boot_ms()) succeeded: attempts and row
 * writes may start until 40 s after it. A claim gives no lease. kafka_state_free() waits for what
 * is under way, so it comes before kafka_producer_free().
 */
struct kafka_state *kafka_state_new(struct kafka_queue *queue);
void kafka_state_free(struct kafka_state **state);
void kafka_state_claim(struct kafka_state *state, int32_t partition, struct loop *loop,
	void (*on_claimed)(void *arg, int32_t partition, int err), void *arg);
void kafka_state_release(struct kafka_state *state, int32_t partition);
/* Claims from that loop that are under way are not answered any more: it ends. */
void kafka_state_forget_claims(struct kafka_state *state, const struct loop *loop);
void kafka_state_leased(struct kafka_state *state, uint64_t sent_ms);
/* Where the body of a message that waits is now, when that is not where its envelope says any more:
 * it was deferred since, or appended anew. False: no row of ours has it. */
bool kafka_state_place(struct kafka_state *state, int32_t partition, const uint8_t id[ID_SIZE],
	struct kafka_place *place_out);
/* The body of a message that waits is gone: somebody has to look. */
void kafka_state_bodiless(struct kafka_state *state, int32_t partition, const uint8_t id[ID_SIZE]);
/* queue_clock_us() */
uint64_t kafka_clock_us(struct queue *base);

#endif
