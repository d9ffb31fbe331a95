/*
 * attempt.c - connections: does what the scheduler decides, and hands the results to settle.c.
 *
 * sender:  schedule -> [attempt] <-> client, ledger -> settle
 *
 * A scheduled connection (struct connection) outlives its clients: a provider's site has routes to
 * different hosts, so that the next message may need another client. A client without its
 * connection ends on its own.
 */
#include "sender/mail/attempt.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "sender/egress/egress.h"
#include "sender/egress/limiter.h"
#include "sender/mail/item.h"
#include "sender/mail/lane.h"
#include "sender/mail/ledger.h"
#include "sender/mail/pass.h"
#include "sender/mail/react.h"
#include "sender/mail/reply_counts.h"
#include "sender/mail/sender.h"
#include "sender/mail/settle_end.h"
#include "sender/mail/suspend.h"
#include "sender/policy/outcome.h"
#include "sender/route/local.h"
#include "sender/route/site.h"
#include "sender/schedule/schedule.h"
#include "sender/smtp/client.h"
#include "sender/waiting/deferral.h"
#include "shared/base/container_of.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/config/config.h"
#include "shared/metrics/metrics.h"
#include "shared/queue/queue.h"

#define STALLS_MAX 5 /* transactions in a row without progress on a message */

/* What a client's callbacks get as `arg`. */
struct peer {
	TAILQ_ENTRY(peer) link;
	struct sender *sender;
	struct connection *connection; /* NULL: let go */
	struct client *client;
};

struct connection {
	struct schedule_connection node; /* first */
	TAILQ_ENTRY(connection) link;
	struct sender *sender;
	struct peer *peer; /* NULL: no client at the moment */
	struct route *route;
	struct egress_entry *egress; /* NULL: none */
	bool ready;                  /* the client waits for work */
	struct item *item;           /* in hand */
	bool asking;                 /* the ledger */
	uint64_t started_us;
	uint64_t since_us; /* by clock_us(): when opening began, or when the item came */
	struct transaction transaction;
	size_t indices[TRANSACTION_RECIPIENTS_MAX];
	Recipient *recipients[TRANSACTION_RECIPIENTS_MAX];
	size_t space;
	struct outcome *outcomes;
};

static void connection_send(struct connection *connection);
static void connection_spare(struct connection *connection);

/* Connections and their clients. */

static void
connection_free(struct connection *connection)
{
	struct sender *sender = connection->sender;

	if (connection->peer)
		connection->peer->connection = NULL;
	if (connection->node.site)
		schedule_gone(sender->schedule, &connection->node);
	TAILQ_REMOVE(&sender->connections, connection, link);
	route_unref(connection->route);
	if (connection->egress)
		egress_entry_wipe(connection->egress);
	free(connection->egress);
	free(connection->outcomes);
	free(connection);
	sender_wake(sender);
}

static void
item_leave(struct connection *connection)
{
	metric_set(connection->sender->metrics.attempting, --connection->sender->attempting);
	connection->item = NULL;
}

static void
connection_failed(struct connection *connection, const struct outcome *failure)
{
	struct sender *sender = connection->sender;
	struct schedule_entry *entry;
	struct item *item = connection->item;

	if (item)
		item_leave(connection);
	else if ((entry = schedule_take(
			  sender->schedule, connection->node.site, connection->node.affinity)))
		item = container_of(entry, struct item, entry);
	reply_count(sender->reply_counts, failure);
	if (failure->kind != OUTCOME_BOUNCE && !failure->retry_now && !failure->local)
		react_site(sender, &connection->node, FEEDBACK_SITE, failure);
	if (item && failure->egress)
		pass_again(item);
	else if (item)
		pass_fail(item, failure);
}

static void
on_ready(void *arg, struct client *client)
{
	struct peer *peer = arg;
	struct connection *connection = peer->connection;

	if (!connection) {
		client_quit(client);
		return;
	}
	connection->ready = true;
	if (connection->egress)
		react_egress_stands(connection->sender, connection->egress->ip);
	if (connection->asking)
		return;
	if (connection->item) {
		connection_send(connection);
		return;
	}
	schedule_ready(connection->sender->schedule, &connection->node);
	sender_wake(connection->sender);
}

static void connection_open(struct connection *connection, const struct item *item);

static void
on_gone(void *arg, struct client *client, const struct outcome *failure)
{
	struct peer *peer = arg;
	struct connection *connection = peer->connection;
	struct sender *sender;
	bool egress;

	(void)client;
	TAILQ_REMOVE(&peer->sender->peers, peer, link);
	free(peer);
	if (!connection)
		return;
	connection->peer = NULL;
	connection->ready = false;
	if (connection->asking)
		return; /* connection_send() will open another */
	if (connection->item && !failure) {
		connection_open(connection, connection->item);
		return;
	}
	egress = failure && failure->egress;
	sender = connection->sender;
	if (egress)
		react_egress_failed(sender, connection->egress->ip, failure->text);
	if (failure && (connection->item || connection->node.state == CONNECTION_OPENING))
		connection_failed(connection, failure);
	connection_free(connection);
	if (egress)
		sender->lanes_changed(sender);
}

static void
connection_open(struct connection *connection, const struct item *item)
{
	struct peer *peer = xcalloc(1, sizeof *peer);

	peer->sender = connection->sender;
	peer->connection = connection;
	TAILQ_INSERT_TAIL(&peer->sender->peers, peer, link);
	connection->peer = peer;
	connection->ready = false;
	if (!connection->item)
		connection->since_us = clock_us();
	connection->node.affinity = route_affinity(connection->route);
	peer->client = client_open(connection->sender->clients, connection->route,
		&(struct client_events){ .on_ready = on_ready,
			.on_gone = on_gone,
			.arg = peer,
			.account = item->mail->envelope->account,
			.egress = connection->egress });
}

static struct egress_entry *
egress_copy(const struct sender *sender, const struct item *item)
{
	const struct egress_entry *entry = item->lane ? egress_find(sender->egress, item->egress)
						      : NULL;
	struct egress_entry *copy = entry ? xmalloc(sizeof *copy) : NULL;

	if (copy)
		*copy = *entry;
	return copy;
}

static void
connection_new(struct sender *sender, struct schedule_site *site, struct item *item)
{
	struct connection *connection = xcalloc(1, sizeof *connection);

	connection->sender = sender;
	connection->egress = egress_copy(sender, item);
	connection->route = route_ref(item->route);
	TAILQ_INSERT_TAIL(&sender->connections, connection, link);
	schedule_opening(sender->schedule, &connection->node, site);
	connection_open(connection, item);
}

/* The next message goes to other hosts, so its connection needs another client. */
static void
connection_turn(struct connection *connection, struct route *route)
{
	if (connection->peer) {
		connection->peer->connection = NULL;
		if (connection->ready)
			client_quit(connection->peer->client);
	}
	route_unref(connection->route);
	connection->route = route_ref(route);
	connection_open(connection, connection->item);
}

/* Transactions. */

/* Whether the target is of the domain `first`, which is set if it is "". */
static bool
is_same_domain(const struct item *item, const struct target *target, char first[256])
{
	char domain[256];

	recipient_domain(item->mail->sender, target->recipient, domain);
	if (!*first)
		memcpy(first, domain, sizeof domain);
	return strcmp(first, domain) == 0;
}

static void
connection_choose(struct connection *connection)
{
	struct item *item = connection->item;
	struct lane_limits limits;
	const bool limited = lane_limits_of(item, &limits);
	char first[256] = "";
	size_t n = 0, most = TRANSACTION_RECIPIENTS_MAX;

	if (limited && limits.recipients < most)
		most = limits.recipients;
	for (size_t i = 0; i < item->count && n < most; i++) {
		if (item->targets[i].state != TARGET_OPEN)
			continue;
		if (limited && limits.mix_domains != MIX_YES &&
			!is_same_domain(item, &item->targets[i], first))
			continue;
		connection->indices[n] = i;
		connection->recipients[n++] = item->targets[i].recipient;
	}
	connection->transaction.count = n;
}

/* A message that may have arrived is sent again a few times only: each may be a copy. */
static bool
too_ambiguous(const struct item *item, Recipient *recipient, const struct outcome *outcome)
{
	const struct sender *sender = item->mail->sender;

	if (!outcome->ambiguous)
		return false;
	metric_add(sender->metrics.ambiguous, 1);
	return recipient->ambiguous++ >= sender->config->sender.ambiguous_retries;
}

/* A refusal for good that blames our IP lets the item wait for that IP (lane.h); the next reply
 * ends that. */
static void
item_note_blame(struct item *item, const struct outcome *outcome)
{
	const enum blame blame = outcome->meaning.blame;
	const bool blamed = item->lane && outcome->code / 100 == 5 && outcome->meaning.known &&
		(blame == BLAME_EGRESS_IP || blame == BLAME_NETBLOCK);

	if (!blamed && !lane_is_kept(item))
		return;
	free(item->reason);
	item->reason = blamed ? xstrdup(REASON_IP_BLAMED) : NULL;
}

/* Returns whether the target is decided in this pass. */
static bool
target_apply(struct item *item, struct target *target, const struct outcome *outcome)
{
	switch (outcome->kind) {
	case OUTCOME_DELIVERED: return true;
	case OUTCOME_BOUNCE: target_set(target, TARGET_FAILED, outcome); return true;
	case OUTCOME_DEFER:
		if (outcome->retry_now && item->pass.stalls < STALLS_MAX)
			return false;
		if (!too_ambiguous(item, target->recipient, outcome)) {
			target_set(target, TARGET_DEFERRED, outcome);
			item_note_blame(item, outcome);
			return true;
		}
		target_set(target, TARGET_FAILED, outcome);
		target->end = END_EXPIRED;
		return true;
	}
	return true;
}

static void
transaction_apply(struct item *item, struct connection *connection)
{
	const struct transaction *t = &connection->transaction;
	size_t delivered[TRANSACTION_RECIPIENTS_MAX], n = 0, decided = 0;
	const struct outcome *first = NULL;

	for (size_t i = 0; i < t->count; i++) {
		decided += target_apply(
			item, &item->targets[connection->indices[i]], &t->outcomes[i]);
		if (t->outcomes[i].kind != OUTCOME_DELIVERED)
			continue;
		delivered[n++] = connection->indices[i];
		first = first ? first : &t->outcomes[i];
	}
	item->pass.stalls = decided ? 0 : item->pass.stalls + 1;
	if (n)
		settle_delivered(item, delivered, n, first);
}

static void
on_done(void *arg, struct transaction *transaction)
{
	struct connection *connection = arg;
	struct sender *sender = connection->sender;
	struct item *item = connection->item;

	item_leave(connection);
	metric_observe_us(
		sender->metrics.attempt_seconds, clock_mono_us() - connection->started_us);
	for (size_t i = 0; i < transaction->count; i++)
		reply_count(sender->reply_counts, &transaction->outcomes[i]);
	react_transaction(sender, &connection->node, transaction);
	transaction_apply(item, connection);
	pass_go_on(item);
}

static void
connection_send(struct connection *connection)
{
	struct transaction *t = &connection->transaction;
	struct item *item = connection->item;

	if (!connection->peer || !route_same(connection->route, item->route)) {
		connection_turn(connection, item->route);
		return;
	}
	if (!connection->ready)
		return;
	if (item_unwanted(item) ||
		!rows_mine(item->mail->sender->rows, (int)item->mail->envelope->partition)) {
		connection_spare(connection);
		return;
	}
	if (connection->space < t->count) {
		connection->space = t->count;
		connection->outcomes = xrealloc(
			connection->outcomes, t->count * sizeof(struct outcome));
	}
	pass_count_attempt(item);
	t->envelope = item->mail->envelope;
	t->recipients = connection->recipients;
	t->outcomes = connection->outcomes;
	t->on_done = on_done;
	t->arg = connection;
	connection->ready = false;
	connection->started_us = clock_mono_us();
	if (connection->sender->limiter)
		limiter_sent(
			connection->sender->limiter, schedule_site_name(connection->node.site));
	client_send(connection->peer->client, t);
}

/* Nothing of the item may be sent any more: the connection serves the next message. */
static void
connection_spare(struct connection *connection)
{
	struct item *item = connection->item;

	item_leave(connection);
	pass_go_on(item);
	if (!connection->peer) {
		connection_free(connection);
		return;
	}
	schedule_ready(connection->sender->schedule, &connection->node);
	sender_wake(connection->sender);
}

static void
on_checked(void *arg, const enum ledger_entry *found)
{
	struct connection *connection = arg;
	struct transaction *t = &connection->transaction;
	struct item *item = connection->item;
	size_t kept = 0;

	connection->asking = false;
	settle_known(item, connection->indices, t->count, found);
	for (size_t i = 0; i < t->count; i++) {
		if (found[i])
			continue;
		connection->indices[kept] = connection->indices[i];
		connection->recipients[kept++] = connection->recipients[i];
	}
	t->count = kept;
	if (kept)
		connection_send(connection);
	else
		connection_spare(connection);
}

static void
connection_take(struct connection *connection, struct item *item)
{
	struct sender *sender = connection->sender;

	connection->item = item;
	connection->since_us = clock_us();
	item_enter(item, ITEM_ATTEMPTING);
	item_mark(item);
	metric_set(sender->metrics.attempting, ++sender->attempting);
	connection_choose(connection);
	if (!item->row && !item->mail->redelivered && item->attempts == item->pass.counted &&
		!mail_is_notice(item->mail)) {
		connection_send(connection);
		return;
	}
	connection->asking = true;
	ledger_check(sender->ledger, item->mail->envelope->id.data, connection->recipients,
		connection->transaction.count, on_checked, connection);
}

static void
step_do(struct sender *sender, const struct schedule_step *step)
{
	struct connection *connection = (struct connection *)step->connection;
	struct item *item = step->entry ? container_of(step->entry, struct item, entry) : NULL;

	switch (step->verb) {
	case SCHEDULE_OPEN:
		/* lanes_changed() moves the items of an egress IP that has gone */
		assert(!item->lane || egress_find(sender->egress, item->egress));
		item_mark(item); /* the hosts' answers may be the poison */
		connection_new(sender, step->site, item);
		break;
	case SCHEDULE_SEND: connection_take(connection, item); break;
	case SCHEDULE_CLOSE: client_quit(connection->peer->client); break;
	case SCHEDULE_PARK: pass_put_off(item); break;
	case SCHEDULE_ASK: limiter_ask(sender->limiter, schedule_site_name(step->site)); break;
	case SCHEDULE_NOTHING: break;
	}
}

void
attempt_pump(struct sender *sender)
{
	struct schedule_step step;

	if (!rows_mine(sender->rows, ROWS_ANY) || local_stands(sender->local)) {
		sender_wake_later(sender);
		return;
	}
	while (schedule_next(sender->schedule, clock_us(), &step) != SCHEDULE_NOTHING)
		step_do(sender, &step);
}

void
attempt_break_off(const struct item *item)
{
	struct connection *connection;

	TAILQ_FOREACH (connection, &item->mail->sender->connections, link)
		if (connection->item == item)
			break;
	if (connection && connection->peer)
		client_break_off(connection->peer->client);
}

void
attempt_abort_all(struct sender *sender, bool but_sent)
{
	struct connection *connection, *next;

	for (connection = TAILQ_FIRST(&sender->connections); connection; connection = next) {
		next = TAILQ_NEXT(connection, link);
		if (connection->peer && !(but_sent && client_has_sent(connection->peer->client)))
			client_abort(connection->peer->client);
	}
}

void
attempt_free_all(struct sender *sender)
{
	struct connection *connection;
	struct peer *peer;

	while ((connection = TAILQ_FIRST(&sender->connections)))
		connection_free(connection);
	while ((peer = TAILQ_FIRST(&sender->peers))) {
		TAILQ_REMOVE(&sender->peers, peer, link);
		free(peer);
	}
}

void
attempt_each(struct sender *sender, void (*on_attempt)(void *arg, const struct attempt_seen *seen),
	void *arg)
{
	const struct connection *connection;

	TAILQ_FOREACH (connection, &sender->connections, link)
		on_attempt(arg,
			&(struct attempt_seen){ .item = connection->item,
				.site = schedule_site_name(connection->node.site),
				.host = connection->peer ? client_host(connection->peer->client)
							 : "",
				.opening = connection->node.state == CONNECTION_OPENING,
				.since_us = connection->since_us });
}
