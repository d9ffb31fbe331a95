/*
 * meaning.h - what a remote's reply means, in words that operators, customers and programs share:
 * a class (what is wrong) and a blame (whose matter it is; "scope" in files, events and the API).
 * Pure.
 */
#ifndef SHARED_MEANING_H
#define SHARED_MEANING_H

#include <stdbool.h>

enum meaning {
	MEANING_OTHER, /* no rule knows the reply */
	MEANING_BAD_MAILBOX,
	MEANING_INACTIVE_MAILBOX,
	MEANING_QUOTA,
	MEANING_BAD_DOMAIN,
	MEANING_DNS_FAILURE,
	MEANING_GREYLISTED,
	MEANING_RATE_LIMITED,
	MEANING_RECIPIENT_RATE,
	MEANING_IP_REPUTATION,
	MEANING_DNSBL,
	MEANING_PTR_OR_HELO,
	MEANING_DOMAIN_REPUTATION,
	MEANING_AUTH_SPF,
	MEANING_AUTH_DKIM,
	MEANING_AUTH_DMARC,
	MEANING_SPAM,
	MEANING_CONTENT,
	MEANING_VIRUS,
	MEANING_PEC_ONLY,
	MEANING_TOO_LARGE,
	MEANING_POLICY,
	MEANING_INVALID_SENDER,
	MEANING_RELAYING,
	MEANING_NO_ANSWER,
	MEANING_BAD_CONNECTION,
	MEANING_TLS_REQUIRED,
	MEANING_RFC_FORMAT,
	MEANING_ROUTING,
	MEANING_EXPIRED,
	MEANING_COUNT
};

enum blame {
	BLAME_TRANSIENT, /* nobody: later may be better */
	BLAME_RECIPIENT,
	BLAME_MESSAGE,
	BLAME_ORIGINATOR,
	BLAME_CUSTOMER_DOMAIN,
	BLAME_ACCOUNT,
	BLAME_EGRESS_IP,
	BLAME_NETBLOCK,
	BLAME_OURS, /* PTR record, HELO, TLS, commands */
	BLAME_COUNT
};

/* "bad-mailbox", "egress-ip". */
const char *meaning_name(enum meaning meaning);
const char *blame_name(enum blame blame);
/* False: there is none of that name. */
bool meaning_find(const char *name, enum meaning *out);
bool blame_find(const char *name, enum blame *out);
/* A sentence for whoever wrote the message: "The recipient's address does not exist." */
const char *meaning_text(enum meaning meaning);
/* The same by the name; NULL: there is none of that name. */
const char *meaning_text_of(const char *name);
/* Whether the matter is ours: such mail waits, whatever the code is. */
bool blame_is_ours(enum blame blame);

#endif
