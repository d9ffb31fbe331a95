/*
 * lmdb_spool.c - spilled bodies, and the two threads for what must not delay the writer.
 *
 * A spilled body is the file spool/<id text>. The order that crash safety depends on:
 *
 *   put:    fdatasync of the file, rename, fsync of the directory; then the put joins the writer
 *   delete: the delete of the table entry commits; then the file is removed
 *
 * A crash in between leaves a file without a table entry. Such files are removed at start.
 *
 * The pool also syncs and prunes the event files. A failed sync ends the process.
 */
#include "shared/queue/lmdb/lmdb_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/state_dir.h"
#include "shared/queue/lmdb/event_file.h"

/* The disk may have half of the file, and a second try would not tell. */
static void
sync_or_die(int fd, int (*sync)(int fd), const char *what)
{
	if (sync(fd))
		die(what, strerror(errno));
}

/* Renames the offered file to the body's name. -EEXIST: the body exists already. */
static int
take_file(struct lmdb_queue *queue, const struct op *op)
{
	char name[ID_TEXT_SIZE];
	struct stat st;
	int fd = openat(queue->spool_fd, op->spill, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) || (uint64_t)st.st_size != op->size) {
		close(fd);
		return -EIO;
	}
	sync_or_die(fd, fdatasync, "a spilled body cannot be made durable");
	close(fd);
	id_format(op->id, name);
	if (strcmp(name, op->spill) != 0 &&
		renameat2(queue->spool_fd, op->spill, queue->spool_fd, name, RENAME_NOREPLACE))
		return -errno;
	sync_or_die(queue->spool_fd, fsync, "the spool directory cannot be made durable");
	return 0;
}

static void
spool_put(struct lmdb_queue *queue, struct op *op)
{
	op->err = take_file(queue, op);
	if (op->err) {
		LOG_WARN("a spilled body cannot be taken", "file", op->spill, "error",
			strerror(-op->err));
		unlinkat(queue->spool_fd, op->spill, 0);
		op->spill = NULL;
		op->packed_size = 0;
	}
}

static void
spool_unlink(struct lmdb_queue *queue, struct op *op)
{
	char name[ID_TEXT_SIZE];

	id_format(op->id, name);
	if (unlinkat(queue->spool_fd, name, 0) && errno != ENOENT)
		LOG_WARN("a spool file cannot be removed", "file", name, "error", strerror(errno));
}

static void
spool_work(struct lmdb_queue *queue, struct op *op, int slot)
{
	enum op_kind kind = op->kind;

	if (kind == OP_PUT)
		spool_put(queue, op);
	else if (kind == OP_UNLINK)
		spool_unlink(queue, op);
	else
		for (int i = 0; i < EVENT_CLASSES; i++)
			event_file_tidy(queue->events[i]);
	pthread_mutex_lock(&queue->lock);
	queue->working[slot] = NULL;
	if (kind == OP_EVENTS)
		queue->events_syncing = false;
	pthread_mutex_unlock(&queue->lock);
	if (kind == OP_PUT)
		op_submit(queue, op);
	else
		free(op);
}

static void *
spool_run(void *arg)
{
	struct lmdb_queue *queue = arg;
	int slot;

	pthread_setname_np(pthread_self(), "queue-spool");
	pthread_mutex_lock(&queue->lock);
	slot = pthread_equal(pthread_self(), queue->pool[1]) ? 1 : 0;
	for (;;) {
		struct op *op = queue->spooling.first;

		if (!op && queue->spool_closing)
			break;
		if (!op) {
			pthread_cond_wait(&queue->spool_wake, &queue->lock);
			continue;
		}
		queue->spooling.first = op->next;
		queue->working[slot] = op;
		pthread_mutex_unlock(&queue->lock);
		spool_work(queue, op, slot);
		pthread_mutex_lock(&queue->lock);
	}
	pthread_mutex_unlock(&queue->lock);
	return NULL;
}

void
spool_submit(struct lmdb_queue *queue, struct op *op)
{
	pthread_mutex_lock(&queue->lock);
	op_list_add(&queue->spooling, op);
	pthread_mutex_unlock(&queue->lock);
	pthread_cond_signal(&queue->spool_wake);
}

static bool
is_referenced(struct lmdb_queue *queue, const char *name)
{
	uint8_t id[ID_SIZE];
	struct body_info body;
	struct reader *reader;
	int rc;

	if (id_parse(name, id))
		return false;
	reader = reader_begin(queue);
	rc = body_find(queue, reader->txn, id, &body);
	reader_end(queue, reader);
	if (rc)
		lmdb_die("body", rc);
	return body.spilled;
}

/* Removes what a crash left: bodies that were never acknowledged, or were delivered already. */
static int
remove_unreferenced(struct lmdb_queue *queue)
{
	DIR *dir = opendir(queue->spool_dir);
	struct dirent *entry;

	if (!dir) {
		LOG_ERROR("cannot read a directory", "directory", queue->spool_dir, "error",
			strerror(errno));
		return -1;
	}
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.' && !is_referenced(queue, entry->d_name))
			unlinkat(queue->spool_fd, entry->d_name, 0);
	closedir(dir);
	return 0;
}

int
spool_open(struct lmdb_queue *queue)
{
	int err = directory_make(queue->spool_dir);

	if (err < 0) {
		LOG_ERROR("cannot make a directory", "directory", queue->spool_dir, "error",
			strerror(-err));
		return -1;
	}
	queue->spool_fd = open(queue->spool_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (queue->spool_fd < 0 || remove_unreferenced(queue))
		return -1;
	pthread_mutex_lock(
		&queue->lock); /* pool[] is set before a thread of the pool looks at it */
	for (int i = 0; i < 2; i++)
		thread_start(&queue->pool[i], spool_run, queue);
	pthread_mutex_unlock(&queue->lock);
	return 0;
}

/* The pool finishes its work. The call after the writer's end takes the writer's last unlinks. */
void
spool_close(struct lmdb_queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	queue->spool_closing = true;
	pthread_mutex_unlock(&queue->lock);
	pthread_cond_broadcast(&queue->spool_wake);
	for (int i = 0; i < 2; i++)
		pthread_join(queue->pool[i], NULL);
}

int
spool_read(struct lmdb_queue *queue, const uint8_t *id, uint64_t offset, size_t length, void *out,
	size_t *length_out)
{
	char name[ID_TEXT_SIZE];
	ssize_t got;
	int fd, err;

	id_format(id, name);
	fd = openat(queue->spool_fd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	got = pread(fd, out, length, (off_t)offset);
	err = got < 0 ? -errno : 0;
	close(fd);
	*length_out = got < 0 ? 0 : (size_t)got;
	return err;
}
