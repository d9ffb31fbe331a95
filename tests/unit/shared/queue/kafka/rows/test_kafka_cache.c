/*
 * test_kafka_cache.c - waiting mail's bodies, what is trimmed, views, and a cache that finds no
 * room.
 */

#include "shared/queue/kafka/kafka_piece.h"
#include "tests/unit/kafka_state_rig.h"

static int64_t
body_seen(struct node *node)
{
	return look(node) ? seen->envelope->body_offset : -1;
}

static void
a_body_that_is_old_is_appended_anew_and_its_rows_follow(void **state)
{
	struct node *node = &rig.nodes[0];
	struct letter letter;
	struct kafka_place place;
	Row row;
	int64_t before;

	(void)state;
	own(node);
	letter_init(&letter, node);
	row_of(&row, &letter, "google", 3);
	assert_int_equal(ask(node, call_defer, &letter, &row), 0);
	before = body_seen(node);
	node->queue.state->renew_us = 1;
	POLL(body_seen(node) > before);
	node->queue.state->renew_us = UINT64_MAX;
	assert_int_equal(seen->attempts, 3);
	/* a write by whoever still has the old envelope does not lead back */
	row.attempts = 4;
	POLL(ask(node, call_put, NULL, &row) == 0 && attempts_seen(node) == 4);
	assert_true(body_seen(node) > before);
	assert_true(kafka_state_place(node->queue.state, 0, letter.id, &place));
	assert_int_equal(place.offset, body_seen(node));
}

/* Whoever only looks asks for partitions by itself, and waits for no broker on its loop. */
static void
a_view_of_all_shows_what_others_own(void **state)
{
	struct node *node = &rig.nodes[0];
	struct letter letter;
	struct rows *all;
	Row row;

	(void)state;
	rd_kafka_mock_broker_set_down(rig.cluster, 1);
	all = kafka_rows_open(&node->queue.base, ROWS_ALL, NULL, NULL, NULL);
	assert_int_equal(kafka_rows_scan(all, ROWS_ANY, NULL, NULL, 100, on_row, NULL), 0);
	rd_kafka_mock_broker_set_up(rig.cluster, 1);
	own(node);
	letter_init(&letter, node);
	row_of(&row, &letter, "google", 1);
	assert_int_equal(ask(node, call_defer, &letter, &row), 0);
	POLL(kafka_rows_scan(all, ROWS_ANY, NULL, NULL, 100, on_row, NULL) == 1);
	kafka_rows_close(all);
}

/* A record for the letter's row that is none. */
static void
write_garbage(struct node *node, struct letter *letter, const char *site)
{
	struct stray stray = {
		.message = { .topic = KAFKA_STATE, .on_ack = on_stray },
	};

	id_format(letter->id, stray.key);
	stray.key[ID_TEXT_SIZE - 1] = '/';
	snprintf(stray.key + ID_TEXT_SIZE, 16, "%s", site);
	stray.message.key = stray.key;
	stray.message.key_size = strlen(stray.key);
	stray.message.value = "\xff\xff";
	stray.message.value_size = 2;
	kafka_produce(node->queue.producer, &stray.message);
	AWAIT(stray.acked);
}

static unsigned char bad_key[5 + ID_SIZE + QUEUE_SITE_MAX];
static size_t bad_key_size;

static void
on_bad(void *arg, const void *key, size_t key_length, const void *value, size_t length)
{
	(void)arg;
	assert_int_equal(length, 2);
	assert_memory_equal(value, "\xff\xff", 2);
	memcpy(bad_key, key, key_length);
	bad_key_size = key_length;
}

static size_t
bad_rows(struct node *node)
{
	return kafka_bad_rows_scan(&node->queue.base, NULL, 0, 100, on_bad, NULL);
}

static void
call_bad_remove(struct call *call)
{
	kafka_bad_rows_remove(
		&call->node->queue.base, bad_key, bad_key_size, on_answer, call->node);
}

static uint64_t
trim_time(struct kafka_state *state)
{
	uint64_t ms;

	pthread_mutex_lock(&state->lock);
	ms = state->trimmed_ms;
	pthread_mutex_unlock(&state->lock);
	return ms;
}

/* Up to where bodies were trimmed, after at least one more look at them. */
static int64_t
trimmed(struct node *node)
{
	struct kafka_state *state = node->queue.state;
	uint64_t before = trim_time(state);
	int64_t offset;

	POLL(trim_time(state) != before);
	before = trim_time(state);
	POLL(trim_time(state) != before);
	pthread_mutex_lock(&state->lock);
	offset = state_partition_of(state, 0)->trimmed;
	pthread_mutex_unlock(&state->lock);
	return offset;
}

static void
a_row_that_cannot_be_read_is_held_with_its_body_until_an_operator_removes_it(void **state)
{
	struct node *node = &rig.nodes[0];
	char *file = xasprintf("%s/rows.mdb", node->dir);
	struct letter letter, other;
	Row row, second;
	int64_t zombies;

	(void)state;
	own(node);
	node->queue.state->trim_ms = 1;
	letter_init(&letter, node);
	letter_init(&other, node);
	row_of(&row, &letter, "google", 1);
	row_of(&second, &other, "google", 1);
	assert_int_equal(ask(node, call_defer, &letter, &row), 0);
	assert_int_equal(ask(node, call_defer, &other, &second), 0);
	write_garbage(node, &letter, "google");
	POLL(bad_rows(node) == 1);
	assert_int_equal(bad_key_size, 5 + ID_SIZE + strlen("google"));
	assert_memory_equal(bad_key, "rows/", 5);
	assert_memory_equal(bad_key + 5, letter.id, ID_SIZE);
	assert_int_equal(look(node), 1);
	assert_int_equal(trimmed(node), 0);
	/* read anew from the log; a zombie does not wash it away */
	node_stop(node);
	assert_int_equal(unlink(file), 0);
	node_start(node);
	own(node);
	node->queue.state->trim_ms = 1;
	assert_int_equal(bad_rows(node), 1);
	zombies = metric_value(node->queue.state->zombies);
	write_stray(node, &letter, &row, 0);
	POLL(metric_value(node->queue.state->zombies) > zombies);
	second.attempts = 2;
	assert_int_equal(ask(node, call_put, NULL, &second), 0);
	assert_int_equal(bad_rows(node), 1);
	assert_int_equal(trimmed(node), 0);
	assert_int_equal(ask(node, call_bad_remove, NULL, NULL), 0);
	POLL(bad_rows(node) == 0);
	POLL(trimmed(node) == 1);
	assert_int_equal(ask(node, call_bad_remove, NULL, NULL), -ENOENT);
	free(file);
}

/* Until the mock broker drops the start of mail.deferred, which it does beyond 5 MB. */
static void
push_bodies_out(struct node *node)
{
	static char value[900000];

	for (int i = 0; i < 8; i++) {
		struct stray stray = {
			.message = { .topic = KAFKA_DEFERRED, .on_ack = on_stray },
		};

		stray.message.key = "k";
		stray.message.key_size = 1;
		stray.message.value = value;
		stray.message.value_size = sizeof value;
		kafka_produce(node->queue.producer, &stray.message);
		AWAIT(stray.acked);
	}
}

static int64_t
body_of(struct node *node, struct letter *letter)
{
	struct kafka_place place;

	return kafka_state_place(node->queue.state, 0, letter->id, &place) ? place.offset : -1;
}

static void
a_body_that_is_gone_keeps_no_other(void **state)
{
	struct node *node = &rig.nodes[0];
	struct letter letter, other;
	int64_t before;
	Row row, second;

	(void)state;
	own(node);
	letter_init(&letter, node);
	letter_init(&other, node);
	row_of(&row, &letter, "google", 1);
	row_of(&second, &other, "google", 1);
	assert_int_equal(ask(node, call_defer, &letter, &row), 0);
	push_bodies_out(node);
	assert_int_equal(ask(node, call_defer, &other, &second), 0);
	before = body_of(node, &other);
	node_stop(node); /* it had them in memory */
	node_start(node);
	node->queue.state->renew_us = 1;
	node->queue.state->trim_ms = 1;
	own(node);
	POLL(body_of(node, &other) > before);
	assert_int_equal(body_of(node, &letter), 0);
	POLL(trimmed(node) > before);
	assert_int_equal(look(node), 2);
	assert_int_equal(metric_value(node->queue.state->bodiless), 1);
}

static void
what_the_owner_before_left_untrimmed_is_trimmed(void **state)
{
	struct node *node = &rig.nodes[0];
	struct letter letter, other;
	Row row, second;

	(void)state;
	own(node);
	letter_init(&letter, node);
	letter_init(&other, node);
	row_of(&row, &letter, "google", 1);
	row_of(&second, &other, "google", 1);
	assert_int_equal(ask(node, call_defer, &letter, &row), 0);
	assert_int_equal(ask(node, call_defer, &other, &second), 0);
	assert_int_equal(ask(node, call_remove, NULL, &row), 0);
	node_stop(node);
	node_start(node);
	node->queue.state->trim_ms = 1;
	own(node);
	POLL(trimmed(node) == 1);
	assert_int_equal(ask(node, call_remove, NULL, &second), 0);
	POLL(trimmed(node) == 2);
	assert_int_equal(ask(node, call_defer, &letter, &row), 0);
	assert_true(trimmed(node) <= 2);
	assert_int_equal(body_of(node, &letter), 2);
}

static void
on_body(void *arg, int err, const void *data, size_t length)
{
	if (!err)
		assert_memory_equal(data, "body", length);
	on_answer(arg, err);
}

static void
call_body(struct call *call)
{
	kafka_piece_read(
		&call->node->queue.base, &call->letter->envelope, 0, 100, on_body, call->node);
}

static void
a_body_is_never_that_of_another_message(void **state)
{
	struct node *node = &rig.nodes[0];
	struct letter letter, other;
	Row row;

	(void)state;
	own(node);
	letter_init(&letter, node);
	letter_init(&other, node);
	row_of(&row, &letter, "google", 1);
	assert_int_equal(ask(node, call_defer, &letter, &row), 0);
	letter.envelope.body_topic = other.envelope.body_topic = KAFKA_DEFERRED;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(ask(node, call_body, &other, NULL), -ENOENT);
		assert_int_equal(ask(node, call_body, &letter, NULL), 0);
		assert_int_equal(ask(node, call_body, &other, NULL), -ENOENT);
		node_stop(node); /* it had it in memory */
		node_start(node);
		own(node);
	}
}

/* A row of 60 KB. */
static void
row_heavy(Row *row, struct letter *letter)
{
	static char reply[60000];

	memset(reply, 'x', sizeof reply - 1);
	row_of(row, letter, "google", 1);
	row->last_reply = reply;
}

/* queue.map_size is for the embedded queue. */
static void
the_cache_may_outgrow_the_map_of_an_embedded_queue(void **state)
{
	struct node *node = &rig.nodes[0];
	struct letter letter;
	Row row;

	(void)state;
	node_stop(node);
	node->config.queue.map_size = 1 << 20;
	node_start(node);
	own(node);
	for (size_t i = 1; i <= 30; i++) {
		letter_init(&letter, node);
		row_heavy(&row, &letter);
		assert_int_equal(ask(node, call_defer, &letter, &row), 0);
		assert_int_equal(look(node), i);
	}
}

static bool
unwritable(const char *file)
{
	char labels[64];

	snprintf(labels, sizeof labels, "file=\"%s\"", file);
	return metric_value(metric_find("shout_rows_table_unwritable", labels)) != 0;
}

/* Takes all the room that is left. */
static void
disk_fill(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	char block[4096] = "";

	assert_true(fd >= 0);
	while (write(fd, block, sizeof block) > 0)
		;
	close(fd);
}

static void
a_full_disk_holds_rows_up_until_there_is_room(void **state)
{
	struct node *node = &rig.nodes[1];
	char *filler = xasprintf("%s/filler", node->dir);
	struct letter letter;
	int answers;
	Row row;

	(void)state;
	if (mount("tmpfs", node->dir, "tmpfs", 0, "size=2m")) {
		free(filler);
		skip();
	}
	node_start(node);
	own(node);
	letter_init(&letter, node);
	row_of(&row, &letter, "google", 1);
	assert_int_equal(ask(node, call_defer, &letter, &row), 0);
	assert_false(unwritable("rows.mdb"));
	disk_fill(filler);
	row_heavy(&row, &letter);
	row.attempts = 2;
	answers = node->answers;
	run(node, call_put, NULL, &row);
	POLL(unwritable("rows.mdb"));
	assert_int_equal(attempts_seen(node), 1);
	assert_int_equal(node->answers, answers);
	assert_int_equal(unlink(filler), 0);
	AWAIT(node->answers == answers + 1);
	assert_int_equal(node->err, 0);
	assert_int_equal(attempts_seen(node), 2);
	POLL(!unwritable("rows.mdb"));
	free(filler);
	node_stop(node);
	assert_int_equal(umount(node->dir), 0);
}

/* Its view is empty until then, and not for ever. */
static void
a_view_of_all_that_found_no_room_comes_once_there_is(void **state)
{
	struct node *node = &rig.nodes[1];
	char *filler = xasprintf("%s/filler", node->dir);
	struct letter letter;
	struct rows *all;
	Row row;

	(void)state;
	if (mount("tmpfs", node->dir, "tmpfs", 0, "size=2m")) {
		free(filler);
		skip();
	}
	node_start(node);
	disk_fill(filler);
	all = kafka_rows_open(&node->queue.base, ROWS_ALL, NULL, NULL, NULL);
	assert_int_equal(kafka_rows_scan(all, ROWS_ANY, NULL, NULL, 100, on_row, NULL), 0);
	own(&rig.nodes[0]);
	letter_init(&letter, &rig.nodes[0]);
	row_of(&row, &letter, "google", 1);
	assert_int_equal(ask(&rig.nodes[0], call_defer, &letter, &row), 0);
	assert_int_equal(unlink(filler), 0);
	POLL(kafka_rows_scan(all, ROWS_ANY, NULL, NULL, 100, on_row, NULL) == 1);
	kafka_rows_close(all);
	free(filler);
	node_stop(node);
	assert_int_equal(umount(node->dir), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_body_that_is_old_is_appended_anew_and_its_rows_follow),
		TEST(a_view_of_all_shows_what_others_own),
		TEST(a_row_that_cannot_be_read_is_held_with_its_body_until_an_operator_removes_it),
		TEST(a_body_that_is_gone_keeps_no_other),
		TEST(a_body_is_never_that_of_another_message),
		TEST(what_the_owner_before_left_untrimmed_is_trimmed),
		TEST(the_cache_may_outgrow_the_map_of_an_embedded_queue),
		TEST(a_full_disk_holds_rows_up_until_there_is_room),
		TEST(a_view_of_all_that_found_no_room_comes_once_there_is),
	};

	return cmocka_run_group_tests(tests, NULL, forget_seen);
}
