/*
 * client_mail.c - mail transactions: MAIL, RCPT, DATA, the message, its dot; each recipient gets
 * its outcome.
 *
 * scheduler -> client_send -> [client_mail] -> on_done with outcomes
 *
 * With PIPELINING the whole envelope goes out in one write (RFC 2920), and the replies are taken
 * one by one as in lock-step. A small message goes out with its dot in one write, too. Of a large
 * message never more than HIGH_WATER and a piece is in memory. When the connection is lost, all
 * open recipients are deferred.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "sender/smtp/client_private.h"
#include "shared/base/log.h"
#include "shared/config/config.h"
#include "shared/queue/records.h"

#define HIGH_WATER QUEUE_PIECE_MAX
#define PIECES_PER_TURN 16
#define SLOWEST_BYTES_PER_MS 8 /* a message that is slower as a whole is given up */

static bool
nobody_may_have(const struct client *client)
{
	for (size_t i = 0; i < client->transaction->count; i++)
		if (client_may_have(client, i))
			return false;
	return true;
}

/* Whether this host cannot have the message for any of the recipients. */
static bool
is_refused(const struct client *client, struct outcome *out)
{
	if (client->size_limit && client_message_size(client->transaction) > client->size_limit)
		outcome_bounce(out, "5.3.4", "message is larger than the server takes");
	else if (nobody_may_have(client))
		outcome_bounce(out, "5.6.7", "server does not take internationalized mail");
	else
		return false;
	snprintf(out->host, sizeof out->host, "%s", client->host);
	return true;
}

void
client_begin(struct client *client)
{
	struct outcome refusal;

	client->recipient_at = client->accepted = 0;
	memset(client->fates, FATE_OPEN, client->transaction->count);
	client_enter(client, is_refused(client, &refusal) ? ST_REFUSE : ST_MAIL);
}

static void
settle(struct client *client, size_t i, const struct outcome *outcome)
{
	struct outcome *out = &client->transaction->outcomes[i];

	client->fates[i] = FATE_SETTLED;
	*out = *outcome;
	out->relayed = out->kind == OUTCOME_DELIVERED && !(client->offers & OFFER_DSN);
	memcpy(out->tls, client->tls, sizeof out->tls);
}

static void
settle_remaining(struct client *client, const struct outcome *outcome)
{
	for (size_t i = 0; i < client->transaction->count; i++)
		if (client->fates[i] < FATE_SETTLED)
			settle(client, i, outcome);
}

static void
settle_remaining_by_reply(struct client *client)
{
	struct outcome outcome;

	client_take_reply(client, client_step(client), &outcome);
	settle_remaining(client, &outcome);
}

static void
hand_back(struct client *client)
{
	struct transaction *transaction = client->transaction;

	client->transaction = NULL;
	client->finished++;
	transaction->on_done(transaction->arg, transaction);
}

static void
finish(struct client *client)
{
	hand_back(client);
	if (client->state != ST_GONE)
		client_enter(client, ST_READY);
}

void
client_transaction_lost(struct client *client, const struct outcome *failure)
{
	settle_remaining(client, failure);
	hand_back(client);
}

void
client_forget_refusals(struct client *client)
{
	const size_t count = client->transaction ? client->transaction->count : 0;

	if (client->pipelined && memchr(client->fates, FATE_SETTLED, count))
		client_avoid_pipelining(client);
	for (size_t i = 0; i < count; i++)
		if (client->fates[i] == FATE_SETTLED)
			client->fates[i] = FATE_OPEN;
}

/* Another host may take the transaction that this host refuses, or a host that is down for now. */
void
client_refuse(struct client *client)
{
	struct outcome refusal;

	if (is_refused(client, &refusal) && client->never)
		client->failure = refusal;
	if (client_next_host(client))
		return;
	client->failure.scope = SCOPE_MESSAGE;
	settle_remaining(client, &client->failure);
	finish(client);
}

void
client_odd_reply(struct client *client)
{
	struct outcome failure;
	char text[OUTCOME_TEXT_MAX];

	snprintf(text, sizeof text, "%.400s (out of step)", client->reply.text);
	outcome_defer(&failure, SCOPE_SITE, "4.5.0", text); /* RFC 3463 3.6 */
	failure.code = client->reply.code;
	snprintf(failure.host, sizeof failure.host, "%s", client->host);
	client_out_of_step(client, &failure);
}

/* Recipients that this host cannot have go in a transaction of their own, to another host or to
 * their end. */
static void
set_aside(struct client *client)
{
	struct outcome later;

	outcome_defer(&later, SCOPE_RECIPIENT, "4.6.7", "goes apart, with SMTPUTF8");
	later.retry_now = true;
	for (size_t i = 0; i < client->transaction->count; i++)
		if (!client_may_have(client, i)) {
			settle(client, i, &later);
			client->fates[i] = FATE_ASIDE;
		}
}

/* The first recipient at or behind `at` that the host is told of. */
static size_t
next_recipient(const struct client *client, size_t at)
{
	while (at < client->transaction->count && client->fates[at] == FATE_ASIDE)
		at++;
	return at;
}

void
enter_mail(struct client *client)
{
	set_aside(client);
	client->recipient_at = next_recipient(client, 0);
	client->pipelined = client->offers & OFFER_PIPELINING;
	client_add_mail(client);
	if (client->pipelined) {
		for (size_t i = client->recipient_at; i < client->transaction->count;
			i = next_recipient(client, i + 1))
			client_add_rcpt(client, i);
		evbuffer_add(client->conn.out, "DATA\r\n", 6);
	}
	conn_flush(&client->conn);
}

void
mail_reply(struct client *client)
{
	switch (client->reply.code / 100) {
	case 2: client_enter(client, ST_RCPT); break;
	case 3: client_odd_reply(client); break;
	default:
		settle_remaining_by_reply(client);
		if (client->pipelined)
			client_enter(client, ST_RCPT);
		else if (conn_pending(&client->conn))
			client_more_than_asked(client);
		else
			finish(client);
	}
}

void
enter_rcpt(struct client *client)
{
	if (client->pipelined)
		return;
	client_add_rcpt(client, client->recipient_at);
	conn_flush(&client->conn);
}

/* "Too many recipients" (RFC 5321 4.5.3.1.10; old servers say 552): the recipients before were
 * taken, so the remaining ones go in a transaction of their own. */
static bool
too_many(const struct client *client)
{
	const struct reply *reply = &client->reply;

	return client->accepted && (reply->code == 452 || reply->code == 552) &&
		(!reply->enhanced[0] || strcmp(reply->enhanced + 1, ".5.3") == 0);
}

static void
refuse_recipient(struct client *client)
{
	struct outcome outcome;

	client_take_reply(client, STEP_RCPT, &outcome);
	if (too_many(client)) {
		outcome.kind = OUTCOME_DEFER;
		outcome.scope = SCOPE_RECIPIENT;
		outcome.retry_now = true;
		memcpy(outcome.enhanced, "4.5.3", sizeof "4.5.3");
	}
	settle(client, client->recipient_at, &outcome);
}

void
rcpt_reply(struct client *client)
{
	const int class = client->reply.code / 100;
	const bool open = client->fates[client->recipient_at] == FATE_OPEN;

	/* MAIL was refused, so no recipient can be taken. */
	if (class == 3 || (class == 2 && !open)) {
		client_odd_reply(client);
		return;
	}
	if (open) {
		if (class == 2) {
			client->fates[client->recipient_at] = FATE_ACCEPTED;
			client->accepted++;
		} else {
			refuse_recipient(client);
		}
	}
	client->recipient_at = next_recipient(client, client->recipient_at + 1);
	if (client->recipient_at < client->transaction->count)
		client_enter(client, ST_RCPT);
	else
		client_enter(client, client->pipelined || client->accepted ? ST_DATA : ST_RSET);
}

void
client_settle_cut(struct client *client)
{
	if (client->state != ST_RCPT)
		settle_remaining_by_reply(client);
	else if (client->fates[client->recipient_at] == FATE_OPEN)
		refuse_recipient(client);
}

void
enter_data(struct client *client)
{
	if (client->pipelined)
		return;
	evbuffer_add(client->conn.out, "DATA\r\n", 6);
	conn_flush(&client->conn);
}

void
data_reply(struct client *client)
{
	switch (client->reply.code / 100) {
	case 3: client_enter(client, client->accepted ? ST_BODY : ST_ABANDON); break;
	case 2: client_odd_reply(client); break;
	default: settle_remaining_by_reply(client); client_enter(client, ST_RSET);
	}
}

/* RFC 2920 3.1: the server wants a message though it took no recipient. */
void
enter_abandon(struct client *client)
{
	evbuffer_add(client->conn.out, ".\r\n", 3);
	conn_flush(&client->conn);
}

void
abandon_reply(struct client *client)
{
	finish(client);
}

static void
arm_body(struct client *client)
{
	uint64_t now = clock_mono_ms(), left;

	left = client->body_deadline_ms > now ? client->body_deadline_ms - now : 0;
	if (left > client->context->config->sender.timeout.command)
		left = client->context->config->sender.timeout.command;
	client_arm(client, left);
}

static void
add_stuffed(struct client *client, const void *data, size_t length)
{
	const char *at = data;
	bool dot;

	while (length) {
		size_t run = stuff_run(&client->stuff, at, length, &dot);

		if (dot)
			evbuffer_add(client->conn.out, ".", 1);
		evbuffer_add(client->conn.out, at, run);
		at += run;
		length -= run;
	}
}

/*
 * Adds a piece of the body. Mail of our own is 8-bit only by a message that a report returns
 * (dsn.h), or by its need of SMTPUTF8: a host without 8BITMIME gets "?" for each such byte. A
 * customer's mail is not touched.
 */
static void
add_piece(struct client *client, const char *data, size_t length)
{
	const Envelope *envelope = client->transaction->envelope;
	char *ascii;

	if (envelope->kind == ENVELOPE__KIND__MAIL || !envelope->mime_8bit || envelope->smtputf8 ||
		(client->offers & OFFER_8BITMIME)) {
		add_stuffed(client, data, length);
		return;
	}
	ascii = xmalloc(length);
	for (size_t i = 0; i < length; i++)
		ascii[i] = data[i] & 0x80 ? '?' : data[i];
	add_stuffed(client, ascii, length);
	free(ascii);
}

void
enter_body(struct client *client)
{
	const Envelope *envelope = client->transaction->envelope;

	/* Input that came with the 354 is no reply to the message: it is read first, and nothing is
	 * sent. */
	client->body_waits = !conn_between_lines(&client->conn);
	if (client->body_waits && (client->pipelined || !conn_pending(&client->conn)))
		client_more_than_asked(client);
	if (client->body_waits)
		return;
	client->body_at = 0;
	client->body_deadline_ms = clock_mono_ms() +
		client->context->config->sender.timeout.command +
		client_message_size(client->transaction) / SLOWEST_BYTES_PER_MS;
	stuff_start(&client->stuff);
	add_stuffed(client, envelope->prefix.data, envelope->prefix.len);
	client_pump(client);
}

/* After DATA the message cannot be taken back, only cut off. */
static void
body_missing(struct client *client)
{
	struct outcome failure;

	outcome_defer(&failure, SCOPE_MESSAGE, "4.3.0", "the message's body cannot be read");
	client_transaction_lost(client, &failure);
	client_gone(client, NULL);
}

static void
on_body(void *arg, int err, const void *data, size_t length)
{
	struct client *client = arg;

	client->body_waits = false;
	if (client->state == ST_BODY) {
		if (err || !length) {
			body_missing(client);
		} else {
			add_piece(client, data, length);
			client->body_at += length;
			if (!client->pumping)
				client_pump(client);
		}
	}
	client_unref(client);
}

static void
next_piece(struct client *client)
{
	const Envelope *envelope = client->transaction->envelope;
	uint64_t left = envelope->size - client->body_at;
	const char *end;

	if (!left) {
		end = stuff_end(&client->stuff);
		evbuffer_add(client->conn.out, end, strlen(end));
		client_enter(client, ST_DOT);
		return;
	}
	client->body_waits = true;
	client->references++;
	queue_body(client->context->queue, envelope, client->body_at,
		left < QUEUE_PIECE_MAX ? (size_t)left : QUEUE_PIECE_MAX, on_body, client);
}

void
client_pump(struct client *client)
{
	if (client->state != ST_BODY)
		return;
	arm_body(client);
	client->references++;
	client->pumping = true;
	for (int i = 0; client->state == ST_BODY && !client->body_waits; i++) {
		if (evbuffer_get_length(client->conn.out) >= HIGH_WATER)
			conn_flush(&client->conn);
		if (evbuffer_get_length(client->conn.out) >= HIGH_WATER)
			break;
		if (i == PIECES_PER_TURN) {
			conn_flush_later(&client->conn);
			break;
		}
		next_piece(client);
	}
	client->pumping = false;
	if (client->state == ST_DOT)
		conn_flush(&client->conn);
	client_unref(client);
}

/* A reply before the dot: a refusal counts, and no more of the message is sent. */
void
body_reply(struct client *client)
{
	if (client->reply.code / 100 < 4) {
		client_odd_reply(client);
		return;
	}
	settle_remaining_by_reply(client);
	hand_back(client);
	client_gone(client, NULL);
}

/* A reply that came before the dot was out was not to the dot. */
void
dot_reply(struct client *client)
{
	if (!client_has_sent(client)) {
		body_reply(client);
		return;
	}
	settle_remaining_by_reply(client);
	finish(client);
}

void
enter_rset(struct client *client)
{
	evbuffer_add(client->conn.out, "RSET\r\n", 6);
	conn_flush(&client->conn);
}

/* Only after this reply is it sure that each reply was to the command that we think, so that
 * refusals count. A server may know no RSET. After a pipelined envelope that reply may also be one
 * to another command. */
void
rset_reply(struct client *client)
{
	const bool good = client->reply.code / 100 == 2;
	const bool unknown = !client->pipelined && client->reply.code / 10 == 50;

	if ((!good && !unknown) || conn_pending(&client->conn)) {
		client_odd_reply(client);
	} else if (good) {
		finish(client);
	} else {
		hand_back(client);
		client_gone(client, NULL);
	}
}
