/*
 * dnsbl.h - what a DNS block list says of an address, and whether the list can be believed (RFC
 * 5782). Pure.
 */
#ifndef CONTROL_WATCH_DNSBL_H
#define CONTROL_WATCH_DNSBL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DNSBL_NAME_MAX 320

/* The name to ask for: the address's octets, or the nibbles of an IPv6 address, in reverse before
 * the zone. False: the text is no address, or the name is too long. */
bool dnsbl_name(const char *ip, const char *zone, char out[DNSBL_NAME_MAX]);
/* The zone as it may be shown: the first label of some is a customer's key, and becomes "***". */
void dnsbl_label(const char *zone, char out[DNSBL_NAME_MAX]);

enum dnsbl_state { DNSBL_UNKNOWN, DNSBL_CLEAN, DNSBL_LISTED };
extern const char *const dnsbl_state_names[]; /* "unknown" ... */

struct dnsbl_answer {
	enum { DNSBL_ANSWERED, DNSBL_NO_NAME, DNSBL_FAILED } status;
	const uint8_t (*addresses)[4]; /* of DNSBL_ANSWERED */
	size_t count;
};
/* The answer to one question: listed only by codes of 127.0.0.0/8 that are no errors
 * (127.255.255.x); whatever else is unknown. */
enum dnsbl_state dnsbl_answer_state(const struct dnsbl_answer *answer);
/* The same, believed only where the list has 127.0.0.2 and does not have 127.0.0.1. */
enum dnsbl_state dnsbl_judge(const struct dnsbl_answer *listed_test,
	const struct dnsbl_answer *clean_test, const struct dnsbl_answer *asked);

/* Successive verdicts of a list on an address. Zero-initialise. */
struct dnsbl_standing {
	bool listed;
	unsigned other; /* verdicts in a row that say otherwise */
};
#define DNSBL_CONFIRMATIONS 2
/* Takes a verdict; true: `listed` has changed, by DNSBL_CONFIRMATIONS that agree. A verdict that is
 * unknown neither confirms nor denies. */
bool dnsbl_take(struct dnsbl_standing *standing, enum dnsbl_state verdict);

#endif
