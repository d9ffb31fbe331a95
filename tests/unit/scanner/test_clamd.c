/*
 * test_clamd.c - the pool and its checks against a fake clamd that misbehaves as no real one does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

#include "tests/unit/fake_clamd.h"

#include "scanner/clamd.h"
#include "scanner/clamd_check.h"
#include "scanner/sample.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"

#define PATIENCE_S 20
#define LARGE (600u * 1024)

static struct loop *loop;
static uint64_t recheck_ms = 3600000;
static const char *temporary, *account = "";

/* What a scan is about: the body, and what came of it. */
struct job {
	struct clamd_scan scan;
	Envelope envelope;
	const char *text;
	bool done;
	enum clamd_result result;
	enum verdict verdict;
	char signature[64];
};

static void
give_body(void *arg, const Envelope *envelope, uint64_t offset, size_t length, queue_body_cb cb,
	void *cb_arg)
{
	const struct job *job = (const struct job *)((const char *)envelope -
		offsetof(struct job, envelope));
	static char piece[QUEUE_PIECE_MAX];
	uint64_t left = envelope->size - offset;

	(void)arg;
	memset(piece, 'x', sizeof piece);
	if (offset == 0)
		memcpy(piece, job->text, strlen(job->text));
	if (strstr(job->text, ", and the room goes"))
		assert_int_equal(rmdir(temporary), 0);
	if (strcmp(job->text, "gone") == 0)
		cb(cb_arg, -ENOENT, NULL, 0);
	else if (strcmp(job->text, "clean, cut short") == 0 && offset > 0)
		cb(cb_arg, 0, piece, 0);
	else
		cb(cb_arg, 0, piece, length < left ? length : (size_t)left);
}

static void
on_done(struct clamd_scan *scan, enum clamd_result result, enum verdict verdict,
	const char *signature)
{
	struct job *job = (struct job *)scan;

	assert_false(job->done);
	job->done = true;
	job->result = result;
	job->verdict = verdict;
	snprintf(job->signature, sizeof job->signature, "%s", signature);
}

static struct clamd *
pool_new(struct fake *const *hosts, size_t count, unsigned timeout_ms)
{
	char *names[4];
	struct clamd_options options = {
		.hosts = names,
		.hosts_count = count,
		.connections = 3,
		.timeout_ms = timeout_ms,
		.stream_max = LARGE,
		.signature_age_ms = 48ull * 3600 * 1000,
		.temporary = temporary,
		.recheck_ms = recheck_ms,
		.body = give_body,
	};
	struct clamd *clamd;

	for (size_t i = 0; i < count; i++)
		names[i] = hosts[i]->host;
	clamd = clamd_new(loop, &options);
	assert_non_null(clamd);
	return clamd;
}

static void
job_start(struct clamd *clamd, struct job *job, const char *text, uint64_t size)
{
	memset(job, 0, sizeof *job);
	job->envelope = (Envelope)ENVELOPE__INIT;
	job->envelope.account = (char *)(uintptr_t)account;
	job->envelope.size = size ? size : strlen(text);
	job->text = text;
	job->scan.envelope = &job->envelope;
	job->scan.done = on_done;
	clamd_scan(clamd, &job->scan);
}

static void
turn(void)
{
	const struct timeval soon = { 0, 10000 };

	event_base_loopexit(loop_base(loop), &soon);
	event_base_loop(loop_base(loop), EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY);
}

static void
wait_for(const bool *done)
{
	time_t end = time(NULL) + PATIENCE_S;

	while (!*done) {
		assert_true(time(NULL) < end);
		turn();
	}
}

static void
scan_one(struct clamd *clamd, struct job *job, const char *text)
{
	job_start(clamd, job, text, 0);
	wait_for(&job->done);
}

static void
wait_why(struct clamd *clamd, const char *part)
{
	time_t end = time(NULL) + PATIENCE_S;
	char why[512];

	do {
		assert_true(time(NULL) < end);
		turn();
		clamd_up(clamd, why, sizeof why);
	} while (!strstr(why, part));
	assert_int_equal(clamd_up(clamd, why, sizeof why), 0);
}

struct fixture {
	struct fake fake, other;
	struct clamd *clamd;
};

static void
set_up(struct fixture *f, unsigned timeout_ms)
{
	struct fake *hosts[] = { &f->fake };

	fake_init(&f->fake);
	fake_listen(&f->fake);
	f->clamd = pool_new(hosts, 1, timeout_ms);
}

static void
tear_down(struct fixture *f)
{
	clamd_free(&f->clamd);
	turn();
	fake_end(&f->fake);
}

static void
answers_become_verdicts(void **state)
{
	static const struct {
		const char *body;
		enum verdict verdict;
		const char *signature;
	} rows[] = {
		{ "pua", VERDICT_UNWANTED, "PUA.Test.Tool" },
		{ "trick", VERDICT_SUSPICIOUS, "Heuristics.Phishing.Test" },
		{ "clean", VERDICT_CLEAN, "" },
		{ "virus", VERDICT_INFECTED, "Test.Virus" },
		{ "limit", VERDICT_UNSCANNABLE, "Heuristics.Limits.Exceeded.MaxRecursion" },
		{ "error", VERDICT_ERROR, "Can't allocate memory" },
	};
	struct fixture f;
	struct job job;

	(void)state;
	set_up(&f, 10000);
	for (int drip = 0; drip < 2; drip++) {
		f.fake.drip = drip;
		for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
			scan_one(f.clamd, &job, rows[i].body);
			assert_int_equal(job.result, CLAMD_ANSWER);
			assert_int_equal(job.verdict, rows[i].verdict);
			assert_string_equal(job.signature, rows[i].signature);
		}
	}
	tear_down(&f);
}

static void
a_large_body_goes_in_pieces(void **state)
{
	struct fixture f;
	struct job jobs[2];

	(void)state;
	set_up(&f, 10000);
	job_start(f.clamd, &jobs[0], "clean", 5 * QUEUE_PIECE_MAX + 17);
	job_start(f.clamd, &jobs[1], "virus", LARGE);
	wait_for(&jobs[0].done);
	wait_for(&jobs[1].done);
	assert_int_equal(jobs[0].verdict, VERDICT_CLEAN);
	assert_int_equal(jobs[1].verdict, VERDICT_INFECTED);
	tear_down(&f);
}

static void
answers_may_come_in_any_order(void **state)
{
	struct fixture f;
	struct job jobs[3];

	(void)state;
	set_up(&f, 10000);
	job_start(f.clamd, &jobs[0], "late", 0);
	job_start(f.clamd, &jobs[1], "clean", 0);
	job_start(f.clamd, &jobs[2], "clean", 0);
	for (int i = 0; i < 3; i++)
		wait_for(&jobs[i].done);
	assert_int_equal(jobs[0].verdict, VERDICT_INFECTED);
	assert_string_equal(jobs[0].signature, "Late.Virus");
	assert_int_equal(jobs[1].verdict, VERDICT_CLEAN);
	assert_int_equal(jobs[2].verdict, VERDICT_CLEAN);
	tear_down(&f);
}

static void
more_scans_than_threads_wait_their_turn(void **state)
{
	struct fixture f;
	struct job jobs[200];

	(void)state;
	set_up(&f, 10000);
	for (int i = 0; i < 200; i++)
		job_start(f.clamd, &jobs[i], i % 2 ? "clean" : "virus", 0);
	for (int i = 0; i < 200; i++) {
		wait_for(&jobs[i].done);
		assert_int_equal(jobs[i].verdict, i % 2 ? VERDICT_CLEAN : VERDICT_INFECTED);
	}
	tear_down(&f);
}

static void
in_flight_never_exceeds_the_threads_of_clamd(void **state)
{
	struct fixture f;
	struct job jobs[30];

	(void)state;
	set_up(&f, 60000);
	for (int i = 0; i < 30; i++) {
		account = i % 2 ? "a" : "b";
		job_start(f.clamd, &jobs[i], "hang", 0);
	}
	account = "";
	while (f.fake.open_most < 11)
		turn();
	for (int i = 0; i < 20; i++)
		turn();
	/* The last thread is for a third account. */
	assert_int_equal(f.fake.open_most, 11);
	tear_down(&f);
}

static void
slow_scans_of_one_account_do_not_delay_those_of_others(void **state)
{
	struct fixture f;
	struct job slow[600], others[40];

	(void)state;
	set_up(&f, 60000);
	account = "slow";
	for (int i = 0; i < 600; i++)
		job_start(f.clamd, &slow[i], "hang", 0);
	while (f.fake.open < 9)
		turn();
	for (int i = 0; i < 40; i++) {
		account = i % 2 ? "one" : "two";
		job_start(f.clamd, &others[i], "clean", 0);
	}
	account = "";
	for (int i = 0; i < 40; i++) {
		wait_for(&others[i].done);
		assert_int_equal(others[i].verdict, VERDICT_CLEAN);
	}
	assert_int_equal(f.fake.open_most, 9);
	tear_down(&f);
}

static void
suspects_leave_half_of_the_time_to_others(void **state)
{
	struct fixture f;
	struct job suspects[2], clean;

	(void)state;
	set_up(&f, 1500);
	for (int i = 0; i < 2; i++)
		job_start(f.clamd, &suspects[i], "hang", 0);
	for (int i = 0; i < 2; i++) {
		wait_for(&suspects[i].done);
		suspects[i].done = false;
		suspects[i].scan.alone = true;
		clamd_scan(f.clamd, &suspects[i].scan);
	}
	while (f.fake.scans < 3)
		turn();
	job_start(f.clamd, &clean, "clean", 0);
	wait_for(&clean.done);
	assert_int_equal(suspects[0].done + suspects[1].done, 1);
	wait_for(&suspects[0].done);
	wait_for(&suspects[1].done);
	tear_down(&f);
}

static void
a_scan_without_an_answer_times_out_alone(void **state)
{
	struct fixture f;
	struct job hang, clean;

	(void)state;
	set_up(&f, 1000);
	job_start(f.clamd, &hang, "hang", 0);
	wait_for(&hang.done);
	assert_int_equal(hang.result, CLAMD_TIMEOUT);
	scan_one(f.clamd, &clean, "clean");
	assert_int_equal(clean.result, CLAMD_ANSWER);
	tear_down(&f);
}

static void
a_scan_on_a_clamd_that_hangs_is_told_apart(void **state)
{
	struct fixture f;
	struct job hang, clean;

	(void)state;
	set_up(&f, 1000);
	job_start(f.clamd, &hang, "hang", 0);
	while (f.fake.open_most == 0)
		turn();
	f.fake.silent = true;
	wait_for(&hang.done);
	assert_int_equal(hang.result, CLAMD_HUNG);
	job_start(f.clamd, &clean, "clean", 0);
	f.fake.silent = false;
	wait_for(&clean.done);
	assert_int_equal(clean.result, CLAMD_ANSWER);
	tear_down(&f);
}

static void
a_broken_connection_is_told_and_left(void **state)
{
	struct fixture f;
	struct job job;

	(void)state;
	set_up(&f, 10000);
	for (int i = 0; i < 3; i++) {
		scan_one(f.clamd, &job, "close");
		assert_int_equal(job.result, CLAMD_BROKEN);
		scan_one(f.clamd, &job, "clean");
		assert_int_equal(job.result, CLAMD_ANSWER);
	}
	tear_down(&f);
}

static void
answers_that_make_no_sense_are_no_verdict(void **state)
{
	struct fixture f;
	struct job job;

	(void)state;
	set_up(&f, 10000);
	scan_one(f.clamd, &job, "garbage");
	assert_int_equal(job.result, CLAMD_GARBAGE);
	scan_one(f.clamd, &job, "number");
	assert_int_equal(job.result, CLAMD_GARBAGE);
	scan_one(f.clamd, &job, "gone");
	assert_int_equal(job.result, CLAMD_NO_BODY);
	job_start(f.clamd, &job, "clean, cut short", 2 * QUEUE_PIECE_MAX);
	wait_for(&job.done);
	assert_int_equal(job.result, CLAMD_NO_BODY);
	job_start(f.clamd, &job, "early", 50 * LARGE);
	wait_for(&job.done);
	assert_int_equal(job.result, CLAMD_BROKEN);
	scan_one(f.clamd, &job, "clean");
	assert_int_equal(job.result, CLAMD_ANSWER);
	tear_down(&f);
}

static void
a_suspect_is_scanned_with_nothing_beside_it(void **state)
{
	struct fixture f;
	struct job jobs[12], suspect;

	(void)state;
	set_up(&f, 10000);
	for (int i = 0; i < 6; i++)
		job_start(f.clamd, &jobs[i], "clean", 0);
	job_start(f.clamd, &suspect, "close", 0);
	wait_for(&suspect.done);
	assert_int_equal(suspect.result, CLAMD_BROKEN);
	for (int i = 0; i < 6; i++)
		wait_for(&jobs[i].done);
	memset(&suspect, 0, sizeof suspect);
	suspect.envelope = (Envelope)ENVELOPE__INIT;
	suspect.envelope.size = 5;
	suspect.text = "close";
	suspect.scan.envelope = &suspect.envelope;
	suspect.scan.done = on_done;
	suspect.scan.alone = true;
	for (int i = 0; i < 12; i++)
		job_start(f.clamd, &jobs[i], "clean", 0);
	clamd_scan(f.clamd, &suspect.scan);
	wait_for(&suspect.done);
	assert_int_equal(suspect.result, CLAMD_BROKEN);
	for (int i = 0; i < 12; i++) {
		wait_for(&jobs[i].done);
		assert_int_equal(jobs[i].result, CLAMD_ANSWER);
	}
	tear_down(&f);
}

static void
scans_wait_while_no_clamd_is_there(void **state)
{
	struct fixture f;
	struct fake *hosts[] = { &f.fake };
	struct job job;

	(void)state;
	fake_init(&f.fake);
	f.clamd = pool_new(hosts, 1, 10000);
	job_start(f.clamd, &job, "clean", 0);
	wait_why(f.clamd, "No such file");
	assert_false(job.done);
	fake_listen(&f.fake);
	wait_for(&job.done);
	assert_int_equal(job.verdict, VERDICT_CLEAN);
	tear_down(&f);
}

static void
the_other_host_does_it_when_one_is_dead(void **state)
{
	struct fixture f;
	struct fake *hosts[] = { &f.other, &f.fake };
	struct job job;
	char why[512];

	(void)state;
	fake_init(&f.other);
	fake_init(&f.fake);
	fake_listen(&f.fake);
	f.clamd = pool_new(hosts, 2, 10000);
	scan_one(f.clamd, &job, "virus");
	assert_int_equal(job.verdict, VERDICT_INFECTED);
	assert_int_equal(clamd_up(f.clamd, why, sizeof why), 1);
	assert_non_null(strstr(why, f.other.host));
	tear_down(&f);
}

static void
a_clamd_that_would_let_viruses_through_is_refused(void **state)
{
	static const struct {
		size_t flag;
		const char *why;
	} rows[] = {
		{ offsetof(struct fake, blind), "signatures are missing" },
		{ offsetof(struct fake, no_mail), "ScanMail yes" },
		{ offsetof(struct fake, no_zip), "ScanArchive yes" },
		{ offsetof(struct fake, no_nested), "AlertExceedsMax yes" },
		{ offsetof(struct fake, stranger), "no clamd" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct fixture f;
		struct fake *hosts[] = { &f.fake };
		struct job job;

		fake_init(&f.fake);
		*(bool *)((char *)&f.fake + rows[i].flag) = true;
		fake_listen(&f.fake);
		f.clamd = pool_new(hosts, 1, 10000);
		job_start(f.clamd, &job, "clean", 0);
		wait_why(f.clamd, rows[i].why);
		assert_false(job.done);
		assert_int_equal(f.fake.scans, 0);
		tear_down(&f);
	}
}

static void
a_clamd_that_takes_no_large_message_is_refused(void **state)
{
	struct fixture f;
	struct fake *hosts[] = { &f.fake };

	(void)state;
	fake_init(&f.fake);
	f.fake.stream_max = LARGE / 2;
	fake_listen(&f.fake);
	f.clamd = pool_new(hosts, 1, 10000);
	wait_why(f.clamd, "StreamMaxLength");
	tear_down(&f);
}

static void
a_clamd_that_was_restarted_proves_itself_in_full(void **state)
{
	struct fixture f;
	struct job job;

	(void)state;
	set_up(&f, 10000);
	scan_one(f.clamd, &job, "clean");
	assert_int_equal(f.fake.samples_large, 1);
	fake_hang_up(&f.fake);
	scan_one(f.clamd, &job, "clean");
	while (f.fake.samples_large < 2)
		turn();
	f.fake.stream_max = LARGE / 2;
	fake_hang_up(&f.fake);
	wait_why(f.clamd, "StreamMaxLength");
	tear_down(&f);
}

static void
a_clamd_proves_itself_in_full_now_and_then(void **state)
{
	struct fixture f;
	struct job job;

	(void)state;
	recheck_ms = 50;
	set_up(&f, 10000);
	scan_one(f.clamd, &job, "clean");
	while (f.fake.samples_large < 3)
		turn();
	f.fake.no_nested = true;
	wait_why(f.clamd, "AlertExceedsMax");
	recheck_ms = 3600000;
	tear_down(&f);
}

static void
without_room_to_unpack_no_scan_begins_and_no_ok_counts(void **state)
{
	static const char *const found[] = { "clean, and the room goes", "pua, and the room goes",
		"trick, and the room goes" };
	char directory[96], why[512];
	struct fixture f;
	struct job before, meanwhile, after;

	(void)state;
	snprintf(directory, sizeof directory, "%s/unpacks", fake_directory);
	temporary = directory;
	assert_int_equal(mkdir(directory, 0700), 0);
	set_up(&f, 10000);
	job_start(f.clamd, &before, "late clean", 0);
	while (f.fake.scans == 0)
		turn();
	assert_int_equal(rmdir(directory), 0);
	wait_why(f.clamd, "cannot be looked at");
	job_start(f.clamd, &meanwhile, "clean", 0);
	for (int i = 0; i < 5; i++)
		turn();
	assert_int_equal(f.fake.scans, 1);
	assert_int_equal(mkdir(directory, 0700), 0);
	wait_for(&meanwhile.done);
	wait_for(&before.done);
	assert_int_equal(meanwhile.verdict, VERDICT_CLEAN);
	assert_int_equal(before.result, CLAMD_ANSWER);
	assert_int_equal(before.verdict, VERDICT_ERROR);
	assert_int_equal(clamd_up(f.clamd, why, sizeof why), 1);
	for (size_t i = 0; i < sizeof found / sizeof *found; i++) {
		scan_one(f.clamd, &after, found[i]);
		assert_int_equal(after.verdict, VERDICT_ERROR);
		assert_int_equal(mkdir(directory, 0700), 0);
	}
	temporary = NULL;
	tear_down(&f);
	assert_int_equal(rmdir(directory), 0);
}

static void
version_tells_the_age_of_the_signatures(void **state)
{
	(void)state;
	setenv("TZ", "UTC", 1);
	tzset();
	assert_int_equal(
		clamd_check_signed_at("ClamAV 1.4.6/27200/Mon Nov 23 10:00:00 2026"), 1795428000);
	assert_int_equal(clamd_check_signed_at("ClamAV 1.4.6"), 0);
	assert_int_equal(clamd_check_signed_at("ClamAV 1.4.6/27200"), 0);
	assert_int_equal(clamd_check_signed_at("ClamAV 1.4.6/27200/yesterday"), 0);
	assert_int_equal(clamd_check_signed_at(""), 0);
}

static void
stats_tell_the_number_of_threads(void **state)
{
	(void)state;
	assert_int_equal(clamd_check_threads("THREADS: live 1  idle 0 max 12 idle-timeout 30"), 12);
	assert_int_equal(clamd_check_threads("QUEUE: 0 items max 3"), 0);
	assert_int_equal(clamd_check_threads("THREADS: live 1 max 99999999999"), 0);
	assert_int_equal(clamd_check_threads(""), 0);
}

static int
begin(void **state)
{
	(void)state;
	snprintf(fake_directory, sizeof fake_directory, "/tmp/test_clamd.XXXXXX");
	signal(SIGPIPE, SIG_IGN);
	loop = fake_loop = loop_new("test");
	log_set_level(LOG_LEVEL_ERROR + 1);
	return mkdtemp(fake_directory) ? 0 : -1;
}

static int
end(void **state)
{
	(void)state;
	loop_free(&loop);
	return rmdir(fake_directory);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_become_verdicts),
		cmocka_unit_test(a_large_body_goes_in_pieces),
		cmocka_unit_test(answers_may_come_in_any_order),
		cmocka_unit_test(more_scans_than_threads_wait_their_turn),
		cmocka_unit_test(in_flight_never_exceeds_the_threads_of_clamd),
		cmocka_unit_test(slow_scans_of_one_account_do_not_delay_those_of_others),
		cmocka_unit_test(suspects_leave_half_of_the_time_to_others),
		cmocka_unit_test(a_scan_without_an_answer_times_out_alone),
		cmocka_unit_test(a_scan_on_a_clamd_that_hangs_is_told_apart),
		cmocka_unit_test(a_broken_connection_is_told_and_left),
		cmocka_unit_test(answers_that_make_no_sense_are_no_verdict),
		cmocka_unit_test(a_suspect_is_scanned_with_nothing_beside_it),
		cmocka_unit_test(scans_wait_while_no_clamd_is_there),
		cmocka_unit_test(the_other_host_does_it_when_one_is_dead),
		cmocka_unit_test(a_clamd_that_would_let_viruses_through_is_refused),
		cmocka_unit_test(a_clamd_that_takes_no_large_message_is_refused),
		cmocka_unit_test(a_clamd_that_was_restarted_proves_itself_in_full),
		cmocka_unit_test(a_clamd_proves_itself_in_full_now_and_then),
		cmocka_unit_test(without_room_to_unpack_no_scan_begins_and_no_ok_counts),
		cmocka_unit_test(version_tells_the_age_of_the_signatures),
		cmocka_unit_test(stats_tell_the_number_of_threads),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
