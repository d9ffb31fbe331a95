/*
 * spf.c - SPF: the evaluation of a record.
 *
 * domain_check -> [spf] -> spf_term, spf_macro, facts
 *
 * An evaluation begins anew each time that facts are missing, and ends once none is. Each new fact
 * brings the next evaluation further; the limits of section 4.6.4 bound how many there are.
 */
#include "control/domain/spf.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "control/domain/spf_macro.h"
#include "control/domain/spf_term.h"
#include "shared/base/text.h"

#define VOID_LOOKUPS_MAX 2
#define HOSTS_MAX 10 /* of an MX, or of a PTR */

struct evaluation {
	const struct spf_question *question;
	struct facts *facts;
	struct spf_verdict *verdict;
	struct spf_macros macros;
	char local[SPF_NAME_MAX], validated[SPF_NAME_MAX];
	unsigned voids;
	bool wants; /* a fact is missing: what is found out meanwhile counts for nothing */
};

enum match { MATCH_NO, MATCH_YES, MATCH_TEMPERROR, MATCH_PERMERROR };

static enum spf_result check_host(struct evaluation *e, const char *domain);

static void
blame(struct evaluation *e, enum spf_problem problem, const char *where)
{
	if (e->verdict->problem)
		return;
	e->verdict->problem = problem;
	snprintf(e->verdict->where, sizeof e->verdict->where, "%s", where);
}

static void
note_term(struct evaluation *e, const char *term, size_t length)
{
	snprintf(e->verdict->term, sizeof e->verdict->term, "%.*s", (int)length, term);
}

/* DNS */

static const struct fact *
ask(struct evaluation *e, const char *name, uint16_t type)
{
	static const struct fact unknown = { .status = FACT_NO_DOMAIN };
	const struct fact *fact = facts_get(e->facts, name, type);

	if (fact)
		return fact;
	e->wants = true;
	return &unknown;
}

/* Asks for a term. NULL: too many look-ups found nothing. */
static const struct fact *
ask_for_term(struct evaluation *e, const char *name, uint16_t type)
{
	const struct fact *fact = ask(e, name, type);

	if (e->wants || fact->status == FACT_FAILED || fact->count)
		return fact;
	if (++e->voids <= VOID_LOOKUPS_MAX)
		return fact;
	blame(e, SPF_VOID_LOOKUPS, e->macros.domain);
	return NULL;
}

static bool
address_matches(const struct evaluation *e, const uint8_t *address, const struct spf_term *term)
{
	const unsigned bits = e->question->v6 ? term->prefix6 : term->prefix;
	const unsigned whole = bits / 8, rest = bits % 8;

	if (memcmp(e->question->address, address, whole))
		return false;
	return !rest || !((e->question->address[whole] ^ address[whole]) >> (8 - rest));
}

static uint16_t
address_type(const struct evaluation *e)
{
	return e->question->v6 ? ANSWER_AAAA : ANSWER_A;
}

static enum match
match_addresses(const struct evaluation *e, const struct fact *fact, const struct spf_term *term)
{
	if (!fact)
		return MATCH_PERMERROR;
	if (fact->status == FACT_FAILED)
		return MATCH_TEMPERROR;
	for (size_t i = 0; i < fact->count; i++)
		if (address_matches(e, fact->values[i].address, term))
			return MATCH_YES;
	return MATCH_NO;
}

/* PTR (5.5) */

static void
reverse_name(const struct evaluation *e, char out[SPF_NAME_MAX])
{
	static const char text[] = "%{ir}.%{v}.arpa";

	spf_macro_expand(&e->macros, text, strlen(text), out);
}

static bool
host_has_address(struct evaluation *e, const char *host)
{
	static const struct spf_term exactly = { .prefix = 32, .prefix6 = 128 };

	return match_addresses(e, ask(e, host, address_type(e)), &exactly) == MATCH_YES;
}

static bool
is_below(const char *name, const char *domain)
{
	const size_t length = strlen(name), end = strlen(domain);

	return length > end && name[length - end - 1] == '.' &&
		!strcasecmp(name + length - end, domain);
}

/* How well a validated name suits the domain: itself, below it, neither. */
static int
suits(const char *name, const char *domain)
{
	return !strcasecmp(name, domain) ? 2 : is_below(name, domain) ? 1 : 0;
}

/* Finds the validated name that suits the domain best; "": there is none. */
static void
find_validated(struct evaluation *e, const struct fact *ptr, const char *domain, char *out)
{
	int best = -1;

	out[0] = '\0';
	for (size_t i = 0; i < ptr->count && i < HOSTS_MAX; i++) {
		const char *name = ptr->values[i].text;
		const int how_well = suits(name, domain);

		if (!host_has_address(e, name) || how_well <= best)
			continue;
		best = how_well;
		snprintf(out, SPF_NAME_MAX, "%s", name);
	}
}

static void
validate(struct evaluation *e)
{
	char reverse[SPF_NAME_MAX];

	reverse_name(e, reverse);
	find_validated(e, ask(e, reverse, ANSWER_PTR), e->macros.domain, e->validated);
	if (!e->validated[0])
		snprintf(e->validated, sizeof e->validated, "unknown");
}

static enum match
match_ptr(struct evaluation *e, const char *target)
{
	char reverse[SPF_NAME_MAX], name[SPF_NAME_MAX];
	const struct fact *ptr;

	reverse_name(e, reverse);
	ptr = ask_for_term(e, reverse, ANSWER_PTR);
	if (!ptr)
		return MATCH_PERMERROR;
	find_validated(e, ptr, target, name);
	return name[0] && suits(name, target) ? MATCH_YES : MATCH_NO;
}

/* The other mechanisms (section 5) */

static enum match
match_mx(struct evaluation *e, const char *target, const struct spf_term *term)
{
	const struct fact *mx = ask_for_term(e, target, ANSWER_MX);
	enum match match = MATCH_NO;

	if (!mx)
		return MATCH_PERMERROR;
	if (mx->status == FACT_FAILED)
		return MATCH_TEMPERROR;
	if (mx->count > HOSTS_MAX) {
		blame(e, SPF_LOOKUPS, e->macros.domain);
		return MATCH_PERMERROR;
	}
	for (size_t i = 0; i < mx->count && match == MATCH_NO; i++)
		match = match_addresses(
			e, ask_for_term(e, mx->values[i].text, address_type(e)), term);
	return match;
}

static enum match
match_exists(struct evaluation *e, const char *target)
{
	const struct fact *fact = ask_for_term(e, target, ANSWER_A);

	if (!fact)
		return MATCH_PERMERROR;
	if (fact->status == FACT_FAILED)
		return MATCH_TEMPERROR;
	return fact->count ? MATCH_YES : MATCH_NO;
}

static enum match
match_include(struct evaluation *e, const char *target)
{
	switch (check_host(e, target)) {
	case SPF_PASS: return MATCH_YES;
	case SPF_TEMPERROR: return MATCH_TEMPERROR;
	case SPF_NONE:
	case SPF_PERMERROR: return MATCH_PERMERROR;
	default: return MATCH_NO;
	}
}

static void
expand(struct evaluation *e, const struct spf_term *term, char out[SPF_NAME_MAX])
{
	if (!term->spec) {
		snprintf(out, SPF_NAME_MAX, "%s", e->macros.domain);
		return;
	}
	if (spf_macro_wants_validated(term->spec, term->spec_length))
		validate(e);
	spf_macro_expand(&e->macros, term->spec, term->spec_length, out);
}

static bool
count_lookup(struct evaluation *e)
{
	if (++e->verdict->lookups <= SPF_LOOKUPS_MAX)
		return true;
	blame(e, SPF_LOOKUPS, e->macros.domain);
	return false;
}

static enum match
match_target(struct evaluation *e, const struct spf_term *term)
{
	char target[SPF_NAME_MAX];

	if (!count_lookup(e))
		return MATCH_PERMERROR;
	expand(e, term, target);
	switch (term->kind) {
	case SPF_INCLUDE: return match_include(e, target);
	case SPF_A: return match_addresses(e, ask_for_term(e, target, address_type(e)), term);
	case SPF_MX: return match_mx(e, target, term);
	case SPF_PTR: return match_ptr(e, target);
	default: return match_exists(e, target);
	}
}

static enum match
match_term(struct evaluation *e, const struct spf_term *term)
{
	switch (term->kind) {
	case SPF_ALL: return MATCH_YES;
	case SPF_IP4:
	case SPF_IP6:
		return e->question->v6 == (term->kind == SPF_IP6) &&
				address_matches(e, term->address, term)
			? MATCH_YES
			: MATCH_NO;
	case SPF_REDIRECT:
	case SPF_EXP:
	case SPF_UNKNOWN: return MATCH_NO;
	default: return match_target(e, term);
	}
}

/* Records */

/* Reads all terms before one is evaluated (4.6). */
static bool
is_well_formed(struct evaluation *e, const char *record)
{
	size_t at = strlen("v=spf1"), length;
	bool redirects = false, explains = false, well = true;
	struct spf_term term;
	const char *text;

	while (well && spf_term_next(record, &at, &text, &length)) {
		well = spf_term_parse(text, length, &term) &&
			!(term.kind == SPF_REDIRECT && redirects) &&
			!(term.kind == SPF_EXP && explains);
		redirects = redirects || term.kind == SPF_REDIRECT;
		explains = explains || term.kind == SPF_EXP;
		if (!well && !e->verdict->problem)
			note_term(e, text, length);
	}
	return well;
}

static enum spf_result
result_of(char qualifier)
{
	return qualifier == '+'    ? SPF_PASS
		: qualifier == '-' ? SPF_FAIL
		: qualifier == '~' ? SPF_SOFTFAIL
				   : SPF_NEUTRAL;
}

static enum spf_result
redirect(struct evaluation *e, const struct spf_term *term)
{
	char target[SPF_NAME_MAX];
	enum spf_result result;

	if (!count_lookup(e))
		return SPF_PERMERROR;
	expand(e, term, target);
	result = check_host(e, target);
	return result == SPF_NONE ? SPF_PERMERROR : result;
}

static enum spf_result
evaluate(struct evaluation *e, const char *record)
{
	struct spf_term term, redirects = { .kind = SPF_ALL };
	size_t at = strlen("v=spf1"), length;
	const char *text;

	while (spf_term_next(record, &at, &text, &length) && spf_term_parse(text, length, &term)) {
		enum match match = match_term(e, &term);

		if (e->wants || match == MATCH_TEMPERROR)
			return SPF_TEMPERROR;
		if (match == MATCH_PERMERROR)
			return SPF_PERMERROR;
		if (match == MATCH_YES) {
			note_term(e, text, length);
			return result_of(term.qualifier);
		}
		if (term.kind == SPF_REDIRECT)
			redirects = term;
	}
	return redirects.kind == SPF_REDIRECT ? redirect(e, &redirects) : SPF_NEUTRAL;
}

static size_t
records(const struct fact *txt, const char **first_out)
{
	size_t count = 0;

	for (size_t i = 0; i < txt->count; i++)
		if (spf_is_record(txt->values[i].text) && !count++)
			*first_out = txt->values[i].text;
	return count;
}

const char *
spf_record(const struct fact *txt)
{
	const char *record = NULL;

	return records(txt, &record) == 1 ? record : NULL;
}

static enum spf_result
check_record(struct evaluation *e, const char *domain)
{
	const struct fact *txt = ask(e, domain, ANSWER_TXT);
	const char *record = NULL;
	size_t count;

	if (e->wants || txt->status == FACT_FAILED) {
		blame(e, SPF_DNS, domain);
		return SPF_TEMPERROR;
	}
	count = records(txt, &record);
	if (!count)
		blame(e, SPF_MISSING, domain);
	else if (count > 1)
		blame(e, SPF_SEVERAL, domain);
	else if (!is_well_formed(e, record))
		blame(e, SPF_SYNTAX, domain);
	else
		return evaluate(e, record);
	return count ? SPF_PERMERROR : SPF_NONE;
}

static enum spf_result
check_host(struct evaluation *e, const char *domain)
{
	const char *const outer = e->macros.domain;
	enum spf_result result;

	if (!strchr(domain, '.')) {
		blame(e, SPF_MISSING, domain);
		return SPF_NONE;
	}
	e->macros.domain = domain;
	result = check_record(e, domain);
	if (result == SPF_TEMPERROR)
		blame(e, SPF_DNS, domain);
	e->macros.domain = outer;
	return result;
}

/* An IPv4 address in the dress of an IPv6 one is what it is (RFC 7208 5). */
static struct spf_question
undress(const struct spf_question *asked)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	struct spf_question question = *asked;

	if (!asked->v6 || memcmp(asked->address, mapped, sizeof mapped) != 0)
		return question;
	question.v6 = false;
	memmove(question.address, asked->address + sizeof mapped, 4);
	return question;
}

bool
spf_check(const struct spf_question *asked, const char *domain, struct facts *facts,
	struct spf_verdict *out)
{
	const struct spf_question plain = undress(asked), *const question = &plain;
	const char *at = strrchr(question->sender, '@');
	const size_t length = at ? (size_t)(at - question->sender) : 0;
	struct evaluation e = { .question = question, .facts = facts, .verdict = out };

	*out = (struct spf_verdict){ .result = SPF_NONE };
	snprintf(e.local, sizeof e.local, "%.*s", (int)(length ? length : sizeof "postmaster"),
		length ? question->sender : "postmaster");
	e.macros = (struct spf_macros){ .local = e.local,
		.sender_domain = at ? at + 1 : question->sender,
		.domain = domain,
		.helo = question->helo,
		.validated = e.validated,
		.address = question->address,
		.v6 = question->v6 };
	out->result = check_host(&e, domain);
	if (out->result != SPF_NONE && out->result < SPF_TEMPERROR)
		out->problem = SPF_FINE; /* trouble that an include passed over */
	return !e.wants;
}

const char *
spf_result_name(enum spf_result result)
{
	static const char *const names[] = { "none", "neutral", "pass", "fail", "softfail",
		"temperror", "permerror" };

	return names[result];
}

const char *
spf_problem_name(enum spf_problem problem)
{
	static const char *const names[] = { "fine", "missing", "several", "syntax", "lookups",
		"void-lookups", "dns" };

	return names[problem];
}

/* Whether what stands behind the term is never looked at, or only if nothing matched. */
static bool
ends_evaluation(const char *text, size_t length)
{
	struct spf_term term;

	return spf_term_parse(text, length, &term) &&
		(term.kind == SPF_ALL || term.kind == SPF_REDIRECT);
}

bool
spf_proposal(const char *record, const char *name, char *out, size_t size)
{
	size_t at = strlen("v=spf1"), before, length;
	const char *text;
	int n;

	if (!record)
		return snprintf(out, size, "v=spf1 include:%s ~all", name) < (int)size;
	do {
		before = at;
	} while (spf_term_next(record, &at, &text, &length) && !ends_evaluation(text, length));
	n = snprintf(out, size, "%.*s include:%s%s", (int)before, record, name, record + before);
	return n > 0 && (size_t)n < size;
}
