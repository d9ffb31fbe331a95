/*
 * test_queue_faults.c - what the embedded queue does when the process is killed, the disk fails, is
 * full, or does not answer.
 *
 * This program's own fdatasync(), pwrite(), writev() and clock_gettime() stand before libc's, also
 * for liblmdb, and fail when told to.
 */
#include "tests/unit/events_read.h"
#include "tests/unit/queue_rig.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <lmdb.h>

#define ROUNDS 50
#define SPILLED_SIZE (QUEUE_INLINE_MAX + 1)

static atomic_bool fail_sync, block_sync, sync_is_blocked;
static atomic_int full_writes, full_events; /* so many writes find no space */
static _Thread_local time_t past_s;

int
fdatasync(int fd)
{
	while (atomic_load(&block_sync)) {
		atomic_store(&sync_is_blocked, true);
		usleep(1000);
	}
	if (atomic_load(&fail_sync)) {
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_fdatasync, fd);
}

static bool
is_full(void)
{
	int left = atomic_load(&full_writes);

	if (left <= 0 || atomic_fetch_sub(&full_writes, 1) <= 0)
		return false;
	errno = ENOSPC;
	return true;
}

ssize_t
pwrite(int fd, const void *data, size_t size, off_t offset)
{
	return is_full() ? -1 : syscall(SYS_pwrite64, fd, data, size, offset);
}

ssize_t
writev(int fd, const struct iovec *pieces, int count)
{
	return is_full() ? -1 : syscall(SYS_writev, fd, pieces, count);
}

/* Only the events are written by write(2) in more than eight bytes, beside the log. */
ssize_t
write(int fd, const void *data, size_t size)
{
	if (size > 8 && fd > STDERR_FILENO && atomic_load(&full_events) > 0 &&
		atomic_fetch_sub(&full_events, 1) > 0) {
		errno = ENOSPC;
		return -1;
	}
	return syscall(SYS_write, fd, data, size);
}

int
clock_gettime(clockid_t clock, struct timespec *now)
{
	int result = (int)syscall(SYS_clock_gettime, clock, now);

	now->tv_sec -= past_s;
	return result;
}

/* What the child says about a message: 'A' acknowledged, 'F' about to be finished. */
struct report {
	char what;
	uint8_t id[ID_SIZE];
};

static int reports[2];
static char body_data[4096];

static void
report(char what, const uint8_t *id)
{
	struct report out = { .what = what };

	memcpy(out.id, id, ID_SIZE);
	if (write(reports[1], &out, sizeof out) != sizeof out)
		_exit(3);
}

struct mail {
	struct letter letter;
	unsigned number;
};

static void put_mail(unsigned number);

static void
on_put(void *arg, int err)
{
	struct mail *mail = arg;

	if (!err)
		report('A', mail->letter.id);
	put_mail(mail->number + 1);
	free(mail);
}

static void
write_spilled(char name[32])
{
	static atomic_uint number;
	char *path;
	int fd;

	snprintf(name, 32, "upload-%u", atomic_fetch_add(&number, 1));
	path = xasprintf("%s/%s", queue_spool_dir(rig.queue), name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || ftruncate(fd, SPILLED_SIZE))
		_exit(4);
	close(fd);
	free(path);
}

static void
put_mail(unsigned number)
{
	struct mail *mail = xmalloc(sizeof *mail);
	struct body body = { .data = body_data, .size = sizeof body_data };
	char name[32];

	mail->number = number;
	letter_init(&mail->letter);
	mail->letter.envelope.size = body.size;
	if (number % 7 == 0) {
		write_spilled(name);
		body = (struct body){ .spill = name, .size = SPILLED_SIZE };
		mail->letter.envelope.size = SPILLED_SIZE;
	}
	queue_put(rig.queue, TOPIC_INBOUND, &mail->letter.envelope, &body, on_put, mail);
}

static void
on_inbound(void *arg, struct record *record)
{
	(void)arg;
	queue_forward(record, TOPIC_READY, record_envelope(record), NULL, NULL);
}

static void
on_ready(void *arg, struct record *record)
{
	const Envelope *envelope = record_envelope(record);

	(void)arg;
	if (envelope->id.data[ID_SIZE - 1] % 2) {
		report('F', envelope->id.data);
		queue_finish(record);
	} else {
		Row row, *rows[] = { &row };

		row__init(&row);
		row.envelope = (Envelope *)(uintptr_t)envelope;
		row.site = (char *)"google";
		row.due_us = 1;
		queue_defer(record, rows, 1, NULL, NULL);
	}
}

static void
start_putting(struct task *task)
{
	(void)task;
	for (unsigned i = 0; i < 20; i++)
		put_mail(i);
}

/* Works until it is killed. */
static void
child_work(void)
{
	struct task task = { .run = start_putting };
	struct loop *loop = loop_new("putter");

	rig_open_queue();
	queue_consume(rig.queue, TOPIC_INBOUND, rig.loop, 50, on_inbound, NULL);
	queue_consume(rig.queue, TOPIC_READY, rig.loop, 50, on_ready, NULL);
	loop_post(loop, &task);
	loop_run(loop);
}

struct known {
	struct report reports[200000];
	size_t count;
};

static int
compare_reports(const void *a, const void *b)
{
	const struct report *x = a, *y = b;
	int order = memcmp(x->id, y->id, ID_SIZE);

	return order ? order : (y->what == 'F') - (x->what == 'F');
}

/* Reads reports until `enough` came, kills the child, and reads the rest. */
static void
gather(struct known *known, pid_t child, size_t enough)
{
	size_t before = known->count, bytes = 0;
	char *at = (char *)&known->reports[before];
	ssize_t got;
	bool killed = false;

	while ((got = read(reports[0], at + bytes, 64 * sizeof(struct report))) > 0) {
		bytes += (size_t)got;
		if (!killed && bytes / sizeof(struct report) >= enough)
			killed = !kill(child, SIGKILL);
		assert_true(before + bytes / sizeof(struct report) + 128 <
			sizeof known->reports / sizeof *known->reports);
	}
	known->count += bytes / sizeof(struct report);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_true(killed);
}

/* The ids that the queue holds, with the right body. */
struct held {
	struct report *ids;
	size_t count, space;
};

static void
on_tail(void *arg, int err, const void *data, size_t length)
{
	(void)data;
	*(size_t *)arg = err ? SIZE_MAX : length;
}

static void
hold(struct held *held, const Envelope *envelope)
{
	size_t length;

	queue_body(rig.queue, envelope, envelope->size - 100, 4096, on_tail, &length);
	assert_int_equal(length, 100);
	if (held->count == held->space) {
		held->space = held->space * 2 + 1000;
		held->ids = xrealloc(held->ids, held->space * sizeof *held->ids);
	}
	held->ids[held->count].what = 'A';
	memcpy(held->ids[held->count++].id, envelope->id.data, ID_SIZE);
}

static void
on_row(void *arg, Row *row)
{
	hold(arg, row->envelope);
	row_free(row);
}

static void
hold_and_abandon(void *arg, struct record *record)
{
	assert_true(record_redelivered(record));
	hold(arg, record_envelope(record));
	record_abandon(record);
}

struct counting {
	const struct held *held;
	size_t seen;
};

static void
count_run(void *arg)
{
	struct counting *counting = arg;

	counting->seen = counting->held->count;
}

static struct held
what_is_held(void)
{
	struct held held = { 0 };
	struct consumer *consumers[TOPIC_COUNT];
	struct queue_stats before = stats();
	struct counting counting;
	size_t seen = 0, records = before.records[TOPIC_INBOUND] + before.records[TOPIC_READY];

	for (int topic = 0; topic < TOPIC_COUNT; topic++)
		consumers[topic] = queue_consume(
			rig.queue, topic, rig.loop, 1000000, hold_and_abandon, &held);
	while (seen < records) {
		counting.held = &held;
		run_on(rig.loop, count_run, &counting);
		seen = counting.seen;
	}
	for (int topic = 0; topic < TOPIC_COUNT; topic++)
		run_on(rig.loop, stop_run, consumers[topic]);
	rows_scan(rig.rows, ROWS_ANY, NULL, NULL, SIZE_MAX, on_row, &held);
	assert_int_equal(before.bodies, held.count);
	qsort(held.ids, held.count, sizeof *held.ids, compare_reports);
	return held;
}

static void
check_all_there(struct known *known)
{
	struct held held;
	size_t missing = 0;

	rig_open_queue();
	held = what_is_held();
	qsort(known->reports, known->count, sizeof *known->reports, compare_reports);
	for (size_t i = 0; i < known->count; i++) {
		struct report *it = &known->reports[i];
		bool finished = it->what == 'F' ||
			(i > 0 && !memcmp(it[-1].id, it->id, ID_SIZE) && it[-1].what == 'F');

		if (finished)
			continue;
		missing += !bsearch(it, held.ids, held.count, sizeof *held.ids, compare_reports);
	}
	assert_int_equal(missing, 0);
	free(held.ids);
	rig_close_queue();
}

static void
everything_acknowledged_survives_a_kill_at_any_moment(void **state)
{
	struct known *known = xcalloc(1, sizeof *known);
	unsigned seed = (unsigned)clock_us();

	(void)state;
	rig_close_queue();
	for (int round = 0; round < ROUNDS; round++) {
		pid_t child;

		assert_int_equal(pipe(reports), 0);
		child = fork();
		if (!child) {
			close(reports[0]);
			child_work();
			_exit(5);
		}
		close(reports[1]);
		gather(known, child, (size_t)(rand_r(&seed) % 1000));
		close(reports[0]);
		check_all_there(known);
	}
	free(known);
}

/* Runs a put with a failing disk in a child; its exit status. */
static int
exit_status_of(void (*work)(void))
{
	pid_t child = fork();
	int status;

	if (!child) {
		rig_open_queue();
		work();
		_exit(42);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
put_without_sync(void)
{
	struct letter letter;

	letter_init(&letter);
	atomic_store(&fail_sync, true);
	put(TOPIC_INBOUND, &letter.envelope, "x", 1);
}

static void
spill_without_sync(void)
{
	struct letter letter;
	char name[32];

	letter_init(&letter);
	write_spilled(name);
	atomic_store(&fail_sync, true);
	put_spilled(TOPIC_INBOUND, &letter.envelope, name, SPILLED_SIZE);
}

static void
event_without_sync(void)
{
	event_put("{\"event\":\"x\"}");
	atomic_store(&fail_sync, true);
	AWAIT(false); /* the sync comes once a second */
}

static void
a_failed_sync_ends_the_process(void **state)
{
	(void)state;
	rig_close_queue();
	assert_int_equal(exit_status_of(put_without_sync), 1);
	assert_int_equal(exit_status_of(spill_without_sync), 1);
	assert_int_equal(exit_status_of(event_without_sync), 1);
	rig_open_queue();
	assert_int_equal(stats().records[TOPIC_INBOUND], 0);
}

static void
a_full_disk_refuses_mail_but_not_what_frees_room(void **state)
{

	(void)state;
	letter_init(&letters[0]);
	letter_init(&letters[1]);
	assert_int_equal(put(TOPIC_INBOUND, &letters[0].envelope, "x", 1), 0);
	atomic_store(&full_writes, 1);
	assert_int_equal(put(TOPIC_INBOUND, &letters[1].envelope, "x", 1), -ENOSPC);
	assert_int_equal(stats().records[TOPIC_INBOUND], 1);
	consume(TOPIC_INBOUND, 10);
	record_at(0);
	atomic_store(&full_writes, 3); /* not even the removals, at first */
	finish(rig.records[0]);
	AWAIT_STATS(now.records[TOPIC_INBOUND] == 0 && now.bodies == 0);
	assert_int_equal(put(TOPIC_INBOUND, &letters[1].envelope, "x", 1), 0);
	finish(record_at(1));
}

static bool
count_event(void *arg, const char *json, size_t length)
{
	(void)json;
	(void)length;
	++*(int *)arg;
	return true;
}

static void
events_without_room_are_counted_and_hold_nothing_up(void **state)
{
	int count = 0;

	(void)state;
	assert_int_equal(event_put("{\"event\":\"first\"}"), 0);
	atomic_store(&full_events, 1);
	assert_int_equal(event_put("{\"event\":\"lost\"}"), 0);
	assert_int_equal(event_put("{\"event\":\"last\"}"), 0);
	events_read(rig.queue, 0, count_event, &count);
	assert_int_equal(count, 2);
	assert_int_equal(stats().events_lost, 1);
}

static void
write_garbage(const char *table, const void *name, size_t size)
{
	char path[100];
	MDB_val key = { size, (void *)(uintptr_t)name },
		value = { 12, (void *)"\xff\xffgarbage..." };
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;

	snprintf(path, sizeof path, "%s/queue.mdb", rig.dir);
	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_maxdbs(env, 16), 0);
	assert_int_equal(mdb_env_set_mapsize(env, rig.config.queue.map_size), 0);
	assert_int_equal(mdb_env_open(env, path, MDB_NOSUBDIR, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, table, 0, &dbi), 0);
	assert_int_equal(mdb_put(txn, dbi, &key, &value, 0), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
}

static void
what_cannot_be_read_is_set_aside_and_stops_nothing(void **state)
{
	static const unsigned char sequence[8] = { 0, 0, 0, 0, 0, 0, 0, 1 };
	struct letter letter;

	(void)state;
	letter_init(&letter);
	assert_int_equal(put(TOPIC_INBOUND, &letter.envelope, "x", 1), 0);
	assert_int_equal(put(TOPIC_INBOUND, &letter.envelope, "x", 1), 0);
	letter_init(&letter);
	assert_int_equal(put(TOPIC_INBOUND, &letter.envelope, "x", 1), 0);
	rig_close_queue();
	write_garbage("inbound", sequence, sizeof sequence);
	write_garbage("rows", "0123456789abcdefgoogle", 22);
	rig_open_queue();
	consume(TOPIC_INBOUND, 10);
	assert_true(is_letter(record_at(0), &letter));
	assert_int_equal(rows_scan(rig.rows, ROWS_ANY, NULL, NULL, 10, NULL, NULL), 0);
	finish(rig.records[0]);
	AWAIT_STATS(now.records[TOPIC_INBOUND] == 0 && now.rows == 0);
	assert_int_equal(stats().bad, 2);
	assert_int_equal(stats().bodies, 1); /* that of the unreadable record stays */
}

struct seen {
	size_t count, key_length, length;
	char key[512];
};

static void
on_bad(void *arg, const void *key, size_t key_length, const void *value, size_t length)
{
	struct seen *seen = arg;

	(void)value;
	seen->count++;
	memcpy(seen->key, key, key_length);
	seen->key_length = key_length;
	seen->length = length;
}

static void
ask_bad_remove(struct ask *ask)
{
	queue_bad_remove(rig.queue, ask->body.data, ask->body.size, on_answer, ask);
}

static int
bad_remove(const char *key, size_t length)
{
	struct ask ask = {
		.fn = ask_bad_remove,
		.body = { .data = key, .size = length },
	};

	return ask_wait(&ask);
}

static void
on_good_row(void *arg, Row *row)
{
	(void)arg;
	row_free(row);
}

/* A message with rows at "google" and "orange", of which the first is garbled while we are down. */
static void
garble_a_row(struct letter *letter)
{
	unsigned char key[ID_SIZE + 6];
	Row rows[2], *both[] = { &rows[0], &rows[1] };

	letter_init(letter);
	row_init(&rows[0], letter, "google", 0);
	row_init(&rows[1], letter, "orange", 0);
	assert_int_equal(put(TOPIC_READY, &letter->envelope, "x", 1), 0);
	consume(TOPIC_READY, 10);
	assert_int_equal(defer(record_at(0), both, 2), 0);
	stop_consuming(TOPIC_READY);
	rig_close_queue();
	memcpy(key, letter->id, ID_SIZE);
	memcpy(key + ID_SIZE, "google", 6);
	write_garbage("rows", key, sizeof key);
	rig_open_queue();
	assert_int_equal(rows_scan(rig.rows, ROWS_ANY, NULL, NULL, 10, on_good_row, NULL), 1);
	AWAIT_STATS(now.bad == 1);
}

static void
a_row_that_was_set_aside_holds_its_body_until_it_is_removed(void **state)
{
	struct seen seen = { 0 };
	struct letter letter;
	Row row;

	(void)state;
	garble_a_row(&letter);
	row_init(&row, &letter, "orange", 0);
	assert_int_equal(row_remove(&row), 0);
	assert_int_equal(stats().rows, 0);
	assert_int_equal(stats().bodies, 1);
	assert_int_equal(queue_bad_scan(rig.queue, NULL, 0, 10, on_bad, &seen), 1);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.key_length, 5 + ID_SIZE + 6);
	assert_int_equal(seen.length, 12);
	assert_memory_equal(seen.key, "rows/", 5);
	assert_memory_equal(seen.key + 5, letter.id, ID_SIZE);
	assert_int_equal(bad_remove("rows/nothing", 12), -ENOENT);
	assert_int_equal(bad_remove(seen.key, seen.key_length), 0);
	assert_int_equal(stats().bad, 0);
	assert_int_equal(stats().bodies, 0);
	assert_int_equal(bad_remove(seen.key, seen.key_length), -ENOENT);
}

/* A put as if made 21 s ago: its answer is overdue at once. */
static void
put_long_ago(void *arg)
{
	past_s = 21;
	ask_put(arg);
	past_s = 0;
}

static void
a_disk_that_does_not_answer_is_a_timeout_told_once(void **state)
{
	struct ask asks[3];

	(void)state;
	atomic_store(&sync_is_blocked, false);
	atomic_store(&block_sync, true);
	for (int i = 0; i < 3; i++) {
		letter_init(&letters[i]);
		asks[i] = (struct ask){
			.topic = TOPIC_INBOUND,
			.envelope = &letters[i].envelope,
			.body = { .data = "x", .size = 1 },
		};
		run_on(rig.loop, put_long_ago, &asks[i]);
		while (!atomic_load(&sync_is_blocked))
			usleep(1000);
	}
	for (int i = 0; i < 3; i++)
		AWAIT(asks[i].answers == 1);
	atomic_store(&block_sync, false);
	letter_init(&letters[0]);
	assert_int_equal(put(TOPIC_INBOUND, &letters[0].envelope, "y", 1), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(asks[i].answers, 1);
		assert_int_equal(asks[i].err, -ETIMEDOUT);
	}
	/* The first was under way and became durable; the others were withdrawn. */
	assert_int_equal(stats().records[TOPIC_INBOUND], 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(everything_acknowledged_survives_a_kill_at_any_moment),
		TEST(a_failed_sync_ends_the_process),
		TEST(a_full_disk_refuses_mail_but_not_what_frees_room),
		TEST(events_without_room_are_counted_and_hold_nothing_up),
		TEST(what_cannot_be_read_is_set_aside_and_stops_nothing),
		TEST(a_row_that_was_set_aside_holds_its_body_until_it_is_removed),
		TEST(a_disk_that_does_not_answer_is_a_timeout_told_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
