/*
 * originators.c - whom a message names as its originators.
 *
 * ingress:  content -> [originators] -> authorize
 *
 * One parser of address lists reads the mailboxes of the fields. The parts that it takes for a
 * name, or cannot read, are searched for more addresses, since some mail program may show them.
 */
#include "ingress/message/originators.h"

#include <string.h>

#include "ingress/message/mention.h"
#include "shared/base/text.h"
#include "shared/mail/address.h"

#define SIGNS_MAX (8 * MAILBOXES_MAX) /* "@"s; each may cost a look-up in IDNA's tables */

/* False when there is no more room. */
static bool
list_add(struct arena *arena, struct originator_list *list, struct originator item)
{
	if (list->count == MAILBOXES_MAX)
		return false;
	if (!list->items)
		list->items = arena_get(arena, MAILBOXES_MAX * sizeof *list->items);
	list->items[list->count++] = item;
	return true;
}

static bool
list_has(const struct originator_list *list, const char *domain)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->items[i].domain && strcmp(list->items[i].domain, domain) == 0)
			return true;
	return false;
}

/* A field's value as it is shown. */
struct shown {
	char *text;
	size_t length;
};

/* Some mail programs undo backslashes before they look for encoded words. */
static size_t
drop_backslashes(const char *value, size_t length, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < length; i++)
		if (value[i] != '\\')
			out[n++] = value[i];
	return n;
}

static struct shown
show(struct arena *arena, const char *value, size_t length, bool words)
{
	char *text = arena_get(arena, MENTION_ROOM(length));
	char *scratch = arena_get(arena, MENTION_ROOM(length)), *plain;

	if (words && memchr(value, '\\', length)) {
		plain = arena_get(arena, length);
		length = drop_backslashes(value, length, plain);
		value = plain;
	}
	return (struct shown){ text, mention_text(value, length, words, text, scratch) };
}

static bool
shows_at(struct shown shown)
{
	return memchr(shown.text, '@', shown.length) != NULL;
}

/* Whether the text is a name alone, like "postmaster". Mail servers make addresses of other names:
 * "joe%acme.example". */
static bool
is_plain(struct arena *arena, const struct address *address)
{
	struct shown shown = show(arena, address->text, address->length, true);

	return !shows_at(shown) && !memchr(shown.text, '%', shown.length) &&
		!memchr(shown.text, '!', shown.length);
}

static struct originator
originator_of(struct arena *arena, const struct address *address)
{
	struct originator originator = { arena_text(arena, address->text, address->length), "" };
	char domain[256];

	if (!address->domain)
		originator.domain = is_plain(arena, address) ? NULL : "";
	else if (address_domain_named(address->domain, address->domain_length, domain))
		originator.domain = arena_text(arena, domain, strlen(domain));
	return originator;
}

static void
take_names_once(struct originators *out, struct shown shown, bool ascii, struct arena *arena)
{
	size_t at = 0;
	char domain[256];

	while (!out->too_many && mention_next(shown.text, shown.length, ascii, &at, domain)) {
		struct originator name;

		out->too_many = ++out->signs > SIGNS_MAX;
		if ((ascii && !*domain) || list_has(&out->names, domain) ||
			list_has(&out->from, domain) || list_has(&out->senders, domain))
			continue;
		name.text = name.domain = arena_text(arena, domain, strlen(domain));
		out->too_many |= !list_add(arena, &out->names, name);
	}
}

static void
take_names(struct originators *out, struct shown shown, struct arena *arena)
{
	take_names_once(out, shown, false, arena);
	if (!text_is_ascii(shown.text, shown.length))
		take_names_once(out, shown, true, arena);
}

/* What makes a field worth a second look. */
struct look {
	bool words; /* encoded ones, maybe */
	bool wide;  /* not ASCII */
	bool loose; /* a comment, or blanks beside a dot: an address may end there, or go on */
	long signs; /* "@"s, and "%"s */
};

static struct look
look_at(const char *at, size_t length)
{
	struct look look = { .wide = !text_is_ascii(at, length) };
	char before = '\0';

	for (const char *end = at + length; at < end; before = *at++) {
		look.signs += *at == '@' || *at == '%';
		look.words |= before == '=' && *at == '?';
		look.loose |= *at == '(' || (before == '.' && is_blank(*at)) ||
			(is_blank(before) && *at == '.');
	}
	return look;
}

/* Lists the addresses that the field shows beside its mailboxes, with encoded words read or not.
 * Returns whether the field shows an "@". */
static bool
read_shown(
	struct originators *out, const struct header_field *field, struct arena *arena, bool words)
{
	struct shown shown = show(arena, field->value, field->value_length, words);
	bool at = shows_at(shown);

	out->turned |= mention_is_turned(shown.text, shown.length);
	take_names(out, shown, arena);
	shown.length = mention_join(shown.text, shown.length);
	take_names(out, shown, arena);
	return at;
}

/* Lists the mailboxes of a field, and what else it shows. Returns the count of mailboxes, negative
 * when the field is no list. *at: the field shows an "@". */
static long
read_field(struct originators *out, struct originator_list *list, const struct header_field *field,
	struct arena *arena, bool *at)
{
	struct address found[MAILBOXES_MAX];
	char *scratch = arena_get(arena, field->value_length + 1);
	const char *value = field->value;
	long count = header_addresses(value, field->value_length, found, MAILBOXES_MAX, scratch);
	long with_domain = 0;
	struct look look;

	*at = false;
	out->too_many |= count > MAILBOXES_MAX;
	for (long i = 0; i < count && !out->too_many; i++) {
		with_domain += found[i].domain != NULL;
		out->too_many = !list_add(arena, list, originator_of(arena, &found[i]));
	}
	if (out->too_many)
		return count;
	look = look_at(value, field->value_length);
	if (look.words || look.wide)
		*at |= read_shown(out, field, arena, true);
	if ((look.words && look.wide) || look.loose || look.signs > with_domain)
		*at |= read_shown(out, field, arena, false);
	return count;
}

void
originators_read_from(
	struct originators *out, const struct header_field *field, struct arena *arena)
{
	if (out->from_fields++ > 0)
		return;
	out->from_count = read_field(out, &out->from, field, arena, &out->from_at);
	/* Only a group holds a ";" and no mailbox. */
	out->from_nobody = out->from_count == 0 && memchr(field->value, ';', field->value_length);
}

void
originators_read_sender(
	struct originators *out, const struct header_field *field, struct arena *arena)
{
	bool at;
	long count = read_field(out, &out->senders, field, arena, &at);

	out->unreadable_sender |= count < 0 && at;
}
