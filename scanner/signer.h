/*
 * signer.h - DKIM signatures of messages on their way to mail.ready: the customer's, and our own.
 *
 * A message is read once from the queue. The arithmetic of the keys runs on a thread of its own.
 */
#ifndef SCANNER_SIGNER_H
#define SCANNER_SIGNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/loop.h"
#include "shared/dkim/key.h"
#include "shared/mail/envelope.h"

struct config;
struct dkim_signing;
struct queue;
struct signer;

#define SIGN_KEYS_MAX (2 * DKIM_ALGORITHMS) /* the customer's domain, and ours */

/* One message, from signer_start() to `done`. Zero-initialise it; set `done`. */
struct sign_job {
	struct task task;
	struct signer *signer;
	const Envelope *envelope;
	struct dkim_signing *signing;
	struct {
		struct dkim_key *key;
		char *domain, *selector;
	} by[SIGN_KEYS_MAX];
	size_t by_count;
	uint64_t offset;
	enum { SIGN_CALLING, SIGN_WAITING, SIGN_GOT, SIGN_ENDED } state; /* of the next piece */
	int err;
	char *feedback; /* a Feedback-ID that the message gets; NULL: none */
	char *fields;   /* the result: what goes before the prefix */
	size_t size;
	bool failed; /* a key that should sign is broken, or OpenSSL failed */
	void (*done)(struct sign_job *job, int err);
};

/* Reads relay.config on the loop; `on_loaded` comes once, when all keys are known. */
struct signer *signer_new(const struct config *config, struct queue *queue, struct loop *loop,
	void (*on_loaded)(void *arg), void *arg);
/* No job may be under way. On the loop, or when that does not run any more. Takes NULL. */
void signer_free(struct signer **signer);

/* Whether the message is to be signed: its From, or our own domain, has keys. */
bool signer_wants(const struct signer *signer, const Envelope *envelope);
/* Signs the message: the envelope's prefix, then its body. The envelope must live until `done`,
 * which comes later, on the loop, with 0 or why there is no (or not each) signature. */
void signer_start(struct signer *signer, struct sign_job *job, const Envelope *envelope);
/* Frees what the job has made. */
void sign_job_clear(struct sign_job *job);

#endif
