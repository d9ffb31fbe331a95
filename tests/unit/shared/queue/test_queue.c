/*
 * test_queue.c - what queue.h promises, whatever the backend (tests/kafka/test_queue.py runs it
 * on a cluster). With races looked for:
 *
 *   make SAN=thread build/thread/tests/unit/shared/queue/test_queue &&
 * build/thread/tests/unit/shared/queue/test_queue
 */
#include "tests/unit/queue_rig.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

static void
records_come_in_order_with_their_envelope(void **state)
{
	(void)state;
	put_letters(TOPIC_INBOUND, 20);
	consume(TOPIC_INBOUND, 100);
	for (size_t i = 0; i < 20; i++) {
		const Envelope *envelope = record_envelope(record_at(i));

		assert_true(is_letter(rig.records[i], &letters[i]));
		assert_string_equal(envelope->mail_from, "anna@customer.example");
		assert_int_equal(envelope->n_recipients, 1);
		assert_string_equal(envelope->recipients[0]->address, "bob@elsewhere.example");
	}
	for (size_t i = 0; i < 20; i++)
		finish(rig.records[i]);
	AWAIT_STATS(now.records[TOPIC_INBOUND] == 0 && now.bodies == 0);
}

static void
records_put_while_consuming_come_too(void **state)
{
	(void)state;
	consume(TOPIC_INBOUND, 100);
	put_letters(TOPIC_INBOUND, 10);
	for (size_t i = 0; i < 10; i++) {
		assert_true(is_letter(record_at(i), &letters[i]));
		assert_false(record_redelivered(rig.records[i]));
		finish(rig.records[i]);
	}
}

static void
the_window_bounds_what_is_unfinished(void **state)
{
	(void)state;
	put_letters(TOPIC_READY, 10);
	consume(TOPIC_READY, 4);
	record_at(3);
	put_letters(TOPIC_INBOUND, 1); /* a whole round through the queue and back */
	assert_int_equal(rig.count, 4);
	for (size_t i = 0; i < 10; i++) {
		finish(record_at(i));
		pthread_mutex_lock(&rig.lock);
		assert_true(rig.count <= i + 1 + 4);
		pthread_mutex_unlock(&rig.lock);
	}
}

/* Each of them fills the window. */
static void
records_with_many_recipients_count_more(void **state)
{
	Recipient recipient = RECIPIENT__INIT, *many[200];

	(void)state;
	recipient.address = (char *)"bob@elsewhere.example";
	for (size_t i = 0; i < 200; i++)
		many[i] = &recipient;
	for (size_t i = 0; i < 3; i++) {
		letter_init(&letters[i]);
		letters[i].envelope.recipients = many;
		letters[i].envelope.n_recipients = 200;
		assert_int_equal(put(TOPIC_READY, &letters[i].envelope, "body", 4), 0);
	}
	consume(TOPIC_READY, 4);
	for (size_t i = 0; i < 3; i++) {
		record_at(i);
		put_letters(TOPIC_INBOUND, 1); /* as above */
		assert_int_equal(rig.count, i + 1);
		finish(rig.records[i]);
	}
}

static void
unfinished_records_come_again_after_a_restart_in_any_order_of_finishing(void **state)
{
	static const size_t finished[] = { 7, 2, 5, 0 }, left[] = { 1, 3, 4, 6, 8, 9 };

	(void)state;
	put_letters(TOPIC_INBOUND, 10);
	consume(TOPIC_INBOUND, 100);
	record_at(9);
	for (size_t i = 0; i < 4; i++)
		finish(rig.records[finished[i]]);
	for (size_t i = 0; i < 6; i++)
		abandon(rig.records[left[i]]);
	rig_close_queue();
	rig_open_queue();
	consume(TOPIC_INBOUND, 100);
	for (size_t i = 0; i < 6; i++) {
		assert_true(is_letter(record_at(i), &letters[left[i]]));
		assert_true(record_redelivered(rig.records[i]));
	}
	put_letters(TOPIC_INBOUND, 1);
	assert_false(record_redelivered(record_at(6)));
	for (size_t i = 0; i < 7; i++)
		finish(rig.records[i]);
	AWAIT_STATS(now.records[TOPIC_INBOUND] == 0 && now.bodies == 0);
}

static void
a_forwarded_record_moves_with_its_new_envelope_and_its_body(void **state)
{
	struct letter *letter = &letters[0];

	(void)state;
	put_letters(TOPIC_INBOUND, 1);
	consume(TOPIC_INBOUND, 10);
	record_at(0);
	letter->envelope.verdict = ENVELOPE__VERDICT__CLEAN;
	letter->envelope.prefix.data = (uint8_t *)"Date: x\r\n";
	letter->envelope.prefix.len = 9;
	assert_int_equal(forward(rig.records[0], TOPIC_READY, &letter->envelope), 0);
	consume(TOPIC_READY, 10);
	assert_int_equal(record_envelope(record_at(1))->verdict, ENVELOPE__VERDICT__CLEAN);
	assert_int_equal(record_envelope(rig.records[1])->prefix.len, 9);
	AWAIT_STATS(now.records[TOPIC_INBOUND] == 0 && now.records[TOPIC_READY] == 1 &&
		now.bodies == 1);
	if (rig.config.queue.backend == BACKEND_LMDB)
		assert_true(stats().oldest_us[TOPIC_READY] == letter->envelope.accepted_us);
	finish(rig.records[1]);
	AWAIT_STATS(now.bodies == 0);
}

static bool
on_seen(void *arg, const struct queue_seen *seen)
{
	const uint8_t *wanted = arg;

	assert_string_equal(seen->envelope->recipients[0]->address, "bob@elsewhere.example");
	return !wanted || memcmp(seen->envelope->id.data, wanted, ID_SIZE) != 0;
}

static size_t seen_count;

static bool
on_counted(void *arg, const struct queue_seen *seen)
{
	assert_int_equal(seen->topic, *(enum topic *)arg);
	seen_count++;
	return on_seen(NULL, seen);
}

static size_t
look(enum topic topic)
{
	seen_count = 0;
	assert_true(queue_look(rig.queue, topic, on_counted, &topic));
	return seen_count;
}

static void
what_is_unfinished_is_seen_whoever_has_it(void **state)
{
	size_t inbound = 0, ready = 0;

	(void)state;
	assert_int_equal(look(TOPIC_INBOUND), 0);
	put_letters(TOPIC_INBOUND, 64); /* a step */
	assert_int_equal(look(TOPIC_INBOUND), 64);
	put_letters(TOPIC_INBOUND, 6);
	assert_int_equal(look(TOPIC_INBOUND), 70);
	assert_false(queue_look(rig.queue, TOPIC_INBOUND, on_seen, letters[5].id));
	consume(TOPIC_INBOUND, 100);
	record_at(69);
	for (size_t i = 0; i < 3; i++)
		finish(rig.records[i * 7]);
	assert_int_equal(
		forward(rig.records[30], TOPIC_READY, record_envelope(rig.records[30])), 0);
	for (int i = 0; i < 1000 && (inbound != 66 || ready != 1); i++) { /* once committed */
		inbound = look(TOPIC_INBOUND);
		ready = look(TOPIC_READY);
	}
	assert_int_equal(inbound, 66);
	assert_int_equal(ready, 1);
	for (size_t i = 0; i < 70; i++)
		if (i != 0 && i != 7 && i != 14 && i != 30)
			finish(rig.records[i]);
}

static void
a_known_id_makes_no_second_record(void **state)
{
	(void)state;
	EMBEDDED_ONLY();
	put_letters(TOPIC_READY, 1);
	assert_int_equal(put(TOPIC_READY, &letters[0].envelope, "body", 4), 0);
	assert_int_equal(stats().records[TOPIC_READY], 1);
	consume(TOPIC_READY, 10);
	finish(record_at(0));
	AWAIT_STATS(now.records[TOPIC_READY] == 0 && now.bodies == 0);
}

/* A DSN that was made again: it comes once, or says that it may have come. */
static void
a_record_that_is_put_twice_is_done_once_or_says_so(void **state)
{
	(void)state;
	put_letters(TOPIC_READY, 1);
	assert_int_equal(put(TOPIC_READY, &letters[0].envelope, "body", 4), 0);
	letter_init(&letters[1]);
	assert_int_equal(put(TOPIC_READY, &letters[1].envelope, "body", 4), 0);
	consume(TOPIC_READY, 10);
	assert_true(is_letter(record_at(0), &letters[0]));
	if (is_letter(record_at(1), &letters[0])) {
		assert_true(record_redelivered(rig.records[1]));
		record_at(2);
	}
	for (size_t i = 0; i < rig.count; i++)
		finish(rig.records[i]);
	AWAIT_STATS(now.records[TOPIC_READY] == 0);
}

static unsigned char *
noise(size_t size)
{
	unsigned char *data = xmalloc(size + 1);
	uint32_t x = 12345;

	for (size_t i = 0; i < size; i++) {
		x = x * 1664525 + 1013904223;
		data[i] = (unsigned char)(x >> 24);
	}
	return data;
}

static void
a_body_is_read_back_in_pieces_of_any_size(void **state)
{
	static const size_t sizes[] = { 0, 1, 4079, 4080, 4081, 4095, 4096, 8160, 65536, 65537,
		QUEUE_INLINE_MAX };
	unsigned char *data = noise(QUEUE_INLINE_MAX);

	(void)state;
	consume(TOPIC_INBOUND, 100);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		const Envelope *envelope;

		letter_init(&letters[i]);
		assert_int_equal(put(TOPIC_INBOUND, &letters[i].envelope, data, sizes[i]), 0);
		envelope = record_envelope(record_at(i));
		check_envelope_body(envelope, data, sizes[i], SIZE_MAX);
		check_envelope_body(envelope, data, sizes[i], 4000);
	}
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
		finish(rig.records[i]);
	AWAIT_STATS(now.bodies == 0);
	free(data);
}

static void
there_is_no_body_of_an_unknown_id(void **state)
{
	struct reading reading = { .envelope = &letters[0].envelope, .length = 10 };

	(void)state;
	letter_init(&letters[0]);
	run_on(rig.loop, read_run, &reading);
	assert_int_equal(reading.err, -ENOENT);
}

static size_t
files_in_spool(void)
{
	DIR *dir = opendir(queue_spool_dir(rig.queue));
	struct dirent *entry;
	size_t count = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

static void
spill(const char *name, const void *data, size_t size)
{
	char *path = xasprintf("%s/%s", queue_spool_dir(rig.queue), name);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, size), size);
	close(fd);
	free(path);
}

static void
a_spilled_body_lives_until_its_message_is_finished(void **state)
{
	const size_t size = 3 * 1024 * 1024 + 17;
	unsigned char *data = noise(size);

	(void)state;
	spill("upload-1", data, size);
	letter_init(&letters[0]);
	assert_int_equal(put_spilled(TOPIC_INBOUND, &letters[0].envelope, "upload-1", size), 0);
	consume(TOPIC_INBOUND, 10);
	check_envelope_body(record_envelope(record_at(0)), data, size, QUEUE_PIECE_MAX);
	abandon(rig.records[0]);
	rig_close_queue();
	rig_open_queue();
	consume(TOPIC_INBOUND, 10);
	check_envelope_body(record_envelope(record_at(0)), data, size, QUEUE_PIECE_MAX);
	finish(rig.records[0]);
	AWAIT_STATS(now.bodies == 0);
	if (rig.config.queue.backend == BACKEND_LMDB) /* others keep it for a while */
		AWAIT_STATS(now.bodies == 0 && files_in_spool() == 0);
	free(data);
}

static void
spill_files_without_a_message_go(void **state)
{
	(void)state;
	EMBEDDED_ONLY();
	spill("left-by-a-crash", "x", 1);
	spill("01arz3ndektsv4rrffq69g5fav", "x", 1);
	letter_init(&letters[0]);
	assert_int_not_equal(put_spilled(TOPIC_INBOUND, &letters[0].envelope, "missing", 1), 0);
	spill("short", "x", 1);
	assert_int_not_equal(put_spilled(TOPIC_INBOUND, &letters[0].envelope, "short", 2), 0);
	assert_int_equal(stats().records[TOPIC_INBOUND], 0);
	assert_int_equal(files_in_spool(), 2);
	rig_close_queue();
	rig_open_queue();
	assert_int_equal(files_in_spool(), 0);
}

static void
a_full_queue_refuses_mail_and_takes_everything_else(void **state)
{
	unsigned char *data = noise(QUEUE_INLINE_MAX);
	struct letter *many = xcalloc(1000, sizeof *many);
	Row row, *rows[] = { &row };
	size_t count = 0;
	int err = 0;

	(void)state;
	EMBEDDED_ONLY();
	rig_close_queue();
	rig.config.queue.map_size = 16 * 1024 * 1024;
	rig_open_queue();
	while (!err && count < 1000) {
		letter_init(&many[count]);
		err = put(TOPIC_INBOUND, &many[count].envelope, data, 100000);
		count++;
	}
	assert_int_equal(err, -ENOSPC);
	count--;
	assert_true(count > 50);
	consume(TOPIC_INBOUND, 1000);
	record_at(count - 1);
	assert_int_equal(forward(rig.records[0], TOPIC_READY, &many[0].envelope), 0);
	row_init(&row, &many[1], "google", 1);
	assert_int_equal(defer(rig.records[1], rows, 1), 0);
	for (size_t i = 2; i < count; i++)
		finish(rig.records[i]);
	AWAIT_STATS(now.bodies == 2);
	for (size_t tries = 0; err && tries < 10000; tries++) {
		err = put(TOPIC_INBOUND, &many[count].envelope, data, 100000);
		if (err)
			usleep(1000);
	}
	assert_int_equal(err, 0);
	abandon(record_at(count));
	free(many);
	free(data);
}

#define PRODUCERS 4
#define EACH 300

struct producer {
	struct loop *loop;
	struct letter *letters;
	int answered;
};

static void
on_produced(void *arg, int err)
{
	struct producer *producer = arg;

	assert_int_equal(err, 0);
	assert_ptr_equal(loop_current(), producer->loop);
	pthread_mutex_lock(&rig.lock);
	producer->answered++;
	changed();
	pthread_mutex_unlock(&rig.lock);
}

static void
produce(void *arg)
{
	struct producer *producer = arg;
	struct body body = { .data = "hello", .size = 5 };

	for (int i = 0; i < EACH; i++) {
		letter_init(&producer->letters[i]);
		queue_put(rig.queue, TOPIC_INBOUND, &producer->letters[i].envelope, &body,
			on_produced, producer);
	}
}

static void
many_loops_put_at_once(void **state)
{
	struct producer producers[PRODUCERS];

	(void)state;
	consume(TOPIC_INBOUND, PRODUCERS * EACH);
	for (int i = 0; i < PRODUCERS; i++) {
		producers[i] = (struct producer){ loop_new("producer"),
			xcalloc(EACH, sizeof(struct letter)), 0 };
		loop_start(producers[i].loop);
	}
	for (int i = 0; i < PRODUCERS; i++)
		run_on(producers[i].loop, produce, &producers[i]);
	for (int i = 0; i < PRODUCERS; i++)
		AWAIT(producers[i].answered == EACH);
	record_at(PRODUCERS * EACH - 1);
	for (size_t i = 0; i < PRODUCERS * EACH; i++)
		finish(rig.records[i]);
	AWAIT_STATS(now.bodies == 0);
	for (int i = 0; i < PRODUCERS; i++) {
		loop_stop(producers[i].loop);
		loop_join(producers[i].loop);
		loop_free(&producers[i].loop);
		free(producers[i].letters);
	}
}

static void
consumers_of_a_topic_share_its_records(void **state)
{
	struct consumer *second;

	(void)state;
	EMBEDDED_ONLY(); /* in a cluster they are members of a group, each a process of its own */
	consume(TOPIC_INBOUND, 100);
	second = queue_consume(rig.queue, TOPIC_INBOUND, rig.loop, 100, on_record, NULL);
	put_letters(TOPIC_INBOUND, 30);
	record_at(29);
	for (size_t i = 0; i < 30; i++) {
		for (size_t j = 0; j < i; j++)
			assert_false(is_letter(rig.records[i], &letters[j]) &&
				is_letter(rig.records[j], &letters[j]));
	}
	for (size_t i = 0; i < 30; i++)
		finish(rig.records[i]);
	run_on(rig.loop, stop_run, second);
	AWAIT_STATS(now.bodies == 0);
}

static void
no_record_comes_after_the_stop(void **state)
{
	(void)state;
	consume(TOPIC_INBOUND, 100);
	stop_consuming(TOPIC_INBOUND);
	put_letters(TOPIC_INBOUND, 3);
	assert_int_equal(rig.count, 0);
	consume(TOPIC_INBOUND, 100);
	for (size_t i = 0; i < 3; i++)
		finish(record_at(i));
}

/* Kilobytes of mapped files that count as this process's. */
static long
file_rss(void)
{
	FILE *status = fopen("/proc/self/status", "re");
	char line[128];
	long kilobytes = -1;

	assert_non_null(status);
	while (fgets(line, sizeof line, status))
		if (strncmp(line, "RssFile:", 8) == 0)
			kilobytes = strtol(line + 8, NULL, 10);
	fclose(status);
	return kilobytes;
}

static void
bodies_that_were_read_do_not_stay_mapped(void **state)
{
	const size_t size = 200 * 1024, count = 64;
	unsigned char *data = xcalloc(1, size);
	const long before = file_rss();

	(void)state;
	EMBEDDED_ONLY();
	for (size_t i = 0; i < count; i++) {
		letter_init(&letters[i]);
		assert_int_equal(put(TOPIC_INBOUND, &letters[i].envelope, data, size), 0);
	}
	for (size_t i = 0; i < count; i++)
		check_body(&letters[i], data, size, QUEUE_PIECE_MAX);
	for (int i = 0; i < 60000 && file_rss() > before + 4096; i++)
		usleep(1000);
	assert_in_range(file_rss(), 0, before + 4096);
	free(data);
}

static void
a_second_process_is_refused(void **state)
{
	(void)state;
	assert_null(queue_open(&rig.config));
}

static void
what_is_put_is_there_after_a_close_that_waited_for_nothing(void **state)
{
	struct producer producer = { rig.loop, xcalloc(EACH, sizeof(struct letter)), 0 };

	(void)state;
	run_on(rig.loop, produce, &producer);
	AWAIT(producer.answered == EACH);
	rig_close_queue();
	rig_open_queue();
	AWAIT_STATS(now.records[TOPIC_INBOUND] == EACH);
	free(producer.letters);
}

static int without_loop;

static void
on_put_without_loop(void *arg, int err)
{
	(void)arg;
	assert_int_equal(err, 0);
	assert_null(loop_current());
	pthread_mutex_lock(&rig.lock);
	without_loop++;
	pthread_mutex_unlock(&rig.lock);
}

static void
closing_waits_for_what_was_put_from_no_loop(void **state)
{
	struct body body = { .data = "hello", .size = 5 };

	(void)state;
	without_loop = 0;
	for (size_t i = 0; i < 20; i++) {
		letter_init(&letters[i]);
		queue_put(rig.queue, TOPIC_INBOUND, &letters[i].envelope, &body,
			on_put_without_loop, NULL);
	}
	rig_close_queue();
	assert_int_equal(without_loop, 20);
	rig_open_queue();
	AWAIT_STATS(now.records[TOPIC_INBOUND] == 20);
}

static void
too_little_free_disk_closes_the_door(void **state)
{
	(void)state;
	assert_int_equal(queue_space(rig.queue), 0);
	rig_close_queue();
	rig.config.queue.min_free = 100;
	rig_open_queue();
	AWAIT_STATS(now.rows == 0 && queue_space(rig.queue) == -ENOSPC);
}

static void
a_body_has_a_place_for_people(void **state)
{
	char place[QUEUE_PLACE_MAX] = "";

	(void)state;
	put_letters(TOPIC_INBOUND, 1);
	consume(TOPIC_INBOUND, 10);
	queue_body_place(rig.queue, record_envelope(record_at(0)), place);
	assert_string_equal(
		place, rig.config.queue.backend == BACKEND_LMDB ? "queue.mdb" : "mail.inbound/0@0");
	finish(rig.records[0]);
}

static void
the_clock_of_the_queue_is_never_ahead(void **state)
{
	(void)state;
	put_letters(TOPIC_INBOUND, 1);
	consume(TOPIC_INBOUND, 10);
	record_at(0);
	assert_true(queue_clock_us(rig.queue) <= clock_us());
	finish(rig.records[0]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(records_come_in_order_with_their_envelope),
		TEST(records_put_while_consuming_come_too),
		TEST(the_window_bounds_what_is_unfinished),
		TEST(records_with_many_recipients_count_more),
		TEST(unfinished_records_come_again_after_a_restart_in_any_order_of_finishing),
		TEST(a_forwarded_record_moves_with_its_new_envelope_and_its_body),
		TEST(what_is_unfinished_is_seen_whoever_has_it),
		TEST(a_known_id_makes_no_second_record),
		TEST(a_record_that_is_put_twice_is_done_once_or_says_so),
		TEST(a_body_is_read_back_in_pieces_of_any_size),
		TEST(there_is_no_body_of_an_unknown_id),
		TEST(a_spilled_body_lives_until_its_message_is_finished),
		TEST(spill_files_without_a_message_go),
		TEST(a_full_queue_refuses_mail_and_takes_everything_else),
		TEST(many_loops_put_at_once),
		TEST(consumers_of_a_topic_share_its_records),
		TEST(no_record_comes_after_the_stop),
		TEST(bodies_that_were_read_do_not_stay_mapped),
		TEST(a_second_process_is_refused),
		TEST(what_is_put_is_there_after_a_close_that_waited_for_nothing),
		TEST(closing_waits_for_what_was_put_from_no_loop),
		TEST(too_little_free_disk_closes_the_door),
		TEST(a_body_has_a_place_for_people),
		TEST(the_clock_of_the_queue_is_never_ahead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
