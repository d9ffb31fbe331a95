/* Which rows a selector means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "shared/mail/selector.h"

#define ID "01kasa7f3k2m7f3k2m7f3k2m7f"

static struct {
	uint8_t id[ID_SIZE];
	Recipient recipients[2], *pointers[2];
	Envelope envelope;
	Row row;
} t;

static int
setup(void **state)
{
	static const char *const addresses[] = { "a@One.example", "b@two.example" };

	(void)state;
	assert_int_equal(id_parse(ID, t.id), 0);
	for (int i = 0; i < 2; i++) {
		recipient__init(&t.recipients[i]);
		t.recipients[i].address = (char *)addresses[i];
		t.pointers[i] = &t.recipients[i];
	}
	envelope__init(&t.envelope);
	t.envelope.id = (ProtobufCBinaryData){ ID_SIZE, t.id };
	t.envelope.account = (char *)"7f3k2m";
	t.envelope.credential = (char *)"relay-17";
	t.envelope.recipients = t.pointers;
	t.envelope.n_recipients = 2;
	row__init(&t.row);
	t.row.envelope = &t.envelope;
	t.row.site = (char *)"mx1.mail.example-1a2b3c4d";
	return 0;
}

static const struct {
	const char *json;
	bool matches;
} table[] = {
	{ "{\"id\":\"" ID "\"}", true },
	{ "{\"id\":\"01kasa7f3k2m7f3k2m7f3k2m7g\"}", false },
	{ "{\"site\":\"MX1.mail.example-1a2b3c4d\"}", true },
	{ "{\"site\":\"mx1.mail.example\"}", false },
	{ "{\"provider\":\"mx1.mail.example\"}", true },
	{ "{\"provider\":\"mail.example\"}", true },
	{ "{\"provider\":\".Mail.example\"}", true },
	{ "{\"provider\":\"ail.example\"}", false },
	{ "{\"provider\":\"mx1.mail.example-1a2b3c4d\"}", true },
	{ "{\"account\":\"7f3k2m\"}", true },
	{ "{\"account\":\"7f3k2n\"}", false },
	{ "{\"credential\":\"relay-17\"}", true },
	{ "{\"credential\":\"RELAY-17\"}", false },
	{ "{\"recipient_domain\":\"one.example\"}", true },
	{ "{\"recipient_domain\":\"three.example\"}", false },
	{ "{\"recipient_domain\":\"example\"}", false },
	{ "{\"egress_ip\":\"192.0.2.1\"}", true },
	{ "{\"egress_ip\":\"192.0.2.2\"}", false },
	{ "{\"account\":\"7f3k2m\",\"recipient_domain\":\"two.example\"}", true },
	{ "{\"account\":\"other\",\"recipient_domain\":\"two.example\"}", false },
};

static void
all_that_is_given_must_match(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		json_t *json = json_loads(table[i].json, 0, NULL);
		struct selector selector;
		const char *field;

		assert_int_equal(selector_parse(&selector, json, &field), 0);
		if (selector_matches_row(&selector, &t.row, "192.0.2.1") != table[i].matches)
			fail_msg("%s", table[i].json);
		selector_wipe(&selector);
		json_decref(json);
	}
}

static const struct {
	enum selector_field field;
	const char *text, *one; /* NULL: refused */
} forms[] = {
	{ SELECT_DOMAIN,
		"b\xc3\xbc"
		"cher.example",
		"xn--bcher-kva.example" },
	{ SELECT_DOMAIN,
		"B\xc3\x9c"
		"CHER.Example.",
		"xn--bcher-kva.example" },
	{ SELECT_DOMAIN,
		"bu\xcc\x88"
		"cher.example",
		"xn--bcher-kva.example" },
	{ SELECT_DOMAIN, "XN--BCHER-KVA.example.", "xn--bcher-kva.example" },
	{ SELECT_DOMAIN, "example", "example" },
	{ SELECT_DOMAIN, "[192.0.2.1]", "[192.0.2.1]" },
	{ SELECT_DOMAIN, "[ipv6:2001:DB8::1]", "[ipv6:2001:db8::1]" },
	{ SELECT_DOMAIN, "", NULL },
	{ SELECT_DOMAIN, ".", NULL },
	{ SELECT_DOMAIN, ".example", NULL },
	{ SELECT_DOMAIN, "a..example", NULL },
	{ SELECT_DOMAIN, "a.example..", NULL },
	{ SELECT_DOMAIN, "a b.example", NULL },
	{ SELECT_DOMAIN, "x@a.example", NULL },
	{ SELECT_DOMAIN, "@a.example", NULL },
	{ SELECT_DOMAIN, "*.example", NULL },
	{ SELECT_DOMAIN, "a.example\n", NULL },
	{ SELECT_DOMAIN, "a,b.example", NULL },
	{ SELECT_DOMAIN, "[192.0.2.300]", NULL },
	{ SELECT_DOMAIN, "\xff.example", NULL },
	{ SELECT_SITE,
		"MX.B\xc3\x9c"
		"CHER.example.",
		"mx.xn--bcher-kva.example" },
	{ SELECT_SITE, "mx.rossi.example-1A2b3c4d", "mx.rossi.example-1a2b3c4d" },
	{ SELECT_SITE, "Google", "google" },
	{ SELECT_SITE, "held", "held" },
	{ SELECT_SITE, "Relay.example:25", "relay.example:25" },
	{ SELECT_SITE, "127.0.0.1:2525", "127.0.0.1:2525" },
	{ SELECT_SITE, "[0::1]:25", "[::1]:25" },
	{ SELECT_SITE,
		"domain:B\xc3\xbc"
		"cher.example",
		"domain:xn--bcher-kva.example" },
	{ SELECT_SITE, "domain:", NULL },
	{ SELECT_SITE, "mx..example", NULL },
	{ SELECT_SITE, "mx example", NULL },
	{ SELECT_SITE, "[::1", NULL },
	{ SELECT_SITE, "[::1]:", NULL },
	{ SELECT_SITE, ":25", NULL },
	{ SELECT_SITE, "", NULL },
	{ SELECT_PROVIDER, ".Outlook.com.", "outlook.com" },
	{ SELECT_PROVIDER, ".", NULL },
	{ SELECT_PROVIDER, "..com", NULL },
	{ SELECT_ACCOUNT, "", NULL },
	{ SELECT_ACCOUNT, "a b", NULL },
	{ SELECT_CREDENTIAL, "relay-17", "relay-17" },
	{ SELECT_CREDENTIAL, "2001:DB8:0::1", "2001:db8::1" },
	{ SELECT_CREDENTIAL, " ", NULL },
	{ SELECT_EGRESS, "2001:DB8:0::1", "2001:db8::1" },
	{ SELECT_EGRESS, "192.0.2", NULL },
	{ SELECT_ID, ID, ID },
	{ SELECT_ID, "", NULL },
};

static void
what_means_the_same_has_one_form(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		struct selector selector = { 0 };
		const int err = selector_set(&selector, forms[i].field, forms[i].text);
		const char *got = selector.text[forms[i].field];

		if (forms[i].one ? err || strcmp(got, forms[i].one) != 0 : !err || got)
			fail_msg("%s: %s", forms[i].text, got ? got : "refused");
		selector_wipe(&selector);
	}
}

/* Whatever form the client gave the recipient's domain, and the operator the selector's. */
static void
a_domain_is_one_in_all_its_forms(void **state)
{
	static const char *const same[] = { "b\xc3\xbc"
					    "cher.example",
		"B\xc3\x9c"
		"CHER.EXAMPLE",
		"xn--bcher-kva.example", "XN--bcher-KVA.example.",
		"b\xc3\xbc"
		"cher.example." };
	const size_t count = sizeof same / sizeof *same;

	(void)state;
	for (size_t i = 0; i < count * count; i++) {
		char address[64];
		Recipient recipient = RECIPIENT__INIT;
		struct selector selector = { 0 };

		snprintf(address, sizeof address, "\"a@b\"@%s", same[i / count]);
		recipient.address = address;
		assert_int_equal(selector_set(&selector, SELECT_DOMAIN, same[i % count]), 0);
		assert_true(selector_has_domain(&selector, &recipient));
		selector_wipe(&selector);
	}
}

static void
what_cannot_be_understood_is_refused(void **state)
{
	static const char *const wrong[] = { "{}", "[]", "{\"id\":\"short\"}",
		"{\"colour\":\"red\"}", "{\"account\":7}", "{\"account\":\"\"}",
		"{\"account\":\"7f3k2m\",\"site\":\"\"}",
		"{\"account\":\"7f3k2m\",\"recipient_domain\":\"a..b\"}" };

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		json_t *json = json_loads(wrong[i], 0, NULL);
		struct selector selector;
		const char *field;

		assert_true(selector_parse(&selector, json, &field) < 0);
		selector_wipe(&selector);
		json_decref(json);
	}
}

static void
a_rows_own_egress_address_counts_before_ours(void **state)
{
	json_t *json = json_loads("{\"egress_ip\":\"192.0.2.9\"}", 0, NULL);
	struct selector selector;
	const char *field;

	(void)state;
	assert_int_equal(selector_parse(&selector, json, &field), 0);
	assert_false(selector_matches_row(&selector, &t.row, "192.0.2.1"));
	t.row.egress = (char *)"192.0.2.9";
	assert_true(selector_matches_row(&selector, &t.row, "192.0.2.1"));
	assert_false(selector_is_site(&selector));
	selector_wipe(&selector);
	json_decref(json);
}

static void
a_site_has_a_provider_that_selects_it(void **state)
{
	static const struct {
		const char *site, *provider;
	} sites[] = {
		{ "mx1.mail.example-1a2b3c4d", "mail.example" },
		{ "mail.example", "mail.example" },
		{ "a.b.mx.rossi.co.uk", "rossi.co.uk" },
		{ "co.uk", "co.uk" },
		{ "mx.rossi.it", "rossi.it" },
		{ "google", "google" },
		{ "[192.0.2.1]", "[192.0.2.1]" },
		{ "[2001:db8::1]:25", "[2001:db8::1]:25" },
		{ "smart.example:587", "smart.example:587" },
		{ "domain:b.example", "domain:b.example" },
	};
	struct selector selector = { 0 };
	char provider[SITE_PROVIDER_MAX + 1];

	(void)state;
	for (size_t i = 0; i < sizeof sites / sizeof *sites; i++) {
		site_provider(sites[i].site, provider);
		assert_string_equal(provider, sites[i].provider);
		assert_int_equal(selector_set(&selector, SELECT_PROVIDER, provider), 0);
		assert_true(selector_has_site(&selector, sites[i].site));
		selector_wipe(&selector);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(all_that_is_given_must_match, setup),
		cmocka_unit_test(what_means_the_same_has_one_form),
		cmocka_unit_test(a_domain_is_one_in_all_its_forms),
		cmocka_unit_test(what_cannot_be_understood_is_refused),
		cmocka_unit_test(a_site_has_a_provider_that_selects_it),
		cmocka_unit_test_setup(a_rows_own_egress_address_counts_before_ours, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
