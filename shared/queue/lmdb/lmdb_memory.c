/*
 * lmdb_memory.c - lets go of the pages of the queue's file that this process has mapped.
 *
 * LMDB reads through a mapping of the whole file. Pages read that way count as this process's
 * memory (RSS) until the machine runs short: the bodies of 20,000 waiting messages were 75 MB. The
 * housekeeper unmaps them once a second. The pages stay in the kernel's cache; reading them again
 * costs a minor fault for every 16 pages. Nothing is lost: the mapping is read-only and shared, and
 * writes go by pwrite().
 *
 * When the mapping cannot be found, memory is left as LMDB leaves it.
 */
#include "shared/queue/lmdb/lmdb_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>

#include "shared/base/log.h"

#define MAIN_TABLE 1 /* the table of tables, which is never empty */

/* LMDB does not tell where its map is, but its keys lie in the map. */
static uintptr_t
any_key(struct lmdb_queue *queue)
{
	struct reader *reader = reader_begin(queue);
	MDB_cursor *cursor;
	MDB_val key, value;
	uintptr_t at = 0;

	if (!mdb_cursor_open(reader->txn, MAIN_TABLE, &cursor)) {
		if (!mdb_cursor_get(cursor, &key, &value, MDB_FIRST))
			at = (uintptr_t)key.mv_data;
		mdb_cursor_close(cursor);
	}
	reader_end(queue, reader);
	return at;
}

void
memory_open(struct lmdb_queue *queue)
{
	uintptr_t start, end, inside = any_key(queue);
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];

	while (maps && fgets(line, sizeof line, maps))
		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &start, &end) == 2 && start <= inside &&
			inside < end) {
			queue->map = (void *)start;
			queue->map_length = end - start;
		}
	if (!queue->map)
		LOG_WARN("the queue's mapping is not in /proc/self/maps: RSS will include it");
	if (maps)
		fclose(maps);
}

void
memory_release(struct lmdb_queue *queue)
{
	if (queue->map)
		madvise(queue->map, queue->map_length, MADV_DONTNEED);
}
