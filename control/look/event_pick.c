/*
 * event_pick.c - finds the events that a query asks for.
 *
 * Lines are searched as text first, and parsed only where the text may match: many times as fast as
 * parsing each event.
 */
#include "control/look/event_pick.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shared/base/date.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/text.h"
#include "shared/config/config.h"
#include "shared/mail/address.h"
#include "shared/mail/envelope.h"
#include "shared/queue/event.h"

const char *const pick_names[PICK_FIELDS] = { "id", "event", "account", "username", "client",
	"from", "to", "domain" };

const char *
pick_right(enum pick_field field)
{
	static const char *const right[PICK_FIELDS] = { "26 signs of a message id",
		"names of events, like rejected,auth-failed", "an account's id", "a username",
		"an IP address, or a network like 192.0.2.0/24", "a mail address, or <>",
		"a mail address", "a domain, like rossi.example" };

	return right[field];
}

void
pick_init(struct event_pick *pick)
{
	*pick = (struct event_pick){ .until_us = UINT64_MAX };
}

void
pick_wipe(struct event_pick *pick)
{
	for (int i = 0; i < PICK_FIELDS; i++) {
		free(pick->text[i]);
		free(pick->needle[i]);
		pick->text[i] = pick->needle[i] = NULL;
	}
}

/* ---- text ---- */

/* Horspool's search: a byte that the needle does not have moves the needle by its whole length. */
bool
text_holds(const char *text, size_t length, const char *needle)
{
	const size_t size = strlen(needle);
	unsigned char step[256];

	if (size == 0 || size > length)
		return size == 0;
	memset(step, size < 255 ? (int)size : 255, sizeof step);
	for (size_t i = 0; i + 1 < size; i++) {
		const size_t left = size - 1 - i < 255 ? size - 1 - i : 255;

		step[(unsigned char)needle[i]] = (unsigned char)left;
		if (needle[i] >= 'a' && needle[i] <= 'z')
			step[(unsigned char)(needle[i] - 'a' + 'A')] = (unsigned char)left;
	}
	for (size_t at = 0; at + size <= length;) {
		const char last = text[at + size - 1];

		if (to_lower(last) == needle[size - 1] && strncasecmp(text + at, needle, size) == 0)
			return true;
		at += step[(unsigned char)last];
	}
	return false;
}

static char *
lower(const char *text)
{
	char *out = xstrdup(text);

	for (char *c = out; *c; c++)
		*c = to_lower(*c);
	return out;
}

/* The needle, if the value is spelt in events as it is here but for its case; NULL: an event may
 * spell it otherwise. */
static char *
needle_of(const char *text)
{
	for (const char *c = text; *c; c++)
		if (!is_alnum(*c) && !strchr("@._+-=", *c))
			return NULL;
	return *text && !strstr(text, "xn--") ? lower(text) : NULL;
}

/* The needle for a whole JSON text. */
static char *
quoted_needle(const char *text)
{
	char *needle = needle_of(text), *quoted = needle ? xasprintf("\"%s\"", needle) : NULL;

	free(needle);
	return quoted;
}

/* ---- the one form ---- */

static char *
canonical_mailbox(const char *text, size_t length)
{
	char out[ADDRESS_CANONICAL_MAX];
	struct address address;

	if (address_parse(text, length, &address) < 0)
		return xstrndup(text, length);
	address_canonical(&address, out);
	return xstrdup(out);
}

/* Takes off the brackets that a client or operator may put around an address. */
char *
pick_mailbox(const char *text)
{
	const size_t length = strlen(text);
	const bool bracketed = length >= 2 && *text == '<' && text[length - 1] == '>';

	return bracketed ? canonical_mailbox(text + 1, length - 2)
			 : canonical_mailbox(text, length);
}

/* The needle is the longer half of the address, since quotes may stand around the first half. */
static char *
mailbox_needle(const char *canonical)
{
	const char *at = strrchr(canonical, '@');
	char *local = at ? xstrndup(canonical, (size_t)(at - canonical)) : xstrdup(canonical);
	char *needle = needle_of(local), *domain = at ? needle_of(at + 1) : NULL;

	free(local);
	if (needle && (!domain || strlen(needle) >= strlen(domain))) {
		free(domain);
		return needle;
	}
	free(needle);
	return domain;
}

/* Reads a domain or an address literal; "@" may stand before. */
char *
pick_domain(const char *text)
{
	char *whole = xasprintf("x%s%s", *text == '@' ? "" : "@", text), out[256], *domain = NULL;
	struct address address;

	if (address_parse(whole, strlen(whole), &address) == 0 && address.domain &&
		address_domain_canonical(address.domain, address.domain_length, out))
		domain = xstrdup(out);
	free(whole);
	return domain;
}

static bool
is_event_list(const char *text)
{
	bool any = false;

	for (size_t length; *text; text += length, text += *text == ',' && text[1]) {
		length = strcspn(text, ",");
		if (!mail_event_known(text, length))
			return false;
		any = true;
	}
	return any;
}

static char *
canonical(enum pick_field field, const char *text)
{
	uint8_t id[ID_SIZE];

	switch (field) {
	case PICK_ID: return id_parse(text, id) == 0 ? xstrdup(text) : NULL;
	case PICK_EVENT: return is_event_list(text) ? xstrdup(text) : NULL;
	case PICK_FROM: return *text ? pick_mailbox(text) : NULL;
	case PICK_TO: return *text && strcmp(text, "<>") != 0 ? pick_mailbox(text) : NULL;
	case PICK_DOMAIN: return pick_domain(text);
	default: return *text ? xstrdup(text) : NULL;
	}
}

int
pick_set(struct event_pick *pick, enum pick_field field, const char *text)
{
	if (field == PICK_CLIENT && network_parse(text, &pick->client) < 0)
		return -EINVAL;
	pick->text[field] = canonical(field, text);
	if (!pick->text[field])
		return -EINVAL;
	if (field == PICK_FROM || field == PICK_TO)
		pick->needle[field] = mailbox_needle(pick->text[field]);
	else if (field == PICK_DOMAIN)
		pick->needle[field] = needle_of(pick->text[field]);
	else if (field != PICK_CLIENT && field != PICK_EVENT)
		pick->needle[field] = quoted_needle(pick->text[field]);
	return 0;
}

/* ---- matching ---- */

static bool
is_client(const struct event_pick *pick, const char *text)
{
	struct net_address address;

	return net_parse_ip(text, 0, &address) == 0 && network_contains(&pick->client, &address);
}

/* Whether the query means any client that the line names. */
static bool
may_be_client(const struct event_pick *pick, const char *line, size_t length)
{
	static const char key[] = "\"client\":\"";
	const char *end = line + length, *at = line;
	char text[NET_TEXT_MAX];

	while ((at = memmem(at, (size_t)(end - at), key, sizeof key - 1))) {
		const size_t left = (size_t)(end - (at += sizeof key - 1));
		const char *quote = memchr(at, '"', left < sizeof text ? left : sizeof text - 1);

		if (!quote)
			continue;
		memcpy(text, at, (size_t)(quote - at));
		text[quote - at] = '\0';
		if (is_client(pick, text))
			return true;
	}
	return false;
}

/* A byte that is not ASCII may belong to another spelling of the text. */
bool
pick_may(const struct event_pick *pick, const char *line, size_t length)
{
	if (pick->text[PICK_CLIENT] && !may_be_client(pick, line, length))
		return false;
	for (int i = 0; i < PICK_FIELDS; i++)
		if (pick->needle[i] && !text_holds(line, length, pick->needle[i]))
			return !text_is_ascii(line, length);
	return true;
}

static bool
is_named(const char *list, const char *name)
{
	const size_t length = strlen(name);

	for (size_t size; *list; list += size, list += *list == ',') {
		size = strcspn(list, ",");
		if (size == length && memcmp(list, name, length) == 0)
			return true;
	}
	return false;
}

static bool
is_mailbox(const char *wanted, const char *text)
{
	char *found = text ? pick_mailbox(text) : NULL;
	const bool same = found && strcasecmp(found, wanted) == 0;

	free(found);
	return same;
}

static bool
is_in_domain(const char *wanted, const char *text)
{
	const char *at = text ? strrchr(text, '@') : NULL;
	char domain[256];

	return at && address_domain_canonical(at + 1, strcspn(at + 1, ">"), domain) &&
		strcmp(domain, wanted) == 0;
}

/* A recipient is a text, or {"address"}. */
static bool
any_recipient(const json_t *event, const char *wanted,
	bool (*matches)(const char *wanted, const char *text))
{
	const json_t *to = json_object_get(event, "to");
	json_t *item;
	size_t i;

	json_array_foreach(to, i,
		item) if (matches(wanted,
				  json_is_string(item) ? json_string_value(item)
						       : json_text(item, "address"))) return true;
	return false;
}

static bool
is_text(const char *wanted, const char *text)
{
	return text && strcasecmp(text, wanted) == 0;
}

static bool
field_matches(const struct event_pick *pick, enum pick_field field, const json_t *event)
{
	const char *wanted = pick->text[field], *text;

	switch (field) {
	case PICK_ID: return is_text(wanted, json_text(event, "id"));
	case PICK_EVENT: text = json_text(event, "event"); return text && is_named(wanted, text);
	case PICK_ACCOUNT: return is_text(wanted, json_text(event, "account"));
	case PICK_USERNAME:
		return is_text(wanted, json_text(event, "username")) ||
			is_text(wanted, json_text(event, "credential"));
	case PICK_CLIENT: text = json_text(event, "client"); return text && is_client(pick, text);
	case PICK_FROM:
		return is_mailbox(wanted, json_text(event, "from")) ||
			(*wanted && is_mailbox(wanted, json_text(event, "header_from")));
	case PICK_TO: return any_recipient(event, wanted, is_mailbox);
	default:
		return is_in_domain(wanted, json_text(event, "from")) ||
			is_in_domain(wanted, json_text(event, "header_from")) ||
			any_recipient(event, wanted, is_in_domain);
	}
}

uint64_t
event_time_us(const json_t *event)
{
	const char *text = json_text(event, "time");
	uint64_t us = 0;

	return text && date_read(text, 0, &us) == 0 ? us : 0;
}

bool
pick_matches(const struct event_pick *pick, const json_t *event)
{
	const uint64_t us = event_time_us(event);

	if (us < pick->since_us || us >= pick->until_us)
		return false;
	for (int i = 0; i < PICK_FIELDS; i++)
		if (pick->text[i] && !field_matches(pick, (enum pick_field)i, event))
			return false;
	return true;
}

int
pick_time(const char *text, uint64_t now_us, uint64_t *us_out)
{
	uint64_t ms;

	if (config_duration(text, &ms) < 0)
		return date_read(text, now_us, us_out);
	*us_out = ms < now_us / 1000 ? now_us - ms * 1000 : 0;
	return 0;
}
