/*
 * facts.c - what DNS has answered so far.
 *
 * domain_check -> [facts] <- spf, dmarc
 */
#include "control/domain/facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "shared/base/log.h"
#include "shared/base/text.h"

#define NAME_LENGTH_MAX 253
#define LABEL_LENGTH_MAX 63
#define KEY_MAX (NAME_LENGTH_MAX + sizeof " 65535")

struct entry {
	UT_hash_handle hh;
	uint16_t type;
	bool known;
	struct fact fact;
	size_t name_length;
	char key[KEY_MAX]; /* name, blank, type */
	char name[NAME_LENGTH_MAX + 1];
};

struct facts {
	struct entry *entries;
};

static const struct fact no_domain = { .status = FACT_NO_DOMAIN };
static const struct fact too_many = { .status = FACT_FAILED };

struct facts *
facts_new(void)
{
	return xcalloc(1, sizeof(struct facts));
}

static void
fact_clear(struct fact *fact)
{
	for (size_t i = 0; i < fact->count; i++)
		free(fact->values[i].text);
	free(fact->values);
	*fact = (struct fact){ 0 };
}

void
facts_free(struct facts **facts_ref)
{
	struct facts *facts = *facts_ref;
	struct entry *entry, *next;

	if (!facts)
		return;
	HASH_ITER (hh, facts->entries, entry, next) {
		HASH_DEL(facts->entries, entry);
		fact_clear(&entry->fact);
		free(entry);
	}
	free(facts);
	*facts_ref = NULL;
}

/* Whether DNS can be asked for the name: labels of 1 to 63 octets that need no escape. */
static bool
name_is_askable(const char *name, size_t length)
{
	size_t label = 0;

	if (!length || length > NAME_LENGTH_MAX)
		return false;
	for (size_t i = 0; i <= length; i++) {
		if (i < length && name[i] != '.') {
			if (name[i] < ' ' || name[i] > '~' || name[i] == '\\' ||
				++label > LABEL_LENGTH_MAX)
				return false;
		} else if (!label) {
			return false;
		} else {
			label = 0;
		}
	}
	return true;
}

static struct entry *
entry_get(struct facts *facts, const char *name, size_t length, uint16_t type)
{
	struct entry made = { .type = type, .name_length = length }, *entry;

	for (size_t i = 0; i < length; i++)
		made.name[i] = to_lower(name[i]);
	snprintf(made.key, sizeof made.key, "%s %u", made.name, type);
	HASH_FIND_STR(facts->entries, made.key, entry);
	if (entry || HASH_COUNT(facts->entries) >= FACTS_MAX)
		return entry;
	entry = xmalloc(sizeof *entry);
	*entry = made;
	HASH_ADD_STR(facts->entries, key, entry);
	return entry;
}

static size_t
name_length(const char *name)
{
	const size_t length = strlen(name);

	return length && name[length - 1] == '.' ? length - 1 : length;
}

const struct fact *
facts_get(struct facts *facts, const char *name, uint16_t type)
{
	const size_t length = name_length(name);
	struct entry *entry;

	if (!name_is_askable(name, length))
		return &no_domain;
	entry = entry_get(facts, name, length, type);
	if (!entry)
		return &too_many;
	return entry->known ? &entry->fact : NULL;
}

bool
facts_wanted(const struct facts *facts, size_t i, const char **name_out, uint16_t *type_out)
{
	for (const struct entry *entry = facts->entries; entry; entry = entry->hh.next) {
		if (entry->known || i--)
			continue;
		*name_out = entry->name;
		*type_out = entry->type;
		return true;
	}
	return false;
}

/* The character-strings of a TXT record, joined (RFC 7208 3.3). */
static char *
txt_text(const struct answer_record *record)
{
	char *text = xmalloc((size_t)record->data_length + 1);
	size_t length = 0, at = 0;

	while (at < record->data_length) {
		const size_t end = at + 1 + record->data[at];

		for (at++; at < end && at < record->data_length; at++)
			text[length++] = record->data[at] ? (char)record->data[at] : '\1';
	}
	text[length] = '\0';
	return text;
}

static struct fact_value
value_of(const struct answer_record *record)
{
	struct fact_value value = { .preference = record->preference };

	memcpy(value.address, record->address, sizeof value.address);
	if (record->type == ANSWER_TXT)
		value.text = txt_text(record);
	else if (record->type != ANSWER_A && record->type != ANSWER_AAAA)
		value.text = xstrdup(record->name);
	return value;
}

void
facts_put(struct facts *facts, const char *name, uint16_t type, enum fact_status status,
	const struct answer *answer)
{
	const size_t length = name_length(name);
	struct entry *entry = name_is_askable(name, length) ? entry_get(facts, name, length, type)
							    : NULL;

	if (!entry)
		return;
	fact_clear(&entry->fact);
	entry->known = true;
	entry->fact.status = status;
	if (!answer)
		return;
	entry->fact.ttl_s = answer->ttl_s;
	entry->fact.values = xcalloc(answer->count + 1, sizeof *entry->fact.values);
	for (size_t i = 0; i < answer->count; i++)
		entry->fact.values[entry->fact.count++] = value_of(&answer->records[i]);
}
