/*
 * bench_trace.c - how fast the trace takes events, and how fast it answers.
 *
 *   build/tests/bench/bench_trace DIRECTORY [MESSAGES [DAY]]
 *
 * Writes the events of so many messages (1,000,000) of one day (a time of it, in seconds) as
 * trace.c does, from their JSON: accepted and an end each, one in ten deferred before, a third of
 * them of one account and a fourth to one domain. Then come batches of 5,000 events, as a second of
 * 5,000 events/s makes them. Then asks by each field, alone and together, for what is frequent and
 * for what is rare, and prints the time to the first page of 100; in the end how these numbers are
 * to the aims.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "control/look/event_pick.h"
#include "control/trace/day.h"
#include "control/trace/search.h"
#include "shared/base/date.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"

#define BATCH 10000
#define LIVE_BATCH 5000
#define LIVE_BATCHES 20
#define AIM_EVENTS 5000 /* a second */
#define AIM_MS 100
#define ACCOUNTS 1000
#define ACCOUNT_SIZE 11

static const char *directory;
static uint64_t begin_us;
static char day_text[DAY_NAME_SIZE];
static unsigned long events, batch = BATCH;
static double slowest_ms;

static void
check(int err, const char *what)
{
	if (err)
		die(what, strerror(-err));
}

static void
id_of(unsigned long number, uint8_t id[ID_SIZE])
{
	id_at(begin_us + number * 50000, id);
	for (size_t i = 0; i < 8; i++)
		id[ID_SIZE - 1 - i] = (uint8_t)(number >> (8 * i));
}

static void
take(struct day *day, const uint8_t id[ID_SIZE], const char *text)
{
	json_t *event = json_loads(text, 0, NULL);

	check(day_take(day, id, event_time_us(event), event), "cannot write");
	json_decref(event);
	if (++events % batch == 0) {
		check(day_commit(day), "cannot commit");
		check(day_begin(day), "cannot begin");
	}
}

/* An account's id, in the signs that ids have. */
static void
account_text(unsigned long number, char out[ACCOUNT_SIZE])
{
	snprintf(out, ACCOUNT_SIZE, "acc%07lu", number % 10000000);
	for (char *sign = out; *sign; sign++)
		*sign = *sign == '0' ? 'x' : *sign == '1' ? 'y' : *sign;
}

static void
message(struct day *day, unsigned long number)
{
	const unsigned long account = number % 3 ? number % ACCOUNTS : 0;
	const unsigned long domain = number % 4 == 1 ? 0 : number % 997;
	const bool bounced = number % 50 == 7;
	char id_text[ID_TEXT_SIZE], time[DATE_SIZE], event[1024], of[ACCOUNT_SIZE];
	uint8_t id[ID_SIZE];

	account_text(account, of);
	id_of(number, id);
	id_format(id, id_text);
	date_iso(id_time_us(id), time);
	snprintf(event, sizeof event,
		"{\"time\":\"%s\",\"event\":\"accepted\",\"id\":\"%s\",\"account\":\"%s\","
		"\"node\":\"relay.example\",\"credential\":\"user-%lu\",\"client\":\"192.0.2.7\","
		"\"helo\":\"mail.customer.example\",\"tls\":\"TLSv1.3 TLS_AES_256_GCM_SHA384\","
		"\"from\":\"someone%lu@c%lu.example\",\"to\":[\"person%lu@d%lu.example\"],\"size\":4096,"
		"\"message_id\":\"<%lu.%lu@c%lu.example>\",\"header_from\":\"someone@c.example\"}",
		time, id_text, of, account, number % 20000, account, number % 300000, domain,
		number, number * 7919, account);
	take(day, id, event);
	if (number % 10 == 0) {
		snprintf(event, sizeof event,
			"{\"time\":\"%s\",\"event\":\"deferred\",\"id\":\"%s\",\"account\":\"%s\","
			"\"node\":\"relay.example\",\"site\":\"d%lu.example\",\"attempts\":1,\"verdict\":"
			"\"clean\",\"scanned\":\"%s\",\"to\":[\"person%lu@d%lu.example\"],\"host\":"
			"\"mx.d.example[192.0.2.9]\",\"reply\":\"451 4.7.1 Greylisted, come back\","
			"\"class\":\"greylisted\",\"due\":\"%s\"}",
			time, id_text, of, domain, time, number % 300000, domain, time);
		take(day, id, event);
	}
	if (number % 100 == 0) /* stays deferred */
		return;
	snprintf(event, sizeof event,
		"{\"time\":\"%s\",\"event\":\"%s\",\"id\":\"%s\",\"account\":\"%s\",\"node\":"
		"\"relay.example\",\"site\":\"d%lu.example\",\"attempts\":%d,\"verdict\":\"clean\","
		"\"scanned\":\"%s\",\"to\":[\"person%lu@d%lu.example\"],\"host\":\"mx.d.example"
		"[192.0.2.9]\",\"reply\":\"%s\"%s,\"tls\":\"TLSv1.3\",\"queued_ms\":120}",
		time, bounced ? "bounced" : "delivered", id_text, of, domain, number % 10 ? 1 : 2,
		time, number % 300000, domain,
		bounced ? "550 5.1.1 No such user" : "250 2.0.0 OK queued as 4bXyZ",
		bounced ? ",\"class\":\"bad-mailbox\"" : "");
	take(day, id, event);
}

static void
ask_filter(const char *what, const struct trace_filter *filter)
{
	const uint64_t start_us = clock_mono_us();
	struct search *search = search_new(directory, filter, 100, NULL);
	char broken[DAY_NAME_SIZE];
	uint8_t next[ID_SIZE];
	json_t *messages;
	double ms;
	bool more;

	if (search_run(search, 60000, broken) != SEARCH_DONE)
		die("cannot search", what);
	messages = search_take(search, &more, next);
	ms = (double)(clock_mono_us() - start_us) / 1000;
	printf("%-55s %4zu messages %8.1f ms\n", what, json_array_size(messages), ms);
	slowest_ms = ms > slowest_ms ? ms : slowest_ms;
	json_decref(messages);
	search_free(&search);
}

/* Pairs of a field and its text, NULL-ended. */
static void
ask(enum trace_field field, const char *text, enum trace_field and, const char *and_text)
{
	struct trace_filter filter;
	char *what = xasprintf("%s=%s%s%s%s%s", trace_names[field], text, and_text ? " " : "",
		and_text ? trace_names[and] : "", and_text ? "=" : "", and_text ? and_text : "");

	filter_init(&filter);
	check(filter_set(&filter, field, text), what);
	if (and_text)
		check(filter_set(&filter, and, and_text), what);
	ask_filter(what, &filter);
	filter_wipe(&filter);
	free(what);
}

static void
ask_all(void)
{
	struct trace_filter filter;

	filter_init(&filter);
	ask_filter("(nothing)", &filter);
	filter.open = true;
	ask_filter("open", &filter);
	ask(TRACE_RECIPIENT, "person4711@d723.example", 0, NULL);
	ask(TRACE_RECIPIENT, "nobody@d1.example", 0, NULL);
	ask(TRACE_SENDER, "someone4711@c711.example", 0, NULL);
	ask(TRACE_MESSAGE_ID, "500001.3959507919@c1.example", 0, NULL);
	ask(TRACE_DOMAIN, "d7.example", 0, NULL);
	ask(TRACE_ACCOUNT, "accxxxxxx7", 0, NULL);
	ask(TRACE_CREDENTIAL, "user-7", 0, NULL);
	ask(TRACE_STATE, "delivered", 0, NULL);
	ask(TRACE_STATE, "deferred", 0, NULL);
	ask(TRACE_CLASS, "bad-mailbox", 0, NULL);
	ask(TRACE_ACCOUNT, "accxxxxxx7", TRACE_STATE, "bounced");
	ask(TRACE_ACCOUNT, "accxxxxxx8", TRACE_STATE, "bounced");
	ask(TRACE_ACCOUNT, "accxxxxxx7", TRACE_DOMAIN, "d8.example");
	ask(TRACE_DOMAIN, "d7.example", TRACE_STATE, "deferred");
	ask(TRACE_STATE, "delivered", TRACE_CLASS, "bad-mailbox");
	ask(TRACE_STATE, "bounced", TRACE_CLASS, "greylisted");
	ask(TRACE_ACCOUNT, "accxxxxxxx", 0, NULL);
	ask(TRACE_ACCOUNT, "accxxxxxxx", TRACE_STATE, "deferred");
	ask(TRACE_ACCOUNT, "accxxxxxxx", TRACE_STATE, "expired");
	ask(TRACE_ACCOUNT, "accxxxxxxx", TRACE_CLASS, "greylisted");
	ask(TRACE_ACCOUNT, "accxxxxxxx", TRACE_DOMAIN, "d0.example");
	ask(TRACE_ACCOUNT, "accxxxxxxx", TRACE_CREDENTIAL, "user-19999");
	ask(TRACE_DOMAIN, "d0.example", TRACE_STATE, "bounced");
	ask(TRACE_DOMAIN, "d0.example", TRACE_CLASS, "greylisted");
	ask(TRACE_SENDER, "someone0@c0.example", TRACE_STATE, "bounced");
	ask(TRACE_SENDER, "someone0@c0.example", TRACE_DOMAIN, "d0.example");
}

/* Events a second since `start_us`, when there were `before` of them. */
static double
rate(uint64_t start_us, unsigned long before)
{
	return (double)(events - before) * 1000000 / (double)(clock_mono_us() - start_us + 1);
}

/* Writes messages [from, to); returns the events a second of the last tenth. */
static double
fill(struct day *day, unsigned long from, unsigned long to)
{
	const unsigned long tenth = (to - from) / 10 + 1;
	uint64_t start_us = clock_mono_us();
	unsigned long before = events;
	double last = 0;

	for (unsigned long i = from; i < to; i++) {
		message(day, i);
		if ((i + 1 - from) % tenth && i + 1 < to)
			continue;
		last = rate(start_us, before);
		printf("%9lu messages: %.0f events/s\n", i + 1, last);
		start_us = clock_mono_us();
		before = events;
	}
	return last;
}

/* Batches as they are under load; returns the events a second. */
static double
live(struct day *day, unsigned long from)
{
	const uint64_t start_us = clock_mono_us();
	const unsigned long before = events;
	double result;

	batch = LIVE_BATCH;
	while (events - before < LIVE_BATCH * LIVE_BATCHES)
		message(day, from++);
	result = rate(start_us, before);
	printf("%d batches of %d events: %.0f events/s\n", LIVE_BATCHES, LIVE_BATCH, result);
	return result;
}

int
main(int argc, char **argv)
{
	const unsigned long messages = argc > 2 ? strtoul(argv[2], NULL, 10) : 1000000;
	const uint64_t day_s = argc > 3 ? strtoull(argv[3], NULL, 10) : UINT64_C(1764547200);
	struct day *day;
	double full, batches;

	if (argc < 2)
		die("usage", "bench_trace DIRECTORY [MESSAGES [DAY]]");
	directory = argv[1];
	mkdir(directory, 0700);
	day_name_at(day_s * UINT64_C(1000000), day_text);
	begin_us = day_begin_us(day_text);
	check(day_open(directory, day_text, true, &day), "cannot open");
	check(day_begin(day), "cannot begin");
	full = fill(day, 0, messages);
	check(day_commit(day), "cannot commit");
	check(day_begin(day), "cannot begin");
	batches = live(day, messages);
	check(day_commit(day), "cannot commit");
	ask_all();
	day_close(&day);
	printf("events a second with %lu messages: %.1f times the aim of %d; in small batches %.1f\n",
		messages, full / AIM_EVENTS, AIM_EVENTS, batches / AIM_EVENTS);
	printf("the slowest answer: %.2f of the aim of %d ms\n", slowest_ms / AIM_MS, AIM_MS);
	return full < AIM_EVENTS || batches < AIM_EVENTS || slowest_ms > AIM_MS;
}
