/*
 * accept.c - the message is complete: judge its content, hand it to the queue, answer.
 *
 * ingress:  cmd_data -> [accept] -> mail.inbound -> scanner
 *
 * "250" makes the mail ours (RFC 5321 4.2.5), so it is sent from the queue's callback only. On an
 * error or a timeout the client gets 451: it may send the message twice, but it can never be lost.
 */
#include "ingress/verb/verb.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ingress/message/authorize.h"
#include "shared/base/log.h"
#include "shared/mail/address.h"
#include "shared/metrics/metrics.h"
#include "shared/queue/event.h"

#define ADDRESS_SHOWN 200

/* ---- our Received field ---- */

/* RFC 3848, RFC 6531 4.3. */
static const char *
protocol(const struct session *session)
{
	static const char *const plain[] = { "ESMTP", "ESMTPA", "ESMTPS", "ESMTPSA" };
	static const char *const utf8[] = { "UTF8SMTP", "UTF8SMTPA", "UTF8SMTPS", "UTF8SMTPSA" };
	unsigned i = (session->credential ? 1 : 0) | (session->tls[0] ? 2 : 0);

	if (!session->esmtp)
		return "SMTP";
	return session->mail->envelope.smtputf8 ? utf8[i] : plain[i];
}

/* Copies the characters of a HELO name that a domain or an address can have: no others get into a
 * header. */
static void
clean_helo(const char *helo, char *out, size_t size)
{
	size_t i;

	for (i = 0; helo[i] && i < size - 1; i++) {
		unsigned char c = (unsigned char)helo[i];
		bool good = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
			(c >= 'A' && c <= 'Z') || strchr("-._:[]", c);

		out[i] = good ? (char)c : '_';
	}
	out[i] = '\0';
}

static int
from_clause(const struct session *session, char *out, size_t size)
{
	char helo[HELO_MAX + 1];

	if (!session->worker->ingress->config->ingress.received_client_address) {
		*out = '\0';
		return 0;
	}
	clean_helo(session->helo, helo, sizeof helo);
	return snprintf(out, size, "from %s ([%s%s])\r\n\t", helo,
		strchr(session->client_text, ':') ? "IPv6:" : "", session->client_text);
}

static int
for_clause(const Envelope *envelope, char *out, size_t size)
{
	char ascii[ADDRESS_ASCII_MAX];
	const char *address;

	*out = '\0';
	if (envelope->n_recipients != 1)
		return 0;
	address = envelope->recipients[0]->address;
	return snprintf(
		out, size, "\r\n\tfor <%s>", address_to_ascii(address, ascii) ? ascii : address);
}

/* Without `received_client_address` the field shows nothing of the customer's network, not even
 * its name. */
size_t
accept_trace(struct session *session, char *out, size_t size)
{
	const struct transaction *mail = session->mail;
	char from[400], rcpt[ADDRESS_ASCII_MAX + 10], date[64];
	time_t now = time(NULL);
	struct tm tm;
	int length;

	from_clause(session, from, sizeof from);
	for_clause(&mail->envelope, rcpt, sizeof rcpt);
	strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S +0000", gmtime_r(&now, &tm));
	length = snprintf(out, size, "Received: %sby %s with %s id %s\r\n\t(account %s)%s; %s\r\n",
		from, session->worker->ingress->config->hostname, protocol(session), mail->id_text,
		mail->account->id, rcpt, date);
	return (size_t)length < size ? (size_t)length : size - 1;
}

/* ---- to the queue ---- */

static void
send_event(struct transaction *mail)
{
	struct mail_event *event = &mail->worker->event;
	const Envelope *envelope = &mail->envelope;
	struct json *json = &event->json;

	mail_event_begin(event, "accepted", envelope);
	json_str(json, "credential", envelope->credential);
	json_str(json, "client", envelope->client);
	json_str(json, "helo", envelope->helo);
	if (*envelope->tls)
		json_str(json, "tls", envelope->tls);
	json_str(json, "from", envelope->mail_from);
	mail_event_recipients(event, envelope->recipients, envelope->n_recipients);
	json_int(json, "size", (int64_t)envelope->size);
	json_str(json, "message_id", envelope->message_id);
	json_str(json, "header_from", envelope->header_from);
	mail_event_send(event, mail->worker->ingress->queue, NULL, NULL);
}

/* The end of a message that goes nowhere: no attempt follows, so the limits hear of it here. */
static void
end_in_sandbox(struct transaction *mail)
{
	struct mail_event *event = &mail->worker->event;
	const Envelope *envelope = &mail->envelope;

	mail_event_begin(event, "sandboxed", envelope);
	mail_event_recipients(event, envelope->recipients, envelope->n_recipients);
	mail_event_send(event, mail->worker->ingress->queue, NULL, NULL);
	limits_attempted(
		mail->worker->limits, mail->account->id, recipients_weight(envelope->n_recipients));
}

static void
count_accepted(struct transaction *mail)
{
	mail->taken = false;
	metric_add(stats.accepted, 1);
	metric_add(stats.bytes, (int64_t)mail->envelope.size);
	metric_observe_us(stats.latency, clock_mono_us() - mail->dot_us);
	uses_note(mail->worker->uses, mail->account->id,
		mail->mode == ACCESS_IP ? USE_ADDRESS : USE_CREDENTIAL, mail->envelope.credential,
		mail->envelope.client);
	send_event(mail);
	if (mail->sandbox)
		end_in_sandbox(mail);
}

static void
queue_failed(struct session *session, int err)
{
	if (err == -ENOSPC)
		refuse_message(
			session, REFUSE_SPACE, "452 4.3.1 No space for mail, try again later");
	else
		refuse_message(session, REFUSE_UNAVAILABLE,
			"451 4.3.0 The queue does not answer, try again soon");
}

static void
on_queued(void *arg, int err)
{
	struct transaction *mail = arg;
	struct session *session = session_find((void *)(uintptr_t)mail->session);
	char id_text[ID_TEXT_SIZE];

	memcpy(id_text, mail->id_text, sizeof id_text);
	atomic_fetch_sub(&mail->worker->ingress->busy, 1);
	mail->queued = false;
	if (err == 0)
		count_accepted(mail);
	if (!session) {
		transaction_leave(&mail);
		return;
	}
	if (err) {
		queue_failed(session, err);
		return;
	}
	transaction_reset(mail);
	session->idle_commands = session->errors = 0;
	record_accepted(session, id_text);
	reply(session, "250 2.0.0 queued as %s", id_text);
}

static void
fill_envelope(struct session *session, uint64_t size)
{
	struct transaction *mail = session->mail;
	const struct content *content = &mail->draft.content;
	const struct originator_list *from = &content->originators.from;
	Envelope *envelope = &mail->envelope;
	struct arena *arena = &mail->arena;
	const char *who = session->credential ? session->credential : session->client_text;

	envelope->id.data = mail->id;
	envelope->id.len = ID_SIZE;
	envelope->accepted_us = clock_us();
	envelope->size = size;
	envelope->account = mail->account->id;
	envelope->credential = arena_text(arena, who, strlen(who));
	envelope->client = arena_text(arena, session->client_text, strlen(session->client_text));
	envelope->helo = arena_text(arena, session->helo, strlen(session->helo));
	envelope->tls = arena_text(arena, session->tls, strlen(session->tls));
	envelope->message_id = (char *)(content->message_id ? content->message_id : "");
	envelope->subject = (char *)(content->subject ? content->subject : "");
	envelope->header_from = (char *)(from->count ? from->items[0].text : "");
	envelope->received = content->received;
	envelope->missing = content->missing;
	envelope->mime_8bit = mail->dot.flags & DOT_8BIT;
	envelope->header_utf8 = content->utf8_address;
}

static void
hand_over(struct session *session)
{
	struct transaction *mail = session->mail;
	struct ingress *ingress = session->worker->ingress;

	fill_envelope(session, mail->body.size);
	if (mail->body.spill && !mail->sandbox)
		draft_release(&mail->draft);
	mail->queued = true;
	atomic_fetch_add(&ingress->busy, 1);
	if (mail->sandbox) {
		on_queued(mail, 0);
		return;
	}
	queue_put(ingress->queue, TOPIC_INBOUND, &mail->envelope, &mail->body, on_queued, mail);
}

/* ---- judgement ---- */

/* An address of the header, fit for a reply. */
static const char *
shown(const char *address, char out[ADDRESS_SHOWN + 1])
{
	size_t i;

	for (i = 0; address[i] && i < ADDRESS_SHOWN; i++)
		out[i] = (unsigned char)address[i] < ' ' || address[i] == 0x7f ? '?' : address[i];
	out[i] = '\0';
	return out;
}

/* The originator judged last: "From <address>", fit for a reply. */
static void
name_originator(const struct transaction *mail, char out[ADDRESS_SHOWN + 20])
{
	const char *where;
	const struct originator *originator = authorize_originator(
		&mail->draft.content.originators, mail->judged - 1, &where);
	char text[ADDRESS_SHOWN + 1];

	snprintf(out, ADDRESS_SHOWN + 20, "%s <%s>", where, shown(originator->text, text));
}

static void
refuse_originator(struct session *session, const char *why)
{
	char name[ADDRESS_SHOWN + 20];

	name_originator(session->mail, name);
	refuse_message(session, REFUSE_ORIGINATOR, "550 5.7.1 %s %s, see %s", name, why,
		session->worker->ingress->config->ingress.help_url);
}

static void judge_originators(struct session *session);

static void
from_unsure(struct session *session)
{
	refuse_message(session, REFUSE_UNAVAILABLE,
		"451 4.3.0 Cannot tell whose From it is, try again soon");
}

/* Whether a foreign domain is another account's. */
static void
on_owner(void *arg, int err, struct account *account)
{
	struct session *session = session_find(arg);
	struct transaction *mail = session ? session->mail : NULL;

	if (!mail || !mail->open)
		return;
	if (err == -ENOENT || (err == 0 && strcmp(account->id, mail->account->id) == 0))
		judge_originators(session);
	else if (err == 0 && account_store_sure(session->worker->accounts))
		refuse_originator(session, "belongs to another customer");
	else if (err == -E2BIG)
		refuse_originator(session, "is not yours to send from");
	else
		from_unsure(session);
}

/* Judges `count` mailboxes of From. */
static void
refuse_originators(struct session *session, enum authorize verdict, long count)
{
	if (verdict == AUTHORIZE_TWO_FROM)
		refuse_message(session, REFUSE_CONTENT, "554 5.6.0 More than one From field");
	else if (verdict == AUTHORIZE_LONG_FROM)
		refuse_message(session, REFUSE_CONTENT,
			"554 5.6.0 The From field holds %ld of %d addresses", count, MAILBOXES_MAX);
	else if (verdict == AUTHORIZE_LONG)
		refuse_message(session, REFUSE_CONTENT,
			"554 5.6.0 From, Sender and Resent-From hold more than %d addresses",
			MAILBOXES_MAX);
	else if (verdict == AUTHORIZE_TURNED)
		refuse_message(session, REFUSE_CONTENT,
			"554 5.6.0 From, Sender or Resent-From turns its letters round (U+202E)");
	else if (verdict == AUTHORIZE_BAD_FROM)
		refuse_message(session, REFUSE_CONTENT, "554 5.6.0 The From field cannot be read");
	else if (verdict == AUTHORIZE_BAD_SENDER)
		refuse_message(session, REFUSE_CONTENT,
			"554 5.6.0 The Sender or a Resent- field cannot be read");
	else
		refuse_message(
			session, REFUSE_CONTENT, "554 5.6.0 The From field holds no address");
}

static void
judge_originators(struct session *session)
{
	struct transaction *mail = session->mail;
	const struct originators *all = &mail->draft.content.originators;
	enum authorize verdict = authorize_header(
		mail->account, mail->envelope.mail_from, all, &mail->judged);
	const char *where;
	long count = all->from_count;

	if (verdict == AUTHORIZE_PASS) {
		hand_over(session);
	} else if (verdict == AUTHORIZE_ASK) {
		account_above(session->worker->accounts,
			authorize_originator(all, mail->judged - 1, &where)->domain, on_owner,
			session_arg(session));
	} else if (verdict != AUTHORIZE_REFUSE) {
		refuse_originators(session, verdict, count);
	} else if (account_store_sure(session->worker->accounts)) {
		refuse_originator(session, "is not yours to send from");
	} else {
		from_unsure(session);
	}
}

/* What is wrong with the bytes of the message; NULL: nothing. */
static const char *
bad_bytes(const struct session *session)
{
	unsigned flags = session->mail->dot.flags;
	bool refuse_bare = session->worker->ingress->config->ingress.bare_newline == BARE_REFUSE;

	if (flags & DOT_NUL)
		return "554 5.6.0 The message holds NUL bytes";
	if (flags & DOT_TOO_LONG_LINE)
		return "554 5.6.0 The message holds a line of more than 1 MiB";
	if (refuse_bare && (flags & (DOT_BARE_CR | DOT_BARE_LF)))
		return "554 5.6.0 The message holds a CR or LF alone";
	return NULL;
}

static void
draft_failed(struct session *session, int err)
{
	if (err == -EMSGSIZE)
		refuse_message(
			session, REFUSE_CONTENT, "554 5.6.0 The header is larger than 256 KiB");
	else if (err == -ENOSPC || err == -EDQUOT)
		queue_failed(session, -ENOSPC);
	else {
		LOG_ERROR("cannot write a spill file", "error", strerror(-err));
		queue_failed(session, err);
	}
}

static void
note_size(struct session *session)
{
	char text[64];

	snprintf(text, sizeof text, "a message of %" PRIu64 " bytes", session->mail->received);
	dialogue_note(&session->record.dialogue, text);
}

void
accept_message(struct session *session)
{
	struct transaction *mail = session->mail;
	const char *bad = bad_bytes(session);
	int err;

	mail->dot_us = clock_mono_us();
	note_size(session);
	if (mail->too_big) {
		refuse_message(session, REFUSE_SIZE, "552 5.3.4 Larger than %" PRIu64 " bytes",
			session->worker->ingress->config->ingress.message_size_limit);
		return;
	}
	if (bad) {
		refuse_message(session, REFUSE_CONTENT, "%s", bad);
		return;
	}
	err = draft_finish(&mail->draft, &mail->body);
	if (err) {
		draft_failed(session, err);
	} else if (mail->draft.content.received > RECEIVED_MAX) {
		refuse_message(session, REFUSE_LOOP,
			"554 5.4.6 Mail loop: more than %d Received fields", RECEIVED_MAX);
	} else {
		judge_originators(session);
	}
}
