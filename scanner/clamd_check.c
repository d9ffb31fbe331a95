/*
 * clamd_check.c - whether a clamd can be trusted.
 *
 * clamd -> [clamd_check] -> clamd_wire -> clamd
 *
 * A clamd that gives up at a limit and says OK lets viruses through, which is its default
 * (AlertExceedsMax no). So each host scans samples before it gets mail. A fault is reported as the
 * setting of clamd.conf that would be right.
 *
 * A clamd reads its settings when it starts. So the result of a check holds for as long as the
 * connection that was checked, which therefore stays open (clamd closes no session for being idle).
 * The connection's end is the sign of a restart.
 */
#include "scanner/clamd_check.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "scanner/clamd_wire.h"
#include "scanner/sample.h"
#include "scanner/verdict.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/timer.h"

/* More layers than MaxRecursion can be set to (100). */
#define LAYERS 110
/* clamd writes the large sample to a file and reads all of it twice. */
#define LARGE_TIMEOUT_MS 60000
#define PIECE 65536

struct clamd_check {
	struct loop *loop;
	struct clamd_check_options options;
	struct net_address address;
	clamd_check_cb cb;
	void *arg;
	struct clamd_wire *wire;
	struct timer timer;
	bool running;
	unsigned step;
	int connect_err;
	struct sample_large large;
	uint64_t zeros_left;
	bool tail_sent;
	struct clamd_check_report report;
};

/* What each step sends, and how its answer (without the number) is judged: judge() writes
 * report.why, or leaves it empty when all is well. */
struct step {
	void (*send)(struct clamd_check *check);
	void (*judge)(struct clamd_check *check, const char *text, size_t length);
	enum clamd_check_depth depth;
};

static void
check_finish(struct clamd_check *check)
{
	const struct clamd_check_report report = check->report;

	if (report.why[0])
		clamd_wire_close(&check->wire);
	timer_cancel(&check->timer);
	sample_large_free(&check->large);
	check->running = false;
	check->cb(check->arg, &report);
}

static void
why(struct clamd_check *check, const char *text)
{
	snprintf(check->report.why, sizeof check->report.why, "%s", text);
}

static void
refuse(struct clamd_check *check, const char *text)
{
	check->report.refused = true;
	why(check, text);
}

static void
send_version(struct clamd_check *check)
{
	clamd_wire_command(check->wire, "VERSION");
}

static void
judge_version(struct clamd_check *check, const char *text, size_t length)
{
	char version[128];

	snprintf(version, sizeof version, "%.*s", (int)length, text);
	if (strncmp(version, "ClamAV ", 7) != 0)
		refuse(check, "this is no clamd");
	check->report.signed_at_s = clamd_check_signed_at(version);
}

static void
send_stats(struct clamd_check *check)
{
	clamd_wire_command(check->wire, "STATS");
}

static void
judge_stats(struct clamd_check *check, const char *text, size_t length)
{
	char *stats = xstrndup(text, length);

	check->report.threads = clamd_check_threads(stats);
	free(stats);
}

static void
send_sample(struct clamd_check *check, const char *data, size_t size)
{
	clamd_wire_command(check->wire, "INSTREAM");
	clamd_wire_chunk(check->wire, data, size);
	clamd_wire_stream_end(check->wire);
}

static void
send_plain(struct clamd_check *check)
{
	char plain[SAMPLE_SIZE];

	sample_plain(plain);
	send_sample(check, plain, sizeof plain);
}

static void
send_mail(struct clamd_check *check)
{
	/* A new sample each time: clamd may remember a sample that it passed for want of room. */
	char *start = xasprintf("Received: by scanner; %" PRIu64 "\r\n", clock_us());
	size_t size;
	char *mail = sample_mail(&size);

	clamd_wire_command(check->wire, "INSTREAM");
	clamd_wire_chunk(check->wire, start, strlen(start));
	clamd_wire_chunk(check->wire, mail, size);
	clamd_wire_stream_end(check->wire);
	free(start);
	free(mail);
}

static void
send_zip(struct clamd_check *check)
{
	size_t size;
	char *zip = sample_zip(1, &size);

	send_sample(check, zip, size);
	free(zip);
}

static void
send_nested(struct clamd_check *check)
{
	size_t size;
	char *zip = sample_zip(LAYERS, &size);

	send_sample(check, zip, size);
	free(zip);
}

/* Sends more of the large sample for as long as the connection takes it. */
static void
send_large_more(struct clamd_check *check)
{
	static const char zeros[PIECE];

	if (!check->large.head)
		return;
	while (check->zeros_left && !clamd_wire_full(check->wire)) {
		size_t n = check->zeros_left < PIECE ? (size_t)check->zeros_left : PIECE;

		clamd_wire_chunk(check->wire, zeros, n);
		check->zeros_left -= n;
	}
	if (check->zeros_left || check->tail_sent)
		return;
	check->tail_sent = true;
	clamd_wire_chunk(check->wire, check->large.tail, check->large.tail_size);
	clamd_wire_stream_end(check->wire);
}

static void
send_large(struct clamd_check *check)
{
	sample_large(check->options.stream_max, &check->large);
	check->zeros_left = check->large.zeros;
	check->tail_sent = false;
	clamd_wire_command(check->wire, "INSTREAM");
	clamd_wire_chunk(check->wire, check->large.head, check->large.head_size);
	send_large_more(check);
}

static enum verdict
judge_verdict(const char *text, size_t length, char *signature, size_t size)
{
	char numbered[512];
	enum verdict verdict;
	unsigned number;
	int n = snprintf(numbered, sizeof numbered, "1: %.*s", (int)length, text);

	if (n >= (int)sizeof numbered ||
		verdict_parse(numbered, (size_t)n, &number, &verdict, signature, size) < 0)
		return VERDICT_ERROR;
	return verdict;
}

/* Reports what is wrong with an answer that should have named a virus. */
static void
judge_found(struct clamd_check *check, const char *text, size_t length, const char *settings)
{
	char signature[256];

	switch (judge_verdict(text, length, signature, sizeof signature)) {
	case VERDICT_INFECTED: return;
	case VERDICT_ERROR: why(check, "it answers a sample with an error"); return;
	default: refuse(check, settings);
	}
}

static void
judge_plain(struct clamd_check *check, const char *text, size_t length)
{
	judge_found(check, text, length,
		"it does not find the EICAR test file: its signatures are missing");
}

static void
judge_mail(struct clamd_check *check, const char *text, size_t length)
{
	judge_found(check, text, length,
		"it does not find EICAR attached to a mail: clamd.conf needs ScanMail yes");
}

static void
judge_zip(struct clamd_check *check, const char *text, size_t length)
{
	judge_found(check, text, length,
		"it does not find EICAR in a zip: clamd.conf needs ScanArchive yes");
}

static void
judge_nested(struct clamd_check *check, const char *text, size_t length)
{
	char signature[256];

	switch (judge_verdict(text, length, signature, sizeof signature)) {
	case VERDICT_CLEAN:
		refuse(check,
			"it passes what is nested too deep to be scanned: clamd.conf needs "
			"AlertExceedsMax yes");
		break;
	case VERDICT_ERROR: why(check, "it answers a sample with an error"); break;
	default: break;
	}
}

static void
judge_large(struct clamd_check *check, const char *text, size_t length)
{
	const char *setting = "StreamMaxLength, MaxFileSize and MaxScanSize";
	char signature[256], said[192];
	uint64_t need = check->options.stream_max;

	if (memmem(text, length, "size limit exceeded", 19)) {
		setting = "StreamMaxLength";
	} else {
		if (judge_verdict(text, length, signature, sizeof signature) == VERDICT_INFECTED)
			return;
		if (memmem(text, length, "MaxFileSize", 11)) {
			setting = "MaxFileSize";
		} else if (memmem(text, length, "MaxScanSize", 11)) {
			setting = "MaxScanSize";
			need *= 2;
		} else if (memmem(text, length, "MaxScanTime", 11)) {
			refuse(check,
				"it gives up on a message of message_size_limit: clamd.conf "
				"needs a longer MaxScanTime");
			return;
		}
	}
	snprintf(said, sizeof said,
		"it does not take messages of message_size_limit: clamd.conf needs %s %" PRIu64
		"M or more",
		setting, (need >> 20) + 1);
	refuse(check, said);
}

static const struct step steps[] = {
	{ send_version, judge_version, CHECK_ALIVE },
	{ send_stats, judge_stats, CHECK_ALIVE },
	{ send_plain, judge_plain, CHECK_SAMPLES },
	{ send_mail, judge_mail, CHECK_SAMPLES },
	{ send_zip, judge_zip, CHECK_SAMPLES },
	{ send_nested, judge_nested, CHECK_SAMPLES },
	{ send_large, judge_large, CHECK_FULL },
};
#define STEPS (sizeof steps / sizeof steps[0])

static void
check_arm(struct clamd_check *check)
{
	unsigned ms = check->options.timeout_ms;

	if (steps[check->step].send == send_large && ms < LARGE_TIMEOUT_MS)
		ms = LARGE_TIMEOUT_MS;
	timer_set(&check->timer, ms);
}

/* Begins the step, or ends the check when it was the last one. */
static void
check_enter(struct clamd_check *check, unsigned step)
{
	if (step == STEPS || steps[step].depth > check->report.depth) {
		check_finish(check);
		return;
	}
	check->step = step;
	check_arm(check);
	steps[step].send(check);
}

static void
on_answer(void *arg, const char *text, size_t length)
{
	struct clamd_check *check = arg;
	const char *said = memmem(text, length, ": ", 2);
	size_t number_length;

	if (!said || !check->running) {
		refuse(check, "this is no clamd");
		check_finish(check);
		return;
	}
	number_length = (size_t)(said - text) + 2;
	steps[check->step].judge(check, text + number_length, length - number_length);
	if (check->report.why[0])
		check_finish(check);
	else
		check_enter(check, check->step + 1);
}

static void
on_room(void *arg)
{
	send_large_more(arg);
}

static void
on_closed(void *arg, int err)
{
	struct clamd_check *check = arg;

	check->report.lost = !check->running;
	/* clamd's reason may be lost when it closes while we send. */
	if (check->large.head)
		refuse(check,
			"it closed the connection while it took a message of "
			"message_size_limit: look at StreamMaxLength in clamd.conf");
	else
		why(check, err ? strerror(-err) : "it closed the connection");
	check_finish(check);
}

static void
on_timer(void *arg)
{
	struct clamd_check *check = arg;

	check->report.silent = !check->connect_err;
	why(check, check->connect_err ? strerror(-check->connect_err) : "it does not answer");
	check_finish(check);
}

static const struct clamd_wire_handler handler = { on_answer, on_room, on_closed };

struct clamd_check *
clamd_check_new(struct loop *loop, const struct net_address *address,
	const struct clamd_check_options *options, clamd_check_cb cb, void *arg)
{
	struct clamd_check *check = xcalloc(1, sizeof *check);

	check->loop = loop;
	check->address = *address;
	check->options = *options;
	check->cb = cb;
	check->arg = arg;
	timer_init(&check->timer, loop, on_timer, check);
	return check;
}

void
clamd_check_change(struct clamd_check *check, unsigned timeout_ms)
{
	check->options.timeout_ms = timeout_ms;
}

bool
clamd_check_connected(const struct clamd_check *check)
{
	return check->running || check->wire;
}

void
clamd_check_aim(struct clamd_check *check, const struct net_address *address)
{
	assert(!clamd_check_connected(check));
	check->address = *address;
}

void
clamd_check_run(struct clamd_check *check, enum clamd_check_depth depth)
{
	if (check->running) {
		if (check->report.depth < depth)
			check->report.depth = depth;
		return;
	}
	check->running = true;
	check->connect_err = 0;
	check->report = (struct clamd_check_report){ .depth = check->wire ? depth : CHECK_FULL };
	if (!check->wire)
		check->wire = clamd_wire_open(
			check->loop, &check->address, &handler, check, &check->connect_err);
	if (check->wire)
		check_enter(check, 0);
	else
		timer_soon(&check->timer);
}

void
clamd_check_free(struct clamd_check **check_ref)
{
	struct clamd_check *check = *check_ref;

	if (!check)
		return;
	*check_ref = NULL;
	clamd_wire_close(&check->wire);
	timer_cancel(&check->timer);
	sample_large_free(&check->large);
	free(check);
}

uint64_t
clamd_check_signed_at(const char *version)
{
	const char *slash = strchr(version, '/');
	struct tm tm = { 0 };
	time_t at;

	if (!slash || !(slash = strchr(slash + 1, '/')) ||
		!strptime(slash + 1, "%a %b %d %H:%M:%S %Y", &tm))
		return 0;
	tm.tm_isdst = -1;
	at = mktime(&tm); /* clamd tells local time */
	return at > 0 ? (uint64_t)at : 0;
}

unsigned
clamd_check_threads(const char *stats)
{
	const char *threads = strstr(stats, "THREADS:");
	const char *max = threads ? strstr(threads, " max ") : NULL;
	unsigned long n = max ? strtoul(max + 5, NULL, 10) : 0;

	return n <= 10000 ? (unsigned)n : 0;
}
