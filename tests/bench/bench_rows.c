/*
 * bench_rows.c - how fast waiting mail is rebuilt from mail.state: bench_rows BROKERS [ROWS]
 *
 * Writes the rows to partition 0 (unless the log holds as many), then claims it with an empty table
 * and again with a full one.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "shared/base/log.h"
#include "shared/config/config.h"
#include "shared/queue/kafka/client/kafka_client.h"
#include "shared/queue/kafka/client/kafka_queue.h"
#include "shared/queue/kafka/produce/kafka_producer.h"
#include "shared/queue/kafka/rows/kafka_state.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static size_t acked, under_way;
static bool claimed;

struct put {
	struct kafka_message message;
	char key[64];
	unsigned char value[512];
};

static void
on_ack(struct kafka_message *message, int err, int64_t offset)
{
	(void)offset;
	if (err)
		die("cannot produce", strerror(-err));
	free(message);
	pthread_mutex_lock(&lock);
	acked++;
	under_way--;
	pthread_cond_signal(&changed);
	pthread_mutex_unlock(&lock);
}

static void
put_row(struct kafka_producer *producer, size_t i)
{
	static const char *const sites[] = { "google", "microsoft", "mx.example" };
	struct put *put = xcalloc(1, sizeof *put);
	Recipient to = RECIPIENT__INIT, *recipients[] = { &to };
	Envelope envelope = ENVELOPE__INIT;
	uint8_t id[ID_SIZE];
	Row row = ROW__INIT;

	id_make(id);
	to.address = (char *)"somebody@destination.example";
	envelope.id = (ProtobufCBinaryData){ ID_SIZE, id };
	envelope.mail_from = (char *)"boss@customer.example";
	envelope.account = (char *)"01jd0000000000000000000000";
	envelope.recipients = recipients;
	envelope.n_recipients = 1;
	envelope.body_topic = KAFKA_DEFERRED;
	envelope.body_offset = (int64_t)i;
	row.envelope = &envelope;
	row.site = (char *)sites[i % 3];
	row.due_us = clock_us();
	row.last_reply = (char *)"451 4.3.0 The server is busy, please come back in a while";
	row.last_host = (char *)"mx1.destination.example[192.0.2.1]";
	id_format(id, put->key);
	put->key[ID_TEXT_SIZE - 1] = '/';
	snprintf(put->key + ID_TEXT_SIZE, 30, "%s", row.site);
	put->message = (struct kafka_message){ .topic = KAFKA_STATE,
		.key = put->key,
		.key_size = strlen(put->key),
		.value = put->value,
		.value_size = row__pack(&row, put->value),
		.on_ack = on_ack };
	kafka_produce(producer, &put->message);
}

static void
fill(struct kafka_producer *producer, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		pthread_mutex_lock(&lock);
		while (under_way > 20000)
			pthread_cond_wait(&changed, &lock);
		under_way++;
		pthread_mutex_unlock(&lock);
		put_row(producer, i);
	}
	pthread_mutex_lock(&lock);
	while (under_way)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

static void
on_claimed(void *arg, int32_t partition, int err)
{
	(void)arg, (void)partition;
	if (err)
		die("cannot claim", strerror(-err));
	pthread_mutex_lock(&lock);
	claimed = true;
	pthread_cond_signal(&changed);
	pthread_mutex_unlock(&lock);
}

static double
cpu_s(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
		(double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void
claim(struct kafka_queue *queue, struct loop *loop, const char *what)
{
	uint64_t start = clock_mono_us();
	double cpu = cpu_s();

	queue->state = kafka_state_new(queue);
	claimed = false;
	kafka_state_claim(queue->state, 0, loop, on_claimed, NULL);
	pthread_mutex_lock(&lock);
	while (!claimed)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
	printf("%s: %.2f s, %.2f s of CPU\n", what, (double)(clock_mono_us() - start) / 1e6,
		cpu_s() - cpu);
	kafka_state_free(&queue->state);
}

int
main(int argc, char **argv)
{
	char dir[] = "/tmp/shout-bench-XXXXXX";
	struct config config = { .state_dir = dir };
	struct kafka_queue queue = { .config = &config, .late_ms = LATE_MS };
	struct loop *loop = loop_new("bench");

	if (argc < 2 || !mkdtemp(dir))
		die("usage", "bench_rows BROKERS [ROWS]");
	config.queue.brokers = argv[1];
	config.queue.map_size = (uint64_t)16 << 30;
	loop_start(loop);
	queue.producer = kafka_producer_new(&queue);
	if (argc > 2)
		fill(queue.producer, strtoul(argv[2], NULL, 10));
	claim(&queue, loop, "with an empty table");
	claim(&queue, loop, "with a full table");
	kafka_producer_free(&queue.producer);
	loop_stop(loop);
	loop_join(loop);
	loop_free(&loop);
	return 0;
}
