/*
 * test_mail.c - a message that becomes rows while its other recipients are being delivered, with a
 * queue that answers what the test wants.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <event2/event.h>

#include "sender/deferral.h"
#include "sender/ledger.h"
#include "sender/rule.h"
#include "sender/sender_private.h"
#include "shared/config.h"
#include "shared/log.h"
#include "shared/loop.h"
#include "shared/metrics.h"
#include "shared/queue_backend.h"

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
	char *put_text;
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

static void
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

static void
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

static void
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

static void
answer(queue_cb cb, void *arg)
{
	if (t.slow) {
		t.slow_cb = cb;
		t.slow_arg = arg;
	} else if (cb)
		cb(arg, 0);
}

static void
fake_row_put(struct queue *queue, const Row *row, queue_cb cb, void *arg)
{
	(void)queue, (void)row;
	answer(cb, arg);
}

static void
fake_row_remove(struct queue *queue, const Row *row, queue_cb cb, void *arg)
{
	(void)queue;
	t.removed++;
	strncpy(t.removed_site, row->site, sizeof t.removed_site - 1);
	answer(cb, arg);
}

static void
fake_finish(struct record *record)
{
	(void)record;
	t.finished++;
}

static void
fake_abandon(struct record *record)
{
	(void)record;
}

static void
fake_event_put(struct queue *queue, const char *json, size_t length, queue_cb cb, void *arg)
{
	(void)queue, (void)json, (void)length;
	if (!t.events++)
		t.puts_before_event = (int)t.puts;
	if (t.events > 1 && t.refused) {
		t.refused--;
		cb(arg, -ETIMEDOUT);
	} else
		answer(cb, arg);
}

static size_t
fake_rows_due(struct rows *rows, const char *site, uint64_t after_us, const uint8_t *after_id,
	size_t limit, queue_row_cb on_row, void *arg)
{
	(void)rows, (void)after_us, (void)limit;
	if (!t.packed_size || after_id || strcmp(site, "quick"))
		return 0;
	on_row(arg, row_unpack(t.packed, t.packed_size));
	return 1;
}

static size_t
fake_rows_of(struct rows *rows, const uint8_t *id, queue_row_cb on_row, void *arg)
{
	(void)rows, (void)id;
	if (!t.packed_size)
		return 0;
	on_row(arg, row_unpack(t.packed, t.packed_size));
	return 1;
}

static size_t
fake_rows_scan(struct rows *rows, int partition, const uint8_t *after_id, const char *after_site,
	size_t limit, queue_row_cb on_row, void *arg)
{
	(void)rows, (void)partition, (void)after_id, (void)after_site, (void)limit, (void)on_row;
	(void)arg;
	return 0;
}

static bool
fake_rows_mine(struct rows *rows, int partition)
{
	(void)rows, (void)partition;
	return true;
}

static struct config_watch *
fake_config_watch(struct queue *queue, struct loop *loop,
	void (*on_entry)(void *arg, const char *key, const char *json), void *arg)
{
	(void)queue, (void)loop;
	t.on_entry = on_entry;
	t.config_arg = arg;
	return NULL;
}

static void
on_known(struct sender *sender)
{
	(void)sender;
}

/* An operator's command about a domain. */
static void
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

static void
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

static uint64_t
never_rests(void *arg, const char *site, uint64_t now)
{
	(void)arg, (void)site, (void)now;
	return 0;
}

static size_t
all_room(void *arg, const char *site, size_t window)
{
	(void)arg, (void)site;
	return window;
}

static void
no_waiting(void *arg, const char *account, int64_t count)
{
	(void)arg, (void)account, (void)count;
}

static Envelope *
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

static struct item *
add_item(const char *site, size_t recipient)
{
	struct item *item = item_new(t.mail, NULL);

	item->site = xstrdup(site);
	item_add(item, &t.mail->envelope->recipients[recipient], 1, NULL);
	return item;
}

static void
on_pump(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
}

static int
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
	sender->pump = event_new(loop_base(sender->loop), -1, 0, on_pump, NULL);
	sender->times = (struct retry_times){ .lifetime_us = 1ull << 40,
		.first_us = 1000000,
		.max_us = 1000000,
		.held_lifetime_us = 1ull << 40,
		.delay_dsn_us = 1ull << 40 };
	sender->schedule = schedule_new(&(struct schedule_options){
		.concurrency_start = 1, .concurrency_max = 1, .connections_max = 1 });
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
	sender->metrics.bounced = metric_counter("shout_test_bounced", "Of a test", NULL);
	sender->metrics.delivered = metric_counter("shout_test_delivered", "Of a test", NULL);
	sender->in_hand = 1;
	TAILQ_INIT(&sender->arrivals);
	t.mail = xcalloc(1, sizeof *t.mail);
	t.mail->sender = sender;
	t.mail->envelope = envelope_new(recipients, 2);
	t.mail->record = &record;
	t.mail->state = MAIL_TRYING;
	TAILQ_INIT(&t.mail->items);
	TAILQ_INSERT_TAIL(&sender->arrivals, t.mail, link);
	t.waits = add_item("slow", 0);
	t.ends = add_item("quick", 1);
	t.waits->targets[0].state = TARGET_DEFERRED;
	t.waits->state = ITEM_PARKED;
	t.ends->state = ITEM_ATTEMPTING;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	t.packed_size = 0;
	free(t.put_text);
	if (t.mail) {
		TAILQ_REMOVE(&t.sender.arrivals, t.mail, link);
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
	mail_event_free(&t.sender.event);
	poison_close(&t.sender.poison);
	event_free(t.sender.pump);
	loop_free(&t.sender.loop);
	return 0;
}

static void
deliver(struct item *item)
{
	item->targets[0].state = TARGET_CLOSED;
	item->state = ITEM_SETTLING;
	settle_advance(item);
}

static void
what_was_delivered_while_rows_could_not_be_written_becomes_none(void **state)
{
	(void)state;
	mail_check(t.mail);
	assert_int_equal(t.rows, 2);
	deliver(t.ends);
	t.cb(t.arg, -ENOSPC);
	assert_ptr_equal(TAILQ_FIRST(&t.mail->items), t.waits);
	assert_null(TAILQ_NEXT(t.waits, link));
	assert_int_equal(t.waits->state, ITEM_PARKED);
	assert_int_equal(t.removed, 1);
	assert_string_equal(t.removed_site, "quick");
	t.mail->busy--; /* the pause is over */
	mail_check(t.mail);
	assert_int_equal(t.rows, 1);
	assert_int_equal(t.finished, 0);
}

/* Another row of the site is due right then. */
static void
what_is_under_way_is_not_loaded_from_its_row(void **state)
{
	(void)state;
	mail_check(t.mail);
	assert_int_equal(t.rows, 2);
	deferral_noted(t.sender.deferral, "quick", 1);
	event_base_loop(loop_base(t.sender.loop), EVLOOP_NONBLOCK);
	assert_int_equal(t.loads, 0);
	t.cb(t.arg, 0);
	deferral_noted(t.sender.deferral, "quick", 1);
	event_base_loop(loop_base(t.sender.loop), EVLOOP_NONBLOCK);
	assert_int_equal(t.loads, 0);
	assert_ptr_equal(
		deferral_find(t.sender.deferral, t.mail->envelope->id.data, "quick"), t.ends);
	item_free(t.ends);
	t.mail = NULL;
}

static void
a_row_without_recipients_goes(void **state)
{
	Row row = ROW__INIT;
	uint8_t packed[512];
	size_t size;

	(void)state;
	row.site = (char *)"quick";
	row.envelope = envelope_new(NULL, 0);
	size = row__pack(&row, packed);
	envelope_free(row.envelope);
	mail_from_row(&t.sender, row_unpack(packed, size), ROW_ATTEMPT);
	assert_int_equal(t.removed, 1);
	assert_string_equal(t.removed_site, "quick");
}

static void
slow_answer(int err)
{
	queue_cb cb = t.slow_cb;

	assert_non_null(cb);
	t.slow_cb = NULL;
	cb(t.slow_arg, err);
}

/* Everything of the sender is there until the answer comes, and nothing follows it. */
static void
a_late_answer_at_a_stop_begins_nothing(void **state)
{
	static const int errors[] = { -ETIMEDOUT, -ENOSPC, -ECANCELED };
	const size_t none = 0;

	(void)state;
	t.slow = true;
	t.sender.draining = true;
	t.ends->state = ITEM_SETTLING;
	for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
		t.ends->given_up = false;
		settle_known(t.ends, &none, 1, &(enum ledger_entry){ LEDGER_SENT });
		assert_int_equal(t.sender.settling, 1);
		slow_answer(errors[i]);
		assert_int_equal(t.sender.settling, 0);
		assert_null(t.slow_cb);
		settle_advance(t.ends);
		assert_int_equal(t.rows, 0);
	}
	mail_drop_all(&t.sender);
	assert_int_equal(t.sender.in_hand, 0);
	t.mail = NULL;
}

static void
rows_that_cannot_be_written_at_a_stop_are_not_tried_again(void **state)
{
	(void)state;
	mail_check(t.mail);
	assert_int_equal(t.sender.settling, 1);
	t.sender.draining = true;
	t.cb(t.arg, -ETIMEDOUT);
	assert_int_equal(t.sender.settling, 0);
	assert_int_equal(t.mail->busy, 0);
	mail_drop_all(&t.sender);
	t.mail = NULL;
}

static void
no_step_begins_once_the_sender_ends(void **state)
{
	(void)state;
	mail_check(t.mail);
	t.cb(t.arg, 0);
	t.mail = NULL;
	t.sender.ending = true;
	deliver(t.ends);
	assert_int_equal(t.removed, 0);
	mail_drop_all(&t.sender);
	assert_null(deferral_pop(t.sender.deferral));
}

/* The stop waits for the answers of a split, too. */
static void
a_row_that_is_split_is_being_settled(void **state)
{
	static const char *const recipients[] = { "b@slow.example" };
	Row row = ROW__INIT;
	uint8_t packed[512];
	size_t size;

	(void)state;
	t.config.sender.route = (char *)"127.0.0.1:25";
	t.config.hostname = (char *)"relay.example";
	t.sender.resolver = site_resolver_new(t.sender.loop, &t.config);
	row.site = (char *)SITE_HELD;
	row.envelope = envelope_new(recipients, 1);
	size = row__pack(&row, packed);
	envelope_free(row.envelope);
	t.slow = true;
	mail_from_row(&t.sender, row_unpack(packed, size), ROW_ATTEMPT);
	assert_int_equal(t.sender.settling, 1);
	slow_answer(0);
	assert_int_equal(t.removed, 1);
	assert_int_equal(t.sender.settling, 1);
	slow_answer(0);
	assert_int_equal(t.sender.settling, 0);
	site_resolver_free(&t.sender.resolver);
}

/* The process was killed between the acknowledgements of a message's two rows. */
static void
who_has_no_row_yet_is_still_the_records(void **state)
{
	static struct route route = { .site = "quick", .references = 1 };
	struct item *item;
	Envelope *rest;

	(void)state;
	mail_check(t.mail);
	assert_int_equal(t.rows, 2);
	rest = rest_of(&t.sender, t.mail->envelope);
	assert_int_equal(rest->n_recipients, 1);
	assert_string_equal(rest->recipients[0]->address, "b@slow.example");
	envelope_free(rest);
	t.cb(t.arg, -ETIMEDOUT);
	t.mail->busy--;
	/* and it leads to the same hosts now: the row there is may not be written over */
	item = item_new(t.mail, &route);
	item_add(item, &t.mail->envelope->recipients[0], 1, NULL);
	item->state = ITEM_PARKED;
	item_free(t.waits);
	item_free(t.ends);
	t.mail->rest = true;
	mail_check(t.mail);
	assert_int_equal(t.rows, 1);
	assert_string_equal(item->site, "domain:slow.example");
}

static void
a_record_whose_rows_are_all_there_is_finished(void **state)
{
	static const char *const recipients[] = { "c@quick.example" };
	Row row = ROW__INIT;

	(void)state;
	row.site = (char *)"quick";
	row.envelope = envelope_new(recipients, 1);
	t.packed_size = row__pack(&row, t.packed);
	record.envelope = row.envelope;
	record.redelivered = true;
	mail_on_record(&t.sender, &record);
	assert_int_equal(t.finished, 1);
	envelope_free(row.envelope);
	record.envelope = NULL;
	record.redelivered = false;
}

static void
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

/* An operator released it, and the crash fell between its delivery and the end of the record. */
static void
who_has_a_held_mail_already_is_not_held_again(void **state)
{
	static const char *const recipients[] = { "c@quick.example", "b@slow.example" };

	(void)state;
	t.ledger_has = recipients[0];
	hold_again(recipients, 1);
	assert_int_equal(t.finished, 1);
	assert_int_equal(t.rows, 0);
	hold_again(recipients, 2);
	assert_int_equal(t.finished, 1);
	assert_int_equal(t.rows, 1);
	assert_string_equal(t.held_for, recipients[1]);
	t.cb(t.arg, 0);
	free(t.held_for);
}

/* It was in a scan when it was bounced, and was found infected after that. */
static void
what_is_to_be_bounced_is_not_held(void **state)
{
	static const char *const recipients[] = { "c@quick.example", "b@slow.example" };

	(void)state;
	command(7, "bounce", "quick.example");
	command(8, "release", "slow.example");
	hold_again(recipients, 1);
	assert_int_equal(t.puts, 1);
	assert_non_null(strstr(t.put_text, "bounced by the operator"));
	assert_int_equal(t.finished, 1);
	assert_int_equal(t.rows, 0);
	hold_again(recipients, 2);
	assert_int_equal(t.puts, 2);
	assert_int_equal(t.rows, 1);
	assert_string_equal(t.held_for, recipients[1]);
	assert_int_equal(t.row_rule[0], 8); /* all that was asked for is done */
	assert_int_equal(t.held_rule, 8);   /* the release was not about what was found after it */
	t.cb(t.arg, 0);
	free(t.held_for);
}

/* The process that delivered it ended before it could tell. */
static void
who_has_a_mail_already_is_not_told_that_it_was_bounced(void **state)
{
	static const char *const recipients[] = { "c@quick.example" };
	Row row = ROW__INIT;

	(void)state;
	command(4, "bounce", "quick.example");
	row.envelope = envelope_new(recipients, 1);
	row.site = (char *)"quick";
	row.due_us = 1;
	t.ledger_has = recipients[0];
	mail_from_row(&t.sender, row_copy(&row), ROW_BOUNCE);
	assert_int_equal(t.puts, 0);
	assert_int_equal(t.events, 1);
	assert_string_equal(t.removed_site, "quick");
	t.ledger_has = NULL;
	mail_from_row(&t.sender, row_copy(&row), ROW_BOUNCE);
	assert_int_equal(t.puts, 1);
	assert_int_equal(t.removed, 2);
	envelope_free(row.envelope);
}

/* One has been tried and waits, one is being tried. */
static void
a_record_that_becomes_rows_takes_a_bounce_along(void **state)
{
	(void)state;
	t.on_entry(t.config_arg, NULL, NULL);
	command(3, "bounce", "elsewhere.example");
	mail_check(t.mail);
	assert_int_equal(t.rows, 2);
	assert_true(t.row_rule[0] == 3 && t.row_rule[1] == 3);
	command(4, "bounce", "quick.example");
	command(5, "retry", "slow.example");
	t.cb(t.arg, -ENOSPC);
	t.mail->busy--; /* the pause is over */
	mail_check(t.mail);
	/* both are to meet the rules, should we end before it is done */
	assert_true(t.row_rule[0] < 4 && t.row_rule[1] < 4);
	t.cb(t.arg, 0);
	t.ends->state = ITEM_SETTLING; /* the attempt has failed for now */
	t.ends->targets[0].state = TARGET_DEFERRED;
	settle_advance(t.ends);
	assert_int_equal(t.puts, 1);
	assert_string_equal(t.removed_site, "quick");
	t.mail = NULL;
}

static void
what_waits_for_its_turn_is_bounced_at_once(void **state)
{
	(void)state;
	t.on_entry(t.config_arg, NULL, NULL);
	t.ends->state = ITEM_WAITING;
	command(4, "bounce", "quick.example");
	assert_int_equal(t.puts, 1);
	assert_int_equal(t.rows, 1); /* the other one's */
	t.cb(t.arg, 0);
	t.mail = NULL;
}

/* Two failures of different kinds: the event of the second is refused once. */
static void
an_event_that_was_taken_is_not_repeated(void **state)
{
	struct item *item = item_new(t.mail, NULL);
	const int64_t before = metric_value(t.sender.metrics.bounced);
	struct outcome outcome;

	(void)state;
	t.refused = 1;
	item_add(item, t.mail->envelope->recipients, 2, NULL);
	for (size_t i = 0; i < 2; i++) {
		outcome_bounce(&outcome, "5.1.1", i ? "no such user" : "no such domain");
		target_set(&item->targets[i], TARGET_FAILED, &outcome);
		item->targets[i].end = END_OPERATOR;
	}
	t.mail->envelope->mail_from[0] = '\0'; /* nobody is told */
	t.sender.times.null_lifetime_us = 1ull << 40;
	item->state = ITEM_SETTLING;
	settle_advance(item);
	assert_int_equal(t.events, 2);
	assert_int_equal(item->targets[0].state, TARGET_CLOSED);
	assert_int_equal(item->targets[1].state, TARGET_ENDING);
	assert_int_equal(metric_value(t.sender.metrics.bounced) - before, 1);
	while (t.refused || t.events < 3)
		event_base_loop(loop_base(t.sender.loop), EVLOOP_ONCE); /* the pause */
	assert_int_equal(t.events, 3);
	assert_int_equal(metric_value(t.sender.metrics.bounced) - before, 2);
}

static struct item *
failed_item(void)
{
	struct item *item = item_new(t.mail, NULL);
	struct outcome outcome;

	item_add(item, t.mail->envelope->recipients, 1, NULL);
	outcome_bounce(&outcome, "5.1.1", "no such user");
	target_set(&item->targets[0], TARGET_FAILED, &outcome);
	item->targets[0].end = END_OPERATOR;
	item->state = ITEM_SETTLING;
	return item;
}

static void
a_body_that_cannot_be_read_now_is_waited_for(void **state)
{
	(void)state;
	t.body_err = -ETIMEDOUT;
	settle_advance(failed_item());
	assert_int_equal(t.puts, 0);
	assert_int_equal(t.events, 0);
	while (!t.events)
		event_base_loop(loop_base(t.sender.loop), EVLOOP_ONCE); /* the pause */
	assert_int_equal(t.bodies, 2);
	assert_int_equal(t.puts_before_event, 1);
	assert_non_null(strstr(t.put_text, "Subject: hello"));
}

static void
a_body_that_is_gone_is_told_in_the_dsn(void **state)
{
	(void)state;
	t.body_err = -ENOENT;
	settle_advance(failed_item());
	assert_int_equal(t.puts_before_event, 1);
	assert_non_null(strstr(t.put_text, "no longer be read"));
}

static void
end_sender(void)
{
	t.sender.draining = t.sender.ending = true;
}

static void
no_dsn_begins_once_the_sender_ends(void **state)
{
	(void)state;
	t.on_body = end_sender;
	settle_advance(failed_item());
	assert_int_equal(t.bodies, 1);
	assert_int_equal(t.puts, 0);
	assert_int_equal(t.events, 0);
	assert_int_equal(t.sender.settling, 0);
	mail_drop_all(&t.sender);
	t.mail = NULL;
}

/* From the ledger: the process that had delivered it ended before the DSN was durable. */
static void
the_dsn_of_a_relayed_message_is_durable_before_its_event(void **state)
{
	const size_t none = 0;

	(void)state;
	t.mail->envelope->recipients[1]->notify = NOTIFY_SUCCESS;
	t.ends->state = ITEM_SETTLING;
	t.put_err = -ETIMEDOUT;
	settle_known(t.ends, &none, 1, &(enum ledger_entry){ LEDGER_RELAYED });
	assert_int_equal(t.puts, 0);
	assert_int_equal(t.events, 0);
	assert_int_equal(t.ends->targets[0].state, TARGET_RECORDING);
	while (!t.events)
		event_base_loop(loop_base(t.sender.loop), EVLOOP_ONCE); /* the pause */
	assert_int_equal(t.puts_before_event, 1);
	assert_non_null(strstr(t.put_text, "Action: relayed"));
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(what_was_delivered_while_rows_could_not_be_written_becomes_none),
		TEST(what_is_under_way_is_not_loaded_from_its_row),
		TEST(a_row_without_recipients_goes),
		TEST(a_late_answer_at_a_stop_begins_nothing),
		TEST(rows_that_cannot_be_written_at_a_stop_are_not_tried_again),
		TEST(no_step_begins_once_the_sender_ends),
		TEST(a_row_that_is_split_is_being_settled),
		TEST(an_event_that_was_taken_is_not_repeated),
		TEST(who_has_no_row_yet_is_still_the_records),
		TEST(a_record_whose_rows_are_all_there_is_finished),
		TEST(who_has_a_held_mail_already_is_not_held_again),
		TEST(what_is_to_be_bounced_is_not_held),
		TEST(who_has_a_mail_already_is_not_told_that_it_was_bounced),
		TEST(a_record_that_becomes_rows_takes_a_bounce_along),
		TEST(what_waits_for_its_turn_is_bounced_at_once),
		TEST(a_body_that_cannot_be_read_now_is_waited_for),
		TEST(a_body_that_is_gone_is_told_in_the_dsn),
		TEST(no_dsn_begins_once_the_sender_ends),
		TEST(the_dsn_of_a_relayed_message_is_durable_before_its_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
