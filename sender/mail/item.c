/*
 * item.c - a mail and its items in memory: made, filled, shown as rows, and gone.
 *
 * mail, routing, pass, settle -> [item] -> poison, deferral
 *
 * Other files decide what is done with mails and items: nothing here begins or ends a step.
 */
#include "sender/mail/item.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sender/mail/sender.h"
#include "sender/policy/outcome.h"
#include "sender/policy/retry.h"
#include "sender/route/local.h"
#include "sender/route/site.h"
#include "sender/schedule/schedule.h"
#include "sender/waiting/deferral.h"
#include "shared/base/container_of.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/config/config.h"
#include "shared/mail/address.h"
#include "shared/mail/envelope.h"
#include "shared/work/poison.h"

#define TO(state) (1u << (state))

/* clang-format off */
static const struct step {
	const char *name;
	unsigned next; /* the states that may follow; "new" again: its partition was lost */
} steps[] = {
	[ITEM_NEW] = { "new",
		TO(ITEM_NEW) | TO(ITEM_WAITING) | TO(ITEM_SETTLING) | TO(ITEM_PARKED) },
	[ITEM_WAITING] = { "waiting",
		TO(ITEM_NEW) | TO(ITEM_ATTEMPTING) | TO(ITEM_SETTLING) | TO(ITEM_PARKED) },
	[ITEM_ATTEMPTING] = { "attempting",
		TO(ITEM_NEW) | TO(ITEM_WAITING) | TO(ITEM_SETTLING) },
	[ITEM_SETTLING] = { "settling", TO(ITEM_PARKED) | TO(ITEM_ENDED) },
	[ITEM_PARKED] = { "parked", 0 },
	[ITEM_ENDED] = { "ended", TO(ITEM_SETTLING) },
};
/* clang-format on */

struct mail *
mail_new(struct sender *sender, Envelope *envelope)
{
	struct mail *mail = xcalloc(1, sizeof *mail);

	mail->sender = sender;
	mail->envelope = envelope;
	mail->arrived_us = clock_mono_us();
	TAILQ_INIT(&mail->items);
	return mail;
}

void
mail_free_if_done(struct mail *mail)
{
	if (mail->record || mail->lookups || mail->busy || !TAILQ_EMPTY(&mail->items))
		return;
	if (mail->blamed)
		poison_forget(mail->sender->poison, mail->envelope->id.data);
	poison_end(mail->sender->poison, &mail->work);
	timer_cancel(&mail->again);
	if (mail->row)
		row_free(mail->row);
	else
		envelope_free(mail->envelope);
	free(mail);
}

void
mail_mark(struct mail *mail)
{
	if (!mail->marks++)
		poison_resume(mail->sender->poison, &mail->work, mail->envelope->id.data);
}

/* A suspect stays under work while it waits for its turn: no other mail is under work then. */
void
mail_unmark(struct mail *mail)
{
	if (!--mail->marks && !mail->work.suspect)
		poison_pause(mail->sender->poison, &mail->work);
}

void
item_mark(struct item *item)
{
	if (item->marked)
		return;
	item->marked = true;
	mail_mark(item->mail);
}

void
item_unmark(struct item *item)
{
	if (!item->marked)
		return;
	item->marked = false;
	mail_unmark(item->mail);
}

static bool
item_under_way(const struct item *item)
{
	return item->pending || item->state == ITEM_ATTEMPTING || item->state == ITEM_SETTLING;
}

bool
mail_under_way(const struct mail *mail)
{
	const struct item *item;

	if (mail->lookups || mail->first_lookup || mail->busy || mail->state == MAIL_DEFERRING)
		return true;
	TAILQ_FOREACH (item, &mail->items, link)
		if (item_under_way(item))
			return true;
	return false;
}

void
recipient_domain(const struct sender *sender, const Recipient *recipient, char out[256])
{
	struct address address;

	out[0] = '\0';
	if (!address_parse(recipient->address, strlen(recipient->address), &address) &&
		address.domain)
		address_domain_canonical(address.domain, address.domain_length, out);
	if (!*out)
		snprintf(out, 256, "%.255s", sender->config->hostname);
}

struct item *
item_new(struct mail *mail, struct route *route)
{
	struct item *item = xcalloc(1, sizeof *item);

	item->mail = mail;
	item->route = route ? route_ref(route) : NULL;
	item->entry.affinity = route ? route_affinity(route) : 0;
	TAILQ_INSERT_TAIL(&mail->items, item, link);
	return item;
}

void
item_enter(struct item *item, enum item_state next)
{
	char id[ID_TEXT_SIZE];

	id_format(item->mail->envelope->id.data, id);
	LOG_DEBUG("item", "id", id, "from", steps[item->state].name, "to", steps[next].name, "site",
		item->route ? item->route->site : item->site);
	assert(steps[item->state].next & TO(next));
	item->state = next;
}

void
item_joined(struct item *item)
{
	const struct mail *mail = item->mail;

	deferral_joined(
		mail->sender->deferral, &item->loaded, mail->envelope, item->site, item->count);
}

void
item_left(struct item *item)
{
	if (item->loaded.key)
		deferral_left(item->mail->sender->deferral, &item->loaded);
}

struct item *
item_of_row(struct loaded_row *row)
{
	return row ? container_of(row, struct item, loaded) : NULL;
}

void
item_free(struct item *item)
{
	struct mail *mail = item->mail;

	schedule_remove(mail->sender->schedule, &item->entry);
	item_left(item);
	item_unmark(item);
	timer_cancel(&item->again);
	TAILQ_REMOVE(&mail->items, item, link);
	for (size_t i = 0; i < item->count; i++)
		free(item->targets[i].outcome);
	free(item->targets);
	if (item->route)
		route_unref(item->route);
	free(item->site);
	free(item->last_reply);
	free(item->last_host);
	free(item->egress);
	free(item->lane);
	free(item->reason);
	free(item);
	mail_free_if_done(mail);
}

void
target_set(struct target *target, enum target_state state, const struct outcome *outcome)
{
	target->state = state;
	if (!outcome)
		return;
	if (!target->outcome)
		target->outcome = xmalloc(sizeof *target->outcome);
	*target->outcome = *outcome;
}

void
item_add(struct item *item, Recipient *const *recipients, size_t count,
	const struct outcome *failure)
{
	struct target *target;

	item->targets = xrealloc(item->targets, (item->count + count) * sizeof *item->targets);
	for (size_t i = 0; i < count; i++) {
		target = &item->targets[item->count++];
		*target = (struct target){ .recipient = recipients[i] };
		if (failure)
			target_set(target,
				failure->kind == OUTCOME_BOUNCE ? TARGET_FAILED : TARGET_DEFERRED,
				failure);
	}
}

bool
item_unwanted(const struct item *item)
{
	for (size_t i = 0; i < item->count; i++)
		if (item->targets[i].unwanted && item->targets[i].state != TARGET_CLOSED)
			return true;
	return false;
}

enum retry_wait
item_wait(const struct item *item)
{
	return item->held ? RETRY_HELD : item->released ? RETRY_RELEASED : RETRY_WAITING;
}

void
item_row(const struct item *item, Row *row, Envelope *envelope, Recipient **recipients)
{
	row__init(row);
	*envelope = *item->mail->envelope;
	envelope->recipients = recipients;
	envelope->n_recipients = 0;
	for (size_t i = 0; i < item->count; i++)
		if (item->targets[i].state != TARGET_CLOSED)
			recipients[envelope->n_recipients++] = item->targets[i].recipient;
	row->envelope = envelope;
	row->site = item->site;
	row->state = item->held ? ROW__STATE__HELD : ROW__STATE__WAITING;
	row->due_us = item->due_us;
	row->attempts = item->attempts;
	row->first_attempt_us = item->first_attempt_us;
	row->last_attempt_us = item->last_attempt_us;
	if (item->last_reply)
		row->last_reply = item->last_reply;
	if (item->last_host)
		row->last_host = item->last_host;
	row->last_class = (char *)item->last_class;
	if (item->egress)
		row->egress = item->egress;
	row->since_us = item->since_us;
	if (item->reason)
		row->reason = item->reason;
	row->delay_sent = item->delay_sent;
	/* a rule that is not carried out yet is met again by the row */
	row->rule = item->meets_rules || item_unwanted(item) ? item->rule : item->met;
	row->held_rule = item->held_rule;
	row->released = item->released;
	row->crashes = item->crashes;
	row->setbacks = item->setbacks;
	row->ours = item->pass.ours ||
		(!item->pass.counted && local_stands(item->mail->sender->local));
}

void
item_pend(struct item *item)
{
	if (!item->pending++)
		item->mail->sender->settling++;
}

void
item_answered(struct item *item)
{
	if (!--item->pending)
		item->mail->sender->settling--;
}
