/*
 * client.c - the life of an SMTP connection: its states, its timer, its end.
 *
 * scheduler -> [client] -> client_connect (hosts, greeting, TLS) -> client_mail (transactions)
 *
 * Owns the connection and its timer. client_enter() is the one place for every transition, and
 * client_fail() the one place for every failure. After a failure before the first transaction the
 * next host is tried; a transaction in hand is deferred; an idle connection just goes. A client
 * that is gone is freed on the loop's next turn, and only when all answers that it waits for have
 * come.
 */
#include "sender/smtp/client.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "sender/smtp/client_private.h"
#include "sender/smtp/host_memory.h"
#include "shared/base/container_of.h"
#include "shared/base/log.h"
#include "shared/base/timer.h"
#include "shared/config/config.h"
#include "shared/metrics/metrics.h"

#define QUIT_MS 2000

enum limit {
	LIMIT_NONE,
	LIMIT_AT_ONCE,
	LIMIT_CONNECT,
	LIMIT_COMMAND,
	LIMIT_DOT,
	LIMIT_IDLE,
	LIMIT_QUIT
};

struct step {
	const char *name;
	enum outcome_step step;
	enum limit limit; /* RFC 5321 4.5.3.2 */
	bool alone;       /* all replies have been read, so that no input may wait */
	void (*enter)(struct client *client);
	void (*reply)(struct client *client);
};

static void enter_ready(struct client *client);
static void enter_quit(struct client *client);
static void enter_close(struct client *client);
static void ready_reply(struct client *client);
static void quit_reply(struct client *client);

/* clang-format off */
static const struct step steps[ST_COUNT] = {
	/*                 name        step           limit          alone  on entering     on a reply */
	[ST_START]    = { "start",    STEP_CONNECT,  LIMIT_AT_ONCE, false, NULL,           NULL },
	[ST_RESOLVE]  = { "resolve",  STEP_DNS,      LIMIT_NONE,    false, enter_resolve,  NULL },
	[ST_CONNECT]  = { "connect",  STEP_CONNECT,  LIMIT_CONNECT, false, enter_connect,  NULL },
	[ST_PROXY]    = { "proxy",    STEP_CONNECT,  LIMIT_CONNECT, false, enter_proxy,    NULL },
	[ST_BANNER]   = { "greeting", STEP_BANNER,   LIMIT_COMMAND, false, NULL,           banner_reply },
	[ST_EHLO]     = { "EHLO",     STEP_EHLO,     LIMIT_COMMAND, true,  enter_ehlo,     ehlo_reply },
	[ST_HELO]     = { "HELO",     STEP_EHLO,     LIMIT_COMMAND, true,  enter_helo,     helo_reply },
	[ST_STARTTLS] = { "STARTTLS", STEP_STARTTLS, LIMIT_COMMAND, true,  enter_starttls, starttls_reply },
	[ST_TLS]      = { "TLS",      STEP_STARTTLS, LIMIT_COMMAND, false, enter_tls,      NULL },
	[ST_DOUBT]    = { "doubt",    STEP_STARTTLS, LIMIT_COMMAND, false, NULL,           ready_reply },
	[ST_READY]    = { "ready",    STEP_MAIL,     LIMIT_IDLE,    false, enter_ready,    ready_reply },
	[ST_REFUSE]   = { "refuse",   STEP_MAIL,     LIMIT_AT_ONCE, false, NULL,           ready_reply },
	[ST_MAIL]     = { "MAIL",     STEP_MAIL,     LIMIT_COMMAND, true,  enter_mail,     mail_reply },
	[ST_RCPT]     = { "RCPT",     STEP_RCPT,     LIMIT_COMMAND, true,  enter_rcpt,     rcpt_reply },
	[ST_DATA]     = { "DATA",     STEP_DATA,     LIMIT_COMMAND, true,  enter_data,     data_reply },
	[ST_BODY]     = { "body",     STEP_BODY,     LIMIT_COMMAND, false, enter_body,     body_reply },
	[ST_DOT]      = { "dot",      STEP_DOT,      LIMIT_DOT,     false, NULL,           dot_reply },
	[ST_ABANDON]  = { "abandon",  STEP_DATA,     LIMIT_COMMAND, true,  enter_abandon,  abandon_reply },
	[ST_RSET]     = { "RSET",     STEP_MAIL,     LIMIT_COMMAND, true,  enter_rset,     rset_reply },
	[ST_QUIT]     = { "QUIT",     STEP_MAIL,     LIMIT_QUIT,    false, enter_quit,     quit_reply },
	[ST_CLOSE]    = { "close",    STEP_MAIL,     LIMIT_AT_ONCE, false, enter_close,    NULL },
	[ST_GONE]     = { "gone",     STEP_MAIL,     LIMIT_NONE,    false, NULL,           NULL },
};
/* clang-format on */

enum outcome_step
client_step(const struct client *client)
{
	return steps[client->state].step;
}

static uint64_t
limit_ms(const struct client *client)
{
	const struct config *config = client->context->config;

	switch (steps[client->state].limit) {
	case LIMIT_CONNECT: return config->sender.timeout.connect;
	case LIMIT_COMMAND: return config->sender.timeout.command;
	case LIMIT_DOT: return config->sender.timeout.dot;
	case LIMIT_IDLE: return config->sender.timeout.idle;
	case LIMIT_QUIT: return QUIT_MS;
	default: return 0;
	}
}

/* A timer that was set for an earlier state may fire too early, and is set again then. That is
 * cheaper than setting the timer for every state. */
void
client_arm(struct client *client, uint64_t ms)
{
	client->deadline_ms = clock_mono_ms() + ms;
	if (client->timer_ms && client->timer_ms <= client->deadline_ms)
		return;
	client->timer_ms = client->deadline_ms;
	timer_set(&client->timer, ms);
}

static void
disarm(struct client *client)
{
	timer_cancel(&client->timer);
	client->timer_ms = 0;
}

/* Whether replies to commands of a pipelined envelope are still to come. */
static bool
in_batch(const struct client *client, enum client_state next)
{
	return client->pipelined && (next == ST_RCPT || next == ST_DATA);
}

void
client_more_than_asked(struct client *client)
{
	struct outcome failure;

	outcome_from_error(&failure, client_step(client),
		"the peer answered more than it was asked", client->host);
	client_out_of_step(client, &failure);
}

void
client_enter(struct client *client, enum client_state next)
{
	if (steps[next].alone && !in_batch(client, next) && conn_pending(&client->conn)) {
		client_more_than_asked(client);
		return;
	}
	LOG_DEBUG("client", "host", client->host, "from", steps[client->state].name, "to",
		steps[next].name);
	client->state = next;
	if (steps[next].limit == LIMIT_NONE)
		disarm(client);
	else
		client_arm(client, limit_ms(client));
	if (steps[next].enter)
		steps[next].enter(client);
}

static void
on_free(struct task *task)
{
	struct client *client = container_of(task, struct client, freeing);

	route_unref(client->route);
	free(client->account);
	client_egress_free(client);
	free(client);
}

static void
free_if_unreferenced(struct client *client)
{
	if (client->state != ST_GONE || client->references)
		return;
	LIST_REMOVE(client, entry);
	metric_add(client->context->open, -1);
	conn_free(&client->conn);
	client->freeing.run = on_free;
	loop_post(client->context->loop, &client->freeing);
}

void
client_unref(struct client *client)
{
	client->references--;
	free_if_unreferenced(client);
}

static void
tell_gone(struct client *client, const struct outcome *failure)
{
	struct client_events events = client->events;

	memset(&client->events, 0, sizeof client->events);
	if (events.on_gone)
		events.on_gone(events.arg, client, failure);
}

void
client_gone(struct client *client, const struct outcome *failure)
{
	if (client->state == ST_GONE)
		return;
	conn_close(&client->conn);
	client_enter(client, ST_GONE);
	tell_gone(client, failure);
	free_if_unreferenced(client);
}

void
client_avoid_pipelining(struct client *client)
{
	host_memory_add(client->context->memory,
		client->route->hosts[client->order[client->host_at]].name, HOST_NO_PIPELINING,
		clock_mono_ms());
}

/* A host that closes the connection at STARTTLS without a word does so each time. */
static bool
is_tls_broken(const struct client *client, const struct outcome *failure)
{
	return client->state == ST_TLS || (client->state == ST_STARTTLS && !failure->code) ||
		(client->tls_fresh && client->state == ST_EHLO);
}

/* Whether the replies to a pipelined envelope are being read. */
static bool
in_envelope(const struct client *client)
{
	return client->pipelined && client->state >= ST_MAIL && client->state <= ST_DATA;
}

/* Refusals of a pipelined envelope count only when all its replies were read. Before the dot they
 * do not count either when the connection ends with half a reply to RSET: that may be one reply too
 * many. */
static void
transaction_lost(struct client *client, const struct outcome *failure)
{
	size_t unfinished;

	conn_unfinished(&client->conn, &unfinished);
	if (in_envelope(client) ||
		(client->state == ST_RSET && (client->reply.lines || unfinished)))
		client_forget_refusals(client);
	client_transaction_lost(client, failure);
}

void
client_fail(struct client *client, const struct outcome *failure)
{
	if (client_proxy_is_at_fault(client)) {
		client_egress_failed(client, failure->text);
	} else if (is_tls_broken(client, failure)) {
		client_tls_broken(client, failure->text);
	} else if (client->state < ST_READY) {
		client_host_failed(client, failure);
	} else if (client->transaction) {
		transaction_lost(client, failure);
		client_gone(client, failure->retry_now ? NULL : failure);
	} else {
		client_gone(client, NULL);
	}
}

/* Some reply was to another command than we think, so no refusal counts. */
void
client_out_of_step(struct client *client, const struct outcome *failure)
{
	client_forget_refusals(client);
	client_fail(client, failure);
}

/* Whether a cut-off reply says enough. A refusal does, and a 2xx to a message that is out. If not
 * even a line is whole, the line's beginning counts, unless it may belong to another reply. */
static bool
take_cut_reply(struct client *client)
{
	struct reply *reply = &client->reply;
	size_t length;
	const char *unfinished = conn_unfinished(&client->conn, &length);

	if (in_envelope(client))
		return false;
	if (!reply->code && length && (!reply->lines || client->state == ST_DOT))
		reply_line(reply, unfinished, length, NULL, NULL);
	return reply->code >= 400 || (reply->code / 100 == 2 && client_has_sent(client));
}

static void
describe_error(const struct client *client, const char *why, char *text, size_t size)
{
	static const char *const after[] = { [ST_CONNECT] = "while connecting",
		[ST_PROXY] = "while connecting",
		[ST_TLS] = "in the TLS handshake",
		[ST_BODY] = "while sending the message",
		[ST_DOT] = "after the message was sent: it may have arrived" };
	enum client_state state = client->state;

	if (state == ST_DOT && !client_has_sent(client))
		state = ST_BODY;
	if (state < sizeof after / sizeof *after && after[state])
		snprintf(text, size, "%s %s", why, after[state]);
	else
		snprintf(
			text, size, "%s while waiting for the reply to %s", why, steps[state].name);
}

void
client_fail_error(struct client *client, const char *why)
{
	const bool cut = take_cut_reply(client);
	struct outcome failure;
	char text[OUTCOME_TEXT_MAX];

	describe_error(client, why, text, sizeof text);
	outcome_from_error(&failure, client_step(client), text, client->host);
	failure.ambiguous = client_has_sent(client);
	if (cut && client->state < ST_READY)
		client_take_reply(client, client_step(client), &failure);
	else if (cut && client->transaction)
		client_settle_cut(client);
	if (in_envelope(client) && !client->finished)
		client_avoid_pipelining(client);
	client_fail(client, &failure);
}

/* A cached connection that the peer had given up when we took it is nobody's failure. */
static bool
had_gone(const struct client *client)
{
	return client->state == ST_MAIL && client->finished;
}

static void
client_closed(struct client *client, const char *why)
{
	struct outcome failure;

	if (client->state == ST_CONNECT && client->conn.refusal != NET_FROM_AFAR) {
		client_connect_failed(client, client->conn.refused, client->conn.refusal);
		return;
	}
	if (!had_gone(client)) {
		client_fail_error(client, why);
		return;
	}
	outcome_defer(&failure, SCOPE_MESSAGE, "4.4.2", "the cached connection had gone");
	failure.retry_now = true;
	client_fail(client, &failure);
}

static void
closing_reply(struct client *client)
{
	struct outcome failure;

	client_take_reply(client, client_step(client), &failure);
	if (had_gone(client)) {
		failure.scope = SCOPE_MESSAGE;
		failure.retry_now = true;
	}
	client_fail(client, &failure);
}

static bool
lacks_tls(const struct client *client)
{
	return client->state >= ST_MAIL && client->state <= ST_DOT && !client->conn.ssl &&
		outcome_wants_tls(&client->reply);
}

static void
on_reply(struct client *client)
{
	client->tls_fresh = false;
	if (lacks_tls(client))
		client_tls_demanded(client);
	else if (client->reply.code == 421)
		closing_reply(client);
	else if (steps[client->state].reply)
		steps[client->state].reply(client);
	reply_start(&client->reply);
}

/* What is said about a message that is out, and decides nothing: the answer may follow. */
static bool
says_nothing(struct client *client, int complete)
{
	if (!client_has_sent(client) || client->reply.lines == REPLY_LINES_MAX)
		return false;
	if (complete > 0 && client->reply.code / 100 == 3)
		client->reply.code = 0;
	return !client->reply.code;
}

static void
on_input(struct client *client)
{
	const char *line;
	size_t length;

	while (client->state != ST_GONE && client->state != ST_PROXY &&
		(line = conn_line(&client->conn, &length))) {
		int complete = reply_line(&client->reply, line, length,
			client->state == ST_EHLO ? ehlo_line : NULL, client);

		if (!complete || says_nothing(client, complete))
			continue;
		if (complete < 0)
			client_fail_error(client, "the peer talks no SMTP");
		else if (client->reply.odd && in_envelope(client))
			client_odd_reply(client);
		else
			on_reply(client);
	}
	if (client->state == ST_READY && conn_pending(&client->conn))
		ready_reply(client);
}

static void
on_conn(void *arg, enum conn_event event, const char *why)
{
	struct client *client = arg;

	switch (event) {
	case CONN_CONNECTED: client_connected(client); break;
	case CONN_SECURED: client_secured(client); break;
	case CONN_INPUT:
		client_proxy_input(client);
		on_input(client);
		break;
	case CONN_SPACE: client_pump(client); break;
	case CONN_CLOSED: client_closed(client, why); break;
	}
}

/* The owner may have work for the client at any moment, so the owner is told before QUIT goes
 * out. */
static void
idle_too_long(struct client *client)
{
	client->quitting = true;
	tell_gone(client, NULL);
	client_enter(client, ST_QUIT);
}

static void
on_timer(void *arg)
{
	struct client *client = arg;
	uint64_t now = clock_mono_ms();

	client->timer_ms = 0;
	if (now < client->deadline_ms) {
		client_arm(client, client->deadline_ms - now);
		return;
	}
	switch (client->state) {
	case ST_START: client_enter(client, ST_RESOLVE); break;
	case ST_REFUSE: client_refuse(client); break;
	case ST_READY: idle_too_long(client); break;
	case ST_QUIT:
	case ST_CLOSE: client_gone(client, NULL); break;
	default: client_fail_error(client, "timed out");
	}
}

/* Input in this state is a 421, or comes from a server out of step. */
static void
enter_ready(struct client *client)
{
	if (!conn_between_lines(&client->conn))
		client_gone(client, NULL);
	else if (client->transaction)
		client_begin(client);
	else if (client->quitting)
		client_enter(client, ST_QUIT);
	else
		client->events.on_ready(client->events.arg, client);
}

static void
ready_reply(struct client *client)
{
	struct outcome failure;

	outcome_from_error(&failure, client_step(client), "an unexpected reply", client->host);
	client_fail(client, &failure);
}

static void
enter_quit(struct client *client)
{
	evbuffer_add(client->conn.out, "QUIT\r\n", 6);
	conn_flush(&client->conn);
}

static void
quit_reply(struct client *client)
{
	client_gone(client, NULL);
}

static void
enter_close(struct client *client)
{
	conn_close(&client->conn);
}

struct client *
client_open(struct client_context *context, struct route *route, const struct client_events *events)
{
	struct client *client = xcalloc(1, sizeof *client);

	client->context = context;
	client->events = *events;
	client->account = xstrdup(events->account ? events->account : "");
	client_egress_take(client, events->egress);
	client->events.egress = NULL;
	client->route = route_ref(route);
	client->never = true;
	route_order(route, client->order);
	reply_start(&client->reply);
	conn_init(&client->conn, loop_base(context->loop), on_conn, client);
	timer_init(&client->timer, context->loop, on_timer, client);
	LIST_INSERT_HEAD(&context->clients, client, entry);
	metric_add(context->open, 1);
	client_enter(client, ST_START);
	return client;
}

void
client_send(struct client *client, struct transaction *transaction)
{
	assert(client->state == ST_READY && !client->transaction);
	assert(transaction->count > 0 && transaction->count <= TRANSACTION_RECIPIENTS_MAX);
	client->transaction = transaction;
	client_begin(client);
}

void
client_quit(struct client *client)
{
	if (client->state < ST_READY && !client->transaction)
		client_enter(client, ST_CLOSE);
	else if (client->state == ST_READY)
		client_enter(client, ST_QUIT);
	client->quitting = true;
}

bool
client_has_sent(const struct client *client)
{
	return client->transaction && client->state == ST_DOT && !conn_unsent(&client->conn);
}

void
client_break_off(struct client *client)
{
	struct outcome failure;

	if (!client->transaction || client->state == ST_DOT)
		return;
	outcome_defer(&failure, SCOPE_MESSAGE, "4.3.2", "broken off by the operator");
	failure.retry_now = true;
	client_transaction_lost(client, &failure);
	client_gone(client, NULL);
}

void
client_abort(struct client *client)
{
	struct outcome failure;

	outcome_defer(&failure, SCOPE_MESSAGE, "4.3.2",
		client_has_sent(client)
			? "we shut down after the message was sent: it may have arrived"
			: "we shut down");
	failure.ambiguous = client_has_sent(client);
	if (client->transaction && take_cut_reply(client))
		client_settle_cut(client);
	if (client->transaction)
		transaction_lost(client, &failure);
	client_gone(client, NULL);
}

const char *
client_host(const struct client *client)
{
	return client->host;
}
