/*
 * row_cache.c - in a cluster, mail.state as tables on the local disk, partition by partition.
 *
 * mail.state -> kafka_follow -> [row_cache] -> views of waiting mail
 *
 * One LMDB environment. Each partition has the tables of row_table.h and `bad`, for rows that
 * cannot be read (key as in `rows` -> the record's value); the table `points` has the checkpoints.
 * The environment is not synced (MDB_NOSYNC). Pages of a killed process are safe in the kernel.
 * After a power loss they are anybody's guess, so a new boot id empties the cache. A failed read
 * ends the process; a write that finds no room can be tried again.
 */
#include "shared/queue/kafka/rows/row_cache.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shared/base/log.h"
#include "shared/queue/row_table.h"

#define TABLES_A_PARTITION 5
#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#define MAIN_TABLE 1 /* the table of tables; it is never empty */
/* Address space, not disk: what it holds is bounded by what waits, and a map that is full is full
 * for ever, since removing takes room as well. */
#define MAP_BYTES (UINT64_C(1) << 40)

struct row_cache {
	MDB_env *env;
	MDB_dbi points;
	MDB_txn *txn; /* the writer's */
	void *map;
	size_t map_length;
	pthread_mutex_t lock; /* open: a table that is there stays */
	struct row_table tables[ROW_PARTITIONS_MAX];
	MDB_dbi bad[ROW_PARTITIONS_MAX];
	bool open[ROW_PARTITIONS_MAX];
};

static void
cache_die(int rc)
{
	die("cannot read the cache of rows", mdb_strerror(rc));
}

static int
error_of(int rc)
{
	return !rc ? 0 : rc == MDB_MAP_FULL ? -ENOSPC : rc > 0 ? -rc : -EIO;
}

/* Opening. */

static char *
read_line(const char *path)
{
	char text[64] = "";
	FILE *file = fopen(path, "re");

	if (file && !fgets(text, sizeof text, file))
		text[0] = '\0';
	if (file)
		fclose(file);
	return xstrdup(text);
}

static void
cache_unlink(const char *path)
{
	char *lock = xasprintf("%s-lock", path);

	unlink(path);
	unlink(lock);
	free(lock);
}

/* Empties a cache that another boot of this machine left. */
static int
check_boot(const char *path)
{
	char *note = xasprintf("%s.boot", path), *now = read_line(BOOT_ID), *then = read_line(note);
	FILE *file;
	int err = 0;

	if (!*now || strcmp(now, then) != 0) {
		cache_unlink(path);
		file = fopen(note, "we");
		if (!file || fputs(now, file) < 0)
			err = -errno;
		if (file && fclose(file))
			err = -errno;
	}
	free(note);
	free(now);
	free(then);
	return err;
}

static int
open_points(struct row_cache *cache)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(cache->env, NULL, 0, &txn);

	if (rc)
		return rc;
	rc = mdb_dbi_open(txn, "points", MDB_CREATE, &cache->points);
	if (!rc)
		return mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return rc;
}

static int
open_environment(struct row_cache *cache, const char *path)
{
	const unsigned flags = MDB_NOSUBDIR | MDB_NOTLS | MDB_NORDAHEAD | MDB_NOSYNC;
	int rc = mdb_env_create(&cache->env);

	if (!rc)
		rc = mdb_env_set_mapsize(cache->env, MAP_BYTES);
	if (!rc)
		rc = mdb_env_set_maxdbs(cache->env, TABLES_A_PARTITION * ROW_PARTITIONS_MAX + 8);
	if (!rc)
		rc = mdb_env_set_maxreaders(cache->env, 1024);
	if (!rc)
		rc = mdb_env_open(cache->env, path, flags, 0600);
	if (!rc)
		rc = open_points(cache);
	if (rc && cache->env) {
		mdb_env_close(cache->env);
		cache->env = NULL;
	}
	return rc;
}

/* LMDB does not tell where its map is, but keys lie in the map. */
static void
find_map(struct row_cache *cache)
{
	uintptr_t start, end, inside = 0;
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	MDB_cursor *cursor;
	MDB_txn *txn;
	MDB_val key, value;

	if (!mdb_txn_begin(cache->env, NULL, MDB_RDONLY, &txn)) {
		if (!mdb_cursor_open(txn, MAIN_TABLE, &cursor)) {
			if (!mdb_cursor_get(cursor, &key, &value, MDB_FIRST))
				inside = (uintptr_t)key.mv_data;
			mdb_cursor_close(cursor);
		}
		mdb_txn_abort(txn);
	}
	while (maps && fgets(line, sizeof line, maps))
		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &start, &end) == 2 && start <= inside &&
			inside < end) {
			cache->map = (void *)start;
			cache->map_length = end - start;
		}
	if (maps)
		fclose(maps);
}

struct row_cache *
row_cache_open(const char *path)
{
	struct row_cache *cache = xcalloc(1, sizeof *cache);
	int err = check_boot(path), rc = 0;

	pthread_mutex_init(&cache->lock, NULL);
	if (!err) {
		rc = open_environment(cache, path);
		if (rc == MDB_CORRUPTED || rc == MDB_INVALID || rc == MDB_VERSION_MISMATCH) {
			cache_unlink(path);
			rc = open_environment(cache, path);
		}
	}
	if (err || rc) {
		LOG_ERROR("cannot open the cache of rows", "file", path, "error",
			err ? strerror(-err) : mdb_strerror(rc));
		row_cache_close(&cache);
		return NULL;
	}
	find_map(cache);
	return cache;
}

void
row_cache_close(struct row_cache **cache_ref)
{
	struct row_cache *cache = *cache_ref;

	*cache_ref = NULL;
	if (!cache)
		return;
	if (cache->env)
		mdb_env_close(cache->env);
	pthread_mutex_destroy(&cache->lock);
	free(cache);
}

void
row_cache_trim(struct row_cache *cache)
{
	if (cache->map)
		madvise(cache->map, cache->map_length, MADV_DONTNEED);
}

/* Writing. */

int
row_cache_begin(struct row_cache *cache)
{
	return error_of(mdb_txn_begin(cache->env, NULL, 0, &cache->txn));
}

int
row_cache_commit(struct row_cache *cache)
{
	MDB_txn *txn = cache->txn;

	cache->txn = NULL;
	return error_of(mdb_txn_commit(txn));
}

void
row_cache_abort(struct row_cache *cache)
{
	if (cache->txn)
		mdb_txn_abort(cache->txn);
	cache->txn = NULL;
}

static int
undo(struct row_cache *cache, int rc)
{
	if (rc)
		row_cache_abort(cache);
	return error_of(rc);
}

static bool
is_open(struct row_cache *cache, int32_t partition)
{
	bool open;

	pthread_mutex_lock(&cache->lock);
	open = cache->open[partition];
	pthread_mutex_unlock(&cache->lock);
	return open;
}

/* In a transaction of its own, since handles of a transaction that fails would be gone. */
static int
open_tables(struct row_cache *cache, int32_t partition)
{
	char suffix[16], bad[24];
	MDB_txn *txn;
	int rc = mdb_txn_begin(cache->env, NULL, 0, &txn);

	if (rc)
		return rc;
	snprintf(suffix, sizeof suffix, ".%" PRId32, partition);
	snprintf(bad, sizeof bad, "bad%s", suffix);
	rc = row_table_open(&cache->tables[partition], txn, suffix, true);
	if (!rc)
		rc = mdb_dbi_open(txn, bad, MDB_CREATE, &cache->bad[partition]);
	if (rc) {
		mdb_txn_abort(txn);
		return rc;
	}
	rc = mdb_txn_commit(txn);
	if (rc)
		return rc;
	pthread_mutex_lock(&cache->lock);
	cache->open[partition] = true;
	pthread_mutex_unlock(&cache->lock);
	return 0;
}

static MDB_txn *
read_begin(struct row_cache *cache)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(cache->env, NULL, MDB_RDONLY, &txn);

	if (rc)
		cache_die(rc);
	return txn;
}

bool
row_cache_point(struct row_cache *cache, int32_t partition, struct row_point *point_out)
{
	MDB_val key = { sizeof partition, &partition }, value;
	MDB_txn *txn = read_begin(cache);
	int rc = mdb_get(txn, cache->points, &key, &value);
	if (!rc && value.mv_size == sizeof *point_out)
		memcpy(point_out, value.mv_data, sizeof *point_out);
	else if (!rc)
		rc = MDB_NOTFOUND;
	mdb_txn_abort(txn);
	if (rc && rc != MDB_NOTFOUND)
		cache_die(rc);
	return !rc;
}

int
row_cache_set_point(struct row_cache *cache, int32_t partition, const struct row_point *point)
{
	MDB_val key = { sizeof partition, &partition };
	MDB_val value = { sizeof *point, (void *)point };

	return undo(cache, mdb_put(cache->txn, cache->points, &key, &value, 0));
}

int
row_cache_prepare(struct row_cache *cache, int32_t partition)
{
	return is_open(cache, partition) ? 0 : error_of(open_tables(cache, partition));
}

static int
bad_forget(struct row_cache *cache, int32_t partition, MDB_val *key)
{
	MDB_stat stat;
	int rc = mdb_stat(cache->txn, cache->bad[partition], &stat);

	if (rc || !stat.ms_entries)
		return rc;
	rc = mdb_del(cache->txn, cache->bad[partition], key, NULL);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

int
row_cache_put(struct row_cache *cache, int32_t partition, const Row *row, const void *packed,
	size_t packed_size, int64_t body, uint64_t now_us)
{
	struct row_entry entry = {
		.id = row->envelope->id.data,
		.site = row->site,
		.site_length = strlen(row->site),
		.lane = rows_lane(row->envelope->account),
		.head = { row->due_us, body },
		.now_us = now_us,
		.packed = packed,
		.packed_size = packed_size,
	};

	unsigned char bytes[ROW_KEY_MAX];
	MDB_val key = { row_key(bytes, entry.id, entry.site, entry.site_length), bytes };
	int rc = row_table_put(&cache->tables[partition], cache->txn, &entry);

	return undo(cache, rc ? rc : bad_forget(cache, partition, &key));
}

int
row_cache_put_bad(struct row_cache *cache, int32_t partition, const uint8_t id[ID_SIZE],
	const char *site, size_t site_length, const void *value, size_t size)
{
	unsigned char bytes[ROW_KEY_MAX];
	MDB_val key = { row_key(bytes, id, site, site_length), bytes };
	MDB_val data = { size, (void *)value };
	bool was_there;
	int rc = row_table_remove(&cache->tables[partition], cache->txn, &key, &was_there);

	return undo(cache, rc ? rc : mdb_put(cache->txn, cache->bad[partition], &key, &data, 0));
}

int
row_cache_remove(struct row_cache *cache, int32_t partition, const uint8_t id[ID_SIZE],
	const char *site, size_t site_length)
{
	unsigned char bytes[ROW_KEY_MAX];
	MDB_val key = { row_key(bytes, id, site, site_length), bytes };
	bool was_there;
	int rc = row_table_remove(&cache->tables[partition], cache->txn, &key, &was_there);

	return undo(cache, rc ? rc : bad_forget(cache, partition, &key));
}

int
row_cache_wipe(struct row_cache *cache, int32_t partition)
{
	MDB_val key = { sizeof partition, &partition };
	int rc = row_table_clear(&cache->tables[partition], cache->txn);

	if (!rc)
		rc = mdb_drop(cache->txn, cache->bad[partition], 0);
	if (!rc) {
		rc = mdb_del(cache->txn, cache->points, &key, NULL);
		if (rc == MDB_NOTFOUND)
			rc = 0;
	}
	return undo(cache, rc);
}

/* Reading. */

Row *
row_cache_get(
	struct row_cache *cache, int32_t partition, const uint8_t id[ID_SIZE], const char *site)
{
	unsigned char bytes[ROW_KEY_MAX];
	MDB_val key = { row_key(bytes, id, site, strlen(site)), bytes }, packed;
	Row *row = NULL;
	MDB_txn *txn;
	int rc;

	if (!is_open(cache, partition))
		return NULL;
	txn = read_begin(cache);
	rc = row_table_get(&cache->tables[partition], txn, &key, &packed);
	if (rc && rc != MDB_NOTFOUND)
		cache_die(rc);
	if (!rc)
		row = row_unpack(packed.mv_data, packed.mv_size);
	mdb_txn_abort(txn);
	return row;
}

int64_t
row_cache_body(
	struct row_cache *cache, int32_t partition, const uint8_t id[ID_SIZE], const char *site)
{
	struct row_head head;
	MDB_txn *txn;
	int rc;

	if (!is_open(cache, partition))
		return -1;
	txn = read_begin(cache);
	rc = row_table_head(&cache->tables[partition], txn, id, site, &head);
	mdb_txn_abort(txn);
	if (rc && rc != MDB_NOTFOUND)
		cache_die(rc);
	return rc ? -1 : head.body;
}

bool
row_cache_first_body(struct row_cache *cache, int32_t partition, int64_t *offset,
	uint64_t *seen_us_out, uint8_t id_out[ID_SIZE])
{
	struct row_body body;
	MDB_txn *txn;
	int rc;

	if (!is_open(cache, partition))
		return false;
	txn = read_begin(cache);
	rc = row_table_first_body(&cache->tables[partition], txn, offset, &body);
	mdb_txn_abort(txn);
	if (rc && rc != MDB_NOTFOUND)
		cache_die(rc);
	if (rc)
		return false;
	*seen_us_out = body.seen_us;
	memcpy(id_out, body.id, ID_SIZE);
	return true;
}

uint64_t
row_cache_count(struct row_cache *cache, int32_t partition, const char *site)
{
	uint64_t count;
	MDB_txn *txn;
	int rc;

	if (!is_open(cache, partition))
		return 0;
	txn = read_begin(cache);
	rc = row_table_count(&cache->tables[partition], txn, site, &count);
	mdb_txn_abort(txn);
	if (rc)
		cache_die(rc);
	return count;
}

uint64_t
row_cache_bad_count(struct row_cache *cache, int32_t partition)
{
	MDB_stat stat;
	MDB_txn *txn;
	int rc;

	if (!is_open(cache, partition))
		return 0;
	txn = read_begin(cache);
	rc = mdb_stat(txn, cache->bad[partition], &stat);
	mdb_txn_abort(txn);
	if (rc)
		cache_die(rc);
	return stat.ms_entries;
}

/* The first bad row of a partition from `key` on; false: there is none. */
static bool
bad_from(struct row_cache *cache, MDB_txn *txn, int32_t partition, MDB_val *key, MDB_val *value)
{
	MDB_cursor *cursor;
	int rc = mdb_cursor_open(txn, cache->bad[partition], &cursor);

	if (rc)
		cache_die(rc);
	rc = mdb_cursor_get(cursor, key, value, key->mv_size ? MDB_SET_RANGE : MDB_FIRST);
	mdb_cursor_close(cursor);
	if (rc && rc != MDB_NOTFOUND)
		cache_die(rc);
	return !rc;
}

bool
row_cache_bad_next(
	struct row_cache *cache, const void *from, size_t from_length, row_bad_cb on_bad, void *arg)
{
	struct row_bad bad = { .key = NULL };
	MDB_txn *txn = read_begin(cache);

	for (int32_t i = 0; i < ROW_PARTITIONS_MAX; i++) {
		MDB_val key = { from_length, (void *)from }, value;

		if (!is_open(cache, i) || !bad_from(cache, txn, i, &key, &value))
			continue;
		if (bad.key && memcmp(bad.key, key.mv_data, ID_SIZE) <= 0) /* no two share an id */
			continue;
		bad = (struct row_bad){ i, key.mv_data, key.mv_size, value.mv_data, value.mv_size };
	}
	if (bad.key)
		on_bad(arg, &bad);
	mdb_txn_abort(txn);
	return bad.key != NULL;
}

static MDB_txn *
set_begin(void *arg, const struct row_table **tables, size_t *count_out)
{
	const struct row_set *set = arg;

	*count_out = 0;
	pthread_mutex_lock(&set->cache->lock);
	for (size_t i = 0; i < set->count; i++)
		if (set->cache->open[set->partitions[i]])
			tables[(*count_out)++] = &set->cache->tables[set->partitions[i]];
	pthread_mutex_unlock(&set->cache->lock);
	return read_begin(set->cache);
}

static void
set_end(void *arg, MDB_txn *txn)
{
	(void)arg;
	mdb_txn_abort(txn);
}

/* Only readable rows are put into the tables, so the file is damaged. */
static void
set_bad(void *arg, const MDB_val *key)
{
	(void)arg, (void)key;
	LOG_ERROR("a row of the cache cannot be read; delete the file to have it rebuilt");
}

static struct row_source
source_of(const struct row_set *set)
{
	return (struct row_source){ (void *)set, set_begin, set_end, set_bad };
}

size_t
row_set_due(const struct row_set *set, const struct rows_place *from, size_t limit,
	queue_row_cb on_row, void *arg)
{
	struct row_source source = source_of(set);

	return row_source_due(&source, from, limit, on_row, arg);
}

size_t
row_set_scan(const struct row_set *set, const uint8_t *after_id, const char *after_site,
	size_t limit, queue_row_cb on_row, void *arg)
{
	struct row_source source = source_of(set);

	return row_source_scan(&source, after_id, after_site, limit, on_row, arg);
}

size_t
row_set_of(const struct row_set *set, const uint8_t *id, queue_row_cb on_row, void *arg)
{
	struct row_source source = source_of(set);

	return row_source_of(&source, id, on_row, arg);
}
