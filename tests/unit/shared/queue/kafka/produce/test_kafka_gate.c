/*
 * test_kafka_gate.c - who may go to a partition, and who waits.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/queue/kafka/produce/kafka_gate.h"

static struct kafka_message
message(int32_t partition, size_t size, uint64_t asked_us)
{
	return (struct kafka_message){ .topic = KAFKA_READY,
		.partition = partition,
		.key = "key",
		.key_size = 3,
		.value_size = size,
		.asked_us = asked_us };
}

static void
drop(struct kafka_message *list)
{
	for (; list; list = list->next)
		free(list->copy);
}

static void
what_comes_meanwhile_goes_together_and_in_order(void **state)
{
	struct kafka_gates gates = { 0 };
	struct kafka_message list[5], *batch;

	(void)state;
	for (size_t i = 0; i < 5; i++)
		list[i] = message(3, 100, i);
	assert_int_equal(kafka_gate_enter(&gates, &list[0]), 1);
	for (size_t i = 1; i < 4; i++)
		assert_int_equal(kafka_gate_enter(&gates, &list[i]), 0);
	assert_memory_equal(list[1].copy, "key", 3);
	batch = kafka_gate_leave(&gates, list[0].gate);
	assert_ptr_equal(batch, &list[1]);
	assert_ptr_equal(batch->next->next, &list[3]);
	assert_null(batch->next->next->next);
	assert_int_equal(kafka_gate_enter(&gates, &list[4]), 0);
	assert_null(kafka_gate_leave(&gates, list[1].gate));
	assert_null(kafka_gate_leave(&gates, list[3].gate));
	assert_ptr_equal(kafka_gate_leave(&gates, list[2].gate), &list[4]);
	assert_null(kafka_gate_leave(&gates, list[4].gate));
	assert_int_equal(gates.waiting, 0);
	assert_int_equal(gates.waiting_bytes, 0);
	drop(&list[1]);
	drop(&list[4]);
	kafka_gates_free(&gates);
}

static void
partitions_do_not_wait_for_each_other(void **state)
{
	struct kafka_gates gates = { 0 };
	struct kafka_message first = message(0, 1, 0), second = message(7, 1, 0);

	(void)state;
	assert_int_equal(kafka_gate_enter(&gates, &first), 1);
	assert_int_equal(kafka_gate_enter(&gates, &second), 1);
	kafka_gates_free(&gates);
}

static void
a_batch_has_a_bound_but_takes_one_at_least(void **state)
{
	struct kafka_gates gates = { 0 };
	struct kafka_message list[4], *batch;

	(void)state;
	for (size_t i = 0; i < 4; i++)
		list[i] = message(0, 600000, i);
	for (size_t i = 0; i < 4; i++)
		kafka_gate_enter(&gates, &list[i]);
	for (size_t i = 1; i < 4; i++) {
		batch = kafka_gate_leave(&gates, list[i - 1].gate);
		assert_ptr_equal(batch, &list[i]);
		assert_null(batch->next);
		drop(batch);
	}
	kafka_gates_free(&gates);
}

static void
whoever_waited_too_long_leaves(void **state)
{
	struct kafka_gates gates = { 0 };
	struct kafka_message list[4], *late;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		list[i] = message(1, 1, i * 10);
		kafka_gate_enter(&gates, &list[i]);
	}
	late = kafka_gates_expire(&gates, 20);
	assert_ptr_equal(late, &list[1]);
	assert_null(late->next);
	drop(late);
	late = kafka_gate_clear(&gates, list[0].gate);
	assert_ptr_equal(late, &list[2]);
	assert_ptr_equal(late->next, &list[3]);
	drop(late);
	assert_null(kafka_gate_leave(&gates, list[0].gate));
	assert_int_equal(gates.waiting_bytes, 0);
	kafka_gates_free(&gates);
}

static void
there_is_an_end_to_waiting(void **state)
{
	struct kafka_gates gates = { 0 };
	struct kafka_message first = message(0, 0, 0), large[2];

	(void)state;
	kafka_gate_enter(&gates, &first);
	large[0] = message(0, 200u << 20, 0);
	large[1] = message(0, 60u << 20, 0);
	assert_int_equal(kafka_gate_enter(&gates, &large[0]), 0);
	assert_int_equal(kafka_gate_enter(&gates, &large[1]), -ENOSPC);
	drop(kafka_gate_clear(&gates, first.gate));
	kafka_gates_free(&gates);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_comes_meanwhile_goes_together_and_in_order),
		cmocka_unit_test(partitions_do_not_wait_for_each_other),
		cmocka_unit_test(a_batch_has_a_bound_but_takes_one_at_least),
		cmocka_unit_test(whoever_waited_too_long_leaves),
		cmocka_unit_test(there_is_an_end_to_waiting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
