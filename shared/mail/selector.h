/*
 * selector.h - which mail an operator means: the selector of rules and suspensions in relay.config.
 *
 * JSON: an object of texts with at least one of selector_names[]. An absent field matches any mail;
 * all given fields must match. A provider is a site's name, or the end of the name of the host that
 * a site is named after ("outlook.com"). Values have one form: domains and hosts as
 * address_domain_canonical() writes them, addresses as inet_ntop() does. A value that nothing can
 * match is refused. An empty value is refused, too: a program that lacks the value writes it, and
 * the selector would match more mail than meant.
 */
#ifndef SHARED_SELECTOR_H
#define SHARED_SELECTOR_H

#include <stdbool.h>

#include <jansson.h>

#include "shared/mail/envelope.h"

enum selector_field {
	SELECT_ID,
	SELECT_SITE,
	SELECT_PROVIDER,
	SELECT_ACCOUNT,
	SELECT_CREDENTIAL,
	SELECT_SENDER, /* the envelope's, "<>": the null sender */
	SELECT_DOMAIN,
	SELECT_EGRESS,
	SELECTOR_FIELDS
};
/* "id", "site", "provider", "account", "credential", "sender", "recipient_domain", "egress_ip" */
extern const char *const selector_names[SELECTOR_FIELDS];

struct selector {
	char *text[SELECTOR_FIELDS]; /* each in its one form; NULL: any */
	uint8_t id[ID_SIZE];
};

/* Sets a field that has no value yet. -EINVAL when no mail can match the text. */
int selector_set(struct selector *selector, enum selector_field field, const char *text);
/* What a right value of the field looks like, for people. */
const char *selector_right(enum selector_field field);
/* 0, or -EINVAL with the name of the wrong field (borrowed from `json`; NULL: the whole is wrong).
 * Free the selector's contents with selector_wipe(), after an error too. */
int selector_parse(struct selector *selector, const json_t *json, const char **field_out);
void selector_wipe(struct selector *selector);

/* Matches all fields but the recipient's domain. `egress`: the addresses that the mail may leave
 * from, separated by commas; "": not known, which no address matches. */
bool selector_matches(const struct selector *selector, const Envelope *envelope, const char *site,
	const char *egress);
bool selector_has_domain(const struct selector *selector, const Recipient *recipient);
/* Like selector_matches(), and one recipient of the row is in the domain. */
bool selector_matches_row(const struct selector *selector, const Row *row, const char *egress);
/* Whether the selector means whole sites; whether the site is one of them. */
bool selector_is_site(const struct selector *selector);
bool selector_has_site(const struct selector *selector, const char *site);

/* A provider that has the site: the domain of the host that the site is named after, as far as the
 * name tells ("mx.rossi.co.uk": rossi.co.uk), else the site's own name. */
#define SITE_PROVIDER_MAX 400
void site_provider(const char *site, char out[SITE_PROVIDER_MAX + 1]);

#endif
