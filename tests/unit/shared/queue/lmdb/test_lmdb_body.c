/*
 * test_lmdb_body.c - bodies in pages that are taken one by one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/base/log.h"
#include "shared/queue/lmdb/lmdb_private.h"

#define COUNT 60
#define SIZE(i) ((i) * (i)*90) /* up to 313290 bytes */

static struct lmdb_queue queue;
static unsigned char data[SIZE(COUNT)];
static char path[] = "/tmp/test_lmdb_body.XXXXXX";

static MDB_txn *
begin(void)
{
	MDB_txn *txn;

	assert_int_equal(mdb_txn_begin(queue.env, NULL, 0, &txn), 0);
	return txn;
}

static const uint8_t *
id_of(uint8_t i)
{
	static uint8_t id[ID_SIZE];

	id[0] = i;
	return id;
}

static MDB_stat
stat_of(MDB_txn *txn, MDB_dbi dbi)
{
	MDB_stat stat;

	assert_int_equal(mdb_stat(txn, dbi, &stat), 0);
	return stat;
}

static int
set_up(void **state)
{
	int fd = mkstemp(path);
	MDB_txn *txn;

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (unsigned char)(i * 2654435761u >> 13);
	assert_int_equal(mdb_env_create(&queue.env), 0);
	mdb_env_set_mapsize(queue.env, 256u << 20);
	mdb_env_set_maxdbs(queue.env, 2);
	assert_int_equal(mdb_env_open(queue.env, path, MDB_NOSUBDIR | MDB_NOSYNC, 0600), 0);
	txn = begin();
	assert_int_equal(mdb_dbi_open(txn, "body", MDB_CREATE, &queue.body), 0);
	assert_int_equal(mdb_dbi_open(txn, "piece", MDB_CREATE, &queue.piece), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	return 0;
}

static int
tear_down(void **state)
{
	char *lock = xasprintf("%s-lock", path);

	(void)state;
	mdb_env_close(queue.env);
	unlink(path);
	unlink(lock);
	free(lock);
	return 0;
}

static void
put_all(MDB_txn *txn)
{
	for (size_t i = 0; i < COUNT; i++) {
		struct op op = { .kind = OP_PUT, .data = data + i, .size = SIZE(i) };

		memcpy(op.id, id_of((uint8_t)i), ID_SIZE);
		assert_int_equal(body_put(&queue, txn, &op), 0);
	}
}

static void
remove_body(MDB_txn *txn, uint8_t i)
{
	struct body_info body;

	assert_int_equal(body_find(&queue, txn, id_of(i), &body), 0);
	assert_int_equal(body_remove(&queue, txn, id_of(i), &body), 0);
}

static void
check_there(MDB_txn *txn, uint8_t i)
{
	unsigned char *copy = xmalloc(SIZE(COUNT));
	struct body_info body;

	assert_int_equal(body_find(&queue, txn, id_of(i), &body), 0);
	assert_true(body.there && !body.spilled);
	assert_int_equal(body.size, SIZE(i));
	for (size_t at = 0; at < body.size; at += 5000) {
		size_t length = body.size - at < 9000 ? body.size - at : 9000;

		assert_int_equal(body_copy(&queue, txn, id_of(i), at, length, copy), 0);
		assert_memory_equal(copy, data + i + at, length);
	}
	free(copy);
}

static void
no_body_takes_a_run_of_pages(void **state)
{
	MDB_txn *txn = begin();
	MDB_stat stat;

	(void)state;
	put_all(txn);
	stat = stat_of(txn, queue.piece);
	assert_true(stat.ms_entries > COUNT && stat.ms_overflow_pages <= stat.ms_entries);
	mdb_txn_abort(txn);
}

static void
what_is_removed_is_gone_and_its_neighbours_are_not(void **state)
{
	MDB_txn *txn = begin();
	struct body_info body;

	(void)state;
	put_all(txn);
	for (uint8_t i = 0; i < COUNT; i += 2)
		remove_body(txn, i);
	for (uint8_t i = 0; i < COUNT; i++)
		if (i % 2) {
			check_there(txn, i);
		} else {
			assert_int_equal(body_find(&queue, txn, id_of(i), &body), 0);
			assert_false(body.there);
		}
	for (uint8_t i = 1; i < COUNT; i += 2)
		remove_body(txn, i);
	assert_int_equal(stat_of(txn, queue.body).ms_entries, 0);
	assert_int_equal(stat_of(txn, queue.piece).ms_entries, 0);
	mdb_txn_abort(txn);
}

/* The head of body `i` tells another size than it has. */
static void
lie(MDB_txn *txn, uint8_t i, uint64_t size)
{
	unsigned char head[9] = { 'i' };
	MDB_val key = { ID_SIZE, (void *)id_of(i) }, value = { sizeof head, head };

	for (size_t b = 0; b < 8; b++)
		head[1 + b] = (unsigned char)(size >> (56 - 8 * b));
	assert_int_equal(mdb_put(txn, queue.body, &key, &value, 0), 0);
}

static void
no_size_leads_to_the_bytes_of_the_next_message(void **state)
{
	static const size_t more[] = { 1, 4079, 4080, 4081, 100000 };
	static unsigned char copy[SIZE(COUNT) + 100000];
	MDB_txn *txn = begin();

	(void)state;
	put_all(txn);
	for (uint8_t i = 0; i < COUNT; i++)
		for (size_t m = 0; m < sizeof more / sizeof *more; m++) {
			memset(copy, 'x', sizeof copy);
			assert_int_equal(
				body_copy(&queue, txn, id_of(i), 0, SIZE(i) + more[m], copy),
				MDB_NOTFOUND);
			assert_memory_equal(copy, data + i, SIZE(i));
			for (size_t at = SIZE(i); at < SIZE(i) + more[m]; at++)
				assert_int_equal(copy[at], 'x');
			/* not from behind the end, either */
			assert_int_equal(
				body_copy(&queue, txn, id_of(i), SIZE(i) + more[m] - 1, 1, copy),
				MDB_NOTFOUND);
		}
	mdb_txn_abort(txn);
}

static void
a_body_with_a_hole_is_none(void **state)
{
	unsigned char key_bytes[ID_SIZE + 2] = { 40, [ID_SIZE + 1] = 3 };
	MDB_val key = { sizeof key_bytes, key_bytes }, half = { 2000, data };
	static unsigned char copy[SIZE(40)];
	MDB_txn *txn = begin();

	(void)state;
	put_all(txn);
	assert_int_equal(mdb_put(txn, queue.piece, &key, &half, 0), 0);
	assert_int_equal(body_copy(&queue, txn, id_of(40), 0, SIZE(40), copy), MDB_NOTFOUND);
	assert_int_equal(mdb_del(txn, queue.piece, &key, NULL), 0);
	assert_int_equal(body_copy(&queue, txn, id_of(40), 0, SIZE(40), copy), MDB_NOTFOUND);
	assert_int_equal(body_copy(&queue, txn, id_of(40), 0, 3 * 4080, copy), 0);
	mdb_txn_abort(txn);
}

static void
no_size_takes_pieces_of_the_next_message_away(void **state)
{
	MDB_txn *txn = begin();

	(void)state;
	put_all(txn);
	for (uint8_t i = 1; i < COUNT; i += 2) {
		lie(txn, i, i % 4 == 1 ? SIZE(i) + 100000 : SIZE(i) / 2);
		remove_body(txn, i);
	}
	for (uint8_t i = 0; i < COUNT; i += 2) {
		check_there(txn, i);
		remove_body(txn, i);
	}
	assert_int_equal(stat_of(txn, queue.piece).ms_entries, 0);
	mdb_txn_abort(txn);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_body_takes_a_run_of_pages),
		cmocka_unit_test(what_is_removed_is_gone_and_its_neighbours_are_not),
		cmocka_unit_test(no_size_leads_to_the_bytes_of_the_next_message),
		cmocka_unit_test(a_body_with_a_hole_is_none),
		cmocka_unit_test(no_size_takes_pieces_of_the_next_message_away),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
