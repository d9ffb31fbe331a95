/*
 * kafka_bad.c - records that have no readable envelope.
 *
 * kafka_consumer -> [kafka_bad] -> state_dir/bad/<topic>-<partition>-<offset>
 *
 * Shout writes no such record: a newer version did, or somebody else who writes to our topics. The
 * record must neither be lost nor hold up its partition. It cannot go to another topic of the
 * queue, since each topic is trimmed by what its envelopes say. So its bytes go to a file, and the
 * header in the envelope's place to a second file, for the operator to look at. Only then the
 * record counts as finished. When the files cannot be written it stays unfinished.
 *
 * So a record that was set aside lies on one machine, and is listed there. Its key
 * <topic>/<partition>-<offset> names the file, with a dash for the slash.
 */
#include "shared/queue/kafka/consume/kafka_consumer_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/base/log.h"
#include "shared/base/state_dir.h"
#include "shared/config/config.h"
#include "shared/queue/kafka/consume/kafka_bad.h"
#include "shared/queue/kafka/rows/kafka_view.h"

static int
write_all(int fd, const char *data, size_t size)
{
	while (size) {
		ssize_t done = write(fd, data, size);

		if (done < 0 && errno != EINTR)
			return -errno;
		if (done > 0) {
			data += done;
			size -= (size_t)done;
		}
	}
	return fdatasync(fd) ? -errno : 0;
}

static int
write_file(int dir, const char *name, const void *data, size_t size)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	int err;

	if (fd < 0)
		return -errno;
	err = write_all(fd, data, size);
	close(fd);
	return err;
}

static int
write_message(int dir, const char *name, const rd_kafka_message_t *message)
{
	rd_kafka_headers_t *headers;
	const void *header;
	char beside[200];
	size_t size;
	int err = write_file(dir, name, message->payload, message->len);

	if (!err && !rd_kafka_message_headers(message, &headers) &&
		!rd_kafka_header_get_last(headers, KAFKA_ENVELOPE, &header, &size)) {
		snprintf(beside, sizeof beside, "%s.envelope", name);
		err = write_file(dir, beside, header, size);
	}
	if (!err && fsync(dir))
		err = -errno;
	return err;
}

bool
bad_keep(struct kafka_queue *queue, const rd_kafka_message_t *message)
{
	char *path = xasprintf("%s/bad", queue->config->state_dir), name[160];
	int dir, err = directory_make(path);

	snprintf(name, sizeof name, "%.100s-%d-%lld", rd_kafka_topic_name(message->rkt),
		(int)message->partition, (long long)message->offset);
	if (err)
		LOG_ERROR("cannot make a directory", "directory", path, "error", strerror(-err));
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	err = dir < 0 ? -errno : write_message(dir, name, message);
	if (err)
		LOG_ERROR("a record without a readable envelope cannot be put aside", "record",
			name, "error", strerror(-err));
	else
		LOG_ERROR("a record has no readable envelope, it was put aside", "directory", path,
			"record", name);
	if (dir >= 0)
		close(dir);
	free(path);
	return !err;
}

static int
open_dir(const struct kafka_queue *queue)
{
	char *path = xasprintf("%s/bad", queue->config->state_dir);
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	free(path);
	return dir;
}

static int
is_kept(const struct dirent *entry)
{
	return entry->d_name[0] != '.' && strchr(entry->d_name, '-') != NULL;
}

static int
by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* A record that was removed meanwhile is left out. */
static bool
tell(int dir, const char *name, queue_bad_cb on_bad, void *arg, const char *key)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	void *value = MAP_FAILED;
	struct stat st;
	bool there = fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode);

	if (there && st.st_size)
		value = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (there)
		on_bad(arg, key, strlen(key), value == MAP_FAILED ? "" : value,
			value == MAP_FAILED ? 0 : (size_t)st.st_size);
	if (value != MAP_FAILED)
		munmap(value, (size_t)st.st_size);
	if (fd >= 0)
		close(fd);
	return there;
}

static bool
is_before(const char *key, const void *from, size_t from_length)
{
	size_t length = strlen(key);
	int order = from_length ? memcmp(key, from, length < from_length ? length : from_length)
				: 0;

	return order < 0 || (order == 0 && length < from_length);
}

static size_t
scan_files(struct queue *base, const void *from, size_t from_length, size_t limit,
	queue_bad_cb on_bad, void *arg)
{
	int dir = open_dir((struct kafka_queue *)base), count;
	struct dirent **names = NULL;
	size_t told = 0;

	if (dir < 0)
		return 0;
	count = scandirat(dir, ".", &names, is_kept, by_name);
	for (int i = 0; i < count; i++) {
		char *key = xstrdup(names[i]->d_name);

		*strchr(key, '-') = '/';
		if (told < limit && !is_before(key, from, from_length))
			told += tell(dir, names[i]->d_name, on_bad, arg, key);
		free(key);
		free(names[i]);
	}
	free(names);
	close(dir);
	return told;
}

static void
remove_file(struct queue *base, const void *key, size_t key_length, queue_cb cb, void *arg)
{
	char *name = xstrndup(key, key_length), *slash = strchr(name, '/');
	int dir = open_dir((struct kafka_queue *)base), err = -ENOENT;

	if (dir >= 0 && slash) {
		*slash = '-';
		if (!strchr(name, '/'))
			err = unlinkat(dir, name, 0) || fsync(dir) ? -errno : 0;
	}
	if (dir >= 0)
		close(dir);
	free(name);
	cb(arg, err);
}

/* "mail...." is before "rows/". */
size_t
kafka_bad_scan(struct queue *base, const void *from, size_t from_length, size_t limit,
	queue_bad_cb on_bad, void *arg)
{
	size_t told = scan_files(base, from, from_length, limit, on_bad, arg);

	if (told < limit && ((struct kafka_queue *)base)->state)
		told += kafka_bad_rows_scan(base, from, from_length, limit - told, on_bad, arg);
	return told;
}

void
kafka_bad_remove(struct queue *base, const void *key, size_t key_length, queue_cb cb, void *arg)
{
	if (key_length > 5 && memcmp(key, "rows/", 5) == 0)
		kafka_bad_rows_remove(base, key, key_length, cb, arg);
	else
		remove_file(base, key, key_length, cb, arg);
}
uint64_t
kafka_bad_count(const struct kafka_queue *queue)
{
	int dir = open_dir(queue);
	DIR *names = dir < 0 ? NULL : fdopendir(dir);
	const struct dirent *entry;
	uint64_t count = 0;

	if (!names)
		return 0;
	while ((entry = readdir(names)))
		count += is_kept(entry);
	closedir(names);
	return count;
}

const char *
kafka_bad_machine(const struct queue *base)
{
	const struct config *config = ((const struct kafka_queue *)base)->config;

	return config->hostname ? config->hostname : config->state_dir;
}
