/*
 * test_row_table.c - waiting mail's tables against a plain array: writes at random, in three
 * tables, then everything that can be asked.
 */
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/base/log.h"
#include "shared/queue/row_table.h"

#define TABLES 3
#define MESSAGES 60
#define SITES 4
#define STEPS 4000

static const char *const sites[SITES] = { "a", "ab", "held", "mx.example" };

/* The array: a row for every message and site. */
static struct {
	bool there;
	uint64_t due_us;
	int64_t body;
	uint32_t attempts;
} model[MESSAGES][SITES];

static MDB_env *env;
static struct row_table tables[TABLES];
static size_t bad_count;

static void
message_id(size_t message, uint8_t id[ID_SIZE])
{
	memset(id, 0, ID_SIZE);
	id[0] = (uint8_t)(message * 37 % 251); /* not in the order of the numbers */
	id[15] = (uint8_t)message;
}

static char *
account_of(size_t message)
{
	static const char *const accounts[] = { "acme", "bolt", "corp" };

	return (char *)accounts[message % 7 % 3];
}

static size_t
message_of(const Row *row)
{
	return row->envelope->id.data[15];
}

static size_t
site_of(const Row *row)
{
	for (size_t i = 0; i < SITES; i++)
		if (!strcmp(sites[i], row->site))
			return i;
	fail();
	return 0;
}

static MDB_txn *
txn_begin(unsigned flags)
{
	MDB_txn *txn;

	assert_int_equal(mdb_txn_begin(env, NULL, flags, &txn), 0);
	return txn;
}

static void
write_row(MDB_txn *txn, size_t message, size_t site)
{
	unsigned char packed[200];
	uint8_t id[ID_SIZE];
	Envelope envelope = ENVELOPE__INIT;
	Row row = ROW__INIT;
	struct row_entry entry = { .id = id, .site = sites[site], .packed = packed };

	message_id(message, id);
	envelope.id = (ProtobufCBinaryData){ ID_SIZE, id };
	envelope.account = account_of(message);
	entry.lane = rows_lane(envelope.account);
	row.envelope = &envelope;
	row.site = (char *)sites[site];
	row.attempts = model[message][site].attempts;
	row.due_us = entry.head.due_us = model[message][site].due_us;
	entry.head.body = model[message][site].body;
	entry.now_us = 7;
	entry.site_length = strlen(sites[site]);
	entry.packed_size = row__get_packed_size(&row);
	assert_true(entry.packed_size <= sizeof packed);
	row__pack(&row, packed);
	assert_int_equal(row_table_put(&tables[message % TABLES], txn, &entry), 0);
}

static void
remove_row(MDB_txn *txn, size_t message, size_t site)
{
	unsigned char bytes[ROW_KEY_MAX];
	uint8_t id[ID_SIZE];
	MDB_val key = { 0, bytes };
	bool was_there;

	message_id(message, id);
	key.mv_size = row_key(bytes, id, sites[site], strlen(sites[site]));
	assert_int_equal(row_table_remove(&tables[message % TABLES], txn, &key, &was_there), 0);
	assert_int_equal(was_there, model[message][site].there);
}

static void
step(MDB_txn *txn)
{
	size_t message = (size_t)rand() % MESSAGES, site = (size_t)rand() % SITES;

	if (rand() % 3 == 0) {
		remove_row(txn, message, site);
		model[message][site].there = false;
		return;
	}
	model[message][site].there = true;
	model[message][site].due_us = site == 2 ? 0 : (uint64_t)rand() % 50 + 1;
	/* Bodies move up, all rows of a message to the same place in the end. */
	model[message][site].body = (int64_t)message + (rand() % 2 ? 1000 : 0);
	model[message][site].attempts++;
	write_row(txn, message, site);
}

static MDB_txn *
source_begin(void *arg, const struct row_table **out, size_t *count_out)
{
	(void)arg;
	for (size_t i = 0; i < TABLES; i++)
		out[i] = &tables[i];
	*count_out = TABLES;
	return txn_begin(MDB_RDONLY);
}

static void
source_end(void *arg, MDB_txn *txn)
{
	(void)arg;
	mdb_txn_abort(txn);
}

static void
source_bad(void *arg, const MDB_val *key)
{
	(void)arg, (void)key;
	bad_count++;
}

static const struct row_source source = { NULL, source_begin, source_end, source_bad };

static Row *found[MESSAGES * SITES + 1];
static size_t found_count;

static void
on_row(void *arg, Row *row)
{
	(void)arg;
	assert_true(found_count < MESSAGES * SITES);
	found[found_count++] = row;
}

static void
forget_found(void)
{
	while (found_count)
		row_free(found[--found_count]);
}

static void
check_found(const Row *row)
{
	size_t message = message_of(row), site = site_of(row);

	assert_true(model[message][site].there);
	assert_int_equal(row->due_us, model[message][site].due_us);
	assert_int_equal(row->attempts, model[message][site].attempts);
}

static size_t
model_count(int site)
{
	size_t n = 0;

	for (size_t m = 0; m < MESSAGES; m++)
		for (int s = 0; s < SITES; s++)
			n += model[m][s].there && (site < 0 || s == site);
	return n;
}

static int
due_order(const Row *a, const Row *b)
{
	uint64_t lane_a = rows_lane(a->envelope->account), lane_b = rows_lane(b->envelope->account);

	if (lane_a != lane_b)
		return lane_a < lane_b ? -1 : 1;
	if (a->due_us != b->due_us)
		return a->due_us < b->due_us ? -1 : 1;
	return memcmp(a->envelope->id.data, b->envelope->id.data, ID_SIZE);
}

/* In pages of 7, each from where the one before ended. */
static void
read_due(struct rows_place from)
{
	const Row *last;

	while (row_source_due(&source, &from, 7, on_row, NULL) == 7) {
		last = found[found_count - 1];
		from.lane = rows_lane(last->envelope->account);
		from.due_us = last->due_us;
		from.id = last->envelope->id.data;
	}
}

/* A lane holds its account's rows, and no others. */
static void
check_lane(int site, size_t message)
{
	const char *account = account_of(message);
	size_t count = 0;

	for (size_t m = 0; m < MESSAGES; m++)
		count += model[m][site].there && !strcmp(account_of(m), account);
	read_due((struct rows_place){ .site = sites[site], .lane = rows_lane(account) });
	assert_int_equal(found_count, count);
	for (size_t i = 0; i < found_count; i++)
		assert_string_equal(found[i]->envelope->account, account);
	forget_found();
}

static void
check_due(int site)
{
	for (size_t message = 0; message < 3; message++)
		check_lane(site, message);
	read_due((struct rows_place){ .site = sites[site], .further = true });
	assert_int_equal(found_count, model_count(site));
	for (size_t i = 0; i < found_count; i++) {
		check_found(found[i]);
		assert_int_equal(site_of(found[i]), site);
		assert_true(!i || due_order(found[i - 1], found[i]) < 0);
	}
	forget_found();
}

static int
key_order(const Row *a, const Row *b)
{
	int order = memcmp(a->envelope->id.data, b->envelope->id.data, ID_SIZE);

	return order ? order : strcmp(a->site, b->site);
}

static void
check_scan(void)
{
	const Row *last = NULL;
	size_t got;

	do {
		last = found_count ? found[found_count - 1] : NULL;
		got = row_source_scan(&source, last ? last->envelope->id.data : NULL,
			last ? last->site : NULL, 7, on_row, NULL);
	} while (got == 7);
	assert_int_equal(found_count, model_count(-1));
	for (size_t i = 0; i < found_count; i++) {
		check_found(found[i]);
		assert_true(!i || key_order(found[i - 1], found[i]) < 0);
	}
	forget_found();
}

static void
check_counts(MDB_txn *txn)
{
	for (int site = 0; site < SITES; site++) {
		uint64_t sum = 0, count;

		for (size_t i = 0; i < TABLES; i++) {
			assert_int_equal(row_table_count(&tables[i], txn, sites[site], &count), 0);
			sum += count;
		}
		assert_int_equal(sum, model_count(site));
	}
}

/* The lowest body from `from` on that a row of the table needs. */
static void
check_bodies(MDB_txn *txn, int64_t from)
{
	for (size_t i = 0; i < TABLES; i++) {
		int64_t lowest = INT64_MAX, got = from;
		struct row_body body = { 0 };
		int rc;

		for (size_t m = i; m < MESSAGES; m += TABLES)
			for (int s = 0; s < SITES; s++)
				if (model[m][s].there && model[m][s].body >= from &&
					model[m][s].body < lowest)
					lowest = model[m][s].body;
		rc = row_table_first_body(&tables[i], txn, &got, &body);
		assert_true(rc == 0 || rc == MDB_NOTFOUND);
		assert_int_equal(rc ? INT64_MAX : got, lowest);
		if (rc)
			continue;
		assert_int_equal(body.id[15], lowest % 1000);
		assert_int_equal(body.seen_us, 7);
	}
}

static void
check_all(void)
{
	MDB_txn *txn = txn_begin(MDB_RDONLY);

	check_counts(txn);
	check_bodies(txn, 0);
	check_bodies(txn, 500);
	mdb_txn_abort(txn);
	for (int site = 0; site < SITES; site++)
		check_due(site);
	check_scan();
}

static void
the_tables_hold_what_the_array_holds(void **state)
{
	MDB_txn *txn;

	(void)state;
	srand(1);
	for (int i = 0; i < STEPS; i += 50) {
		txn = txn_begin(0);
		for (int n = 0; n < 50; n++)
			step(txn);
		assert_int_equal(mdb_txn_commit(txn), 0);
		check_all();
	}
	txn = txn_begin(0);
	for (size_t i = 0; i < TABLES; i++)
		assert_int_equal(row_table_clear(&tables[i], txn), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	memset(model, 0, sizeof model);
	check_all();
}

static void
rows_of_one_message_are_its_own(void **state)
{
	MDB_txn *txn = txn_begin(0);
	uint8_t id[ID_SIZE];

	(void)state;
	for (size_t m = 0; m < 3; m++)
		for (size_t s = 0; s < SITES; s++) {
			model[m][s].there = true;
			write_row(txn, m, s);
		}
	assert_int_equal(mdb_txn_commit(txn), 0);
	message_id(1, id);
	assert_int_equal(row_source_of(&source, id, on_row, NULL), SITES);
	for (size_t i = 0; i < found_count; i++)
		assert_int_equal(message_of(found[i]), 1);
	forget_found();
}

static void
what_cannot_be_read_is_told_and_passed_over(void **state)
{
	MDB_txn *txn = txn_begin(0);
	unsigned char bytes[ROW_KEY_MAX], junk[] = { 0xff, 0xff, 0xff };
	uint8_t id[ID_SIZE];
	MDB_val key = { 0, bytes }, value = { sizeof junk, junk };

	(void)state;
	model[0][0].there = model[3][0].there = true;
	write_row(txn, 0, 0);
	write_row(txn, 3, 0);
	message_id(0, id);
	key.mv_size = row_key(bytes, id, "a", 1);
	assert_int_equal(mdb_put(txn, tables[0].rows, &key, &value, 0), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	bad_count = 0;
	assert_int_equal(row_source_scan(&source, NULL, NULL, 10, on_row, NULL), 1);
	assert_int_equal(bad_count, 1);
	forget_found();
}

static void
an_old_environment_is_counted_when_it_is_opened(void **state)
{
	MDB_txn *txn = txn_begin(0);
	uint64_t count;

	(void)state;
	model[0][1].there = model[3][1].there = true;
	write_row(txn, 0, 1);
	write_row(txn, 3, 1);
	assert_int_equal(mdb_drop(txn, tables[0].sites, 0), 0);
	assert_int_equal(row_table_open(&tables[0], txn, ".0", true), 0);
	assert_int_equal(row_table_count(&tables[0], txn, "ab", &count), 0);
	assert_int_equal(count, 2);
	mdb_txn_abort(txn);
}

/* The index by due time alone, as older versions wrote it; and this one's, which they left as it
 * was when they changed the rows. */
static void
what_an_older_version_wrote_has_lanes_when_it_is_opened(void **state)
{
	MDB_txn *txn = txn_begin(0);
	char old_key[] = "ab\0........0123456789abcdef";
	MDB_val key = { sizeof old_key - 1, old_key }, nothing = { 0, NULL };
	MDB_dbi due;

	(void)state;
	model[0][1].there = model[3][1].there = true;
	write_row(txn, 0, 1);
	assert_int_equal(mdb_drop(txn, tables[0].lanes, 0), 0);
	key.mv_data = "ab\0of a row that has gone";
	assert_int_equal(mdb_put(txn, tables[0].lanes, &key, &nothing, 0), 0);
	key.mv_data = old_key;
	assert_int_equal(mdb_dbi_open(txn, "due.0", MDB_CREATE, &due), 0);
	assert_int_equal(mdb_put(txn, due, &key, &nothing, 0), 0);
	assert_int_equal(row_table_open(&tables[0], txn, ".0", true), 0);
	assert_int_equal(mdb_dbi_open(txn, "due.0", 0, &due), MDB_NOTFOUND);
	write_row(txn, 3, 1);
	assert_int_equal(mdb_txn_commit(txn), 0);
	check_due(1);
}

static char dir[] = "/tmp/shout-rows-XXXXXX";

static int
open_env(void **state)
{
	char path[64], suffix[8];
	MDB_txn *txn;

	(void)state;
	memset(model, 0, sizeof model);
	memcpy(dir + strlen(dir) - 6, "XXXXXX", 6);
	if (!mkdtemp(dir) || mdb_env_create(&env))
		return -1;
	snprintf(path, sizeof path, "%s/rows.mdb", dir);
	mdb_env_set_maxdbs(env, 16);
	mdb_env_set_mapsize(env, 64u << 20);
	if (mdb_env_open(env, path, MDB_NOSUBDIR | MDB_NOTLS | MDB_NOSYNC, 0600))
		return -1;
	txn = txn_begin(0);
	for (int i = 0; i < TABLES; i++) {
		snprintf(suffix, sizeof suffix, ".%d", i);
		if (row_table_open(&tables[i], txn, suffix, true))
			return -1;
	}
	return mdb_txn_commit(txn);
}

static int
remove_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static int
close_env(void **state)
{
	(void)state;
	mdb_env_close(env);
	return nftw(dir, remove_file, 8, FTW_DEPTH | FTW_PHYS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_env, close_env)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_tables_hold_what_the_array_holds),
		TEST(rows_of_one_message_are_its_own),
		TEST(what_cannot_be_read_is_told_and_passed_over),
		TEST(an_old_environment_is_counted_when_it_is_opened),
		TEST(what_an_older_version_wrote_has_lanes_when_it_is_opened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
