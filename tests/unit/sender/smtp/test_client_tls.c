/*
 * test_client_tls.c - the SMTP client and TLS that breaks, is refused, goes missing or is demanded.
 */
#include "sender/smtp/client_private.h"
#include "sender/smtp/host_memory.h"
#include "sender/smtp/tls_memory.h"
#include "shared/metrics/metrics.h"
#include "tests/unit/client_rig.h"

#define HOUR UINT64_C(3600000)
#define HOST "[127.0.0.1]"

static const char offers_tls[] = "<250-peer\n<250 STARTTLS\n";
static const char tls_ehlo[] = "<250-peer\n<250 STARTTLS\n>STARTTLS\n";
static const char tls_up[] = "<220 go\n!tls\n>EHLO\n<250 peer\n";

/* All ways to go without TLS. */
static const char *const lacking[] = {
	"<220 x\n>EHLO\n<250-peer\n<250 STARTTLS\n>STARTTLS\n<220 go\n!junk\n!hang\n",
	"<220 x\n>EHLO\n<250-peer\n<250 STARTTLS\n>STARTTLS\n<220 go\n",
	"<220 x\n>EHLO\n<250-peer\n<250 STARTTLS\n>STARTTLS\n<220 go\n!tls\n",
	"<220 x\n>EHLO\n<250-peer\n<250 STARTTLS\n>STARTTLS\n=220 go|250 injected|\n!hang\n",
	"<220 x\n>EHLO\n<250-peer\n<250 STARTTLS\n>STARTTLS\n=220 go\n!long\n!hang\n",
	"<220 x\n>EHLO\n<250-peer\n<250 STARTTLS\n>STARTTLS\n<454 4.7.0 not now\n!hang\n",
	"<220 x\n>EHLO\n<250-peer\n<250 STARTTLS\n>STARTTLS\n<502 5.5.1 what\n!hang\n",
	"<220 x\n>EHLO\n<250-peer\n<250-STARTTLS\n<250 X\n>STARTTLS\n",
	"<220 x\n>EHLO\n<250 peer\n!hang\n",
	"<220 x\n>EHLO\n<502 what\n>HELO\n<250 peer\n!hang\n",
};

#define LACKING (sizeof lacking / sizeof *lacking)

static void
a_host_that_had_tls_gets_no_clear_text(void **state)
{
	char *good = join(JOIN(hello, tls_ehlo, tls_up, deliver_slowly, bye));

	(void)state;
	for (size_t i = 0; i < LACKING; i++) {
		struct rig rig;

		rig_start(&rig, JOIN(good, lacking[i], lacking[i], good), 4);
		rig_run(&rig, 1);
		check(&rig.outcomes[0][0], &delivered);
		for (int times = 0; times < 2; times++) {
			rig_again(&rig, 1);
			assert_false(rig.ready_seen);
			assert_int_equal(rig.failure.kind, OUTCOME_DEFER);
			assert_int_equal(rig.failure.scope, SCOPE_SITE);
			assert_non_null(strstr(rig.failure.text, "had TLS lately; "));
		}
		rig_again(&rig, 1);
		check(&rig.outcomes[0][0], &delivered);
		assert_non_null(strstr(rig.outcomes[0][0].tls, "TLS"));
		rig_end(&rig);
	}
	free(good);
}

static void
another_host_takes_its_mail_instead(void **state)
{
	char *good = join(JOIN(hello, tls_ehlo, tls_up, deliver_slowly, bye));
	char *plain = join(JOIN(hello, plain_ehlo, deliver_slowly, bye));
	struct rig rig;

	(void)state;
	rig_start(&rig, JOIN(good, lacking[0], plain), 3);
	rig_run(&rig, 2);
	rig_again(&rig, 2);
	check(&rig.outcomes[0][0], &delivered);
	assert_string_equal(rig.outcomes[0][0].host, "[127.0.0.2]");
	rig_end(&rig);
	free(good);
	free(plain);
}

uint64_t __real_clock_mono_ms(void);
uint64_t __wrap_clock_mono_ms(void);

/* As on a machine that has been up for hours, so that there is a time two hours ago. */
uint64_t
__wrap_clock_mono_ms(void)
{
	return __real_clock_mono_ms() + 3 * HOUR;
}

static void
on_lack(void *arg, const char *host, enum tls_lack lack, uint64_t since_ms)
{
	(void)arg, (void)host, (void)since_ms;
	assert_int_equal(lack, TLS_LACK_NEW);
}

static void
after_an_hour_it_does_and_everybody_is_told(void **state)
{
	static const char *const breaks[] = { "<220 go\n!junk\n!hang\n", "<454 4.7.0 not now\n" };
	const uint64_t before = clock_mono_ms() - 2 * HOUR;

	(void)state;
	for (int i = 0; i < 2; i++) {
		char *broken = join(
			JOIN(hello, tls_ehlo, breaks[i], i ? deliver_slowly : "", i ? bye : ""));
		char *plain = join(JOIN(hello, offers_tls, deliver_slowly, bye));
		struct metric *lost;
		struct rig rig;

		rig_start(&rig, JOIN(broken, plain), i ? 1 : 2);
		lost = rig.context->lost_tls;
		tls_memory_done(rig.context->tls_memory, HOST, before);
		tls_memory_lacks(rig.context->tls_memory, HOST, before, on_lack, NULL);
		reset(state);
		int64_t told = metric_value(lost);
		rig_run(&rig, 1);
		check(&rig.outcomes[0][0], &delivered);
		assert_string_equal(rig.outcomes[0][0].tls, "");
		assert_int_equal(metric_value(lost), told + 1);
		assert_non_null(strstr(fake.last[OP_EVENT], "\"tls-lost\""));
		assert_non_null(strstr(fake.last[OP_EVENT], "\"host\":\"" HOST "\""));
		rig_end(&rig);
		free(broken);
		free(plain);
	}
}

static void
what_a_failed_handshake_taught_is_kept_for_half_a_minute(void **state)
{
	struct host_memory *memory = host_memory_new();

	(void)state;
	host_memory_add(memory, "mx.example[192.0.2.1]", HOST_PLAIN, 1000);
	assert_true(host_memory_has(memory, "mx.example[192.0.2.1]", HOST_PLAIN, 30999));
	assert_false(host_memory_has(memory, "mx.example[192.0.2.1]", HOST_PLAIN, 31000));
	assert_false(host_memory_has(memory, "mx.example[192.0.2.2]", HOST_PLAIN, 1000));
	assert_false(host_memory_has(memory, "mx.example[192.0.2.1]", HOST_NO_PIPELINING, 1000));
	host_memory_forget(memory, "mx.example[192.0.2.1]", HOST_PLAIN);
	assert_false(host_memory_has(memory, "mx.example[192.0.2.1]", HOST_PLAIN, 1000));
	host_memory_free(&memory);
}

/* Mail goes in clear text since a handshake has just failed, and the host wants TLS. */
static const struct {
	const char *name, *script;
} demands[] = {
	{ "MAIL", ">MAIL\n<530 5.7.0 Must issue a STARTTLS command first\n!hang\n" },
	{ "RCPT", ">MAIL\n<250 ok\n>RCPT\n<550 5.7.1 TLS required for x.example\n!hang\n" },
	{ "RCPT, for now", ">MAIL\n<250 ok\n>RCPT\n<451 5.7.3 STARTTLS is required\n!hang\n" },
	{ "RCPT, closing", ">MAIL\n<250 ok\n>RCPT\n<421 4.7.0 TLS is mandatory\n" },
	{ "DATA", ">MAIL\n<250 ok\n>RCPT\n<250 ok\n>DATA\n<554 5.7.10 encrypt\n!hang\n" },
	{ "dot",
		">MAIL\n<250 ok\n>RCPT\n<250 ok\n>DATA\n<354 go\n!body\n"
		"<554 5.7.0 we need TLS\n!hang\n" },
};

static void
a_refusal_for_lack_of_tls_starts_it_at_once(void **state)
{
	static const struct expected again = { OUTCOME_DEFER, SCOPE_SITE, 0, "4.7.0", true };
	char *broken = join(JOIN(hello, tls_ehlo, "<220 go\n!junk\n!hang\n"));
	char *good = join(JOIN(hello, tls_ehlo, tls_up, deliver_slowly, bye));

	(void)state;
	for (size_t i = 0; i < sizeof demands / sizeof *demands; i++) {
		char *refuses = join(JOIN(hello, offers_tls, demands[i].script));
		struct expected want = again;
		struct rig rig;

		print_message("  %s\n", demands[i].name);
		rig_start(&rig, JOIN(broken, refuses, good), 3);
		rig_run(&rig, 1);
		want.code = rig.outcomes[0][0].code;
		assert_true(want.code >= 400);
		check(&rig.outcomes[0][0], &want);
		assert_false(rig.failed);
		rig_again(&rig, 1);
		check(&rig.outcomes[0][0], &delivered);
		assert_non_null(strstr(rig.outcomes[0][0].tls, "TLS"));
		rig_end(&rig);
		free(refuses);
	}
	free(broken);
	free(good);
}

static void
a_host_that_demands_tls_and_breaks_it_gets_no_clear_text_in_vain(void **state)
{
	char *broken = join(JOIN(hello, tls_ehlo, "<220 go\n!junk\n!hang\n"));
	char *refuses = join(JOIN(hello, offers_tls, demands[0].script));
	struct rig rig;

	(void)state;
	rig_start(&rig, JOIN(broken, refuses, broken, broken), 4);
	rig_run(&rig, 1);
	assert_true(rig.outcomes[0][0].retry_now);
	for (int i = 0; i < 2; i++) {
		rig_again(&rig, 1);
		assert_false(rig.ready_seen);
		assert_int_equal(rig.failure.kind, OUTCOME_DEFER);
		assert_non_null(strstr(rig.failure.text, "asks for TLS; "));
	}
	rig_end(&rig);
	free(broken);
	free(refuses);
}

/* Nothing bounces for what we could not do. */
static void
a_demand_without_an_offer_is_waited_for(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof demands / sizeof *demands; i++) {
		char *script = join(JOIN(hello, plain_ehlo, demands[i].script));
		struct rig rig;

		rig_start(&rig, JOIN(script, script), 2);
		for (int times = 0; times < 2; times++) {
			if (times)
				rig_again(&rig, 1);
			else
				rig_run(&rig, 1);
			assert_int_equal(rig.outcomes[0][0].kind, OUTCOME_DEFER);
			assert_int_equal(rig.outcomes[0][0].scope, SCOPE_SITE);
			assert_false(rig.outcomes[0][0].retry_now);
			assert_true(rig.outcomes[0][0].code >= 400);
		}
		rig_end(&rig);
		free(script);
	}
}

static void
inside_tls_no_refusal_is_for_the_lack_of_it(void **state)
{
	static const struct expected no = { OUTCOME_BOUNCE, SCOPE_MESSAGE, 554, "5.7.1", false };
	char *script = join(
		JOIN(hello, tls_ehlo, tls_up, ">MAIL\n<554 5.7.1 TLS must be newer\n", ">QUIT\n"));
	struct rig rig;

	(void)state;
	rig_start(&rig, JOIN(script), 1);
	rig_run(&rig, 1);
	check(&rig.outcomes[0][0], &no);
	rig_end(&rig);
	free(script);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_host_that_had_tls_gets_no_clear_text),
		TEST(another_host_takes_its_mail_instead),
		TEST(after_an_hour_it_does_and_everybody_is_told),
		cmocka_unit_test(what_a_failed_handshake_taught_is_kept_for_half_a_minute),
		TEST(a_refusal_for_lack_of_tls_starts_it_at_once),
		TEST(a_host_that_demands_tls_and_breaks_it_gets_no_clear_text_in_vain),
		TEST(a_demand_without_an_offer_is_waited_for),
		TEST(inside_tls_no_refusal_is_for_the_lack_of_it),
	};

	signal(SIGPIPE, SIG_IGN);
	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
