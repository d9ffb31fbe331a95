/*
 * hold.c - what is owed when a message is held.
 *
 * scanner, sender -> [hold] -> mail.events, mail.ready (notices)
 *
 * The event is a must: without its acknowledgement the message stays where it is. Notices are best
 * effort within NOTICE_MS, since mail must not wait for Redis, which names the account's contact;
 * a missed one is logged. Their ids depend on the message's alone, so a crash makes no second one;
 * the event does come again when a crash falls between it and the forward, with the same event_id,
 * by which readers drop it.
 */
#include "shared/hold.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <event2/event.h>

#include "shared/account.h"
#include "shared/address.h"
#include "shared/config.h"
#include "shared/event.h"
#include "shared/log.h"
#include "shared/loop.h"
#include "shared/metrics.h"
#include "shared/notice.h"
#include "shared/redis.h"
#include "shared/score.h"
#include "shared/text.h"

#define NOTICE_MS 5000
#define RETRY_MS 250
#define NOTICES_MAX 2 /* the contact, the originator */

struct hold {
	struct loop *loop;
	struct queue *queue;
	const struct config *config;
	struct redis *redis;
	struct account_store *accounts;
	struct scores *scores;
	struct mail_event event;
	struct metric *missed;
};

/* One message that is being told of. */
struct told {
	struct hold *hold;
	const Envelope *envelope;
	const char *why;
	queue_cb cb;
	void *arg;
	uint64_t deadline_ms;
	struct event *retry;
	unsigned pending; /* notices not yet durable, and one for who starts them */
	char *texts[NOTICES_MAX];
	unsigned texts_count;
};

static void
told_end(struct told *told, int err)
{
	queue_cb cb = told->cb;
	void *arg = told->arg;

	for (unsigned i = 0; i < told->texts_count; i++)
		free(told->texts[i]);
	if (told->retry)
		event_free(told->retry);
	free(told);
	cb(arg, err);
}

static void
missed(struct told *told, int err)
{
	char id[ID_TEXT_SIZE];

	id_format(told->envelope->id.data, id);
	metric_add(told->hold->missed, 1);
	LOG_WARN("a notice of a held message could not be sent", "id", id, "account",
		told->envelope->account, "error", strerror(-err));
}

static void
on_put(void *arg, int err)
{
	struct told *told = arg;

	if (err)
		missed(told, err);
	if (--told->pending == 0)
		told_end(told, 0);
}

static void
put_notice(struct told *told, const char *to)
{
	const Envelope *about = told->envelope;
	char what[1024], ascii[ADDRESS_ASCII_MAX];
	uint8_t id[ID_SIZE];
	Recipient recipient = RECIPIENT__INIT, *recipients[] = { &recipient };
	Envelope envelope = ENVELOPE__INIT;
	struct notice notice = {
		.hostname = told->hold->config->hostname,
		.id = id,
		.to = to,
		.now_us = clock_us(),
		.about = about,
		.why = told->why,
		.held_lifetime_ms = told->hold->config->sender.held_lifetime,
	};
	struct body body = { 0 };
	size_t size;
	int length;

	length = snprintf(what, sizeof what, "notice held %.500s", to);
	id_derive(id, about->id.data, what, (size_t)length);
	body.data = told->texts[told->texts_count++] = notice_held(&notice, &size);
	body.size = size;
	recipient.address = (char *)(uintptr_t)to;
	envelope.id = (ProtobufCBinaryData){ ID_SIZE, id };
	envelope.kind = ENVELOPE__KIND__NOTICE;
	envelope.accepted_us = notice.now_us;
	envelope.size = size;
	envelope.n_recipients = 1;
	envelope.recipients = recipients;
	envelope.mime_8bit = !text_is_ascii(body.data, size);
	envelope.smtputf8 = !address_to_ascii(to, ascii);
	envelope.partition = about->partition;
	told->pending++;
	queue_put(told->hold->queue, TOPIC_READY, &envelope, &body, on_put, told);
}

/* The originator, when it is a mailbox of the account (anyone else never asked for our mail). */
static bool
is_originator(const struct account *account, const char *mail_from)
{
	struct address address;

	return address_parse(mail_from, strlen(mail_from), &address) == 0 && address.domain &&
		account_has_domain(account, address.domain, address.domain_length);
}

static bool
is_mailbox(const char *text)
{
	struct address address;

	return address_parse(text, strlen(text), &address) == 0 && address.domain;
}

static bool
is_same(const char *one, const char *other)
{
	struct address a, b;
	char first[ADDRESS_CANONICAL_MAX], second[ADDRESS_CANONICAL_MAX];

	if (address_parse(one, strlen(one), &a) < 0 || address_parse(other, strlen(other), &b) < 0)
		return false;
	address_canonical(&a, first);
	address_canonical(&b, second);
	return strcasecmp(first, second) == 0;
}

static void
put_notices(struct told *told, const struct account *account)
{
	const char *from = told->envelope->mail_from;

	told->pending = 1;
	if (is_mailbox(account->contact))
		put_notice(told, account->contact);
	if (!is_same(from, account->contact) && is_originator(account, from))
		put_notice(told, from);
	if (--told->pending == 0)
		told_end(told, 0);
}

static void on_retry(evutil_socket_t fd, short what, void *arg);

static void
on_account(void *arg, int err, struct account *account)
{
	struct told *told = arg;
	const struct timeval retry = { 0, RETRY_MS * 1000 };

	if (!err) {
		put_notices(told, account);
		return;
	}
	if (err != -EAGAIN || clock_mono_ms() >= told->deadline_ms) {
		missed(told, err);
		told_end(told, 0);
		return;
	}
	if (!told->retry)
		told->retry = evtimer_new(loop_base(told->hold->loop), on_retry, told);
	if (!told->retry)
		die("out of memory", "evtimer_new");
	event_add(told->retry, &retry);
}

static void
on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct told *told = arg;

	(void)fd;
	(void)what;
	account_by_id(told->hold->accounts, told->envelope->account, on_account, told);
}

static void
on_event(void *arg, int err)
{
	struct told *told = arg;

	if (err || !*told->envelope->account) {
		told_end(told, err);
		return;
	}
	if (!told->why && told->envelope->verdict == ENVELOPE__VERDICT__INFECTED)
		scores_add(told->hold->scores, told->envelope->account, SCORE_VIRUSES, 1);
	told->deadline_ms = clock_mono_ms() + NOTICE_MS;
	account_by_id(told->hold->accounts, told->envelope->account, on_account, told);
}

void
hold_tell(struct hold *hold, const Envelope *envelope, const char *why, queue_cb cb, void *arg)
{
	bool infected = envelope->verdict == ENVELOPE__VERDICT__INFECTED;
	struct told *told = xcalloc(1, sizeof *told);

	*told = (struct told){
		.hold = hold, .envelope = envelope, .why = why, .cb = cb, .arg = arg
	};
	mail_event_begin_once(&hold->event, "held", envelope);
	if (!why) {
		json_str(&hold->event.json, "verdict", infected ? "infected" : "unscannable");
		json_str(&hold->event.json, "signature", envelope->signature);
		why = infected ? "virus found" : "it could not be scanned for viruses";
	}
	json_str(&hold->event.json, "reason", why);
	mail_event_send(&hold->event, hold->queue, on_event, told);
}

struct hold *
hold_new(struct loop *loop, struct queue *queue, const struct config *config)
{
	struct hold *hold = xcalloc(1, sizeof *hold);
	const struct redis_options options = {
		.address = config->redis.address,
		.password = config->redis.password,
		.tls = config->redis.tls,
		.ca = config->redis.ca,
	};

	hold->loop = loop;
	hold->queue = queue;
	hold->config = config;
	hold->redis = redis_new(loop, &options);
	hold->accounts = account_store_new(loop, hold->redis);
	hold->scores = scores_new(loop, hold->redis);
	hold->missed = metric_counter("shout_held_notices_missed_total",
		"Notices of held messages that could not be sent", NULL);
	return hold;
}

void
hold_free(struct hold **hold_ref)
{
	struct hold *hold = *hold_ref;

	if (!hold)
		return;
	account_store_free(&hold->accounts);
	scores_free(&hold->scores);
	redis_free(&hold->redis);
	mail_event_free(&hold->event);
	free(hold);
	*hold_ref = NULL;
}
