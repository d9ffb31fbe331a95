/*
 * report.c - a domain's rows: ownership, SPF, DMARC, SOA, and who runs the DNS.
 *
 * domain_check -> [report] -> spf, dmarc, dns_provider, facts
 *
 * A row that DNS does not answer for is "unknown", and then the domain is not ready.
 */
#include "control/domain/report.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "control/domain/dmarc.h"
#include "control/domain/dns_provider.h"
#include "control/domain/facts.h"
#include "control/domain/spf.h"
#include "control/domain/spf_term.h"
#include "shared/base/log.h"
#include "shared/base/text.h"

#define SHOWN_MAX 1024 /* of one value of DNS */
#define SHOWN_NAME_MAX 300
#define FOUND_MAX 20 /* records of a row */

struct report {
	const struct report_subject *subject;
	struct facts *facts;
	const char *zone; /* where the domain's zone begins; NULL: not known */
	bool wants;       /* facts are missing: the rows count for nothing */
};

/* Values */

static json_t *
clean(const char *text)
{
	char out[SHOWN_MAX] = "";

	text_clean(out, sizeof out, 0, text, strlen(text));
	return json_string(out);
}

static json_t *
row(const char *state)
{
	return json_pack("{s:s, s:[], s:n, s:n}", "state", state, "found", "problem", "record");
}

static void __attribute__((format(printf, 2, 3))) set_problem(json_t *row, const char *format, ...)
{
	char text[SHOWN_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	json_object_set_new(row, "problem", clean(text));
}

static void
add_found(json_t *row, const char *text)
{
	json_t *found = json_object_get(row, "found");

	if (json_array_size(found) < FOUND_MAX)
		json_array_append_new(found, clean(text));
}

static bool
is_state(const json_t *row, const char *state)
{
	return strcmp(json_string_value(json_object_get(row, "state")), state) == 0;
}

static json_t *
unknown(const char *name)
{
	json_t *shown = row("unknown");

	set_problem(shown, "the DNS of %s does not answer", name);
	return shown;
}

/* The name without its zone, as most DNS panels want it: "@" is the zone itself. */
static void
shorten(const struct report *r, const char *name, char out[SHOWN_NAME_MAX])
{
	const char *zone = r->zone ? r->zone : r->subject->domain;
	const size_t length = strlen(name), end = strlen(zone);

	if (length > end && name[length - end - 1] == '.')
		snprintf(out, SHOWN_NAME_MAX, "%.*s", (int)(length - end - 1), name);
	else
		snprintf(out, SHOWN_NAME_MAX, "@");
}

/* The TXT record that is to be there; `prefix` "": at the domain itself. */
static void
set_record(const struct report *r, json_t *row, const char *prefix, const char *value)
{
	char name[SHOWN_NAME_MAX], shortened[SHOWN_NAME_MAX];

	snprintf(name, sizeof name, "%s%s", prefix, r->subject->domain);
	shorten(r, name, shortened);
	json_object_set_new(row, "record",
		json_pack("{s:s, s:s, s:s, s:s}", "type", "TXT", "name", name, "short", shortened,
			"value", value));
}

static const struct fact *
ask(struct report *r, const char *name, uint16_t type)
{
	const struct fact *fact = facts_get(r->facts, name, type);

	r->wants = r->wants || !fact;
	return fact;
}

/* SOA */

/* Finds where the domain's zone begins: at the domain, or above it. */
static json_t *
soa_row(struct report *r)
{
	const struct fact *soa;
	const char *name = r->subject->domain, *dot;
	json_t *shown;

	for (; (dot = strchr(name, '.')); name = dot + 1) {
		soa = ask(r, name, ANSWER_SOA);
		if (!soa || soa->status == FACT_FAILED)
			return unknown(name);
		if (soa->status == FACT_NO_DOMAIN)
			break;
		if (soa->count) {
			r->zone = name;
			shown = row("ok");
			add_found(shown, name);
			return shown;
		}
	}
	shown = row("missing");
	set_problem(shown, "%s is not in the DNS: many receivers refuse its mail", name);
	return shown;
}

/* Ownership */

static json_t *
ownership_row(struct report *r)
{
	char name[SHOWN_NAME_MAX], value[128];
	const struct fact *txt;
	json_t *shown;
	bool there = false;

	snprintf(name, sizeof name, "_shout.%s", r->subject->domain);
	snprintf(value, sizeof value, "shout=%s", r->subject->token);
	txt = ask(r, name, ANSWER_TXT);
	for (size_t i = 0; txt && i < txt->count; i++)
		there = there || strcmp(txt->values[i].text, value) == 0;
	if (there)
		shown = row("ok");
	else if (r->subject->verified)
		shown = row("operator");
	else if (!txt || txt->status == FACT_FAILED)
		shown = unknown(name);
	else
		shown = row("missing");
	for (size_t i = 0; txt && i < txt->count; i++)
		add_found(shown, txt->values[i].text);
	set_record(r, shown, "_shout.", value);
	return shown;
}

/* SPF */

static void
question_of(const struct report *r, const char *address, struct spf_question *out)
{
	*out = (struct spf_question){ .sender = r->subject->domain, .helo = r->subject->hostname };
	out->v6 = inet_pton(AF_INET6, address, out->address) == 1;
	if (!out->v6)
		inet_pton(AF_INET, address, out->address);
}

/* Whether the term that lets us send is the one that we ask for. */
static bool
is_our_include(const struct report *r, const char *term)
{
	static const char include[] = "include:";

	term += *term == '+';
	return strncasecmp(term, include, sizeof include - 1) == 0 &&
		strcasecmp(term + sizeof include - 1, r->subject->spf) == 0;
}

static bool
is_everybody(const char *term)
{
	return strcasecmp(term + (*term == '+'), "all") == 0;
}

static json_t *
spf_passed(const struct report *r, const struct spf_verdict *verdict)
{
	json_t *shown = row(is_our_include(r, verdict->term) ? "ok" : "by-other-means");

	if (is_everybody(verdict->term))
		set_problem(shown, "the record lets everybody send (%s)", verdict->term);
	return shown;
}

static json_t *
spf_broken(const struct spf_verdict *verdict)
{
	json_t *shown;

	switch (verdict->problem) {
	case SPF_SEVERAL:
		shown = row("two-records");
		set_problem(shown, "%s has more than one SPF record: receivers take none of them",
			verdict->where);
		break;
	case SPF_LOOKUPS:
	case SPF_VOID_LOOKUPS:
		shown = row("too-many-lookups");
		set_problem(shown, "%s: more than %s", verdict->where,
			verdict->problem == SPF_LOOKUPS ? "10 look-ups"
							: "2 look-ups of what is not there");
		break;
	case SPF_MISSING:
		shown = row("syntax");
		set_problem(shown, "%s is referred to, and has no SPF record", verdict->where);
		break;
	default:
		shown = row("syntax");
		set_problem(shown, "%s: \"%s\" cannot be read", verdict->where, verdict->term);
	}
	return shown;
}

/* The record lets others send, not us; or there is none. */
static json_t *
spf_missing(struct report *r, const struct spf_verdict *verdict, const char *address)
{
	const char *record = spf_record(ask(r, r->subject->domain, ANSWER_TXT));
	char proposal[SHOWN_MAX];
	json_t *shown = row("missing");

	if (!record)
		set_problem(shown, "there is no SPF record");
	else
		set_problem(shown, "%s may not send: %s%s%s", address,
			spf_result_name(verdict->result), *verdict->term ? " by " : "",
			verdict->term);
	if (verdict->lookups >= SPF_LOOKUPS_MAX)
		set_problem(shown,
			"%s may not send, and the record has no look-up left for one "
			"more include",
			address);
	else if (spf_proposal(record, r->subject->spf, proposal, sizeof proposal) &&
		utf8_valid(proposal, strlen(proposal)))
		set_record(r, shown, "", proposal);
	return shown;
}

static json_t *
spf_judged(struct report *r, const struct spf_verdict *verdict, const char *address)
{
	switch (verdict->result) {
	case SPF_PASS: return spf_passed(r, verdict);
	case SPF_TEMPERROR: return unknown(verdict->where);
	case SPF_PERMERROR: return spf_broken(verdict);
	default: return spf_missing(r, verdict, address);
	}
}

static json_t *
spf_not_set(const char *what)
{
	json_t *shown = row("unknown");

	set_problem(shown, "the relay's own configuration lacks %s", what);
	return shown;
}

/* The first address that may not send decides. */
static json_t *
spf_of_addresses(struct report *r)
{
	const struct report_subject *subject = r->subject;
	struct spf_verdict verdict, worst = { 0 };
	const char *address = NULL;

	for (size_t i = 0; i < subject->addresses_count; i++) {
		struct spf_question question;

		question_of(r, subject->addresses[i], &question);
		if (!spf_check(&question, subject->domain, r->facts, &verdict))
			r->wants = true;
		if (address && (worst.result != SPF_PASS || verdict.result == SPF_PASS))
			continue;
		worst = verdict;
		address = subject->addresses[i];
	}
	return r->wants ? row("unknown") : spf_judged(r, &worst, address);
}

static json_t *
spf_row(struct report *r)
{
	const struct fact *txt = ask(r, r->subject->domain, ANSWER_TXT);
	json_t *shown = !r->subject->spf       ? spf_not_set("service.spf")
		: !r->subject->addresses_count ? spf_not_set("service.addresses")
					       : spf_of_addresses(r);

	for (size_t i = 0; txt && i < txt->count; i++)
		if (spf_is_record(txt->values[i].text))
			add_found(shown, txt->values[i].text);
	return shown;
}

/* DKIM */

/* The tag "p" of a key's record (RFC 6376 3.6.1), without white space; "": there is none. */
static void
public_key(const char *record, char out[SHOWN_MAX])
{
	size_t length = 0;

	for (const char *tag = record; tag; tag = strchr(tag, ';')) {
		tag += strspn(tag, "; \t\r\n");
		if (*tag != 'p' || tag[1 + strspn(tag + 1, " \t\r\n")] != '=')
			continue;
		for (tag = strchr(tag, '=') + 1; *tag && *tag != ';' && length < SHOWN_MAX - 1;
			tag++)
			if (!strchr(" \t\r\n", *tag))
				out[length++] = *tag;
		break;
	}
	out[length] = '\0';
}

static bool
has_public_key(const struct fact *txt, const char *wanted)
{
	char key[SHOWN_MAX];

	for (size_t i = 0; i < txt->count; i++) {
		public_key(txt->values[i].text, key);
		if (strcmp(key, wanted) == 0)
			return true;
	}
	return false;
}

/* One key that signs: what the DNS says at its selector. */
static json_t *
dkim_key_row(struct report *r, const json_t *key)
{
	const char *selector = json_string_value(json_object_get(key, "selector"));
	const char *record = json_string_value(json_object_get(key, "record"));
	char name[SHOWN_NAME_MAX], prefix[80], wanted[SHOWN_MAX];
	const struct fact *txt;
	json_t *shown;

	snprintf(prefix, sizeof prefix, "%.40s._domainkey.", selector);
	snprintf(name, sizeof name, "%s%s", prefix, r->subject->domain);
	public_key(record, wanted);
	txt = ask(r, name, ANSWER_TXT);
	if (!txt || txt->status == FACT_FAILED)
		return unknown(name);
	if (has_public_key(txt, wanted)) {
		shown = row("ok");
	} else {
		shown = row(txt->count ? "syntax" : "missing");
		if (txt->count)
			set_problem(shown, "%s has another key", name);
		else
			set_problem(shown, "mail is signed, and %s is not in the DNS", name);
		set_record(r, shown, prefix, record);
	}
	for (size_t i = 0; i < txt->count; i++)
		add_found(shown, txt->values[i].text);
	return shown;
}

/* The first key that is not good decides; NULL: no key signs. */
static json_t *
dkim_row(struct report *r)
{
	const json_int_t active = json_integer_value(json_object_get(r->subject->dkim, "active"));
	json_t *shown = NULL, *key, *one;
	size_t i;

	json_array_foreach(json_object_get(r->subject->dkim, "keys"), i, key)
	{
		if (json_integer_value(json_object_get(key, "slot")) != active)
			continue;
		one = dkim_key_row(r, key);
		if (shown && !is_state(shown, "ok")) {
			json_decref(one);
			continue;
		}
		json_decref(shown);
		shown = one;
	}
	return shown;
}

/* DMARC */

static json_t *
dmarc_shown(const struct dmarc_verdict *verdict)
{
	json_t *shown;

	switch (verdict->state) {
	case DMARC_FOUND: return row("ok");
	case DMARC_DNS: return unknown(verdict->where);
	case DMARC_SEVERAL:
		shown = row("two-records");
		set_problem(shown, "%s has more than one DMARC record: receivers take none of them",
			verdict->where);
		return shown;
	case DMARC_SYNTAX:
		shown = row("syntax");
		set_problem(shown, "the record of %s has no valid policy", verdict->where);
		return shown;
	default: return row("missing");
	}
}

static json_t *
dmarc_row(struct report *r)
{
	struct dmarc_verdict verdict;
	json_t *shown;

	if (!dmarc_check(r->subject->domain, r->facts, &verdict)) {
		r->wants = true;
		return row("unknown");
	}
	shown = dmarc_shown(&verdict);
	if (verdict.record)
		add_found(shown, verdict.record);
	if (verdict.obsolete && verdict.state == DMARC_FOUND)
		set_problem(shown, "pct= counts no longer (RFC 9989)");
	if (verdict.state == DMARC_FOUND) {
		json_object_set_new(
			shown, "policy", json_string(dmarc_policy_name(verdict.policy)));
		json_object_set_new(shown, "of", clean(verdict.where));
	} else if (verdict.state == DMARC_MISSING) {
		set_record(r, shown, "_dmarc.", "v=DMARC1; p=none");
	}
	return shown;
}

/* Who runs the DNS */

static json_t *
dns_shown(struct report *r)
{
	const struct dns_provider *provider = NULL;
	const struct fact *ns = r->zone ? ask(r, r->zone, ANSWER_NS) : NULL;
	json_t *hosts = json_array();

	for (size_t i = 0; ns && i < ns->count; i++) {
		json_array_append_new(hosts, clean(ns->values[i].text));
		if (!provider)
			provider = dns_provider_find(ns->values[i].text);
	}
	return json_pack("{s:o, s:s?, s:s?, s:s?, s:s?}", "hosts", hosts, "zone", r->zone, "name",
		provider ? provider->name : NULL, "url", provider ? provider->url : NULL, "form",
		provider ? provider->form : NULL);
}

/* All */

static bool
is_good(const json_t *checks, const char *name)
{
	const char *state = json_string_value(
		json_object_get(json_object_get(checks, name), "state"));

	return strcmp(state, "ok") == 0 || strcmp(state, "operator") == 0 ||
		strcmp(state, "by-other-means") == 0;
}

json_t *
domain_report(const struct report_subject *subject, struct facts *facts)
{
	struct report r = { .subject = subject, .facts = facts };
	json_t *soa = soa_row(&r), *dns = dns_shown(&r);
	json_t *checks = json_pack("{s:o, s:o, s:o, s:o}", "ownership", ownership_row(&r), "spf",
		spf_row(&r), "dmarc", dmarc_row(&r), "soa", soa);
	json_t *dkim = dkim_row(&r);
	json_t *report = json_pack("{s:s, s:b, s:b, s:o, s:o}", "name", subject->domain, "verified",
		subject->verified, "ready",
		is_good(checks, "ownership") && is_good(checks, "spf") && is_good(checks, "soa") &&
			(!dkim || is_state(dkim, "ok")),
		"checks", checks, "dns", dns);

	if (dkim)
		json_object_set_new(checks, "dkim", dkim);
	if (!r.wants)
		return report;
	json_decref(report);
	return NULL;
}
