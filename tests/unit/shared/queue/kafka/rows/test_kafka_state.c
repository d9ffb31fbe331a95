/*
 * test_kafka_state.c - waiting mail in a cluster: claims, the lease, zombies and the table, on
 * librdkafka's mock cluster. Records of mail.ready are faked: nothing else of a consumer is needed.
 */
#include "tests/unit/kafka_state_rig.h"

static void
a_claim_is_told_and_gives_no_lease(void **state)
{
	struct node *node = &rig.nodes[0];
	struct letter letter;
	Row row;

	(void)state;
	letter_init(&letter, node);
	row_of(&row, &letter, "google", 1);
	assert_int_equal(ask(node, call_defer, &letter, &row), -ECANCELED);
	claim(node);
	assert_int_equal(node->gained, 1);
	assert_false(kafka_rows_mine(node->rows, 0));
	assert_int_equal(ask(node, call_defer, &letter, &row), -ETIMEDOUT);
	run(node, call_lease, NULL, NULL);
	assert_true(kafka_rows_mine(node->rows, 0));
	assert_int_equal(ask(node, call_defer, &letter, &row), 0);
	assert_int_equal(node->finished, 1);
	run(node, call_release, NULL, NULL);
	AWAIT(node->lost == 1);
	assert_false(kafka_rows_mine(node->rows, 0));
	assert_int_equal(look(node), 0);
	assert_int_equal(ask(node, call_put, NULL, &row), -ECANCELED);
	own(node);
	assert_int_equal(node->gained, 2);
	assert_int_equal(look(node), 1);
}

static void
call_claim_and_end(struct call *call)
{
	call_claim(call);
	kafka_state_forget_claims(call->node->queue.state, call->node->loop);
	call_release(call);
}

static void
a_claim_of_a_loop_that_ends_is_not_answered(void **state)
{
	struct node *node = &rig.nodes[0];

	(void)state;
	run(node, call_claim_and_end, NULL, NULL);
	run(node, call_release, NULL, NULL); /* behind what was posted */
	assert_int_equal(node->claimed, 0);
	claim(node);
}

static void
rows_are_written_rewritten_and_removed(void **state)
{
	struct node *node = &rig.nodes[0];
	struct letter letter, other;
	struct kafka_place place;
	Row row, stray;

	(void)state;
	own(node);
	letter_init(&letter, node);
	letter_init(&other, node);
	row_of(&row, &letter, "google", 1);
	row_of(&stray, &other, "google", 1);
	assert_int_equal(ask(node, call_put, NULL, &stray), -ENOENT);
	assert_int_equal(ask(node, call_defer, &letter, &row), 0);
	assert_int_equal(attempts_seen(node), 1);
	assert_int_equal(seen->envelope->body_topic, KAFKA_DEFERRED);
	assert_int_equal(seen->envelope->body_offset, 0);
	assert_true(kafka_state_place(node->queue.state, 0, letter.id, &place));
	assert_int_equal(place.offset, 0);
	/* the caller's envelope still says where the body was before */
	row_of(&row, &letter, "google", 2);
	assert_int_equal(ask(node, call_put, NULL, &row), 0);
	assert_int_equal(attempts_seen(node), 2);
	assert_int_equal(seen->envelope->body_offset, 0);
	assert_int_equal(kafka_rows_count(node->rows, "google"), 1);
	assert_int_equal(ask(node, call_remove, NULL, &row), 0);
	assert_int_equal(look(node), 0);
	assert_false(kafka_state_place(node->queue.state, 0, letter.id, &place));
}

static void
a_new_process_has_the_rows_with_its_table_or_without(void **state)
{
	struct node *node = &rig.nodes[0];
	struct letter letter[3];
	Row row[3];
	char *file = xasprintf("%s/rows.mdb", node->dir);

	(void)state;
	own(node);
	for (int i = 0; i < 3; i++) {
		letter_init(&letter[i], node);
		row_of(&row[i], &letter[i], "google", 1);
		assert_int_equal(ask(node, call_defer, &letter[i], &row[i]), 0);
	}
	assert_int_equal(ask(node, call_remove, NULL, &row[1]), 0);
	for (int i = 0; i < 3; i++) {
		node_stop(node);
		if (i == 1)
			assert_int_equal(unlink(file), 0);
		node_start(node);
		own(node);
		assert_int_equal(look(node), 2);
	}
	free(file);
}

static void
a_zombie_changes_nothing_and_is_answered(void **state)
{
	struct node *node = &rig.nodes[0], *next = &rig.nodes[1];
	struct letter letter, unknown;
	Row row, foreign;

	(void)state;
	own(node);
	letter_init(&letter, node);
	letter_init(&unknown, node);
	row_of(&row, &letter, "google", 7);
	row_of(&foreign, &unknown, "google", 5);
	assert_int_equal(ask(node, call_defer, &letter, &row), 0);
	run(node, call_release, NULL, NULL);
	own(node);
	row.attempts = 8;
	write_stray(node, &letter, &row, 0);
	write_stray(node, &unknown, &foreign, 0);
	row.attempts = 9;
	assert_int_equal(ask(node, call_put, NULL, &row), 0);
	assert_int_equal(attempts_seen(node), 9);
	/* another process, which reads the whole log, comes to the same */
	node_start(next);
	own(next);
	assert_int_equal(attempts_seen(next), 9);
	assert_int_not_equal(seen->due_us, 99);
}

/* The offset of the first one that waits for an answer; -1: none does. */
static int64_t
unanswered(struct node *node)
{
	struct kafka_state *state = node->queue.state;
	const struct zombie *zombie;
	int64_t offset;

	pthread_mutex_lock(&state->lock);
	zombie = TAILQ_FIRST(&state_partition_of(state, 0)->zombies);
	offset = zombie ? zombie->offset : -1;
	pthread_mutex_unlock(&state->lock);
	return offset;
}

static int64_t
checkpoint(struct node *node)
{
	char *file = xasprintf("%s/rows.mdb", node->dir);
	struct row_cache *cache = row_cache_open(file);
	struct row_point point;

	assert_non_null(cache);
	assert_true(row_cache_point(cache, 0, &point));
	row_cache_close(&cache);
	free(file);
	return point.next;
}

/* One that only claimed reads it and dies; the owner after that answers, and so does the first one
 * when it comes back: its checkpoint stayed before it. */
static void
a_zombie_is_answered_by_whoever_owns_the_partition_after_it(void **state)
{
	struct node *node = &rig.nodes[0], *other = &rig.nodes[1];
	struct letter letter;
	int64_t offset = -1;
	Row row;

	(void)state;
	own(node);
	letter_init(&letter, node);
	row_of(&row, &letter, "google", 1);
	assert_int_equal(ask(node, call_defer, &letter, &row), 0);
	run(node, call_release, NULL, NULL);
	node_start(other);
	claim(other);
	write_stray(other, &letter, &row, 0);
	POLL((offset = unanswered(other)) >= 0);
	node_stop(other);
	assert_true(checkpoint(other) <= offset);
	own(node);
	POLL(unanswered(node) < 0);
	assert_int_equal(attempts_seen(node), 1);
	assert_int_not_equal(seen->due_us, 99);
	run(node, call_release, NULL, NULL);
	node_start(other);
	own(other);
	POLL(unanswered(other) < 0);
	assert_int_equal(attempts_seen(other), 1);
	assert_int_not_equal(seen->due_us, 99);
}

/* Compaction may have dropped ours for it. */
static void
an_old_zombie_s_row_is_adopted_where_there_is_no_other(void **state)
{
	struct node *node = &rig.nodes[0], *other = &rig.nodes[1];
	int64_t before = metric_value(node->queue.state->zombies);
	struct letter letter;
	Row row;

	(void)state;
	own(node);
	run(node, call_release, NULL, NULL);
	node_start(other);
	other->queue.state->lag_us = 0;
	claim(other);
	letter_init(&letter, other);
	row_of(&row, &letter, "google", 1);
	write_stray(other, &letter, &row, 0);
	row.attempts = 2;
	write_stray(other, &letter, &row, 0);
	POLL(metric_value(other->queue.state->zombies) >= before + 2);
	run(other, call_lease, NULL, NULL);
	POLL(unanswered(other) < 0);
	assert_int_equal(attempts_seen(other), 2);
	assert_int_equal(seen->due_us, 99);
	/* once removed it stays so, also for who reads it all before compaction */
	assert_int_equal(ask(other, call_remove, NULL, &row), 0);
	run(other, call_release, NULL, NULL);
	node->queue.state->lag_us = 0;
	own(node);
	POLL(unanswered(node) < 0);
	assert_int_equal(look(node), 0);
}

static void
the_newest_claim_wins_and_is_taken_back_with_a_commit(void **state)
{
	struct node *node = &rig.nodes[0], *other = &rig.nodes[1];
	struct letter letter;
	Row row;

	(void)state;
	node_start(other);
	own(node);
	letter_init(&letter, node);
	row_of(&row, &letter, "google", 1);
	assert_int_equal(ask(node, call_defer, &letter, &row), 0);
	claim(other);
	POLL(!kafka_rows_mine(node->rows, 0));
	assert_int_equal(ask(node, call_put, NULL, &row), -ETIMEDOUT);
	assert_int_equal(node->lost, 0);
	/* the group kept the first: its commits succeed */
	POLL((run(node, call_lease, NULL, NULL), kafka_rows_mine(node->rows, 0)));
	row.attempts = 2;
	assert_int_equal(ask(node, call_put, NULL, &row), 0);
	assert_int_equal(node->gained, 1);
	assert_int_equal(node->claimed, 1);
	/* and the other one was told by the log */
	run(other, call_release, NULL, NULL);
	AWAIT(other->lost == 1);
}

static void
write_claim(struct node *node)
{
	struct stray stray = {
		.message = { .topic = KAFKA_STATE, .on_ack = on_stray },
	};

	stray.message.key = CLAIM_KEY "0";
	stray.message.key_size = strlen(CLAIM_KEY "0");
	stray.message.value = "{}";
	stray.message.value_size = 2;
	kafka_produce(node->queue.producer, &stray.message);
	AWAIT(stray.acked);
}

static int64_t
doubtful(struct node *node)
{
	struct kafka_state *state = node->queue.state;
	int64_t body;

	pthread_mutex_lock(&state->lock);
	body = state_partition_of(state, 0)->doubtful_body;
	pthread_mutex_unlock(&state->lock);
	return body;
}

static void
the_body_of_a_row_that_may_be_durable_is_kept(void **state)
{
	struct node *node = &rig.nodes[0];
	struct letter letter;
	Row row;

	(void)state;
	own(node);
	letter_init(&letter, node);
	row_of(&row, &letter, "google", 1);
	/* of the body, of the row */
	rd_kafka_mock_push_request_errors(rig.cluster, API_PRODUCE, 2, RD_KAFKA_RESP_ERR_NO_ERROR,
		RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
	assert_int_not_equal(ask(node, call_defer, &letter, &row), 0);
	assert_int_equal(node->finished, 0);
	assert_int_equal(doubtful(node), 0);
	POLL((run(node, call_lease, NULL, NULL), ask(node, call_defer, &letter, &row) == 0));
	assert_int_equal(doubtful(node), INT64_MAX);
	assert_int_equal(look(node), 1);
}

/* What is wiped is not taken for what nobody needs. */
static void
a_log_that_was_cut_off_is_read_again_before_anything_is_done(void **state)
{
	struct node *node = &rig.nodes[0];
	struct letter letter;
	Row row;

	(void)state;
	own(node);
	letter_init(&letter, node);
	row_of(&row, &letter, "google", 1);
	assert_int_equal(ask(node, call_defer, &letter, &row), 0);
	/* librdkafka drops an answer to a fetch from before a seek, and the error with it. */
	for (int i = 0; kafka_rows_mine(node->rows, 0); i++) {
		if (i % 2000 == 0)
			rd_kafka_mock_push_request_errors(
				rig.cluster, API_FETCH, 1, RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE);
		usleep(1000);
	}
	row.attempts = 2;
	assert_int_equal(ask(node, call_put, NULL, &row), -ETIMEDOUT);
	POLL((run(node, call_lease, NULL, NULL), kafka_rows_mine(node->rows, 0)));
	AWAIT(node->gained >= 2);
	assert_int_equal(node->lost, 0);
	assert_int_equal(attempts_seen(node), 1);
	assert_int_equal(ask(node, call_put, NULL, &row), 0);
	assert_int_equal(attempts_seen(node), 2);
}

/* Another's claim that came late, and a row that fell behind it before we had read it. */
static void
a_row_behind_a_foreign_claim_is_not_taken_for_written(void **state)
{
	struct node *node = &rig.nodes[0];
	struct letter letter;
	Row row;
	int refused = 0;

	(void)state;
	own(node);
	letter_init(&letter, node);
	row_of(&row, &letter, "google", 1);
	assert_int_equal(ask(node, call_defer, &letter, &row), 0);
	for (int i = 0; i < 20; i++) {
		int err;

		POLL((run(node, call_lease, NULL, NULL), kafka_rows_mine(node->rows, 0)));
		write_claim(node);
		row.attempts++;
		err = ask(node, call_put, NULL, &row);
		if (err)
			assert_int_equal(err, -ETIMEDOUT);
		else
			assert_int_equal(attempts_seen(node), row.attempts);
		refused += err != 0;
	}
	assert_true(refused > 0);
	assert_int_equal(node->lost, 0);
}

static void
a_lease_that_ran_out_stops_writing_until_it_is_renewed(void **state)
{
	struct node *node = &rig.nodes[0];
	struct letter letter;
	Row row;

	(void)state;
	claim(node);
	letter_init(&letter, node);
	row_of(&row, &letter, "google", 1);
	kafka_state_leased(node->queue.state, clock_boot_ms() - 40001);
	assert_false(kafka_rows_mine(node->rows, 0));
	assert_int_equal(ask(node, call_defer, &letter, &row), -ETIMEDOUT);
	kafka_state_leased(node->queue.state, clock_boot_ms() - 30000);
	assert_true(kafka_rows_mine(node->rows, 0));
	assert_int_equal(ask(node, call_defer, &letter, &row), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_claim_is_told_and_gives_no_lease),
		TEST(a_claim_of_a_loop_that_ends_is_not_answered),
		TEST(rows_are_written_rewritten_and_removed),
		TEST(a_new_process_has_the_rows_with_its_table_or_without),
		TEST(a_zombie_changes_nothing_and_is_answered),
		TEST(a_zombie_is_answered_by_whoever_owns_the_partition_after_it),
		TEST(an_old_zombie_s_row_is_adopted_where_there_is_no_other),
		TEST(the_newest_claim_wins_and_is_taken_back_with_a_commit),
		TEST(the_body_of_a_row_that_may_be_durable_is_kept),
		TEST(a_log_that_was_cut_off_is_read_again_before_anything_is_done),
		TEST(a_row_behind_a_foreign_claim_is_not_taken_for_written),
		TEST(a_lease_that_ran_out_stops_writing_until_it_is_renewed),
	};

	return cmocka_run_group_tests(tests, NULL, forget_seen);
}
