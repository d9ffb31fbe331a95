/*
 * selector.c - which mail an operator means.
 *
 * relay.config -> [selector] -> sender, control
 *
 * Pure. A selector with an unknown field is refused: it matches no mail.
 */
#include "shared/mail/selector.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shared/base/log.h"
#include "shared/mail/address.h"

#define NAME_MAX_GIVEN 255 /* of a username (RFC 4616), or an account's id */

#define NULL_SENDER "<>"
#define SITE_DOMAIN "domain:" /* a row named after a domain (sender) */
#define HASH_DIGITS 8         /* "-1a2b3c4d" ends the name of a site with several hosts */

const char *const selector_names[SELECTOR_FIELDS] = { "id", "site", "provider", "account",
	"credential", "sender", "recipient_domain", "egress_ip" };

const char *
selector_right(enum selector_field field)
{
	static const char *const right[SELECTOR_FIELDS] = { "26 signs of a message id",
		"the name of a site, like mx.rossi.example",
		"a provider's name, or the end of its hosts' names, like outlook.com",
		"an account's id", "a username, or an address",
		"a mail address, or <> for the null sender", "a domain, like rossi.example",
		"an IP address" };

	return right[field];
}

/* The one form of an IP address. NULL: the text is none. */
static char *
canonical_ip(const char *text)
{
	const int family = strchr(text, ':') ? AF_INET6 : AF_INET;
	char out[INET6_ADDRSTRLEN];
	unsigned char bytes[16];

	if (inet_pton(family, text, bytes) != 1 || !inet_ntop(family, bytes, out, sizeof out))
		return NULL;
	return xstrdup(out);
}

/* The length of the host name that the site is named after. */
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

static char *
canonical_host(const char *text)
{
	const size_t length = host_length(text);
	char out[256], *host;

	if (!address_domain_valid(text, length) || !address_domain_canonical(text, length, out))
		return NULL;
	host = xasprintf("%s%s", out, text + length);
	for (char *c = host + strlen(out); *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return host;
}

/* The one form of a recipient's domain, which may be an address literal. */
static char *
canonical_domain(const char *text)
{
	char *mailbox = xasprintf("x@%s", text), out[256], *domain = NULL;
	struct address address;

	if (!address_parse(mailbox, strlen(mailbox), &address) && address.domain &&
		address_domain_canonical(address.domain, address.domain_length, out))
		domain = xstrdup(out);
	free(mailbox);
	return domain;
}

static char *
canonical_bracketed(const char *text)
{
	const size_t length = strlen(text);
	char *inside, *ip = NULL, *out = NULL;

	if (length < 3 || text[length - 1] != ']')
		return NULL;
	inside = xstrndup(text + 1, length - 2);
	ip = canonical_ip(inside);
	if (ip)
		out = xasprintf("[%s]", ip);
	free(inside);
	free(ip);
	return out;
}

/* The one form of a smarthost's name, "host:25" or "[::1]:25". */
static char *
canonical_smarthost(const char *text)
{
	const char *colon = strrchr(text, ':');
	char *name, *host, *site = NULL;

	if (!colon || !colon[1] || colon[1 + strspn(colon + 1, "0123456789")])
		return NULL;
	name = xstrndup(text, (size_t)(colon - text));
	host = *name == '[' ? canonical_bracketed(name) : canonical_host(name);
	if (host)
		site = xasprintf("%s%s", host, colon);
	free(name);
	free(host);
	return site;
}

/* The one form of a site: a host's or provider's name, or a name that the sender made. */
static char *
canonical_site(const char *text)
{
	char *host, *site = NULL;

	if (strncasecmp(text, SITE_DOMAIN, strlen(SITE_DOMAIN)) != 0) {
		site = *text == '[' ? canonical_bracketed(text) : canonical_host(text);
		return site ? site : canonical_smarthost(text);
	}
	host = canonical_domain(text + strlen(SITE_DOMAIN));
	if (host)
		site = xasprintf(SITE_DOMAIN "%s", host);
	free(host);
	return site;
}

/* A name that the relay gave out: no blanks, no invisible characters. */
static char *
canonical_name(const char *text)
{
	const char *c = text;

	for (; *c; c++)
		if ((unsigned char)*c <= ' ' || *c == 0x7f)
			return NULL;
	return *text && c - text <= NAME_MAX_GIVEN ? xstrdup(text) : NULL;
}

static char *
canonical_credential(const char *text)
{
	char *ip = canonical_ip(text);

	return ip ? ip : canonical_name(text);
}

/* A mailbox in its one form and in lower case. */
static char *
canonical_sender(const char *text)
{
	char out[ADDRESS_CANONICAL_MAX];
	struct address address;

	if (strcmp(text, NULL_SENDER) == 0)
		return xstrdup(text);
	if (address_parse(text, strlen(text), &address) < 0 || !address.domain)
		return NULL;
	address_canonical(&address, out);
	for (char *c = out; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return xstrdup(out);
}

static bool
has_sender(const char *wanted, const char *mail_from)
{
	char *sender;
	bool same;

	if (!wanted)
		return true;
	sender = canonical_sender(*mail_from ? mail_from : NULL_SENDER);
	same = sender && strcmp(sender, wanted) == 0;
	free(sender);
	return same;
}

static char *
canonical_provider(const char *text)
{
	return canonical_site(*text == '.' ? text + 1 : text);
}

static char *
canonical_id(const char *text)
{
	uint8_t id[ID_SIZE];

	return id_parse(text, id) == 0 ? xstrdup(text) : NULL;
}

int
selector_set(struct selector *selector, enum selector_field field, const char *text)
{
	static char *(*const canonical[SELECTOR_FIELDS])(const char *text) = { canonical_id,
		canonical_site, canonical_provider, canonical_name, canonical_credential,
		canonical_sender, canonical_domain, canonical_ip };

	selector->text[field] = canonical[field](text);
	if (selector->text[field] && field == SELECT_ID)
		id_parse(text, selector->id);
	return selector->text[field] ? 0 : -EINVAL;
}

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
		if (field < 0 || !text || selector_set(selector, (enum selector_field)field, text))
			return -EINVAL;
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

static bool
ends_in(const char *site, const char *suffix)
{
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

/* Where the last `labels` labels of a name begin. */
static size_t
labels_from(const char *name, size_t length, int labels)
{
	size_t at = length;

	while (at > 0 && (name[at - 1] != '.' || --labels > 0))
		at--;
	return at;
}

/* Whether anybody may have a domain under the suffix ("co.uk", "com.au"). The list of such suffixes
 * is long; a wrong guess only makes a group too large or too small. */
static bool
is_wide(const char *suffix, size_t length)
{
	const char *dot = memchr(suffix, '.', length);

	return dot && dot - suffix <= 3 && length - (size_t)(dot - suffix) == 3;
}

void
site_provider(const char *site, char out[SITE_PROVIDER_MAX + 1])
{
	const size_t length = host_length(site);
	size_t at = labels_from(site, length, 2);

	if (strpbrk(site, "[:"))
		at = 0;
	else if (at > 0 && is_wide(site + at, length - at))
		at = labels_from(site, length, 3);
	snprintf(out, SITE_PROVIDER_MAX + 1, "%.*s",
		(int)(strpbrk(site, "[:") ? strlen(site) : length - at), site + at);
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

/* Whether `wanted` is one of the entries of the list, which commas separate. */
static bool
is_among(const char *wanted, const char *list)
{
	const size_t length = strlen(wanted);

	for (const char *at = list; *at; at += strcspn(at, ","), at += *at == ',')
		if (strcspn(at, ",") == length && !memcmp(at, wanted, length))
			return true;
	return false;
}

bool
selector_matches(
	const struct selector *s, const Envelope *envelope, const char *site, const char *egress)
{
	return (!s->text[SELECT_ID] || !memcmp(s->id, envelope->id.data, ID_SIZE)) &&
		is_or_any(s->text[SELECT_ACCOUNT], envelope->account) &&
		is_or_any(s->text[SELECT_CREDENTIAL], envelope->credential) &&
		has_sender(s->text[SELECT_SENDER], envelope->mail_from) &&
		(!s->text[SELECT_EGRESS] || is_among(s->text[SELECT_EGRESS], egress)) &&
		selector_has_site(s, site);
}

bool
selector_has_domain(const struct selector *s, const Recipient *recipient)
{
	const char *at = strrchr(recipient->address, '@');
	char domain[256];

	if (!s->text[SELECT_DOMAIN])
		return true;
	return at && address_domain_canonical(at + 1, strlen(at + 1), domain) &&
		!strcmp(domain, s->text[SELECT_DOMAIN]);
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
