/*
 * bench_queue.c - what the embedded queue costs: MESSAGES of SIZE bytes put, consumed, their body
 * read, forwarded, consumed, read and finished, with an event each, as ingress, scanner and sender
 * do on three loops.
 *
 *   make bench-queue      prints messages a second and CPU microseconds a message, kernel included
 */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/config/config.h"
#include "shared/queue/queue.h"

#define MESSAGES 20000
#define SIZE 4096
#define IN_FLIGHT 100 /* unanswered puts, as so many clients */

static struct queue *queue;
static char data[SIZE];
static unsigned put_count, finished_count;
static struct loop *putter, *scanner, *sender;
static struct consumer *inbound, *ready;

static void put_next(void);

static void
on_put(void *arg, int err)
{
	(void)arg;
	if (err)
		die("put", strerror(-err));
	put_next();
}

static void
put_next(void)
{
	struct body body = { .data = data, .size = sizeof data };
	uint8_t id[ID_SIZE];
	Envelope envelope;
	Recipient recipient, *recipients[] = { &recipient };

	if (put_count == MESSAGES)
		return;
	put_count++;
	id_make(id);
	envelope__init(&envelope);
	recipient__init(&recipient);
	recipient.address = (char *)"somebody@elsewhere.example";
	envelope.id.data = id;
	envelope.id.len = ID_SIZE;
	envelope.account = (char *)"7f3k2m";
	envelope.credential = (char *)"relay-user-17";
	envelope.client = (char *)"192.0.2.44";
	envelope.helo = (char *)"mail.customer.example";
	envelope.mail_from = (char *)"newsletter@customer.example";
	envelope.message_id = (char *)"<20261124.4711@mail.customer.example>";
	envelope.accepted_us = clock_us();
	envelope.size = SIZE;
	envelope.n_recipients = 1;
	envelope.recipients = recipients;
	queue_put(queue, TOPIC_INBOUND, &envelope, &body, on_put, NULL);
}

static void
on_piece(void *arg, int err, const void *piece, size_t length)
{
	(void)arg;
	(void)piece;
	if (err || length != SIZE)
		die("body", strerror(-err));
}

static void
on_scanned(void *arg, int err)
{
	(void)arg;
	if (err)
		die("forward", strerror(-err));
}

static void
on_inbound(void *arg, struct record *record)
{
	(void)arg;
	queue_body(queue, record_envelope(record), 0, SIZE, on_piece, NULL);
	queue_forward(record, TOPIC_READY, record_envelope(record), on_scanned, NULL);
}

static void
on_event(void *record, int err)
{
	(void)err;
	queue_finish(record);
	if (++finished_count == MESSAGES) {
		consumer_stop(ready);
		loop_stop(putter);
		loop_stop(scanner);
		loop_stop(sender);
	}
}

static void
on_ready(void *arg, struct record *record)
{
	static const char event[] =
		"{\"time\":\"2026-11-24T04:55:33.123Z\",\"event\":\"delivered\",\"id\":"
		"\"01kasa7f3k2m7f3k2m7f3k2m7f\",\"site\":\"google\",\"to\":["
		"\"somebody@elsewhere.example\"],\"reply\":\"250 2.0.0 OK\"}";

	(void)arg;
	queue_body(queue, record_envelope(record), 0, SIZE, on_piece, NULL);
	queue_event_put(queue, EVENT_OF_MAIL, event, sizeof event - 1, on_event, record);
}

static void
start(struct task *task)
{
	(void)task;
	for (int i = 0; i < IN_FLIGHT; i++)
		put_next();
}

static int
on_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static uint64_t
cpu_us(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
		(uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

int
main(int argc, char **argv)
{
	char dir[200];
	struct config config = { .state_dir = dir };
	struct task task = { .run = start };
	uint64_t began_us, cpu;

	snprintf(dir, sizeof dir, "%s/bench-queue-XXXXXX", argc > 1 ? argv[1] : "/tmp");
	if (!mkdtemp(dir))
		die("mkdtemp", dir);
	config.queue.map_size = UINT64_C(64) << 30;
	config.queue.events_size = config.queue.floods_size = 1 << 30;
	config.queue.events_keep = 86400000;
	config.queue.audit_keep = 86400000;
	config.queue.audit_size = 1 << 30;
	queue = queue_open(&config);
	if (!queue)
		return 1;
	putter = loop_new("putter");
	scanner = loop_new("scanner");
	sender = loop_new("sender");
	inbound = queue_consume(queue, TOPIC_INBOUND, scanner, 200, on_inbound, NULL);
	ready = queue_consume(queue, TOPIC_READY, sender, 1000, on_ready, NULL);
	began_us = clock_mono_us();
	cpu = cpu_us();
	loop_post(putter, &task);
	loop_start(putter);
	loop_start(scanner);
	loop_run(sender);
	loop_join(putter);
	loop_join(scanner);
	queue_close(&queue);
	began_us = clock_mono_us() - began_us;
	cpu = cpu_us() - cpu;
	loop_free(&putter);
	loop_free(&scanner);
	loop_free(&sender);
	printf("{\"messages\":%d,\"bytes\":%d,\"per_second\":%llu,\"cpu_us\":%.1f}\n", MESSAGES,
		SIZE, MESSAGES * 1000000ull / began_us, (double)cpu / MESSAGES);
	return nftw(dir, on_file, 16, FTW_DEPTH | FTW_PHYS);
}
