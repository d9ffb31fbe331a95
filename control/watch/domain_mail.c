/*
 * domain_mail.c - what is wrong with the DNS of a domain, for its owner, in two languages.
 *
 * domain_watch -> [domain_mail] -> notices
 */
#include "control/watch/domain_mail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/notices/notices.h"
#include "shared/base/date.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"

static const struct {
	const char *check, *state, *text[NOTICE_LANGUAGES];
} problems[] = {
	{ "ownership", "missing",
		{ "manca il record TXT che prova che il dominio è tuo",
			"the TXT record that proves the domain to be yours is missing" } },
	{ "spf", "missing",
		{ "il record SPF non autorizza il nostro servizio",
			"the SPF record does not authorise our service" } },
	{ "spf", "two-records",
		{ "ci sono due record SPF: non ne vale nessuno",
			"there are two SPF records: none of them counts" } },
	{ "spf", "too-many-lookups",
		{ "il record SPF richiede troppe interrogazioni DNS (più di 10)",
			"the SPF record takes too many DNS look-ups (more than 10)" } },
	{ "dkim", "missing",
		{ "manca la chiave DKIM con cui firmiamo la tua posta",
			"the DKIM key that we sign your mail with is missing" } },
	{ "dkim", "syntax",
		{ "il record DKIM contiene un'altra chiave", "the DKIM record has another key" } },
	{ "spf", "syntax", { "il record SPF contiene un errore", "the SPF record has an error" } },
};

static const json_t *
row_of(const json_t *report, const char *check)
{
	return json_object_get(json_object_get(report, "checks"), check);
}

/* "a; b"; the caller frees it. */
static char *
problem_text(const json_t *report, enum notice_language language)
{
	const char *between = "";
	char *text = NULL;
	size_t length;
	FILE *out = xopen_memstream(&text, &length);

	for (size_t i = 0; i < sizeof problems / sizeof *problems; i++) {
		const char *state = json_text(row_of(report, problems[i].check), "state");

		if (!state || strcmp(state, problems[i].state) != 0)
			continue;
		fprintf(out, "%s%s", between, problems[i].text[language]);
		between = "; ";
	}
	xclose_memstream(out);
	return text;
}

/* The records to set, a line each, for the caller to free. */
static char *
records_text(const json_t *report)
{
	static const char *const checks[] = { "ownership", "spf", "dkim" };
	char *text = NULL;
	size_t length;
	FILE *out = xopen_memstream(&text, &length);

	for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
		const json_t *row = row_of(report, checks[i]);
		const json_t *record = json_object_get(row, "record");
		const char *state = json_text(row, "state");

		if (json_is_object(record) && state && strcmp(state, "ok") != 0)
			fprintf(out, "  %s  TXT  \"%s\"\n", json_text(record, "name"),
				json_text(record, "value"));
	}
	xclose_memstream(out);
	return text;
}

static void
on_sent(void *arg, int err)
{
	(void)arg;
	(void)err; /* notices.c logs it */
}

void
domain_mail_send(struct notices *notices, const json_t *account, const json_t *report)
{
	const char *name = json_text(json_object_get(report, "dns"), "name");
	const char *refused = json_text(report, "refused_from");
	char *italian = problem_text(report, NOTICE_ITALIAN);
	char *english = problem_text(report, NOTICE_ENGLISH);
	char *records = records_text(report), until[DATE_SIZE] = "";
	uint64_t until_us = 0;

	if (refused && date_read(refused, 0, &until_us) == 0)
		notice_when(until_us, until);
	notice_send(notices,
		&(struct notice){ .key = "dns",
			.account = account,
			.values =
				(struct notice_value[]){
					{ "DOMAIN", { json_text(report, "name") }, false },
					{ "PROBLEM", { italian, english }, false },
					{ "DNS",
						{ name ? name : "chi gestisce il tuo DNS",
							name ? name : "whoever runs your DNS" },
						false },
					{ "UNTIL", { until }, false },
					{ "RECORDS", { records }, true },
					{ 0 },
				} },
		on_sent, NULL);
	free(italian);
	free(english);
	free(records);
}
