/*
 * event_file.c - the events of the embedded queue: state_dir/events/YYYYMMDDTHH.jsonl, a file an
 * hour (and parts _01, _02 of a busy hour), one JSON object a line. Floods and operators' changes
 * have files and caps of their own, YYYYMMDDTHH.floods.jsonl and .audit.jsonl. So no flood can push
 * out what proves that mail was delivered, or who changed what.
 *
 * The queue's writer thread gathers lines and writes them by one write(2). The pool makes them
 * durable once a second, and removes the oldest files beyond the cap in size or age.
 *
 * On a full disk the oldest events go first. When even that makes no room, an event goes to the
 * log, is counted, and still counts as acknowledged. Without the acknowledgement its message,
 * although delivered, would stay in the queue, block the window and be sent again. An auditor sees
 * such a message as open (a false alarm), but no message is lost for want of an event.
 */
#include "shared/queue/lmdb/event_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/state_dir.h"
#include "shared/queue/event_names.h"

/* A file is at most this part of the cap, so that removing one file leaves the others. */
#define PARTS 8
#define PRUNE_MS 60000

struct event_file {
	char *dir;
	const char *ending; /* of the files' names */
	int dir_fd;
	_Atomic uint64_t size_max, keep_ms;
	/* writer thread */
	char *gathered;
	size_t length, space;
	uint64_t hour;
	unsigned part;
	/* both: fd changes under lock */
	pthread_mutex_t lock;
	int fd, retired; /* retired: the file of the hour before, not yet synced */
	char name[EVENT_NAME_SIZE];
	atomic_bool dirty, fresh; /* fresh: the name of a file is not yet durable */
	atomic_ullong size;       /* of the file being written */
	atomic_ullong written;
	atomic_ullong lost;
	/* tidying thread */
	uint64_t pruned_ms, pruned_at;
};

/* A crash may have cut the last line short. The next line must not continue it. */
static void
end_last_line(int fd, off_t size)
{
	char last = '\n';

	if (size > 0 && pread(fd, &last, 1, size - 1) == 1 && last != '\n' &&
		write(fd, "\n", 1) != 1)
		LOG_WARN("cannot end a line of the events", "error", strerror(errno));
}

static void
use_file(struct event_file *file, int fd, const char *name)
{
	struct stat st = { 0 };

	if (!fstat(fd, &st))
		end_last_line(fd, st.st_size);
	pthread_mutex_lock(&file->lock);
	if (file->retired >= 0)
		close(file->retired);
	file->retired = file->fd;
	file->fd = fd;
	memcpy(file->name, name, EVENT_NAME_SIZE);
	pthread_mutex_unlock(&file->lock);
	atomic_store(&file->size, (uint64_t)st.st_size);
	atomic_store(&file->fresh, true);
	atomic_store(&file->dirty, true);
}

static bool
has_room(struct event_file *file)
{
	return atomic_load(&file->size) < file->size_max / PARTS;
}

/* Opens the file of this hour, or its first part with room that is not before the present part: a
 * part that was left is never written again. -errno when no file can be written. */
static int
turn(struct event_file *file)
{
	uint64_t now_us = clock_us(), hour = now_us / 3600000000;
	char name[EVENT_NAME_SIZE];
	int fd;

	if (file->fd < 0 || hour != file->hour) {
		file->part = 0;
	} else if (has_room(file)) {
		return 0;
	} else {
		file->part++;
	}
	file->hour = hour;
	for (;; file->part++) {
		event_name(name, now_us, file->part, file->ending);
		fd = openat(file->dir_fd, name, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0)
			return -errno;
		use_file(file, fd, name);
		if (has_room(file))
			return 0;
	}
}

void
event_file_add(struct event_file *file, const char *json, size_t length)
{
	if (file->space - file->length < length + 1) {
		file->space = (file->length + length + 1) * 2;
		file->gathered = xrealloc(file->gathered, file->space);
	}
	memcpy(file->gathered + file->length, json, length);
	file->length += length;
	file->gathered[file->length++] = '\n';
}

/* Writes all or nothing: half a line would spoil the next one. */
static int
append(struct event_file *file)
{
	int err = turn(file);
	ssize_t wrote;

	if (err)
		return err;
	wrote = write(file->fd, file->gathered, file->length);
	if (wrote == (ssize_t)file->length) {
		atomic_fetch_add(&file->size, file->length);
		atomic_fetch_add(&file->written, file->length);
		atomic_store(&file->dirty, true);
		return 0;
	}
	err = wrote < 0 ? -errno : -ENOSPC;
	if (wrote > 0 && ftruncate(file->fd, (off_t)atomic_load(&file->size)))
		LOG_WARN("cannot cut half an event off", "error", strerror(errno));
	return err;
}

static bool
remove_oldest(struct event_file *file)
{
	struct event_names list = event_names_list(file->dir_fd, file->ending);
	bool removed = false;

	if (list.count && strcmp(list.names[0], file->name) != 0)
		removed = !unlinkat(file->dir_fd, list.names[0], 0);
	if (removed)
		LOG_WARN("the disk is full: old events go", "file", list.names[0]);
	free(list.names);
	return removed;
}

static void
log_instead(struct event_file *file, int err)
{
	char *line = file->gathered, *end = file->gathered + file->length, *newline;

	for (; line < end; line = newline + 1) {
		newline = memchr(line, '\n', (size_t)(end - line));
		*newline = '\0';
		atomic_fetch_add(&file->lost, 1);
		LOG_ERROR("an event cannot be written", "error", strerror(-err), "event", line);
	}
}

void
event_file_flush(struct event_file *file)
{
	int err = file->length ? append(file) : 0;

	if ((err == -ENOSPC || err == -EDQUOT) && remove_oldest(file))
		err = append(file);
	if (err)
		log_instead(file, err);
	file->length = 0;
}

bool
event_file_dirty(struct event_file *file)
{
	return atomic_load(&file->dirty);
}

/* A failed sync ends the process, as everywhere. Only a lack of room does not. */
static void
synced(int rc)
{
	if (!rc)
		return;
	if (errno != ENOSPC && errno != EDQUOT)
		die("the events cannot be made durable", strerror(errno));
	LOG_ERROR("the events cannot be made durable", "error", strerror(errno));
}

static void
sync_fd(int fd)
{
	if (fd < 0)
		return;
	synced(fdatasync(fd));
	close(fd);
}

static void
sync_names(struct event_file *file)
{
	if (atomic_exchange(&file->fresh, false))
		synced(fsync(file->dir_fd));
}

/* The size of a file; 0 when the file is too old and has to go. */
static uint64_t
keep_size(struct event_file *file, const char *name, uint64_t now_us)
{
	struct stat st;

	if (fstatat(file->dir_fd, name, &st, 0))
		return 0;
	if (now_us / 1000 > file->keep_ms &&
		(uint64_t)st.st_mtim.tv_sec * 1000 < now_us / 1000 - file->keep_ms) {
		unlinkat(file->dir_fd, name, 0);
		return 0;
	}
	return (uint64_t)st.st_size;
}

/* Walks from the newest file to the oldest, and removes what no longer fits under the cap. */
static void
prune(struct event_file *file, const char *current)
{
	struct event_names list = event_names_list(file->dir_fd, file->ending);
	uint64_t total = 0, now_us = clock_us();

	for (size_t i = list.count; i-- > 0;) {
		if (strcmp(list.names[i], current) == 0) {
			total += atomic_load(&file->size);
			continue;
		}
		total += keep_size(file, list.names[i], now_us);
		if (total > file->size_max)
			unlinkat(file->dir_fd, list.names[i], 0);
	}
	free(list.names);
}

void
event_file_tidy(struct event_file *file)
{
	char current[EVENT_NAME_SIZE];
	uint64_t written = atomic_load(&file->written);
	int fd, retired;

	atomic_store(&file->dirty, false);
	pthread_mutex_lock(&file->lock);
	fd = file->fd < 0 ? -1 : fcntl(file->fd, F_DUPFD_CLOEXEC, 0);
	retired = file->retired;
	file->retired = -1;
	memcpy(current, file->name, EVENT_NAME_SIZE);
	pthread_mutex_unlock(&file->lock);
	sync_fd(retired);
	sync_fd(fd);
	sync_names(file);
	if (written - file->pruned_at > file->size_max / PARTS / 4 || !file->pruned_ms ||
		clock_mono_ms() - file->pruned_ms > PRUNE_MS) {
		prune(file, current);
		file->pruned_at = written;
		file->pruned_ms = clock_mono_ms();
	}
}

void
event_file_cap(struct event_file *file, uint64_t size_max, uint64_t keep_ms)
{
	file->size_max = size_max;
	file->keep_ms = keep_ms;
}

struct event_file *
event_file_open(const char *dir, enum event_class class, uint64_t size_max, uint64_t keep_ms)
{
	static const char *const endings[] = {
		[EVENT_OF_MAIL] = ".jsonl",
		[EVENT_FLOOD] = ".floods.jsonl",
		[EVENT_AUDIT] = ".audit.jsonl",
	};
	struct event_file *file = xcalloc(1, sizeof *file);

	file->dir = xstrdup(dir);
	file->ending = endings[class];
	event_file_cap(file, size_max, keep_ms);
	file->fd = file->retired = -1;
	pthread_mutex_init(&file->lock, NULL);
	errno = -directory_make(dir);
	file->dir_fd = errno ? -1 : open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (file->dir_fd < 0) {
		LOG_ERROR("cannot open the directory of events", "directory", dir, "error",
			strerror(errno));
		event_file_close(&file);
	}
	return file;
}

void
event_file_close(struct event_file **file_ref)
{
	struct event_file *file = *file_ref;

	if (!file)
		return;
	sync_fd(file->retired);
	sync_fd(file->fd);
	sync_names(file);
	if (file->dir_fd >= 0)
		close(file->dir_fd);
	pthread_mutex_destroy(&file->lock);
	free(file->gathered);
	free(file->dir);
	free(file);
	*file_ref = NULL;
}

uint64_t
event_file_lost(struct event_file *file)
{
	return atomic_load(&file->lost);
}

int
event_file_dir(const struct event_file *file)
{
	return file->dir_fd;
}

const char *
event_file_ending(const struct event_file *file)
{
	return file->ending;
}
