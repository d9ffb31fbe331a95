/*
 * selector.c - which mail an operator means.
 *
 * relay.config -> [selector] -> sender, control
 *
 * Pure. A selector with a field that is not known here matches nothing: it is refused.
 */
#include "shared/selector.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shared/log.h"

#define HASH_DIGITS 8 /* "-1a2b3c4d" ends the name of a site with several hosts */

const char *const selector_names[SELECTOR_FIELDS] = { "id", "site", "provider", "account",
	"credential", "recipient_domain", "egress_ip" };

static int
field_of(const char *name)
{
	for (int i = 0; i < SELECTOR_FIELDS; i++)
		if (!strcmp(selector_names[i], name))
			return i;
	return -1;
}

int
selector_parse(struct selector *selector, const json_t *json, const char **field_out)
{
	const char *name, *text;
	json_t *value;
	size_t given = 0;
	int field;

	*selector = (struct selector){ 0 };
	*field_out = NULL;
	json_object_foreach((json_t *)json, name, value)
	{
		*field_out = name;
		text = json_string_value(value);
		field = field_of(name);
		if (field < 0 || !text || !*text)
			return -EINVAL;
		if (field == SELECT_ID && id_parse(text, selector->id) < 0)
			return -EINVAL;
		selector->text[field] = xstrdup(text);
		given++;
	}
	*field_out = NULL;
	return given ? 0 : -EINVAL;
}

void
selector_wipe(struct selector *selector)
{
	for (int i = 0; i < SELECTOR_FIELDS; i++) {
		free(selector->text[i]);
		selector->text[i] = NULL;
	}
}

/* The length of the host's name a site is named after. */
static size_t
host_length(const char *site)
{
	const size_t length = strlen(site);
	const char *hash = length > HASH_DIGITS + 1 ? site + length - HASH_DIGITS - 1 : "";

	if (*hash != '-')
		return length;
	for (int i = 1; i <= HASH_DIGITS; i++)
		if (!isxdigit((unsigned char)hash[i]))
			return length;
	return length - HASH_DIGITS - 1;
}

static bool
ends_in(const char *site, const char *provider)
{
	const char *suffix = *provider == '.' ? provider + 1 : provider;
	const size_t length = host_length(site), suffix_length = strlen(suffix);

	return length >= suffix_length &&
		!strncasecmp(site + length - suffix_length, suffix, suffix_length) &&
		(length == suffix_length || site[length - suffix_length - 1] == '.');
}

bool
selector_has_site(const struct selector *s, const char *site)
{
	const char *name = s->text[SELECT_SITE], *provider = s->text[SELECT_PROVIDER];

	return (!name || !strcasecmp(name, site)) &&
		(!provider || !strcasecmp(provider, site) || ends_in(site, provider));
}

bool
selector_is_site(const struct selector *s)
{
	for (int i = 0; i < SELECTOR_FIELDS; i++)
		if (i != SELECT_SITE && i != SELECT_PROVIDER && s->text[i])
			return false;
	return true;
}

static bool
is_or_any(const char *wanted, const char *text)
{
	return !wanted || !strcmp(wanted, text);
}

bool
selector_matches(
	const struct selector *s, const Envelope *envelope, const char *site, const char *egress)
{
	return (!s->text[SELECT_ID] || !memcmp(s->id, envelope->id.data, ID_SIZE)) &&
		is_or_any(s->text[SELECT_ACCOUNT], envelope->account) &&
		is_or_any(s->text[SELECT_CREDENTIAL], envelope->credential) &&
		is_or_any(s->text[SELECT_EGRESS], egress) && selector_has_site(s, site);
}

bool
selector_has_domain(const struct selector *s, const Recipient *recipient)
{
	const char *at = strrchr(recipient->address, '@');

	return !s->text[SELECT_DOMAIN] || (at && !strcasecmp(at + 1, s->text[SELECT_DOMAIN]));
}

bool
selector_matches_row(const struct selector *s, const Row *row, const char *egress)
{
	const Envelope *envelope = row->envelope;

	if (!selector_matches(s, envelope, row->site, *row->egress ? row->egress : egress))
		return false;
	for (size_t i = 0; i < envelope->n_recipients; i++)
		if (selector_has_domain(s, envelope->recipients[i]))
			return true;
	return !s->text[SELECT_DOMAIN];
}
