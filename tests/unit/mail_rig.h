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
#include "shared/queue/queue.h"
#include "shared/queue/queue_backend.h"
#include "shared/work/poison.h"

static struct {
	struct sender sender;
	struct config config;
	struct mail *mail;
	struct item *waits, *ends;
	queue_cb cb; /* of queue_defer() */
	void *arg;
	bool slow; /* the others are not answered at once */
	queue_cb slow_cb;
	void *slow_arg;
	size_t events, refused; /* so many are refused, from the second on */
	size_t rows, removed, finished, loads;
	uint8_t packed[1024]; /* the row of the quick site, as the queue shows it */
	size_t packed_size;
	char removed_site[64];
	const char *ledger_has;
	char *held_for; /* the recipient of the row "held" */
	int body_err;   /* of the next reads */
	size_t bodies, puts;
	int puts_before_event; /* DSNs durable when the first event was put; -1: no event yet */
	int put_err;
	char *put_text, *event;
	void (*on_body)(void); /* while the body is being read */
	void (*on_entry)(void *arg, const char *key, const char *json); /* of relay.config */
	void *config_arg;
	uint64_t row_rule[2], held_rule; /* of the rows that were deferred */
} t;

/* In place of ledger.c: one recipient has every message already. */
struct ledger *
ledger_new(struct redis *redis)
{
	(void)redis;
	return NULL;
}

void
ledger_free(struct ledger **ledger)
{
	(void)ledger;
}

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
struct trust *
trust_new(struct loop *loop, struct redis *redis, struct queue *queue)
{
	(void)loop, (void)redis, (void)queue;
	return NULL;
}

void
trust_free(struct trust **trust)
{
	(void)trust;
}

bool
trust_clock(const struct trust *trust)
{
	(void)trust;
	return true;
}

static inline void
fake_body(struct queue *queue, const Envelope *envelope, uint64_t offset, size_t length,
	queue_body_cb cb, void *arg)
{
	static const char text[] = "Subject: hello\r\n\r\nhi\r\n";
	int err = t.body_err;

	(void)queue, (void)envelope, (void)offset, (void)length;
	t.bodies++;
	t.body_err = err == -ETIMEDOUT ? 0 : err;
	if (t.on_body)
		t.on_body();
	cb(arg, err, err ? NULL : text, err ? 0 : sizeof text - 1);
}

static inline void
fake_put(struct queue *queue, enum topic topic, const Envelope *envelope, const struct body *body,
	queue_cb cb, void *arg)
{
	int err = t.put_err;

	(void)queue, (void)topic;
	assert_int_equal(envelope->kind, ENVELOPE__KIND__DSN);
	free(t.put_text);
	t.put_text = strndup(body->data, body->size);
	t.put_err = 0;
	t.puts += !err;
	cb(arg, err);
}

static inline void
fake_defer(struct record *record, Row *const *rows, size_t count, queue_cb cb, void *arg)
{
	(void)record;
	for (size_t i = 0; i < count; i++)
		assert_true(rows[i]->envelope->n_recipients > 0);
	if (!strcmp(rows[0]->site, SITE_HELD)) {
		assert_int_equal(rows[0]->envelope->n_recipients, 1);
		t.held_for = xstrdup(rows[0]->envelope->recipients[0]->address);
	}
	for (size_t i = 0; i < count; i++) {
		if (!strcmp(rows[i]->site, "quick"))
			t.packed_size = row__pack(rows[i], t.packed);
		t.row_rule[i] = rows[i]->rule;
		t.held_rule = rows[i]->held_rule;
	}
	t.rows = count;
	t.cb = cb;
	t.arg = arg;
}

static inline void
answer(queue_cb cb, void *arg)
{
	if (t.slow) {
		t.slow_cb = cb;
		t.slow_arg = arg;
	} else if (cb)
		cb(arg, 0);
}

static inline void
fake_row_put(struct queue *queue, const Row *row, queue_cb cb, void *arg)
{
	(void)queue, (void)row;
	answer(cb, arg);
}

static inline void
fake_row_remove(struct queue *queue, const Row *row, queue_cb cb, void *arg)
{
	(void)queue;
	t.removed++;
	strncpy(t.removed_site, row->site, sizeof t.removed_site - 1);
	answer(cb, arg);
}

static inline void
fake_finish(struct record *record)
{
	(void)record;
	t.finished++;
}

static inline void
fake_abandon(struct record *record)
{
	(void)record;
}

static inline void
fake_event_put(struct queue *queue, enum event_class class, const char *json, size_t length,
	queue_cb cb, void *arg)
{
	(void)queue, (void)class;
	free(t.event);
	t.event = strndup(json, length);
	if (!t.events++)
		t.puts_before_event = (int)t.puts;
	if (t.events > 1 && t.refused) {
		t.refused--;
		cb(arg, -ETIMEDOUT);
	} else
		answer(cb, arg);
}

static inline size_t
fake_rows_due(struct rows *rows, const struct rows_place *from, size_t limit, queue_row_cb on_row,
	void *arg)
{
	(void)rows, (void)limit;
	if (!t.packed_size || from->id || strcmp(from->site, "quick"))
		return 0;
	on_row(arg, row_unpack(t.packed, t.packed_size));
	return 1;
}

static inline size_t
fake_rows_of(struct rows *rows, const uint8_t *id, queue_row_cb on_row, void *arg)
{
	(void)rows, (void)id;
	if (!t.packed_size)
		return 0;
	on_row(arg, row_unpack(t.packed, t.packed_size));
	return 1;
}

static inline size_t
fake_rows_scan(struct rows *rows, int partition, const uint8_t *after_id, const char *after_site,
	size_t limit, queue_row_cb on_row, void *arg)
{
	(void)rows, (void)partition, (void)after_id, (void)after_site, (void)limit, (void)on_row;
	(void)arg;
	return 0;
}

static inline bool
fake_rows_mine(struct rows *rows, int partition)
{
	(void)rows, (void)partition;
	return true;
}

static inline struct config_watch *
fake_config_watch(struct queue *queue, struct loop *loop,
	void (*on_entry)(void *arg, const char *key, const char *json), void *arg)
{
	(void)queue, (void)loop;
	t.on_entry = on_entry;
	t.config_arg = arg;
	return NULL;
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
	t.on_entry(t.config_arg, key, json);
}

static inline void
count_load(void *arg, Row *row)
{
	(void)arg;
	t.loads++;
	row_free(row);
}

static const struct queue_ops ops = {
	.body = fake_body,
	.put = fake_put,
	.defer = fake_defer,
	.abandon = fake_abandon,
	.row_put = fake_row_put,
	.row_remove = fake_row_remove,
	.finish = fake_finish,
	.event_put = fake_event_put,
	.rows_due = fake_rows_due,
	.rows_of = fake_rows_of,
	.rows_scan = fake_rows_scan,
	.rows_mine = fake_rows_mine,
	.config_watch = fake_config_watch,
};
static struct queue queue = { &ops };
static struct record record = { .ops = &ops };
static struct rows rows = { &ops };

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
	t.puts_before_event = -1;
	t.config.hostname = (char *)"relay.example";
	sender->config = &t.config;
	sender->queue = &queue;
	sender->rows = &rows;
	sender->loop = loop_new("test");
	sender->poison = poison_open("/nowhere", "test", sender->loop);
	timer_init(&sender->pump, sender->loop, on_pump, NULL);
	sender->times = (struct retry_times){ .lifetime_us = 1ull << 40,
		.first_us = 1000000,
		.max_us = 1000000,
		.held_lifetime_us = 1ull << 40,
		.delay_dsn_us = 1ull << 40 };
	sender->window = window_new(SENDER_WINDOW);
	sender->schedule = schedule_new(&(struct schedule_options){ .concurrency_start = 1,
		.concurrency_max = 1,
		.connections_max = 1,
		.rest_first_us = 600 * 1000000ull,
		.rest_max_us = 600 * 1000000ull });
	sender->deferral = deferral_new(&(struct deferral_options){ .loop = sender->loop,
		.rows = &rows,
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
	t.mail->record = &record;
	t.mail->state = MAIL_TRYING;
	TAILQ_INIT(&t.mail->items);
	TAILQ_INSERT_TAIL(&sender->arrivals, t.mail, link);
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
	t.packed_size = 0;
	free(t.put_text);
	free(t.event);
	if (t.mail) {
		TAILQ_REMOVE(&t.sender.arrivals, t.mail, link);
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
hold_again(const char *const *recipients, size_t count)
{
	record.envelope = envelope_new(recipients, count);
	record.envelope->verdict = ENVELOPE__VERDICT__INFECTED;
	record.redelivered = true;
	mail_on_record(&t.sender, &record);
	envelope_free(record.envelope);
	record.envelope = NULL;
	record.redelivered = false;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
