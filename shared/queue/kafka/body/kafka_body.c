/*
 * kafka_body.c - bodies of messages by place: those in use, and those that were used lately.
 *
 *   kafka_consumer -> keep -> [kafka_body] -> queue_body(), kafka_produce()
 *   a place that is not here -> kafka_reader -> broker -> keep
 *
 * A body up to QUEUE_INLINE_MAX is in memory, a larger one in a file of the spool directory. The
 * file has no name, so a crash leaves nothing behind. Pinned bodies stay. Of the others the longest
 * unused go when they exceed MEMORY_MAX, FILES_MAX or FILE_BYTES_MAX. When no file can be written a
 * large body stays in memory, up to EMERGENCY_MAX of them. Beyond that the process ends, and takes
 * its records up again once its disk has room.
 *
 * Waiters for one place share one reading. Each is called on its own loop, never with `lock` held.
 */
#include "shared/queue/kafka/body/kafka_body.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shared/base/log.h"
#include "shared/config/config.h"
#include "shared/queue/kafka/body/kafka_reader.h"
#include "shared/queue/kafka/client/kafka_client.h"
#include "shared/queue/kafka/client/kafka_queue.h"

#define BUCKETS 4096u
#define MEMORY_MAX ((size_t)16 << 20) /* of bodies that are not pinned */
#define FILES_MAX 64u
#define FILE_BYTES_MAX ((size_t)1 << 30)
#define EMERGENCY_MAX ((size_t)256 << 20)

/* Somebody who waits for a body. */
struct waiter {
	struct task task;
	struct waiter *next;
	struct loop *loop;
	kafka_body_cb on_body;
	void *arg;
	int err;
	struct kafka_body *body;
};

struct kafka_body {
	struct kafka_bodies *bodies;
	struct kafka_body *chain;         /* of its bucket */
	struct kafka_body *newer, *older; /* among the unused */
	struct kafka_place place;
	unsigned pins;          /* 0: the body is among the unused */
	bool reading;           /* the reader was asked for it */
	struct waiter *waiters; /* each holds a pin */
	int fd;                 /* of its file, or -1 */
	size_t size;
	void *data;   /* in memory */
	void *mapped; /* its file */
};

struct kafka_bodies {
	struct kafka_queue *queue;
	struct kafka_reader *reader;
	pthread_mutex_t lock;
	/* under lock */
	struct kafka_body *buckets[BUCKETS];
	struct kafka_body *newest, *oldest;
	size_t memory, files, file_bytes; /* of the unused */
	size_t emergency;                 /* of large bodies in memory */
};

static struct kafka_body **
bucket_of(struct kafka_bodies *bodies, struct kafka_place place)
{
	uint64_t hash = ((uint64_t)place.offset * 1000003u + (uint64_t)place.partition) * 31u +
		(uint64_t)place.topic;

	return &bodies->buckets[(hash * UINT64_C(0x9e3779b97f4a7c15)) >> 52];
}

bool
kafka_place_same(struct kafka_place a, struct kafka_place b)
{
	return a.offset == b.offset && a.partition == b.partition && a.topic == b.topic &&
		!memcmp(a.id, b.id, ID_SIZE);
}

static bool
is_here(const struct kafka_body *body)
{
	return body->data || body->fd >= 0;
}

static struct kafka_body *
find(struct kafka_bodies *bodies, struct kafka_place place)
{
	struct kafka_body *body = *bucket_of(bodies, place);

	while (body && !kafka_place_same(body->place, place))
		body = body->chain;
	return body;
}

static struct kafka_body *
add(struct kafka_bodies *bodies, struct kafka_place place)
{
	struct kafka_body **bucket = bucket_of(bodies, place);
	struct kafka_body *body = xcalloc(1, sizeof *body);

	body->bodies = bodies;
	body->place = place;
	body->fd = -1;
	body->chain = *bucket;
	*bucket = body;
	return body;
}

static void
count_emergency(struct kafka_bodies *bodies, const struct kafka_body *body, bool more)
{
	if (!body->data || body->size <= QUEUE_INLINE_MAX)
		return;
	bodies->emergency += more ? body->size : -body->size;
	if (bodies->emergency > EMERGENCY_MAX)
		die("the disk of state_dir has no room for the bodies in hand", "ENOSPC");
}

static void
drop(struct kafka_bodies *bodies, struct kafka_body *body)
{
	struct kafka_body **at = bucket_of(bodies, body->place);

	while (*at != body)
		at = &(*at)->chain;
	*at = body->chain;
	count_emergency(bodies, body, false);
	if (body->mapped)
		munmap(body->mapped, body->size);
	if (body->fd >= 0)
		close(body->fd);
	free(body->data);
	free(body);
}

static void
unused_count(struct kafka_bodies *bodies, const struct kafka_body *body, int sign)
{
	size_t size = sign > 0 ? body->size : -body->size;

	if (body->fd >= 0) {
		bodies->files += (size_t)sign;
		bodies->file_bytes += size;
	} else {
		bodies->memory += size;
	}
}

static void
unused_remove(struct kafka_bodies *bodies, struct kafka_body *body)
{
	*(body->newer ? &body->newer->older : &bodies->newest) = body->older;
	*(body->older ? &body->older->newer : &bodies->oldest) = body->newer;
	body->newer = body->older = NULL;
	unused_count(bodies, body, -1);
}

static void
unused_add(struct kafka_bodies *bodies, struct kafka_body *body)
{
	body->older = bodies->newest;
	*(bodies->newest ? &bodies->newest->newer : &bodies->oldest) = body;
	bodies->newest = body;
	unused_count(bodies, body, 1);
	while (bodies->memory > MEMORY_MAX || bodies->files > FILES_MAX ||
		bodies->file_bytes > FILE_BYTES_MAX) {
		struct kafka_body *oldest = bodies->oldest;

		unused_remove(bodies, oldest);
		drop(bodies, oldest);
	}
}

static void
pin(struct kafka_bodies *bodies, struct kafka_body *body)
{
	if (!body->pins++ && is_here(body))
		unused_remove(bodies, body);
}

static void
unpin(struct kafka_bodies *bodies, struct kafka_body *body)
{
	assert(body->pins);
	if (--body->pins)
		return;
	if (body->mapped)
		munmap(body->mapped, body->size);
	body->mapped = NULL;
	if (is_here(body))
		unused_add(bodies, body);
	else
		drop(bodies, body);
}

void
kafka_body_pin(struct kafka_body *body)
{
	struct kafka_bodies *bodies = body->bodies;

	pthread_mutex_lock(&bodies->lock);
	pin(bodies, body);
	pthread_mutex_unlock(&bodies->lock);
}

void
kafka_body_unpin(struct kafka_body *body)
{
	struct kafka_bodies *bodies = body->bodies;

	pthread_mutex_lock(&bodies->lock);
	unpin(bodies, body);
	pthread_mutex_unlock(&bodies->lock);
}

/* A file without a name. */
static int
open_file(struct kafka_queue *queue)
{
	char name[40];
	int fd = openat(queue->spool_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT))
		return fd;
	snprintf(name, sizeof name, "body-%lx", (unsigned long)pthread_self());
	fd = openat(queue->spool_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd >= 0)
		unlinkat(queue->spool_fd, name, 0);
	return fd;
}

static int
write_file(struct kafka_queue *queue, const char *data, size_t size)
{
	int fd = open_file(queue);

	while (fd >= 0 && size) {
		ssize_t done = write(fd, data, size);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0) {
			close(fd);
			return -1;
		}
		data += done;
		size -= (size_t)done;
	}
	return fd;
}

/* A body's content, made without the lock. */
struct content {
	int fd;
	void *data;
};

static struct content
copy(struct kafka_queue *queue, const void *data, size_t size)
{
	struct content content = { -1, NULL };

	if (size > QUEUE_INLINE_MAX) {
		content.fd = write_file(queue, data, size);
		if (content.fd >= 0)
			return content;
		LOG_WARN("a large body is kept in memory: no file can be written", "directory",
			queue->config->state_dir, "error", strerror(errno));
	}
	content.data = xmalloc(size ? size : 1);
	if (size)
		memcpy(content.data, data, size);
	return content;
}

static void
on_answer(struct task *task)
{
	struct waiter *waiter = (struct waiter *)task;

	waiter->on_body(waiter->arg, waiter->err, waiter->body);
	free(waiter);
}

static void
answer(struct waiter *waiter, int err, struct kafka_body *body)
{
	waiter->err = err;
	waiter->body = err ? NULL : body;
	waiter->task.run = on_answer;
	if (waiter->loop)
		loop_post(waiter->loop, &waiter->task);
	else
		on_answer(&waiter->task);
}

/* Under lock. Takes the waiters off the body. On an error their pins go with them. */
static struct waiter *
take_waiters(struct kafka_bodies *bodies, struct kafka_body *body, int err)
{
	struct waiter *waiters = body->waiters;

	body->waiters = NULL;
	body->reading = false;
	for (struct waiter *waiter = waiters; err && waiter; waiter = waiter->next)
		unpin(bodies, body);
	return waiters;
}

static void
answer_all(struct waiter *waiters, int err, struct kafka_body *body)
{
	struct waiter *next;

	for (struct waiter *waiter = waiters; waiter; waiter = next) {
		next = waiter->next;
		answer(waiter, err, body);
	}
}

/* Under lock. False: another caller has put the content in already. */
static bool
fill(struct kafka_bodies *bodies, struct kafka_body **body, struct kafka_place place,
	struct content content, size_t size)
{
	*body = find(bodies, place);
	if (!*body)
		*body = add(bodies, place);
	if (is_here(*body)) {
		pin(bodies, *body);
		return false;
	}
	(*body)->pins++;
	(*body)->fd = content.fd;
	(*body)->data = content.data;
	(*body)->size = size;
	count_emergency(bodies, *body, true);
	return true;
}

struct kafka_body *
kafka_body_keep(
	struct kafka_bodies *bodies, struct kafka_place place, const void *data, size_t size)
{
	struct content content;
	struct kafka_body *body;
	struct waiter *waiters;

	pthread_mutex_lock(&bodies->lock);
	body = find(bodies, place);
	if (body && is_here(body)) {
		pin(bodies, body);
		pthread_mutex_unlock(&bodies->lock);
		return body;
	}
	pthread_mutex_unlock(&bodies->lock);
	content = copy(bodies->queue, data, size);
	pthread_mutex_lock(&bodies->lock);
	if (fill(bodies, &body, place, content, size))
		content = (struct content){ -1, NULL };
	waiters = take_waiters(bodies, body, 0);
	pthread_mutex_unlock(&bodies->lock);
	if (content.fd >= 0)
		close(content.fd);
	free(content.data);
	answer_all(waiters, 0, body);
	return body;
}

/* From the reader: what it found at a place. */
static void
on_read(void *arg, struct kafka_place place, int err, const void *data, size_t size)
{
	struct kafka_bodies *bodies = arg;
	struct waiter *waiters = NULL;
	struct kafka_body *body;

	if (!err) {
		kafka_body_unpin(kafka_body_keep(bodies, place, data, size));
		return;
	}
	pthread_mutex_lock(&bodies->lock);
	body = find(bodies, place);
	if (body && body->reading)
		waiters = take_waiters(bodies, body, err);
	pthread_mutex_unlock(&bodies->lock);
	answer_all(waiters, err, NULL);
}

void
kafka_body_get(struct kafka_bodies *bodies, struct kafka_place place, struct loop *loop,
	kafka_body_cb on_body, void *arg)
{
	struct kafka_body *body;
	struct waiter *waiter = NULL;
	bool read = false;

	pthread_mutex_lock(&bodies->lock);
	body = find(bodies, place);
	if (!body)
		body = add(bodies, place);
	pin(bodies, body);
	if (!is_here(body)) {
		waiter = xmalloc(sizeof *waiter);
		*waiter = (struct waiter){
			.next = body->waiters, .loop = loop, .on_body = on_body, .arg = arg
		};
		body->waiters = waiter;
		read = !body->reading;
		body->reading = true;
	}
	pthread_mutex_unlock(&bodies->lock);
	if (!waiter)
		on_body(arg, 0, body);
	else if (read)
		kafka_reader_want(bodies->reader, place);
}

const void *
kafka_body_data(struct kafka_body *body, size_t *size_out)
{
	const void *data = body->data;

	*size_out = body->size;
	if (data)
		return data;
	pthread_mutex_lock(&body->bodies->lock);
	if (!body->mapped && body->fd >= 0) {
		body->mapped = mmap(NULL, body->size, PROT_READ, MAP_SHARED, body->fd, 0);
		if (body->mapped == MAP_FAILED)
			die("cannot map a body", strerror(errno));
	}
	data = body->mapped;
	pthread_mutex_unlock(&body->bodies->lock);
	return data;
}

struct kafka_place
kafka_place_new(
	enum kafka_topic topic, int32_t partition, int64_t offset, const uint8_t id[ID_SIZE])
{
	struct kafka_place place = { .topic = topic, .partition = partition, .offset = offset };

	memcpy(place.id, id, ID_SIZE);
	return place;
}

struct kafka_place
kafka_place_of(const Envelope *envelope)
{
	return kafka_place_new((enum kafka_topic)envelope->body_topic, (int32_t)envelope->partition,
		envelope->body_offset, envelope->id.data);
}

void
kafka_body_piece(
	struct kafka_body *body, uint64_t offset, size_t length, queue_body_cb cb, void *arg)
{
	char *buffer;
	size_t left = offset < body->size ? body->size - (size_t)offset : 0;
	ssize_t got;

	length = length < left ? length : left;
	if (length > QUEUE_PIECE_MAX)
		length = QUEUE_PIECE_MAX;
	if (body->data) {
		cb(arg, 0, (const char *)body->data + (length ? offset : 0), length);
		return;
	}
	buffer = xmalloc(QUEUE_PIECE_MAX); /* not the stack's: the callback may ask for the next */
	got = pread(body->fd, buffer, length, (off_t)offset);
	cb(arg, got < 0 ? -errno : 0, buffer, got < 0 ? 0 : (size_t)got);
	free(buffer);
}

struct kafka_bodies *
kafka_bodies_new(struct kafka_queue *queue)
{
	struct kafka_bodies *bodies = xcalloc(1, sizeof *bodies);

	bodies->queue = queue;
	pthread_mutex_init(&bodies->lock, NULL);
	bodies->reader = kafka_reader_new(queue, on_read, bodies);
	return bodies;
}

void
kafka_bodies_free(struct kafka_bodies **bodies_ref)
{
	struct kafka_bodies *bodies = *bodies_ref;

	if (!bodies)
		return;
	kafka_reader_free(&bodies->reader); /* answers who still waits */
	for (unsigned i = 0; i < BUCKETS; i++)
		while (bodies->buckets[i])
			drop(bodies, bodies->buckets[i]);
	pthread_mutex_destroy(&bodies->lock);
	free(bodies);
	*bodies_ref = NULL;
}
