/*
 * test_provider.c - what is counted by provider, and that nobody can make the page long.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "sender/mail/provider.h"
#include "shared/metrics/metrics.h"

static struct providers *providers;

static int64_t
value(const char *what, const char *provider, const char *class)
{
	char name[64], labels[METRIC_LABELS_MAX] = "";
	struct metric *metric;

	snprintf(name, sizeof name, "shout_sender_%s_total", what);
	metric_label(labels, "provider", provider);
	if (class)
		metric_label(labels, "class", class);
	metric = metric_find(name, labels);
	return metric ? metric_value(metric) : -1;
}

static void
deferred(const char *site, size_t n)
{
	providers_count(providers, site, PROVIDER_DEFERRED, "4.7.x", n);
}

static void
counts_by_provider_end_and_class(void **state)
{
	(void)state;
	providers_count(providers, "google", PROVIDER_BOUNCED, "5.1.x", 2);
	providers_count(providers, "google", PROVIDER_BOUNCED, "5.7.x", 1);
	providers_count(providers, "google", PROVIDER_BOUNCED, "5.1.x", 3);
	providers_count(providers, "google", PROVIDER_EXPIRED, "connect", 1);
	providers_count(providers, "google", PROVIDER_DELIVERED, "", 7);
	providers_count(providers, "mx1.example.net-0a1b2c3d", PROVIDER_DELIVERED, "", 4);
	providers_count(providers, NULL, PROVIDER_BOUNCED, "dns", 5);
	assert_int_equal(value("bounced", "google", "5.1.x"), 5);
	assert_int_equal(value("bounced", "google", "5.7.x"), 1);
	assert_int_equal(value("deferred", "google", "5.1.x"), -1);
	assert_int_equal(value("expired", "google", "connect"), 1);
	assert_int_equal(value("delivered", "google", NULL), 7);
	assert_int_equal(value("bounced", "none", "dns"), 5);
}

static void
shows_deliveries_and_refusals_by_policy_before_there_are_any(void **state)
{
	(void)state;
	assert_int_equal(value("delivered", "other", NULL), 0);
	assert_int_equal(value("delivered", "quiet.example", NULL), -1);
	providers_count(providers, "mx.quiet.example", PROVIDER_BOUNCED, "5.1.x", 1);
	assert_int_equal(value("delivered", "quiet.example", NULL), 0);
	assert_int_equal(value("deferred", "quiet.example", "4.7.x"), 0);
	assert_int_equal(value("bounced", "quiet.example", "5.7.x"), 0);
}

/* Ten thousand domains of one customer, a mail each; large ones among them get their names. */
static void
has_few_names_whatever_the_number_of_sites(void **state)
{
	char site[64];
	unsigned named = 0;

	(void)state;
	for (unsigned i = 0; i < 10000; i++) {
		snprintf(site, sizeof site, "mx%u.test", i);
		deferred(site, 1);
		deferred("mx.large.example", 1);
	}
	for (unsigned i = 0; i < 10000; i++) {
		snprintf(site, sizeof site, "mx%u.test", i);
		named += value("deferred", site, "4.7.x") > 0;
	}
	assert_in_range(named, 1, PROVIDERS_SOON);
	assert_true(value("deferred", "large.example", "4.7.x") > 9000);
	for (unsigned i = 0; i < 10000; i++) {
		snprintf(site, sizeof site, "mx%u.test", i);
		deferred(site, PROVIDER_WORTH);
	}
	named = 0;
	for (unsigned i = 0; i < 10000; i++) {
		snprintf(site, sizeof site, "mx%u.test", i);
		named += value("deferred", site, "4.7.x") > 0;
	}
	assert_in_range(named, PROVIDERS_SOON, PROVIDERS_MAX);
	assert_true(value("deferred", "other", "4.7.x") > 9000 * PROVIDER_WORTH);
}

static int
start(void **state)
{
	(void)state;
	providers = providers_new();
	return 0;
}

static int
stop(void **state)
{
	(void)state;
	providers_free(&providers);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(counts_by_provider_end_and_class, start, stop),
		cmocka_unit_test_setup_teardown(
			shows_deliveries_and_refusals_by_policy_before_there_are_any, start, stop),
		cmocka_unit_test_setup_teardown(
			has_few_names_whatever_the_number_of_sites, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
