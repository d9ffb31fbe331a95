/*
 * dmarc.c - the policy of a domain: its own, its organization's, or its public suffix's.
 *
 * domain_check -> [dmarc] -> facts
 *
 * The organization is found by the tree walk of RFC 9989 4.10: up the name, at most 8 questions.
 */
#include "control/domain/dmarc.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "shared/base/text.h"

#define LABELS_MAX 7 /* where a longer name goes on after the first question */

enum suffix { SUFFIX_UNKNOWN, SUFFIX_YES, SUFFIX_NO };

struct record {
	const char *text;
	bool has_policy, has_subdomains, bad, reports;
	enum dmarc_policy policy, subdomains;
	enum suffix suffix; /* psd= */
	bool test, strict_spf, strict_dkim, obsolete;
};

/* What a name has. */
struct found {
	size_t count;
	struct record record; /* of a count of 1 */
	bool failed, wants;
};

struct tag {
	const char *name, *value;
	size_t name_length, value_length;
};

/* Tags */

static void
trim(const char **text, size_t *length)
{
	for (; *length && is_blank(**text); (*length)--)
		(*text)++;
	while (*length && is_blank((*text)[*length - 1]))
		(*length)--;
}

/* Finds the next "name = value". False: there are no more. A tag without "=" has no value. */
static bool
tag_next(const char **at, struct tag *out)
{
	const size_t length = strcspn(*at, ";");
	const char *equals = memchr(*at, '=', length);

	if (!**at)
		return false;
	out->name = *at;
	out->name_length = equals ? (size_t)(equals - *at) : length;
	out->value = *at + out->name_length + (equals ? 1 : 0);
	out->value_length = length - out->name_length - (equals ? 1 : 0);
	trim(&out->name, &out->name_length);
	trim(&out->value, &out->value_length);
	*at += length + ((*at)[length] == ';');
	return true;
}

static bool
tag_is(const struct tag *tag, const char *name)
{
	return text_is(tag->name, tag->name_length, name);
}

static bool
value_is(const struct tag *tag, const char *value)
{
	return text_is(tag->value, tag->value_length, value);
}

static bool
take_policy(const struct tag *tag, enum dmarc_policy *out)
{
	for (int i = DMARC_POLICY_NONE; i <= DMARC_POLICY_REJECT; i++)
		if (value_is(tag, dmarc_policy_name((enum dmarc_policy)i))) {
			*out = (enum dmarc_policy)i;
			return true;
		}
	return false;
}

static void
take_tag(struct record *record, const struct tag *tag)
{
	enum dmarc_policy ignored;

	if (tag_is(tag, "p"))
		record->has_policy = take_policy(tag, &record->policy);
	else if (tag_is(tag, "sp"))
		record->bad |= !(record->has_subdomains = take_policy(tag, &record->subdomains));
	else if (tag_is(tag, "np"))
		record->bad |= !take_policy(tag, &ignored);
	else if (tag_is(tag, "psd"))
		record->suffix = value_is(tag, "y") ? SUFFIX_YES
			: value_is(tag, "n")        ? SUFFIX_NO
						    : SUFFIX_UNKNOWN;
	else if (tag_is(tag, "rua"))
		record->reports = memchr(tag->value, ':', tag->value_length) != NULL;
	else if (tag_is(tag, "t"))
		record->test = value_is(tag, "y");
	else if (tag_is(tag, "aspf"))
		record->strict_spf = value_is(tag, "s");
	else if (tag_is(tag, "adkim"))
		record->strict_dkim = value_is(tag, "s");
	else if (tag_is(tag, "pct"))
		record->obsolete = true;
}

/* "v=DMARC1" comes first, in this case (4.7). */
static bool
is_record(const char *text)
{
	struct tag tag;

	return tag_next(&text, &tag) && tag_is(&tag, "v") && tag.value_length == 6 &&
		memcmp(tag.value, "DMARC1", 6) == 0;
}

static struct record
parse(const char *text)
{
	struct record record = { .text = text };
	struct tag tag;

	while (tag_next(&text, &tag))
		take_tag(&record, &tag);
	/* A record that only wants reports is p=none (4.7). */
	if ((!record.has_policy || record.bad) && record.reports) {
		record.has_policy = true;
		record.bad = record.has_subdomains = false;
		record.policy = DMARC_POLICY_NONE;
	}
	return record;
}

/* Names */

static struct found
look(struct facts *facts, const char *domain)
{
	char name[300];
	struct found found = { 0 };
	const struct fact *txt;

	snprintf(name, sizeof name, "_dmarc.%s", domain);
	txt = facts_get(facts, name, ANSWER_TXT);
	found.wants = !txt;
	found.failed = txt && txt->status == FACT_FAILED;
	for (size_t i = 0; txt && i < txt->count; i++)
		if (is_record(txt->values[i].text) && !found.count++)
			found.record = parse(txt->values[i].text);
	return found;
}

static size_t
labels(const char *name)
{
	size_t count = 1;

	for (; *name; name++)
		count += *name == '.';
	return count;
}

/* The next name of the walk; NULL: that was the last one. */
static const char *
above(const char *name)
{
	do {
		name = strchr(name, '.');
		name = name ? name + 1 : NULL;
	} while (name && labels(name) > LABELS_MAX);
	return name;
}

static void
take(struct dmarc_verdict *out, const char *where, const struct record *record, bool own)
{
	snprintf(out->where, sizeof out->where, "%s", where);
	out->record = record->text;
	out->state = record->has_policy && !record->bad ? DMARC_FOUND : DMARC_SYNTAX;
	out->policy = !own && record->has_subdomains ? record->subdomains : record->policy;
	out->test = record->test;
	out->strict_spf = record->strict_spf;
	out->strict_dkim = record->strict_dkim;
	out->obsolete = record->obsolete;
}

static void
trouble(struct dmarc_verdict *out, enum dmarc_state state, const char *where)
{
	out->state = state;
	snprintf(out->where, sizeof out->where, "%s", where);
}

/* Walks up from the domain, which has no record. The last record on the way is the organization's,
 * but for a public suffix's: there the organization is one label below, and the suffix's record
 * counts only where the organization has none (4.10.1, 4.10.2). */
static bool
walk(const char *domain, struct facts *facts, struct dmarc_verdict *out)
{
	const char *below = domain;

	for (const char *name = above(domain); name; below = name, name = above(name)) {
		const struct found found = look(facts, name);
		const bool is_suffix = found.count == 1 && found.record.suffix == SUFFIX_YES;

		if (found.wants)
			return false;
		if (found.failed) {
			trouble(out, DMARC_DNS, name);
			return true;
		}
		if (found.count == 1 && !(is_suffix && strcmp(out->where, below) == 0))
			take(out, name, &found.record, false);
		if (found.count == 1 && found.record.suffix != SUFFIX_UNKNOWN)
			break;
	}
	return true;
}

bool
dmarc_check(const char *domain, struct facts *facts, struct dmarc_verdict *out)
{
	const struct found found = look(facts, domain);

	*out = (struct dmarc_verdict){ .state = DMARC_MISSING };
	if (found.wants)
		return false;
	if (found.failed) {
		trouble(out, DMARC_DNS, domain);
		return true;
	}
	if (found.count == 1) {
		take(out, domain, &found.record, true);
		return true;
	}
	if (!walk(domain, facts, out))
		return false;
	if (found.count > 1 && out->state != DMARC_FOUND)
		trouble(out, DMARC_SEVERAL, domain);
	return true;
}

const char *
dmarc_policy_name(enum dmarc_policy policy)
{
	static const char *const names[] = { "none", "quarantine", "reject" };

	return names[policy];
}
