/*
 * kafka_bad.c - records that have no readable envelope.
 *
 * kafka_consumer -> [kafka_bad] -> state_dir/bad/<topic>-<partition>-<offset>
 *
 * Nothing of ours writes such a record: it comes from a newer version or from somebody else who
 * writes to our topics. It must neither be lost nor hold up its partition. It cannot go to another
 * topic of the queue, since each of those is trimmed by what its envelopes say. So its bytes go to
 * a file, and what stood in the envelope's place to another beside it, for the operator to look at;
 * only then it counts as finished. When the files cannot be written it stays unfinished.
 */
#include "shared/kafka_consumer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/config.h"
#include "shared/log.h"

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
	int dir, err;

	snprintf(name, sizeof name, "%.100s-%d-%lld", rd_kafka_topic_name(message->rkt),
		(int)message->partition, (long long)message->offset);
	if (mkdir(path, 0700) && errno != EEXIST)
		LOG_ERROR("cannot make a directory", "directory", path, "error", strerror(errno));
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
