/*
 * steps.h - how far a customer's server came while a test watched: seven steps, from what was seen.
 * Pure.
 *
 * Keys: name, ports, connection, tls, auth, domain, delivered. States: "seen"; "failed", with the
 * cause; "waiting" (it may still come); "unknown" (nothing tells). Causes: no-connection, tls,
 * unknown-address (530), starttls-needed (538), wrong-password (535), later (454, 451, 421: ours,
 * or too many), not-yours (550 5.7.1: the domain is not verified, or the account is suspended),
 * limit (451 4.7.1), size (552), refused (anything else), bounced.
 */
#ifndef CONTROL_STEPS_H
#define CONTROL_STEPS_H

#include <stdint.h>

#include <jansson.h>

#define STEPS 7

struct steps_asked {
	const json_t *sessions; /* sessions_sort() */
	uint64_t since_us, until_us, now_us;
	const char *host, *ports; /* for people: where servers connect to */
};

/* [{"key","state","cause" or null,"detail" or null,"at" or null}], for the caller to release.
 * `message_out` gets the id of the newest message that was accepted (borrowed from a session), or
 * NULL. */
json_t *steps_see(const struct steps_asked *asked, const char **message_out);
/* Completes the last step by what the trace has of that message; NULL: nothing yet. */
void steps_deliver(json_t *steps, const json_t *message);

#endif
