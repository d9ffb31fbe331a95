/*
 * trace.c - the thread that feeds the trace.
 *
 * mail.events -> event_reader -> [trace] -> day.c, a file a day
 *
 * Events are taken in batches. The order that crash safety depends on:
 *
 *   1. the rows of a batch are committed, in each day's file
 *   2. the place behind the batch is written to the file "place", with the names of all days
 *   3. the next batch begins
 *
 * A crash between 1 and 2 has the batch read again, which changes nothing (day.h). A day that
 * "place" names and that is not there (any more), or is broken, has everything read again.
 */
#include "control/trace/trace.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "control/look/event_pick.h"
#include "control/trace/day.h"
#include "control/trace/place.h"
#include "control/trace/trace_clock.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/said.h"
#include "shared/base/text.h"
#include "shared/config/config.h"
#include "shared/metrics/metrics.h"
#include "shared/queue/event_reader.h"
#include "shared/queue/queue.h"

#define BATCH_MAX 10000 /* events in a transaction */
#define BATCH_MS 1000   /* how long a transaction takes events */
#define LOOK_MS 500     /* between looks for new events */
#define RETRY_MS 5000   /* after a failure */
#define MINUTE_MS 60000 /* between equal lines of the log */
#define OPEN_MAX 4      /* days that stay open between batches */
#define DAYS_AHEAD 2    /* ids of a clock that is further ahead are not believed */

struct open_day {
	char name[DAY_NAME_SIZE];
	struct day *day;
	bool writing; /* a transaction is open */
};

struct trace {
	const struct config *config;
	struct queue *queue;
	char *directory;
	pthread_t thread;
	pthread_mutex_t lock;
	int stop_fd;                 /* readable: the role stops */
	char suspect[DAY_NAME_SIZE]; /* under lock; "": none */
	/* the thread's */
	struct event_reader *reader;
	struct open_day *days;
	size_t days_count;
	struct open_day *newest; /* the day of the last event */
	json_t *known;           /* names of days that "place" tells */
	unsigned batch;
	uint64_t batch_end_ms, swept_us, last_us;
	struct trace_clock clock;
	bool caught_up;
	int err;
	char broken[DAY_NAME_SIZE]; /* whose file `err` is about */
	struct said said;
	struct probe *probe;
	struct metric *events, *failures, *behind;
};

const char *
trace_directory(const struct trace *trace)
{
	return trace->directory;
}

uint64_t
trace_kept_since_us(const struct trace *trace)
{
	return atomic_load(&trace->clock.kept_since_us);
}

void
trace_suspect(struct trace *trace, const char *day)
{
	pthread_mutex_lock(&trace->lock);
	text_copy(trace->suspect, sizeof trace->suspect, day);
	pthread_mutex_unlock(&trace->lock);
}

/* ---- the place ---- */

/* Forgets how far the events were read: all of them are read again. */
static void
place_forget(struct trace *trace)
{
	place_remove(trace->directory);
	event_reader_close(&trace->reader);
	json_array_clear(trace->known);
	trace->caught_up = false;
}

static int
place_write(const struct trace *trace)
{
	char *place = event_reader_place(trace->reader);
	const int err = place_save(trace->directory, place, trace->known);

	free(place);
	return err;
}

static bool
day_exists(const struct trace *trace, const char *name)
{
	char *file = xasprintf("%s/%s.db", trace->directory, name);
	const bool there = access(file, F_OK) == 0;

	free(file);
	return there;
}

/* Reads the place, and the days that belong to it. NULL: there is none, or a day is missing. */
static char *
place_read(struct trace *trace)
{
	char *place = NULL, name[DAY_NAME_SIZE];
	json_t *whole = place_load(trace->directory), *one;
	bool complete = json_text(whole, "place") != NULL;
	size_t i;

	day_name_at(trace_kept_since_us(trace), name);
	json_array_clear(trace->known);
	json_array_foreach(json_object_get(whole, "days"), i, one)
	{
		if (!json_is_string(one) || strcmp(json_string_value(one), name) < 0)
			continue;
		json_array_append(trace->known, one);
		complete = complete && day_exists(trace, json_string_value(one));
	}
	if (complete)
		place = xstrdup(json_text(whole, "place"));
	else if (whole)
		LOG_WARN("trace: files are missing and are made anew", "directory",
			trace->directory);
	json_decref(whole);
	return place;
}

/* ---- days ---- */

static void
days_close(struct trace *trace)
{
	for (size_t i = 0; i < trace->days_count; i++) {
		if (trace->days[i].writing)
			day_rollback(trace->days[i].day);
		day_close(&trace->days[i].day);
	}
	trace->days_count = 0;
	trace->newest = NULL;
	trace->batch = 0;
}

static void
day_known(struct trace *trace, const char *name)
{
	json_t *one;
	size_t i;

	json_array_foreach(
		trace->known, i, one) if (strcmp(json_string_value(one), name) == 0) return;
	json_array_append_new(trace->known, json_string(name));
}

static struct open_day *
day_find(struct trace *trace, const char *name)
{
	if (trace->newest && strcmp(trace->newest->name, name) == 0)
		return trace->newest;
	for (size_t i = 0; i < trace->days_count; i++)
		if (strcmp(trace->days[i].name, name) == 0)
			return &trace->days[i];
	return NULL;
}

/* The day, open and in a transaction; NULL with trace->err. */
static struct open_day *
day_get(struct trace *trace, const char *name)
{
	struct open_day *found = day_find(trace, name);

	text_copy(trace->broken, sizeof trace->broken, name);
	if (!found) {
		trace->days = xrealloc(trace->days, (trace->days_count + 1) * sizeof *trace->days);
		found = &trace->days[trace->days_count];
		*found = (struct open_day){ 0 };
		text_copy(found->name, sizeof found->name, name);
		trace->err = day_open(trace->directory, name, true, &found->day);
		if (trace->err)
			return NULL;
		trace->days_count++;
		day_known(trace, name);
	}
	if (!found->writing) {
		trace->err = day_begin(found->day);
		if (trace->err)
			return NULL;
		found->writing = true;
	}
	return trace->newest = found;
}

/* ---- a batch ---- */

/* Whether the trace has a file for messages of that time. */
static bool
is_kept(const struct trace *trace, uint64_t us)
{
	return us >= trace_kept_since_us(trace) && us < clock_us() + DAYS_AHEAD * DAY_US;
}

static bool
take(struct trace *trace, json_t *event)
{
	const char *text = json_text(event, "id");
	uint8_t id[ID_SIZE];
	char name[DAY_NAME_SIZE];
	struct open_day *day;

	if (!text || id_parse(text, id) < 0 || !is_kept(trace, id_time_us(id)))
		return true;
	day_name(id, name);
	day = day_get(trace, name);
	if (!day)
		return false;
	trace->last_us = event_time_us(event);
	trace->err = day_take(day->day, id, trace->last_us, event);
	metric_add(trace->events, 1);
	return !trace->err;
}

/* False: the batch is full, or failed. */
static bool
on_line(void *arg, const char *text, size_t length)
{
	struct trace *trace = arg;
	json_t *event = json_loadb(text, length, JSON_ALLOW_NUL, NULL);
	const bool goes_on = !json_is_object(event) || take(trace, event);

	json_decref(event);
	return goes_on && ++trace->batch < BATCH_MAX;
}

/* A day that no event was for may be closed when there are many. */
static void
days_spare(struct trace *trace, const bool *used)
{
	size_t kept = 0;

	for (size_t i = 0; i < trace->days_count; i++) {
		if (trace->days_count > OPEN_MAX && !used[i])
			day_close(&trace->days[i].day);
		else
			trace->days[kept++] = trace->days[i];
	}
	trace->days_count = kept;
	trace->newest = NULL;
}

static int
batch_commit(struct trace *trace)
{
	bool *used = xcalloc(trace->days_count + 1, sizeof *used);
	int err = 0;

	for (size_t i = 0; i < trace->days_count && !err; i++) {
		used[i] = trace->days[i].writing;
		if (!used[i])
			continue;
		text_copy(trace->broken, sizeof trace->broken, trace->days[i].name);
		err = day_commit(trace->days[i].day);
		trace->days[i].writing = err != 0;
	}
	if (!err) {
		*trace->broken = '\0';
		err = place_write(trace);
		days_spare(trace, used);
		trace->batch = 0;
	}
	free(used);
	return err;
}

/* ---- keeping, failing ---- */

/* Removes one day. Its messages without an end are the last thing that is told of them. */
static void
day_remove(struct trace *trace, const char *name)
{
	days_close(trace);
	day_unlink(trace->directory, name);
	LOG_INFO("trace: a day is over its time and goes", "day", name);
}

/* Removes the days that are older than control.trace_keep; between batches. */
static void
sweep(struct trace *trace)
{
	const uint64_t now_us = clock_us();
	char oldest[DAY_NAME_SIZE];
	json_t *days, *one;
	size_t i;

	if (now_us / 60000000 == trace->swept_us / 60000000)
		return;
	trace->swept_us = now_us;
	day_name_at(trace_kept_since_us(trace), oldest);
	days = days_list(trace->directory);
	json_array_foreach(days, i, one) if (strcmp(json_string_value(one), oldest) < 0)
		day_remove(trace, json_string_value(one));
	json_decref(days);
	for (i = json_array_size(trace->known); i-- > 0;)
		if (strcmp(json_string_value(json_array_get(trace->known, i)), oldest) < 0)
			json_array_remove(trace->known, i);
}

/* Sets a broken day aside, and has its messages read again. */
static void
set_aside(struct trace *trace, const char *name)
{
	days_close(trace);
	LOG_ERROR("trace: the file of a day is broken, is set aside and made anew", "directory",
		trace->directory, "day", name);
	day_set_aside(trace->directory, name);
	place_forget(trace);
}

static void
failed(struct trace *trace, int err, const char *why)
{
	char day[DAY_NAME_SIZE];
	unsigned left_out;

	metric_add(trace->failures, 1);
	probe_set(trace->probe, HEALTH_DEGRADED, why);
	if (said_now(&trace->said, why, MINUTE_MS, &left_out))
		LOG_ERROR("trace: events cannot be kept now, and will be", "error", why,
			SAID_LEFT_OUT(left_out));
	text_copy(day, sizeof day, trace->broken);
	days_close(trace);
	event_reader_close(&trace->reader);
	if (err == -EBADMSG && *day)
		set_aside(trace, day);
}

/* The disk's last room is the queue's: the trace stops before new mail is refused. */
static bool
has_room(const struct trace *trace)
{
	const unsigned least = atomic_load(&trace->config->queue.min_free) + 1;
	struct statvfs at;

	return statvfs(trace->directory, &at) < 0 || !at.f_blocks ||
		at.f_bavail * 100 / at.f_blocks >= least;
}

static const char *
reason(int err)
{
	switch (err) {
	case -EBADMSG: return "a file is broken";
	case -ENOSPC: return "no room on the disk";
	default: return strerror(-err);
	}
}

/* ---- the thread ---- */

/* Waits, unless the role stops. False: it stops. Whatever the clock is set to meanwhile, it takes
 * no longer. */
static bool
wait_for(const struct trace *trace, unsigned ms)
{
	struct pollfd stop = { .fd = trace->stop_fd, .events = POLLIN };

	return poll(&stop, 1, (int)ms) <= 0;
}

/* A day of another version's form goes, a broken one is set aside; both are made anew. */
static void
check_days(struct trace *trace)
{
	json_t *days = days_list(trace->directory), *one;
	size_t i;

	json_array_foreach(days, i, one)
	{
		const char *name = json_string_value(one);
		const int err = day_check(trace->directory, name);

		if (err == -EBADMSG)
			set_aside(trace, name);
		if (err == -ESTALE) {
			LOG_INFO("trace: a day has another version's form, and is made anew", "day",
				name);
			day_unlink(trace->directory, name);
			place_forget(trace);
		}
	}
	json_decref(days);
}

static void
open_reader(struct trace *trace)
{
	const uint64_t since_us = trace_kept_since_us(trace);
	char *place;

	mkdir(trace->directory, 0700);
	check_days(trace);
	place = place_read(trace);
	if (place)
		trace->reader = queue_events_open(trace->queue, since_us, place);
	if (!trace->reader) { /* no place, or one of another queue */
		place_forget(trace);
		trace->reader = queue_events_open(trace->queue, since_us, NULL);
	}
	free(place);
}

/* What a reader found broken is made anew. */
static void
look_into_suspicion(struct trace *trace)
{
	char day[DAY_NAME_SIZE];

	pthread_mutex_lock(&trace->lock);
	memcpy(day, trace->suspect, sizeof day);
	*trace->suspect = '\0';
	pthread_mutex_unlock(&trace->lock);
	if (*day && day_exists(trace, day))
		set_aside(trace, day);
}

/* Whether a day's file, or the directory, was taken away while it is in use. */
static bool
is_gone(const struct trace *trace)
{
	json_t *one;
	size_t i;

	json_array_foreach(
		trace->known, i, one) if (!day_exists(trace, json_string_value(one))) return true;
	return false;
}

static void
well(struct trace *trace, enum events_state state)
{
	unsigned left_out;

	if (state == EVENTS_END)
		trace->caught_up = true;
	metric_set(trace->behind,
		state == EVENTS_END || clock_us() < trace->last_us
			? 0
			: (int64_t)((clock_us() - trace->last_us) / 1000000));
	probe_set(trace->probe, HEALTH_READY,
		trace->caught_up ? NULL : "older events are still being read");
	if (said_clear(&trace->said, &left_out))
		LOG_INFO("trace: events are kept again");
}

/* Reads one batch and commits it. Returns how long to wait before the next one, in ms. */
static unsigned
batch(struct trace *trace)
{
	enum events_state state = EVENTS_MORE;

	trace->err = 0;
	trace_clock_look(&trace->clock);
	look_into_suspicion(trace);
	if (!has_room(trace)) {
		*trace->broken = '\0';
		failed(trace, -ENOSPC, "the disk is nearly full: its last room is the queue's");
		return RETRY_MS;
	}
	sweep(trace);
	if (is_gone(trace)) {
		days_close(trace);
		event_reader_close(&trace->reader);
	}
	if (!trace->reader)
		open_reader(trace);
	trace->batch_end_ms = clock_mono_ms() + BATCH_MS;
	while (state == EVENTS_MORE && clock_mono_ms() < trace->batch_end_ms && wait_for(trace, 0))
		state = event_reader_next(trace->reader, 50, on_line, trace);
	if (!trace->err && trace->batch)
		trace->err = batch_commit(trace);
	if (trace->err) {
		failed(trace, trace->err, reason(trace->err));
		return RETRY_MS;
	}
	if (state == EVENTS_FAILED) {
		*trace->broken = '\0';
		failed(trace, 0, "events cannot be read: the brokers do not answer");
		return RETRY_MS;
	}
	well(trace, state);
	return state == EVENTS_END ? LOOK_MS : 0;
}

static void *
run(void *arg)
{
	struct trace *trace = arg;

	log_set_role("control");
	while (wait_for(trace, batch(trace)))
		;
	days_close(trace);
	event_reader_close(&trace->reader);
	return NULL;
}

struct trace *
trace_start(const struct config *config, struct queue *queue)
{
	struct trace *trace = xcalloc(1, sizeof *trace);

	trace->config = config;
	trace->queue = queue;
	trace->directory = xasprintf("%s/trace", config->state_dir);
	trace->known = json_array();
	trace_clock_begin(&trace->clock, config->control.trace_keep * 1000, trace->directory);
	pthread_mutex_init(&trace->lock, NULL);
	trace->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (trace->stop_fd < 0)
		die("cannot make an eventfd", strerror(errno));
	trace->probe = probe_new("trace");
	probe_set(trace->probe, HEALTH_READY, "older events are still being read");
	trace->events = metric_counter(
		"shout_control_trace_events_total", "Events that the trace took", NULL);
	trace->failures = metric_counter("shout_control_trace_failures_total",
		"Times the trace could not keep events, and tried again", NULL);
	trace->behind = metric_gauge("shout_control_trace_behind_seconds",
		"Age of the last event that the trace took, while there are more; else 0", NULL);
	thread_start(&trace->thread, run, trace);
	return trace;
}

void
trace_stop(struct trace **trace)
{
	struct trace *t = *trace;

	if (!t)
		return;
	eventfd_write(t->stop_fd, 1);
	pthread_join(t->thread, NULL);
	close(t->stop_fd);
	pthread_mutex_destroy(&t->lock);
	json_decref(t->known);
	free(t->days);
	free(t->directory);
	free(t);
	*trace = NULL;
}
