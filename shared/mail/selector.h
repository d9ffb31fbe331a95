/*
 * selector.h - which mail an operator means: the selector of rules and suspensions in relay.config.
 *
 * JSON: an object of texts, at least one of selector_names[]; a field that is absent means any, and
 * all that are given must match. A provider is a site's name, or the end of the name of the host a
 * site is named after ("outlook.com"). What means the same has one form: domains and hosts as
 * address_domain_canonical() writes them, addresses as inet_ntop() does. What can match nothing is
 * refused, and so is an empty one: it is what a program writes that knows no value, and would mean
 * more mail than it does.
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
	SELECT_DOMAIN,
	SELECT_EGRESS,
	SELECTOR_FIELDS
};
/* "id", "site", "provider", "account", "credential", "recipient_domain", "egress_ip" */
extern const char *const selector_names[SELECTOR_FIELDS];

struct selector {
	char *text[SELECTOR_FIELDS]; /* in the one form; NULL: any */
	uint8_t id[ID_SIZE];
};

/* Sets a field that has no value yet; -EINVAL when nothing can match the text. */
int selector_set(struct selector *selector, enum selector_field field, const char *text);
/* What is right for a field, for people. */
const char *selector_right(enum selector_field field);
/* 0, or -EINVAL with the name of the field that is wrong (borrowed from `json`; NULL: the whole).
 * What it holds is freed with selector_wipe(), after an error too. */
int selector_parse(struct selector *selector, const json_t *json, const char **field_out);
void selector_wipe(struct selector *selector);

/* All but the recipient's domain. `egress`: any of these, with commas ("": not known, which matches
 * no address). */
bool selector_matches(const struct selector *selector, const Envelope *envelope, const char *site,
	const char *egress);
bool selector_has_domain(const struct selector *selector, const Recipient *recipient);
/* Likewise, with one recipient at least in the domain. */
bool selector_matches_row(const struct selector *selector, const Row *row, const char *egress);
/* Whether it means whole sites, and whether this is one. */
bool selector_is_site(const struct selector *selector);
bool selector_has_site(const struct selector *selector, const char *site);

/* A provider (see above) that has the site: the domain of the host it is named after, as far as the
 * name tells ("mx.rossi.co.uk": rossi.co.uk), else the site's own name. */
#define SITE_PROVIDER_MAX 400
void site_provider(const char *site, char out[SITE_PROVIDER_MAX + 1]);

#endif
