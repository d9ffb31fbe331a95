/*
 * change_lines.c - a change of an account in words.
 *
 * changed -> [change_lines]
 */
#include "control/mails/change_lines.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/text.h"

#define VALUE_MAX 120
#define ITEMS_MAX 20

static const struct label {
	const char *field, *text[NOTICE_LANGUAGES];
} labels[] = {
	{ "name", { "nome", "name" } },
	{ "contact", { "contatto", "contact" } },
	{ "language", { "lingua delle mail", "language of mails" } },
	{ "plan", { "piano", "plan" } },
	{ "host", { "server", "server" } },
	{ "domains", { "domini", "domains" } },
	{ "limits", { "limiti", "limits" } },
	{ "policy", { "mittenti ammessi", "allowed senders" } },
	{ "display_address", { "indirizzi nei nomi", "addresses in names" } },
	{ "mode", { "modalità", "mode" } },
	{ "switch", { "cambio di modalità", "switch of mode" } },
	{ "off", { "modalità non più valida", "mode that no longer counts" } },
	{ "alerts", { "avvisi", "alerts" } },
	{ "label", { "etichetta", "label" } },
	{ "enabled", { "attivo", "enabled" } },
	{ "active", { "attivo", "active" } },
	{ "verifier", { "password", "password" } },
	{ "scopes", { "permessi", "scopes" } },
	{ "url", { "URL", "URL" } },
	{ "events", { "eventi", "events" } },
};

static const struct label kinds[] = {
	{ "user/", { "nome utente", "username" } },
	{ "ip/", { "indirizzo", "address" } },
	{ "token/", { "token", "token" } },
	{ "webhook/", { "webhook", "webhook" } },
};

static const char *const added[] = { "aggiunto", "added" },
			 *const removed[] = { "tolto", "removed" },
			 *const renewed[] = { "nuova", "a new one" };

static const char *
label_of(const char *field, enum notice_language language)
{
	for (size_t i = 0; i < sizeof labels / sizeof *labels; i++)
		if (strcmp(labels[i].field, field) == 0)
			return labels[i].text[language];
	return NULL;
}

static void
put_clean(FILE *out, const char *text)
{
	char clean[VALUE_MAX + 1] = "";

	text_clean(clean, sizeof clean, 0, text, strlen(text));
	fputs(clean, out);
}

static void put_value(FILE *out, const json_t *value);

static void
put_list(FILE *out, const json_t *list)
{
	json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		if (i == ITEMS_MAX) {
			fputs(", ...", out);
			return;
		}
		fputs(i ? ", " : "", out);
		put_value(out, item);
	}
}

/* A domain by its name and mailboxes, any other object as it is. */
static void
put_object(FILE *out, const json_t *object)
{
	const json_t *mailboxes = json_object_get(object, "mailboxes");
	char *dump;

	if (json_text(object, "name")) {
		put_clean(out, json_text(object, "name"));
		if (mailboxes)
			fprintf(out, " (%" JSON_INTEGER_FORMAT ")", json_integer_value(mailboxes));
		return;
	}
	dump = json_dumps(object, JSON_COMPACT);
	put_clean(out, dump ? dump : "");
	free(dump);
}

static void
put_value(FILE *out, const json_t *value)
{
	char *dump;

	if (json_is_string(value))
		put_clean(out, json_string_value(value));
	else if (json_is_array(value) && json_array_size(value) > 0)
		put_list(out, value);
	else if (json_is_object(value))
		put_object(out, value);
	else if (!value || json_is_null(value) || json_is_array(value))
		fputs("-", out);
	else {
		dump = json_dumps(value, JSON_ENCODE_ANY);
		put_clean(out, dump ? dump : "");
		free(dump);
	}
}

/* "  contact: a@x -> b@x" for each field that either side has. */
static unsigned
put_fields(FILE *out, enum notice_language language, const char *of, const json_t *before,
	const json_t *after)
{
	json_t *fields = json_copy((json_t *)(uintptr_t)(after ? after : before)), *value;
	const char *field, *label;
	unsigned count = 0;

	json_object_update_missing(fields, (json_t *)(uintptr_t)before);
	json_object_foreach(fields, field, value)
	{
		label = label_of(field, language);
		if (!label)
			continue;
		count++;
		fprintf(out, "  %s%s%s: ", of, *of ? ", " : "", label);
		if (strcmp(field, "verifier") == 0) {
			fprintf(out, "%s\n", renewed[language]);
			continue;
		}
		put_value(out, json_object_get(before, field));
		fputs(" -> ", out);
		put_value(out, json_object_get(after, field));
		fputc('\n', out);
	}
	json_decref(fields);
	return count;
}

static unsigned
put_member(FILE *out, enum notice_language language, const struct label *kind, const char *name,
	const json_t *change)
{
	const json_t *before = json_object_get(change, "before");
	const json_t *after = json_object_get(change, "after");
	const bool is_new = !json_is_object(before), has_gone = !json_is_object(after);
	char clean[VALUE_MAX + 1] = "", *of;
	unsigned count = 1;

	text_clean(clean, sizeof clean, 0, name, strlen(name));
	of = xasprintf("%s %s", kind->text[language], clean);
	if (is_new || has_gone)
		fprintf(out, "  %s: %s\n", of, (is_new ? added : removed)[language]);
	else
		count = put_fields(out, language, of, before, after);
	free(of);
	return count;
}

unsigned
change_lines(FILE *out, enum notice_language language, const json_t *event)
{
	json_t *changes = json_object_get(event, "changes"), *change;
	unsigned count = 0;
	size_t i;

	json_array_foreach(changes, i, change)
	{
		const char *object = json_text_or(change, "object", "");
		const json_t *before = json_object_get(change, "before");
		const json_t *after = json_object_get(change, "after");

		if (strncmp(object, "account/", 8) == 0 && json_is_object(before) &&
			json_is_object(after))
			count += put_fields(out, language, "", before, after);
		for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
			if (strncmp(object, kinds[k].field, strlen(kinds[k].field)) == 0)
				count += put_member(out, language, &kinds[k],
					object + strlen(kinds[k].field), change);
	}
	return count;
}
