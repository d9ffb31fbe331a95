/*
 * lmdb_space.c - how much room there is, so that a full disk or map refuses new mail and nothing
 * else.
 *
 * Emptying a queue writes pages, too. So new mail is refused while a reserve is left, in the map
 * and on the disk. On the disk, blocks for the next pages are allocated ahead (fallocate), and new
 * mail may not use the last of them. The door closes much earlier (queue_space(): queue.min_free).
 */
#include "shared/queue/lmdb/lmdb_private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "shared/base/log.h"
#include "shared/metrics/metrics.h"

#define RESERVE_MAX (16u * 1024 * 1024)
#define COUNT_EVERY_US 200000

struct extent {
	uint64_t page, used, map; /* bytes; used: up to the last page that was ever used */
};

static struct extent
extent(struct lmdb_queue *queue)
{
	MDB_envinfo info;
	MDB_stat stat;

	mdb_env_info(queue->env, &info);
	mdb_env_stat(queue->env, &stat);
	return (struct extent){ stat.ms_psize, (info.me_last_pgno + 1) * stat.ms_psize,
		info.me_mapsize };
}

/* Bytes of freed pages. Each entry of table 0 is a counted list of such pages. */
static uint64_t
count_free(struct lmdb_queue *queue, uint64_t page)
{
	struct reader *reader = reader_begin(queue);
	MDB_cursor *cursor;
	MDB_val key, value;
	uint64_t pages = 0;
	int rc = mdb_cursor_open(reader->txn, 0, &cursor);

	if (rc)
		lmdb_die("free pages", rc);
	while (!(rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)))
		pages += *(const size_t *)value.mv_data;
	if (rc != MDB_NOTFOUND)
		lmdb_die("free pages", rc);
	mdb_cursor_close(cursor);
	reader_end(queue, reader);
	return pages * page;
}

void
space_open(struct lmdb_queue *queue, uint64_t map_size)
{
	queue->reserve = map_size / 8 < RESERVE_MAX ? map_size / 8 : RESERVE_MAX;
}

/* Allocates disk blocks for the next pages. On a file system that cannot, the commit meets the full
 * disk. */
static void
allocate_ahead(struct lmdb_queue *queue, const struct extent *at)
{
	uint64_t end = at->used + 2 * queue->reserve;
	mdb_filehandle_t fd;

	if (queue->allocated >= at->used + queue->reserve + queue->reserve / 2)
		return;
	if (end > at->map)
		end = at->map;
	if (end <= queue->allocated || mdb_env_get_fd(queue->env, &fd))
		return;
	if (!fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)end))
		queue->allocated = end;
	else if (errno == EOPNOTSUPP)
		queue->allocated = at->map;
	else if (errno != EINTR)
		LOG_WARN("no disk space for the queue", "error", strerror(errno));
}

bool
space_fits(struct lmdb_queue *queue, uint64_t bytes)
{
	struct extent at = extent(queue);
	uint64_t now_us = clock_mono_us(), end, ahead;

	allocate_ahead(queue, &at);
	end = queue->allocated < at.map ? queue->allocated : at.map;
	ahead = end > at.used ? end - at.used : 0;
	if (ahead >= queue->reserve + bytes)
		return true;
	if (now_us - queue->free_counted_us > COUNT_EVERY_US) {
		queue->free_bytes = count_free(queue, at.page);
		queue->free_counted_us = now_us;
	}
	if (ahead + queue->free_bytes < queue->reserve + bytes)
		return false;
	queue->free_bytes -= bytes < queue->free_bytes ? bytes : queue->free_bytes;
	return true;
}

uint64_t
space_used(struct lmdb_queue *queue)
{
	struct extent at = extent(queue);
	uint64_t free_bytes = count_free(queue, at.page);

	return at.used > free_bytes ? at.used - free_bytes : 0;
}

/* Whether the map has less left than must stay free. */
static bool
map_is_short(struct lmdb_queue *queue)
{
	struct extent at = extent(queue);
	uint64_t least = at.map / 100 * queue->min_free;

	if (least < 2 * queue->reserve)
		least = 2 * queue->reserve;
	return at.map - at.used < least && at.map - space_used(queue) < least;
}

void
space_refresh(struct lmdb_queue *queue)
{
	char why[STATE_DIR_WHY_MAX] = "";
	bool full;

	if (map_is_short(queue))
		snprintf(why, sizeof why,
			"the queue has grown to queue.map_size: new mail is refused (452); shoutctl "
			"queue summary tells what waits");
	else
		(void)state_dir_has_room(&queue->state_dir, queue->min_free, why);
	full = why[0] != '\0';
	probe_set(probe_new("queue"), full ? HEALTH_FAILED : HEALTH_READY, why);
	if (atomic_exchange(&queue->full, full) == full)
		return;
	if (full)
		LOG_WARN("new mail is refused", "error", why);
	else
		LOG_INFO("the queue has room again");
}

int
lmdb_space(const struct queue *base)
{
	const struct lmdb_queue *queue = (const struct lmdb_queue *)base;

	return atomic_load_explicit(&queue->full, memory_order_relaxed) ? -ENOSPC : 0;
}
