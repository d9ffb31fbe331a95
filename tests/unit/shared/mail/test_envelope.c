/*
 * test_envelope.c - message ids, and envelopes and rows through their codec.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/base/loop.h"
#include "shared/mail/envelope.h"

static void
an_id_survives_being_text(void **state)
{
	uint8_t id[ID_SIZE], back[ID_SIZE];
	char text[ID_TEXT_SIZE];

	(void)state;
	for (int i = 0; i < 10000; i++) {
		id_make(id);
		if (i == 0)
			memset(id, 0, sizeof id);
		if (i == 1)
			memset(id, 0xff, sizeof id);
		id_format(id, text);
		assert_int_equal(strlen(text), ID_TEXT_SIZE - 1);
		assert_int_equal(id_parse(text, back), 0);
		assert_memory_equal(id, back, ID_SIZE);
	}
}

static void
ids_sort_by_time_as_bytes_and_as_text(void **state)
{
	uint8_t early[ID_SIZE], late[ID_SIZE];
	char early_text[ID_TEXT_SIZE], late_text[ID_TEXT_SIZE];
	uint64_t then;

	(void)state;
	for (int i = 0; i < 20; i++) {
		id_make(early);
		then = clock_us() / 1000;
		while (clock_us() / 1000 <= then)
			;
		id_make(late);
		id_format(early, early_text);
		id_format(late, late_text);
		assert_true(memcmp(early, late, ID_SIZE) < 0);
		assert_true(strcmp(early_text, late_text) < 0);
	}
}

static int
compare(const void *a, const void *b)
{
	return memcmp(a, b, ID_SIZE);
}

static void
no_two_ids_are_alike(void **state)
{
	enum { COUNT = 20000 };
	uint8_t(*ids)[ID_SIZE] = malloc(COUNT * sizeof *ids);

	(void)state;
	for (size_t i = 0; i < COUNT; i++)
		id_make(ids[i]);
	qsort(ids, COUNT, sizeof *ids, compare);
	for (size_t i = 1; i < COUNT; i++)
		assert_memory_not_equal(ids[i - 1], ids[i], ID_SIZE);
	free(ids);
}

static void
text_that_is_no_id_is_refused(void **state)
{
	static const char *const texts[] = {
		"",
		"0",
		"0000000000000000000000000",   /* 25 */
		"000000000000000000000000000", /* 27 */
		"80000000000000000000000000",  /* over 128 bits */
		"0000000000000000000000000i",  /* not of the alphabet */
		"0000000000000000000000000A",  /* upper case */
		"0000000000000000000000000 ",
		"../../../../../../../../etc",
	};
	uint8_t id[ID_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (id_parse(texts[i], id) == 0)
			fail_msg("\"%s\" was taken", texts[i]);
	assert_int_equal(id_parse("7zzzzzzzzzzzzzzzzzzzzzzzzz", id), 0);
}

static void
a_derived_id_depends_on_its_inputs_alone(void **state)
{
	uint8_t about[ID_SIZE], a[ID_SIZE], b[ID_SIZE];

	(void)state;
	id_make(about);
	id_derive(a, about, "failure a@b", 11);
	id_derive(b, about, "failure a@b", 11);
	assert_memory_equal(a, b, ID_SIZE);
	assert_memory_equal(a, about, 6); /* the time */
	assert_memory_not_equal(a, about, ID_SIZE);
	id_derive(b, about, "failure a@c", 11);
	assert_memory_not_equal(a, b, ID_SIZE);
	about[15] ^= 1;
	id_derive(b, about, "failure a@b", 11);
	assert_memory_not_equal(a, b, ID_SIZE);
}

/* An envelope with n recipients, in the caller's memory. */
struct made {
	Envelope envelope;
	Recipient recipients[1000], *pointers[1000];
	char addresses[1000][64];
	uint8_t id[ID_SIZE];
};
static struct made made;

static const Envelope *
make(size_t n)
{
	made.envelope = (Envelope)ENVELOPE__INIT;
	memset(made.id, 7, sizeof made.id);
	made.envelope.id = (ProtobufCBinaryData){ ID_SIZE, made.id };
	made.envelope.account = (char *)"acme";
	made.envelope.mail_from = (char *)"joe@b.example";
	made.envelope.size = 50u << 20;
	made.envelope.smtputf8 = 1;
	made.envelope.prefix = (ProtobufCBinaryData){ 6, (uint8_t *)"A: 1\r\n" };
	made.envelope.n_recipients = n;
	made.envelope.recipients = made.pointers;
	for (size_t i = 0; i < n; i++) {
		made.recipients[i] = (Recipient)RECIPIENT__INIT;
		snprintf(made.addresses[i], sizeof made.addresses[i], "recipient%zu@c.example", i);
		made.recipients[i].address = made.addresses[i];
		made.recipients[i].notify = NOTIFY_FAILURE;
		made.pointers[i] = &made.recipients[i];
	}
	return &made.envelope;
}

static void
same(const Envelope *a, const Envelope *b)
{
	assert_memory_equal(a->id.data, b->id.data, ID_SIZE);
	assert_string_equal(a->account, b->account);
	assert_string_equal(a->mail_from, b->mail_from);
	assert_string_equal(a->helo, b->helo);
	assert_int_equal(a->size, b->size);
	assert_int_equal(a->smtputf8, b->smtputf8);
	assert_int_equal(a->prefix.len, b->prefix.len);
	assert_memory_equal(a->prefix.data, b->prefix.data, a->prefix.len);
	assert_int_equal(a->n_recipients, b->n_recipients);
	for (size_t i = 0; i < a->n_recipients; i++) {
		assert_string_equal(a->recipients[i]->address, b->recipients[i]->address);
		assert_int_equal(a->recipients[i]->notify, b->recipients[i]->notify);
	}
}

static void
envelopes_come_back_with_all_their_recipients(void **state)
{
	static const size_t counts[] = { 0, 1, 2, 100, 1000 };

	(void)state;
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
		const Envelope *envelope = make(counts[i]);
		size_t size = envelope__get_packed_size(envelope);
		uint8_t *bytes = malloc(size);
		Envelope *back, *copy;

		envelope__pack(envelope, bytes);
		back = envelope_unpack(bytes, size);
		free(bytes);
		assert_non_null(back);
		same(envelope, back);
		copy = envelope_copy(back);
		envelope_free(back);
		same(envelope, copy);
		envelope_free(copy);
	}
}

static void
rows_come_back_with_their_envelope(void **state)
{
	Row row = ROW__INIT, *back, *copy;
	uint8_t bytes[4096];
	size_t size;

	(void)state;
	row.envelope = (Envelope *)(uintptr_t)make(3);
	row.site = (char *)"mx.c.example";
	row.due_us = UINT64_MAX;
	row.attempts = 9;
	size = row__pack(&row, bytes);
	assert_true(size < sizeof bytes);
	back = row_unpack(bytes, size);
	assert_non_null(back);
	copy = row_copy(back);
	row_free(back);
	assert_string_equal(copy->site, "mx.c.example");
	assert_int_equal(copy->due_us, UINT64_MAX);
	same(row.envelope, copy->envelope);
	row_free(copy);
}

/* Each cut and each flipped bit gives either an envelope or NULL, and no leak or overrun. */
static void
damaged_envelopes_do_no_harm(void **state)
{
	uint8_t bytes[512], damaged[512];
	size_t size = envelope__pack(make(3), bytes);

	(void)state;
	assert_true(size < sizeof bytes);
	for (size_t cut = 0; cut < size; cut++) {
		uint8_t *copy = malloc(cut ? cut : 1);

		memcpy(copy, bytes, cut);
		envelope_free(envelope_unpack(copy, cut));
		row_free(row_unpack(copy, cut));
		free(copy);
	}
	for (size_t bit = 0; bit < size * 8; bit++) {
		memcpy(damaged, bytes, size);
		damaged[bit / 8] ^= (uint8_t)(1 << bit % 8);
		envelope_free(envelope_unpack(damaged, size));
		row_free(row_unpack(damaged, size));
	}
}

static void
an_envelope_without_a_whole_id_is_none(void **state)
{
	uint8_t bytes[512];
	Envelope envelope = *make(1);
	Row row = ROW__INIT;

	(void)state;
	assert_null(envelope_unpack("", 0));
	assert_null(row_unpack("", 0));
	envelope.id.len = 15;
	assert_null(envelope_unpack(bytes, envelope__pack(&envelope, bytes)));
	row.envelope = &envelope;
	assert_null(row_unpack(bytes, row__pack(&row, bytes)));
	assert_null(envelope_unpack("\xff\xff\xff\xff", 4));
	envelope_free(NULL);
	row_free(NULL);
}

/* A field of number 0 whose tag has a byte too many: protobuf-c keeps it, and writes it without. */
static void
what_could_not_be_read_again_is_refused(void **state)
{
	static const char good[] = "\n\20id of 16 bytes..";
	char bad[sizeof good + 2];
	Envelope *envelope = envelope_unpack(good, sizeof good - 1);

	(void)state;
	assert_non_null(envelope);
	envelope_free(envelope);
	memcpy(bad, good, sizeof good - 1);
	memcpy(bad + sizeof good - 1, "\200\0c", 3);
	assert_null(envelope_unpack(bad, sizeof bad));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_could_not_be_read_again_is_refused),
		cmocka_unit_test(an_id_survives_being_text),
		cmocka_unit_test(ids_sort_by_time_as_bytes_and_as_text),
		cmocka_unit_test(no_two_ids_are_alike),
		cmocka_unit_test(text_that_is_no_id_is_refused),
		cmocka_unit_test(a_derived_id_depends_on_its_inputs_alone),
		cmocka_unit_test(envelopes_come_back_with_all_their_recipients),
		cmocka_unit_test(rows_come_back_with_their_envelope),
		cmocka_unit_test(damaged_envelopes_do_no_harm),
		cmocka_unit_test(an_envelope_without_a_whole_id_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
