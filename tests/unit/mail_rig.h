/*
 * mail_rig.h - a sender without a network, and a record of two recipients in its hand, with a queue
 * that answers what the test wants.
 */
#ifndef TESTS_UNIT_MAIL_RIG_H
#define TESTS_UNIT_MAIL_RIG_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <event2/event.h>

#include "sender/egress/egress.h"
#include "sender/mail/item.h"
#include "sender/mail/ledger.h"
#include "sender/mail/mail.h"
#include "sender/mail/provider.h"
#include "sender/mail/sender.h"
#include "sender/operator/rule.h"
#include "sender/policy/window.h"
#include "sender/schedule/schedule.h"
#include "sender/waiting/deferral.h"
#include "sender/waiting/trust.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/config/config.h"
#include "shared/mail/envelope.h"
#include "shared/metrics/metrics.h"
#include "shared/queue/event.h"
#include "shared/work/poison.h"
#include "tests/unit/queue_fake.h"

static struct {
	struct sender sender;
	struct config config;
	struct mail *mail;
	struct item *waits, *ends;
	size_t loads;
	const char *ledger_has;
	int puts_before_event; /* DSNs durable when the first event was put; -1: no event yet */
	void (*on_body)(void); /* while the body is being read */
} t;

/* In place of ledger.c: one recipient has every message already. */
void
ledger_put(struct ledger *ledger, const uint8_t *id, Recipient *const *recipients, size_t count,
	enum ledger_entry entry, bool late, ledger_cb cb, void *arg)
{
	(void)ledger, (void)id, (void)recipients, (void)count, (void)entry, (void)late;
	cb(arg);
}

void
ledger_check(struct ledger *ledger, const uint8_t *id, Recipient *const *recipients, size_t count,
	ledger_check_cb cb, void *arg)
{
	enum ledger_entry found[2] = { 0 };

	(void)ledger, (void)id;
	assert_true(count <= 2);
	for (size_t i = 0; i < count; i++)
		if (t.ledger_has && !strcmp(recipients[i]->address, t.ledger_has))
			found[i] = LEDGER_SENT;
	cb(arg, found);
}

/* In place of trust.c: the clock is right. */
bool
trust_clock(const struct trust *trust)
{
	(void)trust;
	return true;
}

static inline void
on_call(enum op kind)
{
	if (kind == OP_PUT)
		assert_int_equal(fake.put_envelope->kind, ENVELOPE__KIND__DSN);
	if (kind == OP_EVENT && fake.calls[OP_EVENT] == 1)
		t.puts_before_event = (int)fake.done[OP_PUT];
	if (kind == OP_BODY && t.on_body)
		t.on_body();
	for (size_t i = 0; i < fake.stored_count; i++)
		assert_true(fake.stored[i]->envelope->n_recipients > 0);
}

/* The recipient of the only row. */
static inline const char *
held_for(void)
{
	assert_string_equal(fake.stored[0]->site, SITE_HELD);
	assert_int_equal(fake.stored[0]->envelope->n_recipients, 1);
	return fake.stored[0]->envelope->recipients[0]->address;
}

static inline void
prepare_queue(void)
{
	queue_fake_reset();
	fake.body = "Subject: hello\r\n\r\nhi\r\n";
	fake.late[OP_DEFER] = true;
	fake.readable_site = "quick";
	fake.on_call = on_call;
}

static inline void
on_known(struct sender *sender)
{
	(void)sender;
}

/* An operator's command about a domain. */
static inline void
command(unsigned number, const char *action, const char *domain)
{
	char json[256], key[32];

	snprintf(key, sizeof key, "rule/%020u", number);
	snprintf(json, sizeof json,
		"{\"number\":%u,\"action\":\"%s\",\"selector\":{\"recipient_domain\":\"%s\"},"
		"\"accepted_before_us\":%llu}",
		number, action, domain, (unsigned long long)clock_us() + 1000000);
	fake.on_entry(fake.on_entry_arg, key, json);
}

static inline void
count_load(void *arg, Row *row)
{
	(void)arg;
	t.loads++;
	row_free(row);
}

static inline uint64_t
never_rests(void *arg, const char *site, uint64_t now)
{
	(void)arg, (void)site, (void)now;
	return 0;
}

static inline size_t
all_room(void *arg, const char *site, size_t window)
{
	(void)arg, (void)site;
	return window;
}

static inline void
no_waiting(void *arg, const char *account, int64_t count)
{
	(void)arg, (void)account, (void)count;
}

static inline Envelope *
envelope_new(const char *const *recipients, size_t count)
{
	Recipient list[2], *pointers[2];
	Envelope envelope = ENVELOPE__INIT;
	uint8_t id[ID_SIZE];

	id_make(id);
	for (size_t i = 0; i < count; i++) {
		recipient__init(&list[i]);
		list[i].address = (char *)recipients[i];
		pointers[i] = &list[i];
	}
	envelope.id = (ProtobufCBinaryData){ sizeof id, id };
	envelope.accepted_us = clock_us();
	envelope.mail_from = (char *)"a@acme.example";
	envelope.recipients = pointers;
	envelope.n_recipients = count;
	return envelope_copy(&envelope);
}

static inline Row *
row_new(const char *site, const char *const *recipients, size_t count)
{
	Row row = ROW__INIT, *copy;

	row.site = (char *)site;
	row.envelope = envelope_new(recipients, count);
	copy = row_copy(&row);
	envelope_free(row.envelope);
	return copy;
}

static inline struct item *
add_item(const char *site, size_t recipient)
{
	struct item *item = item_new(t.mail, NULL);

	item->site = xstrdup(site);
	item_add(item, &t.mail->envelope->recipients[recipient], 1, NULL);
	return item;
}

static inline void
on_pump(void *arg)
{
	(void)arg;
}

static inline int
setup(void **state)
{
	static const char *const recipients[] = { "b@slow.example", "c@quick.example" };
	struct sender *sender = &t.sender;

	(void)state;
	memset(&t, 0, sizeof t);
	prepare_queue();
	t.puts_before_event = -1;
	t.config.hostname = (char *)"relay.example";
	sender->config = &t.config;
	sender->queue = &fake.queue;
	sender->rows = &fake.rows;
	sender->loop = loop_new("test");
	sender->poison = poison_open("/nowhere", "test", sender->loop);
	timer_init(&sender->pump, sender->loop, on_pump, NULL);
	sender->times = (struct retry_times){ .lifetime_us = 1ull << 40,
		.first_us = 1000000,
		.max_us = 1000000,
		.held_lifetime_us = 1ull << 40,
		.delay_dsn_us = 1ull << 40 };
	sender->window = window_new(SENDER_WINDOW);
	sender->egress = egress_new();
	sender->schedule = schedule_new(&(struct schedule_options){ .concurrency_start = 1,
		.concurrency_max = 1,
		.connections_max = 1,
		.rest_first_us = 600 * 1000000ull,
		.rest_max_us = 600 * 1000000ull });
	sender->deferral = deferral_new(&(struct deferral_options){ .loop = sender->loop,
		.rows = &fake.rows,
		.window = 10,
		.max = 10,
		.load = count_load,
		.rest_until = never_rests,
		.room = all_room,
		.waiting = no_waiting });
	sender->rules = rules_new(sender, on_known);
	rules_start(sender->rules);
	sender->metrics.in_hand = metric_gauge("shout_test_in_hand", "Of a test", NULL);
	sender->providers = providers_new();
	sender->in_hand = 1;
	TAILQ_INIT(&sender->arrivals);
	t.mail = xcalloc(1, sizeof *t.mail);
	t.mail->sender = sender;
	t.mail->envelope = envelope_new(recipients, 2);
	t.mail->record = &fake.record;
	t.mail->state = MAIL_TRYING;
	TAILQ_INIT(&t.mail->items);
	TAILQ_INSERT_TAIL(&sender->arrivals, t.mail, link);
	HASH_ADD_KEYPTR(hh, sender->by_id, t.mail->envelope->id.data, ID_SIZE, t.mail);
	window_add(sender->window, t.mail->envelope->account, 1);
	t.waits = add_item("slow", 0);
	t.ends = add_item("quick", 1);
	t.waits->targets[0].state = TARGET_DEFERRED;
	t.waits->state = ITEM_PARKED;
	t.ends->state = ITEM_ATTEMPTING;
	return 0;
}

static inline int
teardown(void **state)
{
	(void)state;
	fake.readable_site = "";
	if (t.mail) {
		TAILQ_REMOVE(&t.sender.arrivals, t.mail, link);
		HASH_DEL(t.sender.by_id, t.mail);
		window_remove(t.sender.window, t.mail->envelope->account, 1);
		t.mail->record = NULL;
		t.mail->busy = 0;
		while (TAILQ_NEXT(TAILQ_FIRST(&t.mail->items), link))
			item_free(TAILQ_FIRST(&t.mail->items));
		item_free(TAILQ_FIRST(&t.mail->items));
	}
	rules_stop(t.sender.rules);
	rules_free(&t.sender.rules);
	deferral_free(&t.sender.deferral);
	egress_free(&t.sender.egress);
	schedule_free(&t.sender.schedule);
	window_free(&t.sender.window);
	mail_event_free(&t.sender.event);
	poison_close(&t.sender.poison);
	providers_free(&t.sender.providers);
	timer_cancel(&t.sender.pump);
	loop_free(&t.sender.loop);
	return 0;
}

static inline void
redeliver(Envelope *envelope)
{
	fake.record.envelope = envelope;
	fake.record.redelivered = true;
	mail_on_record(&t.sender, &fake.record);
}

static inline void
hold_again(const char *const *recipients, size_t count)
{
	Envelope *envelope = envelope_new(recipients, count);

	envelope->verdict = ENVELOPE__VERDICT__INFECTED;
	redeliver(envelope);
	envelope_free(envelope);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
