/*
 * test_lmdb_late.c - what is told -ETIMEDOUT while the disk stands still.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "shared/queue/lmdb/lmdb_private.h"

static int told;

static void
on_told(void *arg, int err)
{
	(void)arg;
	assert_int_equal(err, -ETIMEDOUT);
	told++;
}

/* An operation that was asked for long ago, in the hands of the writer. */
static struct op *
old_op(enum op_kind kind, int op_state, struct lmdb_record *record)
{
	struct op *op = op_new(NULL, kind, 0, on_told, NULL);

	op->record = record;
	op->asked_us = 0;
	atomic_store(&op->state, op_state);
	return op;
}

static int
tell_late(struct op *op)
{
	struct lmdb_queue queue = { .lock = PTHREAD_MUTEX_INITIALIZER, .batch = op };
	int before = told;

	writer_answer_late(&queue);
	return told - before;
}

/* Its record would be the caller's again, and gone with the commit. */
static void
a_record_in_the_transaction_waits_for_the_commit(void **state)
{
	static const struct {
		enum op_kind kind;
		int state;
		bool record;
		int told;
	} rows[] = {
		{ OP_PUT, OP_QUEUED, false, 1 },
		{ OP_PUT, OP_APPLIED, false, 1 },
		{ OP_PUT, OP_TAKEN, false, 0 },
		{ OP_DEFER, OP_QUEUED, true, 1 },
		{ OP_DEFER, OP_APPLIED, true, 0 },
		{ OP_FORWARD, OP_QUEUED, true, 1 },
		{ OP_FORWARD, OP_APPLIED, true, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		/* only looked at */
		struct lmdb_record *record = rows[i].record ? (void *)&told : NULL;
		struct op *op = old_op(rows[i].kind, rows[i].state, record);

		if (tell_late(op) != rows[i].told)
			fail_msg("row %zu", i);
		assert_int_equal(
			atomic_load(&op->state), rows[i].told ? OP_ANSWERED : rows[i].state);
		free(op);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_in_the_transaction_waits_for_the_commit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
