/*
 * test_domain.c - facts, DMARC, the SPF line to paste, and who runs the DNS, without a DNS.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/domain/dmarc.h"
#include "control/domain/dns_provider.h"
#include "control/domain/facts.h"
#include "control/domain/spf.h"

/* A TXT record; NULL text: the name is not there. */
struct txt {
	const char *name, *text;
};

static void
put_texts(struct facts *facts, const char *name, const struct txt *zone)
{
	static struct answer answer;
	static uint8_t rdata[8][256];

	answer.count = 0;
	for (; zone->name; zone++) {
		struct answer_record *record = &answer.records[answer.count];
		uint8_t *data = rdata[answer.count];

		if (strcmp(zone->name, name) != 0)
			continue;
		data[0] = (uint8_t)strlen(zone->text);
		memcpy(data + 1, zone->text, data[0]);
		*record = (struct answer_record){
			.type = ANSWER_TXT, .data = data, .data_length = (uint16_t)(data[0] + 1)
		};
		answer.count++;
	}
	facts_put(facts, name, ANSWER_TXT, answer.count ? FACT_ANSWER : FACT_NO_DOMAIN,
		answer.count ? &answer : NULL);
}

/* DMARC */

/* How many questions it took. */
static size_t
judge(struct facts *facts, const char *domain, const struct txt *zone, struct dmarc_verdict *out)
{
	const char *name;
	uint16_t type;
	size_t asked = 0;

	while (!dmarc_check(domain, facts, out)) {
		assert_true(facts_wanted(facts, 0, &name, &type));
		assert_int_equal(type, ANSWER_TXT);
		assert_false(facts_wanted(facts, 1, &name, &type)); /* one after the other */
		put_texts(facts, name, zone);
		asked++;
	}
	return asked;
}

static const struct {
	const char *domain;
	struct txt zone[5];
	enum dmarc_state state;
	enum dmarc_policy policy;
	const char *where;
} cases[] = {
	/* clang-format off */
	{ "a.example", { { "_dmarc.a.example", "v=DMARC1; p=reject" } }, DMARC_FOUND, DMARC_POLICY_REJECT, "a.example" },
	{ "a.example", { { "_dmarc.a.example", " v = DMARC1 ;p= Quarantine;" } }, DMARC_FOUND, DMARC_POLICY_QUARANTINE, "a.example" },
	{ "a.example", { { 0 } }, DMARC_MISSING, DMARC_POLICY_NONE, "" },
	{ "a.example", { { "_dmarc.a.example", "p=reject; v=DMARC1" } }, DMARC_MISSING, DMARC_POLICY_NONE, "" },
	{ "a.example", { { "_dmarc.a.example", "v=dmarc1; p=reject" } }, DMARC_MISSING, DMARC_POLICY_NONE, "" },
	{ "a.example", { { "_dmarc.a.example", "v=DMARC1; p=perhaps" } }, DMARC_SYNTAX, DMARC_POLICY_NONE, "a.example" },
	{ "a.example", { { "_dmarc.a.example", "v=DMARC1; p=perhaps; rua=mailto:x@a.example" } },
	  DMARC_FOUND, DMARC_POLICY_NONE, "a.example" },
	{ "a.example", { { "_dmarc.a.example", "v=DMARC1; p=reject; sp=perhaps" } }, DMARC_SYNTAX, DMARC_POLICY_REJECT, "a.example" },
	{ "a.example", { { "_dmarc.a.example", "v=DMARC1; p=none" }, { "_dmarc.a.example", "v=DMARC1; p=reject" } },
	  DMARC_SEVERAL, DMARC_POLICY_NONE, "a.example" },
	{ "a.example", { { "_dmarc.a.example", "v=DMARC1; p=none" }, { "_dmarc.a.example", "v=spf1 -all" } },
	  DMARC_FOUND, DMARC_POLICY_NONE, "a.example" },
	/* the organization's, for subdomains */
	{ "m.a.example", { { "_dmarc.a.example", "v=DMARC1; p=none; sp=reject" } }, DMARC_FOUND, DMARC_POLICY_REJECT, "a.example" },
	{ "m.a.example", { { "_dmarc.a.example", "v=DMARC1; p=quarantine" } }, DMARC_FOUND, DMARC_POLICY_QUARANTINE, "a.example" },
	{ "x.m.a.example", { { "_dmarc.m.a.example", "v=DMARC1; p=none" }, { "_dmarc.a.example", "v=DMARC1; p=reject" } },
	  DMARC_FOUND, DMARC_POLICY_REJECT, "a.example" },
	{ "x.m.a.example", { { "_dmarc.m.a.example", "v=DMARC1; p=none; psd=n" }, { "_dmarc.a.example", "v=DMARC1; p=reject" } },
	  DMARC_FOUND, DMARC_POLICY_NONE, "m.a.example" },
	/* a public suffix: the organization is one label below */
	{ "x.a.example", { { "_dmarc.a.example", "v=DMARC1; p=none" }, { "_dmarc.example", "v=DMARC1; p=reject; psd=y" } },
	  DMARC_FOUND, DMARC_POLICY_NONE, "a.example" },
	{ "a.example", { { "_dmarc.example", "v=DMARC1; p=reject; psd=y" } }, DMARC_FOUND, DMARC_POLICY_REJECT, "example" },
	{ "x.m.a.example", { { "_dmarc.m.a.example", "v=DMARC1; p=none" }, { "_dmarc.example", "v=DMARC1; p=reject; psd=y" } },
	  DMARC_FOUND, DMARC_POLICY_REJECT, "example" },
	/* clang-format on */
};

static void
test_dmarc_is_the_domains_the_organizations_or_the_suffixs(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct facts *facts = facts_new();
		struct dmarc_verdict verdict;

		judge(facts, cases[i].domain, cases[i].zone, &verdict);
		if (verdict.state != cases[i].state || verdict.policy != cases[i].policy ||
			strcmp(verdict.where, cases[i].where) != 0)
			fail_msg("case %zu: state %d, policy %d of %s", i, verdict.state,
				verdict.policy, verdict.where);
		facts_free(&facts);
	}
}

static void
test_dmarc_tells_the_other_tags(void **state)
{
	static const struct txt zone[] = {
		{ "_dmarc.a.example", "v=DMARC1; p=reject; t=y; aspf=s; adkim=s; pct=50" }, { 0 }
	};
	struct facts *facts = facts_new();
	struct dmarc_verdict verdict;

	(void)state;
	judge(facts, "a.example", zone, &verdict);
	assert_true(verdict.test && verdict.strict_spf && verdict.strict_dkim && verdict.obsolete);
	facts_free(&facts);
}

static void
test_dmarc_asks_eight_times_at_most(void **state)
{
	static const struct txt nothing[] = { { 0 } };
	struct facts *facts = facts_new();
	struct dmarc_verdict verdict;

	(void)state;
	assert_int_equal(
		judge(facts, "a.b.c.d.e.f.g.h.i.j.mail.example.com", nothing, &verdict), 8);
	assert_non_null(facts_get(facts, "_dmarc.g.h.i.j.mail.example.com", ANSWER_TXT));
	assert_null(facts_get(facts, "_dmarc.f.g.h.i.j.mail.example.com", ANSWER_TXT));
	facts_free(&facts);
}

static void
test_dmarc_of_a_dns_that_fails_is_unknown(void **state)
{
	struct facts *facts = facts_new();
	struct dmarc_verdict verdict;

	(void)state;
	facts_put(facts, "_dmarc.m.a.example", ANSWER_TXT, FACT_NO_DOMAIN, NULL);
	facts_put(facts, "_dmarc.a.example", ANSWER_TXT, FACT_FAILED, NULL);
	assert_true(dmarc_check("m.a.example", facts, &verdict));
	assert_int_equal(verdict.state, DMARC_DNS);
	assert_string_equal(verdict.where, "a.example");
	facts_free(&facts);
}

/* SPF's proposal */

static void
test_a_proposal_keeps_what_is_there(void **state)
{
	static const struct {
		const char *record, *proposal;
	} proposals[] = {
		{ NULL, "v=spf1 include:_s.x ~all" },
		{ "v=spf1", "v=spf1 include:_s.x" },
		{ "v=spf1 -all", "v=spf1 include:_s.x -all" },
		{ "v=spf1 mx a:h.example ?all", "v=spf1 mx a:h.example include:_s.x ?all" },
		{ "v=spf1 ALL", "v=spf1 include:_s.x ALL" },
		{ "v=spf1 mx", "v=spf1 mx include:_s.x" },
		{ "v=spf1 redirect=r.example", "v=spf1 include:_s.x redirect=r.example" },
		{ "v=spf1 exp=e.example mx -all", "v=spf1 exp=e.example mx include:_s.x -all" },
		{ "v=spf1 mx -all exp=e.example", "v=spf1 mx include:_s.x -all exp=e.example" },
		{ "v=spf1  mx  ~all", "v=spf1  mx include:_s.x  ~all" },
		{ "v=spf1 mx ", "v=spf1 mx include:_s.x " },
	};
	char out[100];

	(void)state;
	for (size_t i = 0; i < sizeof proposals / sizeof *proposals; i++) {
		assert_true(spf_proposal(proposals[i].record, "_s.x", out, sizeof out));
		assert_string_equal(out, proposals[i].proposal);
	}
}

static void
test_a_proposal_that_does_not_fit_is_none(void **state)
{
	char out[100];

	(void)state;
	for (size_t size = 1; size <= sizeof "v=spf1 include:_s.x -all"; size++)
		assert_int_equal(spf_proposal("v=spf1 -all", "_s.x", out, size),
			size == sizeof "v=spf1 include:_s.x -all");
}

/* Facts */

static void
test_a_fact_is_wanted_until_it_is_known(void **state)
{
	static const struct txt zone[] = { { "a.example", "one" }, { "a.example", "two" }, { 0 } };
	struct facts *facts = facts_new();
	const struct fact *fact;
	const char *name;
	uint16_t type;

	(void)state;
	assert_false(facts_wanted(facts, 0, &name, &type));
	assert_null(facts_get(facts, "A.Example.", ANSWER_TXT));
	assert_true(facts_wanted(facts, 0, &name, &type));
	assert_string_equal(name, "a.example");
	assert_int_equal(type, ANSWER_TXT);
	assert_false(facts_wanted(facts, 1, &name, &type));
	put_texts(facts, "a.example", zone);
	assert_false(facts_wanted(facts, 0, &name, &type));
	fact = facts_get(facts, "a.EXAMPLE", ANSWER_TXT);
	assert_int_equal(fact->count, 2);
	assert_string_equal(fact->values[1].text, "two");
	assert_null(facts_get(facts, "a.example", ANSWER_MX));
	facts_free(&facts);
}

static void
test_what_is_no_name_and_what_is_too_much_is_not_asked(void **state)
{
	struct facts *facts = facts_new();
	const char *name;
	char text[80];
	uint16_t type;

	(void)state;
	assert_int_equal(facts_get(facts, "a..example", ANSWER_A)->status, FACT_NO_DOMAIN);
	assert_int_equal(facts_get(facts, "a\\.example", ANSWER_A)->status, FACT_NO_DOMAIN);
	memset(text, 'a', 64);
	text[64] = '\0';
	assert_int_equal(facts_get(facts, text, ANSWER_A)->status, FACT_NO_DOMAIN);
	assert_false(facts_wanted(facts, 0, &name, &type));
	for (int i = 0; i < FACTS_MAX; i++) {
		snprintf(text, sizeof text, "h%d.example", i);
		assert_null(facts_get(facts, text, ANSWER_A));
	}
	assert_int_equal(facts_get(facts, "more.example", ANSWER_A)->status, FACT_FAILED);
	facts_free(&facts);
}

/* Who runs the DNS */

static void
test_the_dns_is_known_by_its_name_servers(void **state)
{
	static const struct {
		const char *host, *name;
	} hosts[] = {
		{ "dns2.technorail.com", "Aruba" },
		{ "ns-1536.awsdns-00.co.uk", "Route 53" },
		{ "ns1-04.azure-dns.com", "Azure" },
		{ "amy.ns.cloudflare.com", "Cloudflare" },
		{ "ns73.domaincontrol.com", "GoDaddy" },
		{ "dns200.anycast.me", "OVH" },
		{ "ns.example", NULL },
		{ "technorail.com.example", NULL },
		{ "", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
		const struct dns_provider *provider = dns_provider_find(hosts[i].host);

		assert_int_equal(provider != NULL, hosts[i].name != NULL);
		if (provider)
			assert_string_equal(provider->name, hosts[i].name);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dmarc_is_the_domains_the_organizations_or_the_suffixs),
		cmocka_unit_test(test_dmarc_tells_the_other_tags),
		cmocka_unit_test(test_dmarc_asks_eight_times_at_most),
		cmocka_unit_test(test_dmarc_of_a_dns_that_fails_is_unknown),
		cmocka_unit_test(test_a_proposal_keeps_what_is_there),
		cmocka_unit_test(test_a_proposal_that_does_not_fit_is_none),
		cmocka_unit_test(test_a_fact_is_wanted_until_it_is_known),
		cmocka_unit_test(test_what_is_no_name_and_what_is_too_much_is_not_asked),
		cmocka_unit_test(test_the_dns_is_known_by_its_name_servers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
