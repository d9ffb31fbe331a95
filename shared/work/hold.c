/*
 * hold.c - tells of a message that is held: the event, and the notices.
 *
 * scanner, sender -> [hold] -> mail.events, mail.ready (notices)
 *
 * The event is a must: until it is acknowledged the message stays where it is. Notices are tried
 * for NOTICE_MS only, since they need Redis, which names the account's contact, and mail must not
 * wait for Redis; a missed notice is logged. A notice's id depends on the message's id alone, so a
 * crash makes no second notice. The event comes again when a crash falls between it and the
 * forward; it then has the same event_id, by which readers drop it.
 *
 * An account that sends viruses by the thousand must not flood its contact. Beyond a few notices an
 * hour the contact gets one mail that lists the others (gather.c).
 */
#include "shared/work/hold.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shared/account/account.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/text.h"
#include "shared/base/timer.h"
#include "shared/config/config.h"
#include "shared/mail/address.h"
#include "shared/metrics/metrics.h"
#include "shared/queue/event.h"
#include "shared/redis/redis.h"
#include "shared/score/score.h"
#include "shared/work/gather.h"
#include "shared/work/notice.h"
#include "shared/work/own_mail.h"
#include "shared/work/standing.h"

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
	struct standing *standing;
	struct gather *gather;
	struct several *several; /* its mail is under way to the queue */
	bool closing;
	struct mail_event event;
	struct metric *missed;
};

/* One message, from hold_tell() or hold_alert() to its callback. */
struct told {
	struct hold *hold;
	const Envelope *envelope;
	const char *why;
	bool goes_on; /* the message is not held: there is an event, but no notice */
	struct account *account;
	queue_cb cb;
	void *arg;
	uint64_t deadline_ms;
	struct timer retry;
	unsigned pending; /* notices not yet durable, and one while they are started */
	char *texts[NOTICES_MAX];
	unsigned texts_count;
};

static void
told_free(struct told *told)
{
	for (unsigned i = 0; i < told->texts_count; i++)
		free(told->texts[i]);
	account_unref(told->account);
	timer_cancel(&told->retry);
	free(told);
}

static void
told_end(struct told *told, int err)
{
	queue_cb cb = told->cb;
	void *arg = told->arg;

	told_free(told);
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

static struct notice
notice_of(const struct hold *hold, const uint8_t *id, const char *to)
{
	return (struct notice){
		.hostname = hold->config->hostname,
		.id = id,
		.to = to,
		.now_us = clock_us(),
		.held_lifetime_ms = hold->config->sender.held_lifetime,
	};
}

static void
derive(uint8_t id[ID_SIZE], const uint8_t *about, const char *what, const char *to)
{
	char text[1024];
	const int length = snprintf(text, sizeof text, "notice %s %.500s", what, to);

	id_derive(id, about, text, (size_t)length);
}

static void
put_notice(struct told *told, const char *to)
{
	const Envelope *about = told->envelope;
	uint8_t id[ID_SIZE];
	struct notice notice = notice_of(told->hold, id, to);
	size_t size;
	char *text;

	derive(id, about->id.data, "held", to);
	notice.about = about;
	notice.why = told->why;
	text = told->texts[told->texts_count++] = notice_held(&notice, &size);
	told->pending++;
	own_mail_put(told->hold->queue, id, to, &(struct body){ .data = text, .size = size },
		about->partition, on_put, told);
}

/* ---- notices that were gathered ---- */

struct several {
	struct hold *hold; /* NULL: the hold has been freed */
	struct gathered *gathered;
	char *text;
};

static void
on_several(void *arg, int err)
{
	struct several *several = arg;

	if (err)
		LOG_WARN("a notice of held messages could not be sent", "to", several->gathered->to,
			"error", strerror(-err));
	gather_done(several->hold ? several->hold->gather : NULL, several->gathered, err);
	if (several->hold)
		several->hold->several = NULL;
	free(several->text);
	free(several);
}

static char *
several_text(const struct notice *notice, const struct gathered *gathered, size_t *size_out)
{
	char *entries = NULL, *text;
	FILE *out = xopen_memstream(&entries, size_out);

	for (size_t i = 0; i < gathered->count; i++)
		fputs(gathered->entries[i].text, out);
	xclose_memstream(out);
	text = notice_gathered(notice, entries, size_out);
	free(entries);
	return text;
}

static void
on_due(void *arg, struct gathered *gathered)
{
	struct hold *hold = arg;
	struct several *several = xmalloc(sizeof *several);
	uint8_t first[ID_SIZE] = { 0 }, id[ID_SIZE];
	struct notice notice = notice_of(hold, id, gathered->to);
	size_t size;

	(void)id_parse(gathered->entries[0].key, first);
	derive(id, first, "gathered", gathered->to);
	*several = (struct several){ hold, gathered, several_text(&notice, gathered, &size) };
	while (size > QUEUE_INLINE_MAX && gathered->count > 1) {
		gathered_cut(gathered, gathered->count / 2);
		free(several->text);
		several->text = several_text(&notice, gathered, &size);
	}
	hold->several = several;
	own_mail_put(hold->queue, id, gathered->to,
		&(struct body){ .data = several->text, .size = size }, 0, on_several, several);
}

/* Whether the originator is a mailbox of the account. Anyone else never asked for our mail. */
static bool
is_originator(const struct account *account, const char *mail_from)
{
	struct address address;

	return address_parse(mail_from, strlen(mail_from), &address) == 0 && address.domain &&
		account_has_domain(account, address.domain, address.domain_length);
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

/* The originator gets single notices as long as the contact does. */
static void
put_notices(struct told *told)
{
	const struct account *account = told->account;
	const char *from = told->envelope->mail_from;

	told->pending = 1;
	if (address_is_mailbox(account->contact))
		put_notice(told, account->contact);
	if (!is_same(from, account->contact) && is_originator(account, from))
		put_notice(told, from);
	if (--told->pending == 0)
		told_end(told, 0);
}

static void
on_gathered(void *arg, bool single)
{
	struct told *told = arg;

	if (told->hold->closing)
		told_free(told);
	else if (single)
		put_notices(arg);
	else
		told_end(arg, 0);
}

static void
gather(struct told *told)
{
	const struct notice notice = { .about = told->envelope, .why = told->why };
	const char *contact = told->account->contact, *from = told->envelope->mail_from;
	char id[ID_TEXT_SIZE], *entry;

	if (!address_is_mailbox(contact) && !is_originator(told->account, from)) {
		told_end(told, 0);
		return;
	}
	id_format(told->envelope->id.data, id);
	entry = notice_entry(&notice);
	gather_add(told->hold->gather, address_is_mailbox(contact) ? contact : from, id, entry,
		on_gathered, told);
	free(entry);
}

static void on_retry(void *arg);

static void
on_account(void *arg, int err, struct account *account)
{
	struct told *told = arg;

	if (told->hold->closing) {
		told_free(told);
		return;
	}
	if (!err) {
		told->account = account_ref(account);
		gather(told);
		return;
	}
	if (err != -EAGAIN || clock_mono_ms() >= told->deadline_ms) {
		missed(told, err);
		told_end(told, 0);
		return;
	}
	timer_init(&told->retry, told->hold->loop, on_retry, told);
	timer_set(&told->retry, RETRY_MS);
}

static void
on_retry(void *arg)
{
	struct told *told = arg;

	account_by_id(told->hold->accounts, told->envelope->account, on_account, told);
}

/* A message that could not be scanned counts against nobody. */
static void
count(struct told *told)
{
	struct scores *scores = told->hold->scores;

	switch (told->envelope->verdict) {
	case ENVELOPE__VERDICT__INFECTED:
		scores_add(scores, told->envelope, SCORE_VIRUSES, 1);
		break;
	case ENVELOPE__VERDICT__UNWANTED:
	case ENVELOPE__VERDICT__SUSPICIOUS:
		scores_add(scores, told->envelope, SCORE_ALERTS, 1);
		break;
	default: break;
	}
}

static void
on_event(void *arg, int err)
{
	struct told *told = arg;

	if (err || !*told->envelope->account) {
		told_end(told, err);
		return;
	}
	if (!told->why)
		count(told);
	if (told->goes_on) {
		told_end(told, 0);
		return;
	}
	told->deadline_ms = clock_mono_ms() + NOTICE_MS;
	account_by_id(told->hold->accounts, told->envelope->account, on_account, told);
}

static struct told *
told_new(struct hold *hold, const Envelope *envelope, queue_cb cb, void *arg)
{
	struct told *told = xcalloc(1, sizeof *told);

	told->hold = hold;
	told->envelope = envelope;
	told->cb = cb;
	told->arg = arg;
	return told;
}

static void
begin_event(struct hold *hold, const char *name, const Envelope *envelope)
{
	mail_event_begin_once(&hold->event, name, envelope);
	mail_event_scanned(&hold->event, envelope);
	json_str(&hold->event.json, "signature", envelope->signature);
}

static const char *
reason_of(const Envelope *envelope)
{
	switch (envelope->verdict) {
	case ENVELOPE__VERDICT__INFECTED: return "virus found";
	case ENVELOPE__VERDICT__UNWANTED: return "potentially unwanted software found";
	case ENVELOPE__VERDICT__SUSPICIOUS: return "suspicious content found";
	default: return "it could not be scanned for viruses";
	}
}

void
hold_tell(struct hold *hold, const Envelope *envelope, const char *why, queue_cb cb, void *arg)
{
	struct told *told = told_new(hold, envelope, cb, arg);

	told->why = why;
	if (why)
		mail_event_begin_once(&hold->event, "held", envelope);
	else
		begin_event(hold, "held", envelope);
	json_str(&hold->event.json, "reason", why ? why : reason_of(envelope));
	mail_event_send(&hold->event, hold->queue, on_event, told);
}

void
hold_alert(struct hold *hold, const Envelope *envelope, bool tagged, queue_cb cb, void *arg)
{
	struct told *told = told_new(hold, envelope, cb, arg);

	told->goes_on = true;
	begin_event(hold, "alerted", envelope);
	json_bool(&hold->event.json, "tagged", tagged);
	mail_event_send(&hold->event, hold->queue, on_event, told);
}

struct hold *
hold_new(struct loop *loop, struct queue *queue, const struct config *config)
{
	struct hold *hold = xcalloc(1, sizeof *hold);

	hold->loop = loop;
	hold->queue = queue;
	hold->config = config;
	hold->redis = redis_open(loop, config);
	hold->accounts = account_store_new(loop, hold->redis);
	hold->standing = standing_new(queue);
	hold->scores = scores_new(loop, hold->redis, config, standing_tell, hold->standing);
	hold->gather = gather_new(loop, hold->redis, on_due, hold);
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
	hold->closing = true; /* from here on the messages of pending notices have gone */
	if (hold->several)
		hold->several->hold = NULL;
	gather_free(&hold->gather);
	account_store_free(&hold->accounts);
	scores_free(&hold->scores);
	standing_free(&hold->standing);
	redis_free(&hold->redis);
	mail_event_free(&hold->event);
	free(hold);
	*hold_ref = NULL;
}

struct redis *
hold_redis(const struct hold *hold)
{
	return hold->redis;
}

struct scores *
hold_scores(const struct hold *hold)
{
	return hold->scores;
}
