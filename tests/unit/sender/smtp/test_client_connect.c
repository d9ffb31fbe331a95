/*
 * test_client_connect.c - the SMTP client: hosts, TLS, reuse of connections, their end.
 */
#include "tests/unit/client_rig.h"

static void
one_connection_serves_several_transactions_without_rset(void **state)
{
	struct rig rig;
	char *script = join(JOIN(
		hello, full_ehlo, deliver_pipelined, deliver_pipelined, deliver_pipelined, bye));

	(void)state;
	rig_start(&rig, JOIN(script), 1);
	rig.sends = 3;
	rig_run(&rig, 1);
	assert_int_equal(rig.done, 3);
	for (size_t i = 0; i < 3; i++)
		check(&rig.outcomes[i][0], &delivered);
	rig_end(&rig);
	free(script);
}

static void
a_cached_connection_that_had_gone_is_no_failure(void **state)
{
	static const struct expected lost = { OUTCOME_DEFER, SCOPE_MESSAGE, 0, "4.4.2", true };
	static const struct expected closing = { OUTCOME_DEFER, SCOPE_MESSAGE, 421, "4.0.0", true };
	struct rig rig;
	char *gone = join(JOIN(hello, full_ehlo, deliver_pipelined, ">MAIL\n"));
	char *told = join(JOIN(hello, plain_ehlo, deliver_slowly, ">MAIL\n<421 enough\n"));

	(void)state;
	rig_start(&rig, JOIN(gone), 1);
	rig.sends = 2;
	rig_run(&rig, 1);
	check(&rig.outcomes[0][0], &delivered);
	check(&rig.outcomes[1][0], &lost);
	assert_false(rig.failed);
	rig_end(&rig);
	rig_start(&rig, JOIN(told), 1);
	rig.sends = 2;
	rig_run(&rig, 1);
	check(&rig.outcomes[1][0], &closing);
	assert_false(rig.failed);
	rig_end(&rig);
	free(gone);
	free(told);
}

static void
an_idle_connection_may_be_closed_by_the_peer(void **state)
{
	struct rig rig;
	char *closed = join(JOIN(hello, plain_ehlo, deliver_slowly));
	char *told = join(JOIN(hello, plain_ehlo, deliver_slowly, "<421 idle\n"));

	(void)state;
	for (int i = 0; i < 2; i++) {
		rig_start(&rig, JOIN(i ? told : closed), 1);
		rig.linger = true;
		rig_run(&rig, 1);
		check(&rig.outcomes[0][0], &delivered);
		assert_false(rig.failed);
		rig_end(&rig);
	}
	free(closed);
	free(told);
}

static void
an_idle_connection_quits_by_itself(void **state)
{
	struct rig rig;
	char *script = join(JOIN(hello, plain_ehlo, deliver_slowly, bye));

	(void)state;
	rig_start(&rig, JOIN(script), 1);
	rig.linger = true;
	rig.config.sender.timeout.idle = 20;
	rig_run(&rig, 1);
	assert_false(rig.failed);
	/* The owner is told first, then QUIT goes out. */
	rig_join(&rig);
	rig_end(&rig);
	free(script);
}

static void
greeting_trouble_leads_to_the_next_host(void **state)
{
	static const char *const troubles[] = { "<554 no\n", "<421 busy\n", "",
		"<220 x\n>EHLO\n<421 busy\n", "<220 x\n>EHLO\n<500 a\n>HELO\n<500 b\n" };
	char *script = join(JOIN(hello, plain_ehlo, deliver_slowly, bye));

	(void)state;
	for (size_t i = 0; i < sizeof troubles / sizeof *troubles; i++) {
		struct rig rig;

		rig_start(&rig, JOIN(troubles[i], script), 2);
		rig_run(&rig, 2);
		check(&rig.outcomes[0][0], &delivered);
		assert_string_equal(rig.outcomes[0][0].host, "[127.0.0.2]");
		rig_end(&rig);
	}
	free(script);
}

static void
a_host_that_refuses_connections_leads_to_the_next_host(void **state)
{
	struct rig rig;
	char *script = join(JOIN(hello, plain_ehlo, deliver_slowly, bye));

	(void)state;
	rig_start(&rig, JOIN(script), 1);
	close(rig.peer.listeners[0]);
	rig.peer.listeners[0] = dup(rig.peer.listeners[1]);
	rig_run(&rig, 2);
	check(&rig.outcomes[0][0], &delivered);
	rig_end(&rig);
	free(script);
}

static void
no_host_at_all_is_the_sites_failure(void **state)
{
	static const struct expected refused = { OUTCOME_DEFER, SCOPE_SITE, 0, "4.4.1", false };
	static const struct expected never = { OUTCOME_BOUNCE, SCOPE_MESSAGE, 0, "5.4.4", false };
	struct rig rig;

	(void)state;
	rig_start(&rig, NULL, 0);
	close(rig.peer.listeners[0]);
	close(rig.peer.listeners[1]);
	rig_run(&rig, 2);
	check(&rig.failure, &refused);
	rig_end(&rig);
	rig_start(&rig, NULL, 0);
	rig.config.sender.allow_networks_count = 0;
	site_resolver_free(&rig.resolver);
	client_context_free(&rig.context);
	rig.resolver = site_resolver_new(rig.loop, &rig.config);
	rig.context = client_context_new(
		rig.loop, &rig.config, &fake.queue, rig.resolver, NULL, NULL);
	rig_run(&rig, 2);
	check(&rig.failure, &never);
	rig_end(&rig);
}

static const char tls_ehlo[] = "<250-peer\n<250-STARTTLS\n<250 SIZE\n>STARTTLS\n";

static void
tls_is_used_when_offered(void **state)
{
	struct rig rig;
	char *script = join(JOIN(hello, tls_ehlo, "<220 go\n!tls\n>EHLO\n", full_ehlo,
		deliver_pipelined, deliver_pipelined, bye));

	(void)state;
	rig_start(&rig, JOIN(script), 1);
	rig.sends = 2;
	rig_run(&rig, 1);
	check(&rig.outcomes[1][0], &delivered);
	assert_non_null(strstr(rig.outcomes[1][0].tls, "TLSv1.3"));
	assert_string_equal(rig.peer.body, "Subject: x\r\n\r\nhello\r\n.\r\n");
	rig_end(&rig);
	free(script);
}

static void
refused_starttls_goes_on_in_plain(void **state)
{
	struct rig rig;
	char *script = join(JOIN(hello, tls_ehlo, "<454 4.7.0 not now\n", deliver_slowly, bye));

	(void)state;
	rig_start(&rig, JOIN(script), 1);
	rig_run(&rig, 1);
	check(&rig.outcomes[0][0], &delivered);
	rig_end(&rig);
	free(script);
}

static void
broken_tls_falls_back_once_and_is_remembered(void **state)
{
	static const char *const breakages[] = { "<220 go\n!junk\n!hang\n", "<220 go\n",
		"=220 go|250 injected|\n!hang\n", "<220 go\n!tls\n", "<220 go\n!tls\n>EHLO\n", "" };
	char *plain = join(JOIN(hello, "<250-peer\n<250 STARTTLS\n", deliver_slowly, bye));

	(void)state;
	for (size_t i = 0; i < sizeof breakages / sizeof *breakages; i++) {
		struct rig rig;
		char *broken = join(JOIN(hello, tls_ehlo, breakages[i]));

		rig_start(&rig, JOIN(broken, plain, plain), 3);
		rig_run(&rig, 1);
		check(&rig.outcomes[0][0], &delivered);
		assert_string_equal(rig.outcomes[0][0].tls, "");
		rig_again(&rig, 1);
		check(&rig.outcomes[0][0], &delivered);
		rig_end(&rig);
		free(broken);
	}
	free(plain);
}

static void
a_server_that_lies_about_pipelining_gets_lock_step_the_next_time(void **state)
{
	static const struct expected lost = { OUTCOME_DEFER, SCOPE_SITE, 0, "4.4.2", false };
	struct rig rig;
	char *lying = join(JOIN(hello, full_ehlo, ">MAIL\n<250 ok\n"));
	char *slow = join(JOIN(hello, full_ehlo, deliver_slowly, bye));

	(void)state;
	rig_start(&rig, JOIN(lying, slow), 2);
	rig_run(&rig, 1);
	check(&rig.outcomes[0][0], &lost);
	rig_again(&rig, 1);
	check(&rig.outcomes[0][0], &delivered);
	rig_end(&rig);
	free(lying);
	free(slow);
}

static void
the_owner_may_abort_or_quit_at_any_time(void **state)
{
	struct rig rig;
	char *script = join(JOIN(hello, plain_ehlo, deliver_slowly));

	(void)state;
	rig_start(&rig, JOIN(script), 1);
	rig.abort_in_done = true;
	rig_run(&rig, 1);
	check(&rig.outcomes[0][0], &delivered);
	assert_false(rig.failed);
	rig_end(&rig);
	rig_start(&rig, NULL, 0);
	rig_open(&rig, 1);
	client_quit(rig.client);
	assert_false(rig.gone);
	peer_start(&rig.peer);
	loop_run(rig.loop);
	assert_true(rig.gone);
	assert_false(rig.failed);
	rig_open(&rig, 1);
	client_abort(rig.client);
	assert_true(rig.gone);
	rig_end(&rig);
	free(script);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_connection_serves_several_transactions_without_rset),
		TEST(a_cached_connection_that_had_gone_is_no_failure),
		TEST(an_idle_connection_may_be_closed_by_the_peer),
		TEST(an_idle_connection_quits_by_itself),
		TEST(greeting_trouble_leads_to_the_next_host),
		TEST(a_host_that_refuses_connections_leads_to_the_next_host),
		TEST(no_host_at_all_is_the_sites_failure),
		TEST(tls_is_used_when_offered),
		TEST(refused_starttls_goes_on_in_plain),
		TEST(broken_tls_falls_back_once_and_is_remembered),
		TEST(a_server_that_lies_about_pipelining_gets_lock_step_the_next_time),
		TEST(the_owner_may_abort_or_quit_at_any_time),
	};

	signal(SIGPIPE, SIG_IGN);
	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
