/*
 * test_clamd.c - the pool and its checks against a fake clamd that misbehaves as no real one does.
 *
 * The fake runs on the same loop. It answers samples as its flags say, and other bodies by their
 * first word: clean, virus, limit, error, hang, close, garbage, number, early, late.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

#include "scanner/clamd.h"
#include "scanner/clamd_check.h"
#include "scanner/sample.h"
#include "shared/log.h"
#include "shared/loop.h"

#define PATIENCE_S 20
#define LARGE (600u * 1024)

struct fake {
	struct evconnlistener *listener;
	char path[80], host[96];
	bool blind, no_mail, no_zip, no_nested; /* what it does not alert on */
	bool stranger, drip;                    /* no clamd at all; answers byte by byte */
	uint64_t stream_max;
	unsigned scans, open, open_most; /* of mail: in all, in flight now and at most */
	char *late;                      /* an answer that waits for the next one */
};

struct client {
	struct fake *fake;
	struct bufferevent *bev;
	struct evbuffer *body, *slow; /* slow: answers that go byte by byte */
	struct event *drip;
	bool streaming;
	unsigned number, open;
};

static struct loop *loop;
static char directory[64];
static unsigned fakes;

static void
say(struct client *client, unsigned number, const char *text)
{
	struct evbuffer *out = bufferevent_get_output(client->bev);
	char answer[256];
	int n = snprintf(answer, sizeof answer, "%u: %s", number, text) + 1;

	if (!client->fake->drip) {
		evbuffer_add(out, answer, (size_t)n);
		return;
	}
	evbuffer_add(client->slow, answer, (size_t)n);
	event_active(client->drip, 0, 0);
}

static void
on_drip(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval now = { 0, 0 };
	struct client *client = arg;

	(void)fd;
	(void)what;
	evbuffer_remove_buffer(client->slow, bufferevent_get_output(client->bev), 1);
	if (evbuffer_get_length(client->slow))
		event_add(client->drip, &now);
}

static void
client_free(struct client *client)
{
	event_free(client->drip);
	evbuffer_free(client->slow);
	client->fake->open -= client->open;
	bufferevent_free(client->bev);
	evbuffer_free(client->body);
	free(client);
}

/* False: the client is gone. */
static bool
answer_mail(struct client *client, const char *body)
{
	struct fake *fake = client->fake;
	static const char *const rows[][2] = {
		{"clean",    "stream: OK"					   },
		{ "virus",   "stream: Test.Virus FOUND"                             },
		{ "limit",   "stream: Heuristics.Limits.Exceeded.MaxRecursion FOUND"},
		{ "error",   "stream: Can't allocate memory ERROR"                  },
		{ "garbage", "\x01\x02 what?"                                       },
	};

	fake->scans++;
	if (strncmp(body, "close", 5) == 0) {
		client_free(client);
		return false;
	}
	if (strncmp(body, "hang", 4) == 0) {
		client->open++;
		fake->open++;
		if (fake->open > fake->open_most)
			fake->open_most = fake->open;
		return true;
	}
	if (strncmp(body, "number", 6) == 0)
		say(client, client->number + 77, "stream: OK");
	if (strncmp(body, "late", 4) == 0) {
		free(fake->late);
		fake->late = xasprintf("%u", client->number);
		return true;
	}
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (strncmp(body, rows[i][0], strlen(rows[i][0])) == 0)
			say(client, client->number, rows[i][1]);
	if (fake->late) {
		say(client, (unsigned)atoi(fake->late), "stream: Late.Virus FOUND");
		free(fake->late);
		fake->late = NULL;
	}
	return true;
}

static bool
answer_body(struct client *client)
{
	struct fake *fake = client->fake;
	size_t size = evbuffer_get_length(client->body);
	const char *body;
	char plain[SAMPLE_SIZE];
	int found = -1; /* -1: it was mail */
	bool here = true;

	evbuffer_add(client->body, "", 1);
	body = (const char *)evbuffer_pullup(client->body, -1);
	if (!body)
		return true;
	sample_plain(plain);
	if (size == SAMPLE_SIZE && memcmp(body, plain, size) == 0)
		found = !fake->blind;
	else if (strncmp(body, "From: <postmaster@", 18) == 0)
		found = !fake->no_mail;
	else if (size > 50 && memcmp(body, "PK", 2) == 0 &&
		strncmp(body + 30, "sample.zip", 10) == 0)
		found = !fake->no_nested;
	else if (size > 50 && memcmp(body, "PK", 2) == 0)
		found = !fake->no_zip;
	else
		here = answer_mail(client, body);
	if (found >= 0)
		say(client, client->number, found ? "stream: Eicar FOUND" : "stream: OK");
	if (here)
		evbuffer_drain(client->body, size + 1);
	return here;
}

/* Takes one chunk; 1 go on, 0 wait, -1 the client is gone. */
static int
take_chunk(struct client *client, struct evbuffer *in)
{
	uint32_t size;

	if (evbuffer_copyout(in, &size, 4) < 4)
		return 0;
	size = ntohl(size);
	if (evbuffer_get_length(in) < 4 + size)
		return 0;
	evbuffer_drain(in, 4);
	if (size) {
		evbuffer_remove_buffer(in, client->body, size);
		if (client->fake->stream_max &&
			evbuffer_get_length(client->body) > client->fake->stream_max) {
			char answer[64];
			int n = snprintf(answer, sizeof answer,
				"%u: INSTREAM size limit exceeded. ERROR", client->number);

			assert_int_equal(
				write(bufferevent_getfd(client->bev), answer, (size_t)n + 1),
				n + 1);
			client_free(client);
			return -1;
		}
		return 1;
	}
	client->streaming = false;
	return answer_body(client) ? 1 : -1;
}

static int
take_command(struct client *client, struct evbuffer *in)
{
	size_t length;
	char *command = evbuffer_readln(in, &length, EVBUFFER_EOL_NUL);

	if (!command)
		return 0;
	if (client->fake->stranger)
		evbuffer_add(bufferevent_get_output(client->bev), "220 hello\r\n", 12);
	client->number += strcmp(command, "zIDSESSION") != 0;
	if (strcmp(command, "zVERSION") == 0)
		say(client, client->number, "ClamAV 1.4.6/27200/Mon Nov 23 10:00:00 2026");
	else if (strcmp(command, "zSTATS") == 0)
		say(client, client->number,
			"POOLS: 1\n\nTHREADS: live 1  idle 0 max 12 idle-timeout 30");
	else if (strcmp(command, "zINSTREAM") == 0)
		client->streaming = true;
	free(command);
	return 1;
}

static void
on_read(struct bufferevent *bev, void *arg)
{
	struct client *client = arg;
	struct evbuffer *in = bufferevent_get_input(bev);
	int more = 1;

	while (more > 0)
		more = client->streaming ? take_chunk(client, in) : take_command(client, in);
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	(void)bev;
	(void)what;
	client_free(arg);
}

static void
on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *sa, int length,
	void *arg)
{
	struct client *client = xcalloc(1, sizeof *client);

	(void)listener;
	(void)sa;
	(void)length;
	client->fake = arg;
	client->body = evbuffer_new();
	client->slow = evbuffer_new();
	client->drip = evtimer_new(loop_base(loop), on_drip, client);
	client->bev = bufferevent_socket_new(loop_base(loop), fd, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(client->bev, on_read, NULL, on_event, client);
	bufferevent_enable(client->bev, EV_READ | EV_WRITE);
}

static void
fake_listen(struct fake *fake)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	snprintf(sa.sun_path, sizeof sa.sun_path, "%s", fake->path);
	fake->listener = evconnlistener_new_bind(loop_base(loop), on_accept, fake,
		LEV_OPT_CLOSE_ON_FREE, 16, (struct sockaddr *)&sa, sizeof sa);
	assert_non_null(fake->listener);
}

static void
fake_init(struct fake *fake)
{
	memset(fake, 0, sizeof *fake);
	snprintf(fake->path, sizeof fake->path, "%s/%u", directory, fakes++);
	snprintf(fake->host, sizeof fake->host, "unix:%s", fake->path);
}

static void
fake_end(struct fake *fake)
{
	if (fake->listener)
		evconnlistener_free(fake->listener);
	free(fake->late);
	unlink(fake->path);
}

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
	if (strcmp(job->text, "gone") == 0)
		cb(cb_arg, -ENOENT, NULL, 0);
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
		{"clean",  VERDICT_CLEAN,       ""                                       },
		{ "virus", VERDICT_INFECTED,    "Test.Virus"                             },
		{ "limit", VERDICT_UNSCANNABLE, "Heuristics.Limits.Exceeded.MaxRecursion"},
		{ "error", VERDICT_ERROR,       "Can't allocate memory"                  },
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
	set_up(&f, 1000);
	for (int i = 0; i < 30; i++)
		job_start(f.clamd, &jobs[i], "hang", 0);
	while (f.fake.open_most < 12)
		turn();
	for (int i = 0; i < 20; i++)
		turn();
	assert_int_equal(f.fake.open_most, 12);
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
		{offsetof(struct fake,  blind),     "signatures are missing"},
		{ offsetof(struct fake, no_mail),   "ScanMail yes"          },
		{ offsetof(struct fake, no_zip),    "ScanArchive yes"       },
		{ offsetof(struct fake, no_nested), "AlertExceedsMax yes"   },
		{ offsetof(struct fake, stranger),  "no clamd"              },
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
	snprintf(directory, sizeof directory, "/tmp/test_clamd.XXXXXX");
	signal(SIGPIPE, SIG_IGN);
	loop = loop_new("test");
	log_set_level(LOG_LEVEL_ERROR + 1);
	return mkdtemp(directory) ? 0 : -1;
}

static int
end(void **state)
{
	(void)state;
	loop_free(&loop);
	return rmdir(directory);
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
		cmocka_unit_test(a_scan_without_an_answer_times_out_alone),
		cmocka_unit_test(a_broken_connection_is_told_and_left),
		cmocka_unit_test(answers_that_make_no_sense_are_no_verdict),
		cmocka_unit_test(a_suspect_is_scanned_with_nothing_beside_it),
		cmocka_unit_test(scans_wait_while_no_clamd_is_there),
		cmocka_unit_test(the_other_host_does_it_when_one_is_dead),
		cmocka_unit_test(a_clamd_that_would_let_viruses_through_is_refused),
		cmocka_unit_test(a_clamd_that_takes_no_large_message_is_refused),
		cmocka_unit_test(version_tells_the_age_of_the_signatures),
		cmocka_unit_test(stats_tell_the_number_of_threads),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
