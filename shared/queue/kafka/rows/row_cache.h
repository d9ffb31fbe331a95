/*
 * row_cache.h - in a cluster, mail.state as tables on the local disk, partition by partition.
 *
 * The truth is the log; this is what reading it came to, and up to where. It may be deleted at any
 * time. It survives the end of the process, however sudden, but is not synced: after a reboot it
 * starts empty.
 *
 * One thread writes. Reading is for any thread.
 */
#ifndef SHARED_ROW_CACHE_H
#define SHARED_ROW_CACHE_H

#include "shared/queue/rows.h"

struct row_cache;

/* Opens (creates, empties after a reboot) the file `path`; NULL after logging why. */
struct row_cache *row_cache_open(const char *path);
void row_cache_close(struct row_cache **cache);

/* Up to where a partition of the log was read. */
struct row_point {
	int64_t next;     /* the first offset not read */
	int64_t epoch;    /* the newest claim before it; -1: none */
	uint64_t time_us; /* when that was so */
	char cluster[64];
};

/*
 * Writing: begin, any number of the others, commit. 0 or -errno, after which everything since the
 * begin is undone. `partition` < ROW_PARTITIONS_MAX.
 */
#define ROW_PARTITIONS_MAX 1024
/* Outside of begin and commit, once before the others: makes the partition's tables. */
int row_cache_prepare(struct row_cache *cache, int32_t partition);
int row_cache_begin(struct row_cache *cache);
int row_cache_commit(struct row_cache *cache);
void row_cache_abort(struct row_cache *cache);
/* The packed Row replaces the one of its id and site. `body` < 0: none. */
int row_cache_put(struct row_cache *cache, int32_t partition, const Row *row, const void *packed,
	size_t packed_size, int64_t body, uint64_t now_us);
int row_cache_remove(struct row_cache *cache, int32_t partition, const uint8_t id[ID_SIZE],
	const char *site, size_t site_length);
/* The row of this name cannot be read: its bytes stand for it until it is written or removed. */
int row_cache_put_bad(struct row_cache *cache, int32_t partition, const uint8_t id[ID_SIZE],
	const char *site, size_t site_length, const void *value, size_t size);
int row_cache_wipe(struct row_cache *cache, int32_t partition);
int row_cache_set_point(struct row_cache *cache, int32_t partition, const struct row_point *point);

/* False: nothing is known of the partition. */
bool row_cache_point(struct row_cache *cache, int32_t partition, struct row_point *point_out);
/* Where the row's body is, or (site NULL) that of any row of the message; < 0: there is none. */
int64_t row_cache_body(
	struct row_cache *cache, int32_t partition, const uint8_t id[ID_SIZE], const char *site);
/* NULL: there is none. */
Row *row_cache_get(
	struct row_cache *cache, int32_t partition, const uint8_t id[ID_SIZE], const char *site);
/* The lowest body from `*offset` on that a row needs; false: none does. */
bool row_cache_first_body(struct row_cache *cache, int32_t partition, int64_t *offset,
	uint64_t *seen_us_out, uint8_t id_out[ID_SIZE]);
/* Rows of a site, or of all (NULL). */
uint64_t row_cache_count(struct row_cache *cache, int32_t partition, const char *site);
/* Those that cannot be read: how many of a partition, and the first one of any partition from a key
 * (<id><site>, length 0: the first of all) on; false: there is none. */
struct row_bad {
	int32_t partition;
	const void *key; /* these are valid during the callback only */
	size_t key_length;
	const void *value;
	size_t length;
};
typedef void (*row_bad_cb)(void *arg, const struct row_bad *bad);
uint64_t row_cache_bad_count(struct row_cache *cache, int32_t partition);
bool row_cache_bad_next(struct row_cache *cache, const void *from, size_t from_length,
	row_bad_cb on_bad, void *arg);
/* Lets go of the pages that were read: they count as ours (RSS). */
void row_cache_trim(struct row_cache *cache);

/* As rows_due() and the like, over these partitions as if they were one. */
struct row_set {
	struct row_cache *cache;
	size_t count;
	int32_t partitions[ROW_PARTITIONS_MAX];
};
size_t row_set_due(const struct row_set *set, const struct rows_place *from, size_t limit,
	queue_row_cb on_row, void *arg);
size_t row_set_scan(const struct row_set *set, const uint8_t *after_id, const char *after_site,
	size_t limit, queue_row_cb on_row, void *arg);
size_t row_set_of(const struct row_set *set, const uint8_t *id, queue_row_cb on_row, void *arg);

#endif
