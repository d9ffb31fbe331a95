/*
 * client_rig.h - a client on a loop, its scripted peer, and what the client reported.
 */
#ifndef TESTS_UNIT_CLIENT_RIG_H
#define TESTS_UNIT_CLIENT_RIG_H

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <event2/event.h>

#include "sender/smtp/client.h"
#include "shared/base/loop.h"
#include "shared/base/net.h"
#include "shared/config/config.h"
#include "tests/unit/queue_fake.h"
#include "tests/unit/smtp_peer.h"

#define SENDS_MAX 4

__attribute__((unused)) static const char hello[] = "<220 peer ready\n>EHLO relay.example\n";
__attribute__((unused)) static const char plain_ehlo[] = "<250 peer\n";
__attribute__((unused)) static const char full_ehlo[] =
	"<250-peer\n<250-PIPELINING\n<250-SIZE 1000000\n<250-8BITMIME\n"
	"<250-DSN\n<250 SMTPUTF8\n";

struct rig {
	struct peer peer;
	struct config config;
	struct loop *loop;
	struct site_resolver *resolver;
	struct client_context *context;
	struct client *client;
	Envelope envelope;
	Recipient recipients[3], *recipient_list[3];
	struct transaction transactions[SENDS_MAX];
	struct outcome outcomes[SENDS_MAX][3];
	size_t count, sends, sent, done;
	bool ready_seen, gone, failed, abort_in_done, linger;
	struct outcome failure;
};

static char body_text[400001];

static inline void
on_done(void *arg, struct transaction *transaction)
{
	struct rig *rig = arg;

	assert_ptr_equal(transaction, &rig->transactions[rig->done]);
	rig->done++;
	if (rig->abort_in_done)
		client_abort(rig->client);
}

static inline void
on_ready(void *arg, struct client *client)
{
	struct rig *rig = arg;

	rig->ready_seen = true;
	if (rig->sent == rig->sends) {
		if (!rig->linger)
			client_quit(client);
		return;
	}
	rig->transactions[rig->sent] = (struct transaction){ &rig->envelope, rig->recipient_list,
		rig->count, rig->outcomes[rig->sent], on_done, rig };
	client_send(client, &rig->transactions[rig->sent++]);
}

static inline void
on_gone(void *arg, struct client *client, const struct outcome *failure)
{
	struct rig *rig = arg;

	assert_ptr_equal(client, rig->client);
	assert_false(rig->gone);
	rig->gone = true;
	rig->failed = failure;
	if (failure)
		rig->failure = *failure;
	assert_int_equal(write(rig->peer.gone[1], "x", 1), 1);
	loop_stop(rig->loop);
}

static char *networks[] = { (char *)"127.0.0.0/8" };

/* The same port at both addresses; somebody else may have it at one of them. */
static inline void
rig_listen(struct rig *rig)
{
	struct net_address address;
	char text[NET_TEXT_MAX];

	for (int i = 0; i < 100; i++) {
		assert_int_equal(net_parse("127.0.0.1:0", &address), 0);
		rig->peer.listeners[0] = net_bind(&address);
		assert_true(rig->peer.listeners[0] >= 0);
		assert_int_equal(net_listen_on(rig->peer.listeners[0]), 0);
		assert_int_equal(net_local(rig->peer.listeners[0], &address), 0);
		rig->config.sender.port = net_port(&address);
		snprintf(text, sizeof text, "127.0.0.2:%u", rig->config.sender.port);
		assert_int_equal(net_parse(text, &address), 0);
		rig->peer.listeners[1] = net_bind(&address);
		if (rig->peer.listeners[1] >= 0 && net_listen_on(rig->peer.listeners[1]) == 0)
			return;
		close(rig->peer.listeners[0]);
	}
	fail_msg("no port is free at both addresses");
}

static inline void
rig_start(struct rig *rig, const char *const *scripts, size_t count)
{
	memset(rig, 0, sizeof *rig);
	rig_listen(rig);
	assert_int_equal(pipe(rig->peer.gone), 0);
	for (size_t i = 0; i < count; i++)
		rig->peer.scripts[rig->peer.count++] = scripts[i];
	rig->peer.tls = self_signed();
	rig->config.hostname = (char *)"relay.example";
	rig->config.sender.route = (char *)"127.0.0.1:1";
	rig->config.sender.allow_networks = networks;
	rig->config.sender.allow_networks_count = 1;
	rig->config.sender.timeout.connect = rig->config.sender.timeout.command =
		rig->config.sender.timeout.dot = rig->config.sender.timeout.idle = 15000;
	rig->loop = loop_new("test");
	rig->resolver = site_resolver_new(rig->loop, &rig->config);
	rig->context = client_context_new(
		rig->loop, &rig->config, &fake.queue, rig->resolver, NULL, NULL);
	envelope__init(&rig->envelope);
	rig->envelope.mail_from = (char *)"a@sender.example";
	rig->envelope.size = strlen(body_text);
	for (size_t i = 0; i < 3; i++) {
		static const char *const names[] = { "b@x.example", "c@x.example", "d@x.example" };

		recipient__init(&rig->recipients[i]);
		rig->recipients[i].address = (char *)names[i];
		rig->recipient_list[i] = &rig->recipients[i];
	}
	rig->count = 1;
	rig->sends = 1;
}

static inline struct route *
loopback_route(size_t hosts)
{
	struct route *route = xcalloc(1, sizeof *route);

	route->references = 1;
	route->count = hosts;
	for (size_t i = 0; i < hosts; i++) {
		snprintf(route->hosts[i].name, sizeof route->hosts[i].name, "[127.0.0.%zu]", i + 1);
		route->hosts[i].preference = (unsigned)i;
	}
	return route;
}

static inline void
rig_open(struct rig *rig, size_t hosts)
{
	struct client_events events = { .on_ready = on_ready, .on_gone = on_gone, .arg = rig };
	struct route *route = loopback_route(hosts);

	rig->sent = rig->done = 0;
	rig->gone = rig->ready_seen = rig->failed = false;
	rig->client = client_open(rig->context, route, &events);
	route_unref(route);
}

static inline void
rig_run(struct rig *rig, size_t hosts)
{
	peer_start(&rig->peer);
	rig_open(rig, hosts);
	loop_run(rig->loop);
}

static inline void
rig_again(struct rig *rig, size_t hosts)
{
	rig_open(rig, hosts);
	loop_run(rig->loop);
}

/* What the peer saw may be looked at after this. */
static inline void
rig_join(struct rig *rig)
{
	if (rig->peer.running)
		pthread_join(rig->peer.thread, NULL);
	rig->peer.running = false;
}

static inline void
rig_end(struct rig *rig)
{
	client_context_free(&rig->context);
	site_resolver_free(&rig->resolver);
	loop_free(&rig->loop);
	rig_join(rig);
	close(rig->peer.listeners[0]);
	close(rig->peer.listeners[1]);
	close(rig->peer.gone[0]);
	close(rig->peer.gone[1]);
	SSL_CTX_free(rig->peer.tls);
	assert_string_equal(rig->peer.failure, "");
	assert_int_equal(rig->peer.played, rig->peer.count);
	free(rig->peer.body);
}

static inline void
on_call(enum op kind)
{
	if (kind == OP_BODY)
		assert_true(fake.read_end <= strlen(body_text));
}

static inline void
set_body(const char *text)
{
	queue_fake_reset();
	fake.body = body_text;
	memcpy(body_text, text, strlen(text) + 1);
	fake.on_call = on_call;
}

static inline int
reset(void **state)
{
	(void)state;
	set_body("Subject: x\r\n\r\nhello\r\n");
	return 0;
}

#define TEST(name) cmocka_unit_test_setup(name, reset)

static inline void
fill_body(void)
{
	for (size_t i = 0; i < sizeof body_text - 1; i++)
		body_text[i] = (char)('a' + i % 23);
	for (size_t i = 77; i + 2 < sizeof body_text; i += 79)
		memcpy(body_text + i, "\r\n", 2);
}

#define JOIN(...) ((const char *const[]){ __VA_ARGS__, NULL })

static inline char *
join(const char *const *parts)
{
	size_t length = 0;
	char *text = xcalloc(1, 1);

	for (; *parts; parts++) {
		text = xrealloc(text, length + strlen(*parts) + 1);
		memcpy(text + length, *parts, strlen(*parts) + 1);
		length += strlen(*parts);
	}
	return text;
}

struct expected {
	enum outcome_kind kind;
	enum outcome_scope scope;
	int code;
	const char *enhanced;
	bool retry_now;
};

static inline void
check(const struct outcome *outcome, const struct expected *want)
{
	assert_int_equal(outcome->kind, want->kind);
	assert_int_equal(outcome->scope, want->scope);
	assert_int_equal(outcome->code, want->code);
	assert_string_equal(outcome->enhanced, want->enhanced);
	assert_int_equal(outcome->retry_now, want->retry_now);
	assert_int_equal(outcome->ambiguous, !!strstr(outcome->text, "it may have arrived"));
}

__attribute__((unused)) static const char deliver_slowly[] =
	">MAIL FROM:<a@sender.example>\n<250 ok\n"
	">RCPT TO:<b@x.example>\n<250 ok\n>DATA\n<354 go\n"
	"!body\n<250 2.0.0 taken\n";
__attribute__((unused)) static const char deliver_pipelined[] =
	">MAIL FROM:<a@sender.example>\n>RCPT TO:<b@x.example>\n"
	">DATA\n=250 ok|250 ok|354 go|\n"
	"!body\n<250 2.0.0 taken\n";
__attribute__((unused)) static const char bye[] = ">QUIT\n<221 bye\n";

__attribute__((unused)) static const struct expected delivered = { OUTCOME_DELIVERED, SCOPE_MESSAGE,
	250, "2.0.0", false };

#endif
