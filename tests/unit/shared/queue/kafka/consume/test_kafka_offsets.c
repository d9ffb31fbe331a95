/*
 * test_kafka_offsets.c - finished records of a partition, against a plain array.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/queue/kafka/consume/kafka_offsets.h"

#define RECORDS 600

static struct kafka_offsets *
again(const struct kafka_offsets *offsets, int64_t promise)
{
	struct kafka_offsets *copy = kafka_offsets_new(kafka_offsets_lowest(offsets));
	char text[KAFKA_METADATA_MAX];
	int64_t promised;

	assert_true(kafka_offsets_unpack(
		copy, text, kafka_offsets_pack(offsets, promise, text), &promised));
	assert_int_equal(promised, promise);
	return copy;
}

static void
records_that_finish_in_order_move_the_lowest(void **state)
{
	struct kafka_offsets *offsets = kafka_offsets_new(10);

	(void)state;
	for (int64_t at = 10; at < 15; at++) {
		assert_true(kafka_offsets_receive(offsets, at));
		kafka_offsets_finish(offsets, at);
		assert_int_equal(kafka_offsets_lowest(offsets), at + 1);
	}
	assert_false(kafka_offsets_receive(offsets, 12));
	assert_int_equal(kafka_offsets_next(offsets), 15);
	kafka_offsets_free(&offsets);
}

static void
an_unfinished_record_holds_the_lowest_back(void **state)
{
	struct kafka_offsets *offsets = kafka_offsets_new(0), *next;

	(void)state;
	for (int64_t at = 0; at < 10; at++)
		kafka_offsets_receive(offsets, at);
	for (int64_t at = 9; at > 0; at -= 2)
		kafka_offsets_finish(offsets, at);
	kafka_offsets_finish(offsets, 9);
	assert_int_equal(kafka_offsets_lowest(offsets), 0);
	next = again(offsets, 10);
	for (int64_t at = 0; at < 10; at++)
		assert_int_equal(kafka_offsets_receive(next, at), at % 2 == 0);
	kafka_offsets_finish(offsets, 0);
	assert_int_equal(kafka_offsets_lowest(offsets), 2);
	kafka_offsets_free(&offsets);
	kafka_offsets_free(&next);
}

static void
offsets_that_are_skipped_count_as_finished(void **state)
{
	struct kafka_offsets *offsets = kafka_offsets_new(5);

	(void)state;
	assert_true(kafka_offsets_receive(offsets, 100));
	assert_int_equal(kafka_offsets_lowest(offsets), 100);
	assert_true(kafka_offsets_receive(offsets, 110));
	kafka_offsets_finish(offsets, 100);
	assert_int_equal(kafka_offsets_lowest(offsets), 110);
	kafka_offsets_free(&offsets);
}

static void
what_does_not_fit_comes_again(void **state)
{
	struct kafka_offsets *offsets = kafka_offsets_new(0), *next;
	int64_t came = 0;

	(void)state;
	for (int64_t at = 0; at < 20000; at++)
		kafka_offsets_receive(offsets, at);
	for (int64_t at = 1; at < 20000; at += 2)
		kafka_offsets_finish(offsets, at);
	next = again(offsets, 20000);
	for (int64_t at = 0; at < 20000; at++) {
		bool unfinished = kafka_offsets_receive(next, at);

		assert_true(unfinished || at % 2);
		came += unfinished;
	}
	assert_true(came < 20000 - 2000);
	kafka_offsets_free(&offsets);
	kafka_offsets_free(&next);
}

static void
a_text_that_is_not_ours_changes_nothing(void **state)
{
	static const char *const texts[] = {
		"",
		"0",
		"1",
		"20",
		"1 ",
		"1P",
		"100",
		"101",
		"1010",
		"1001",
		"10\x7f\x7f",
		"1ooooooooooooooooo",
		"1oooooooooooo7",
		"10oooooooooooo71",
		"1011oooooooooooo7",
		"set by hand",
	};
	struct kafka_offsets *offsets = kafka_offsets_new(7);
	int64_t promise = -1;

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		assert_false(kafka_offsets_unpack(offsets, texts[i], strlen(texts[i]), &promise));
	assert_int_equal(promise, -1);
	assert_true(kafka_offsets_unpack(offsets, "1211", 4, &promise));
	assert_int_equal(promise, 9);
	assert_true(kafka_offsets_receive(offsets, 7));
	assert_false(kafka_offsets_receive(offsets, 8));
	kafka_offsets_free(&offsets);
}

/* Records come, finish and change their owner at random; a plain array knows what is right. */
static void
it_agrees_with_a_plain_array(void **state)
{
	(void)state;
	srand(7);
	for (int round = 0; round < 50; round++) {
		struct kafka_offsets *offsets = kafka_offsets_new(0), *next;
		bool finished[RECORDS] = { false }, exists[RECORDS];
		int64_t lowest = 0, at = 0;

		for (int i = 0; i < RECORDS; i++)
			exists[i] = rand() % 20;
		while (lowest < RECORDS) {
			int64_t one = rand() % (at + 1);

			if (rand() % 3 && at < RECORDS) {
				if (exists[at])
					assert_int_equal(
						kafka_offsets_receive(offsets, at), !finished[at]);
				finished[at] |= !exists[at];
				at++;
			} else if (one < at) {
				kafka_offsets_finish(offsets, one);
				finished[one] = true;
			}
			for (lowest = 0; lowest < RECORDS && finished[lowest];)
				lowest++;
			if (at < RECORDS && exists[at > 0 ? at - 1 : 0])
				assert_int_equal(kafka_offsets_lowest(offsets), lowest);
			if (at == RECORDS && lowest >= RECORDS - 1)
				break;
			if (rand() % 50 == 0) {
				next = again(offsets, kafka_offsets_lowest(offsets) + 3);
				kafka_offsets_free(&offsets);
				offsets = next;
				at = kafka_offsets_lowest(offsets);
			}
		}
		kafka_offsets_free(&offsets);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_that_finish_in_order_move_the_lowest),
		cmocka_unit_test(an_unfinished_record_holds_the_lowest_back),
		cmocka_unit_test(offsets_that_are_skipped_count_as_finished),
		cmocka_unit_test(what_does_not_fit_comes_again),
		cmocka_unit_test(a_text_that_is_not_ours_changes_nothing),
		cmocka_unit_test(it_agrees_with_a_plain_array),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
