/*
 * dkim_entry.h - entries "dkim/<domain>" of relay.config (shared/dkim/keyring.h): made, rotated,
 * switched off, and shown. Pure but for random numbers.
 *
 * A domain has keys in two slots, published at once. One signs, the other is its successor; a
 * rotation switches over without a moment in which the DNS lacks the key. The next rotation makes
 * the next successor, once no mail can still carry a signature of the one before.
 */
#ifndef CONTROL_DKIM_ENTRY_H
#define CONTROL_DKIM_ENTRY_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "control/account/fault.h"
#include "shared/dkim/key.h"

#define DKIM_FORMER_KEPT_US (UINT64_C(7) * 24 * 3600 * 1000000)

struct dkim_subject {
	const char *domain, *account; /* account "": a domain of the relay's own */
	const uint8_t *secret;        /* DKIM_SECRET_SIZE bytes; dkim_entry_show() needs none */
	const char *zone;             /* dkim.zone, or NULL */
	uint64_t now_us;
};

/* {"algorithms":["rsa-sha256","ed25519-sha256"]} (rsa-sha256 alone when absent) as a set of bits; 0
 * and a fault for another body. */
unsigned dkim_algorithms_take(struct fault *fault, const json_t *body);

/* The domain's new entry, the caller's. `before`: the entry there is, or NULL; its keys stay, if
 * they are the same account's, and missing ones are made. */
json_t *
dkim_entry_enable(const struct dkim_subject *subject, const json_t *before, unsigned algorithms);
json_t *dkim_entry_disable(const struct dkim_subject *subject, const json_t *before);
/* The successor signs from now on ("switched"), or there are new successors ("renewed"):
 * `*done_out`. NULL and a fault (409): the former keys are still needed. */
json_t *dkim_entry_rotate(const struct dkim_subject *subject, const json_t *before, bool now,
	const char **done_out, struct fault *fault);

/* As the API shows it (openapi.yaml: Dkim), the caller's. `entry` NULL: there are no keys. */
json_t *dkim_entry_show(const struct dkim_subject *subject, const json_t *entry);
/* The same in a list: the domain, and which selectors sign. */
json_t *dkim_entry_line(const json_t *entry);
/* What the audit shows of an entry: no key. */
json_t *dkim_entry_audit(const json_t *entry);

#endif
