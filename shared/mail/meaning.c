/*
 * meaning.c - names and sentences of what replies mean.
 *
 * sender/reply (rules) -> [meaning] -> outcomes, events, DSNs, metrics, shoutctl
 */
#include "shared/mail/meaning.h"

#include <stddef.h>
#include <string.h>

static const struct {
	const char *name, *text;
} meanings[MEANING_COUNT] = {
	[MEANING_OTHER] = { "other", "The reply is not known here: read its text." },
	[MEANING_BAD_MAILBOX] = { "bad-mailbox", "The recipient's address does not exist." },
	[MEANING_INACTIVE_MAILBOX] = { "inactive-mailbox", "The recipient's mailbox is disabled." },
	[MEANING_QUOTA] = { "quota-issues", "The recipient's mailbox is full." },
	[MEANING_BAD_DOMAIN] = { "bad-domain",
		"The recipient's domain does not exist, or takes no mail." },
	[MEANING_DNS_FAILURE] = { "dns-failure",
		"The DNS of the recipient's domain does not answer." },
	[MEANING_GREYLISTED] = { "greylisted",
		"The recipient's server lets first-time senders wait." },
	[MEANING_RATE_LIMITED] = { "rate-limited", "The recipient's server asks us to go slower." },
	[MEANING_RECIPIENT_RATE] = { "recipient-rate", "That mailbox is getting too much mail." },
	[MEANING_IP_REPUTATION] = { "ip-reputation",
		"The recipient's server does not trust our address at the moment." },
	[MEANING_DNSBL] = { "dnsbl", "Our address is on a block list." },
	[MEANING_PTR_OR_HELO] = { "ptr-or-helo",
		"The recipient's server does not accept the name of our address." },
	[MEANING_DOMAIN_REPUTATION] = { "domain-reputation",
		"The recipient's server does not trust mail of the sender's domain." },
	[MEANING_AUTH_SPF] = { "auth-spf",
		"The SPF record of the sender's domain does not authorise this service." },
	[MEANING_AUTH_DKIM] = { "auth-dkim",
		"The DKIM signature of the sender's domain is missing or invalid." },
	[MEANING_AUTH_DMARC] = { "auth-dmarc",
		"The DMARC policy of the sender's domain has the message refused." },
	[MEANING_SPAM] = { "spam-related", "The recipient's server takes the content for spam." },
	[MEANING_CONTENT] = { "content-related", "An attachment or a link is not allowed." },
	[MEANING_VIRUS] = { "virus-related",
		"The recipient's server reports a virus in the message." },
	[MEANING_PEC_ONLY] = { "pec-only",
		"The mailbox is certified mail (PEC): it takes mail from PEC only." },
	[MEANING_TOO_LARGE] = { "too-large", "The message is larger than the recipient takes." },
	[MEANING_POLICY] = { "policy-related", "The recipient chose not to take this mail." },
	[MEANING_INVALID_SENDER] = { "invalid-sender",
		"The recipient's server refuses the sender's address." },
	[MEANING_RELAYING] = { "relaying-issues",
		"That server does not handle mail for the recipient's domain." },
	[MEANING_NO_ANSWER] = { "no-answer-from-host", "The recipient's server does not answer." },
	[MEANING_BAD_CONNECTION] = { "bad-connection",
		"The recipient's server broke the connection off." },
	[MEANING_TLS_REQUIRED] = { "tls-required", "The encryption demanded (TLS) fails." },
	[MEANING_RFC_FORMAT] = { "rfc-format",
		"The message is malformed (header fields missing or doubled)." },
	[MEANING_ROUTING] = { "routing-errors",
		"Mail goes in circles between the recipient's servers." },
	[MEANING_EXPIRED] = { "message-expired",
		"There was no success in the time that mail is kept." },
};

static const char *const blames[BLAME_COUNT] = {
	[BLAME_TRANSIENT] = "transient",
	[BLAME_RECIPIENT] = "recipient",
	[BLAME_MESSAGE] = "message",
	[BLAME_ORIGINATOR] = "originator",
	[BLAME_CUSTOMER_DOMAIN] = "customer-domain",
	[BLAME_ACCOUNT] = "account",
	[BLAME_EGRESS_IP] = "egress-ip",
	[BLAME_NETBLOCK] = "netblock",
	[BLAME_OURS] = "ours",
};

const char *
meaning_name(enum meaning meaning)
{
	return meanings[meaning].name;
}

const char *
blame_name(enum blame blame)
{
	return blames[blame];
}

bool
meaning_find(const char *name, enum meaning *out)
{
	for (unsigned i = 0; i < MEANING_COUNT; i++) {
		if (strcmp(meanings[i].name, name) != 0)
			continue;
		*out = (enum meaning)i;
		return true;
	}
	return false;
}

bool
blame_find(const char *name, enum blame *out)
{
	for (unsigned i = 0; i < BLAME_COUNT; i++) {
		if (strcmp(blames[i], name) != 0)
			continue;
		*out = (enum blame)i;
		return true;
	}
	return false;
}

const char *
meaning_text(enum meaning meaning)
{
	return meanings[meaning].text;
}

const char *
meaning_text_of(const char *name)
{
	enum meaning meaning;

	return meaning_find(name, &meaning) ? meanings[meaning].text : NULL;
}

bool
blame_is_ours(enum blame blame)
{
	return blame == BLAME_EGRESS_IP || blame == BLAME_NETBLOCK || blame == BLAME_OURS;
}
