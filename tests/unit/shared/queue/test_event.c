/*
 * test_event.c - the JSON of events, and the files that keep them.
 */
#include "tests/unit/queue_rig.h"

#include <sys/stat.h>

#include "shared/queue/event.h"
#include "shared/queue/event_names.h"
#include "shared/queue/lmdb/event_files.h"

static char dir[] = "/tmp/shout-events-XXXXXX";

static int
setup(void **state)
{
	(void)state;
	memcpy(dir + sizeof dir - 7, "XXXXXX", 6);
	return mkdtemp(dir) ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	return nftw(dir, rig_remove, 16, FTW_DEPTH | FTW_PHYS);
}

#define ONLY(file) ((struct event_file *const[EVENT_CLASSES]){ file })

struct seen {
	char *lines[64];
	size_t count;
};

static bool
on_event(void *arg, const char *json, size_t length)
{
	struct seen *seen = arg;

	assert_true(seen->count < 64);
	seen->lines[seen->count++] = xstrndup(json, length);
	return true;
}

/* What there is. */
static void
event_files_read(struct event_file *const files[EVENT_CLASSES], uint64_t since_us,
	bool (*cb)(void *arg, const char *json, size_t length), void *arg)
{
	struct event_reader *reader = event_files_open(files, since_us, NULL);

	while (event_reader_next(reader, 1000, cb, arg) == EVENTS_MORE)
		;
	event_reader_close(&reader);
}

static void
forget(struct seen *seen)
{
	while (seen->count)
		free(seen->lines[--seen->count]);
}

static void
an_event_tells_of_its_message(void **state)
{
	struct mail_event event = { 0 };
	struct letter letter;
	char id[ID_TEXT_SIZE], *expected;
	const char *text;

	(void)state;
	letter_init(&letter);
	letter.envelope.account = (char *)"acc1";
	id_format(letter.id, id);
	mail_event_set_node("mx1.shout.example");
	mail_event_begin(&event, "delivered", &letter.envelope);
	mail_event_recipients(&event, letter.envelope.recipients, 1);
	text = json_end(&event.json);
	assert_memory_equal(text, "{\"time\":\"2", 10);
	text = strstr(text, "\"event\"");
	expected = xasprintf(
		"\"event\":\"delivered\",\"id\":\"%s\",\"account\":\"acc1\","
		"\"originator\":\"anna@customer.example\",\"node\":\"mx1.shout.example\",\"to\":[\"bob@elsewhere.example\"]}",
		id);
	assert_string_equal(text, expected);
	free(expected);
	mail_event_free(&event);
}

static void
an_event_that_may_come_again_has_the_same_id_then(void **state)
{
	struct mail_event event = { 0 };
	struct letter letter, other;
	char *first;

	(void)state;
	letter_init(&letter);
	letter_init(&other);
	mail_event_begin_once(&event, "held", &letter.envelope);
	first = xstrdup(strstr(json_end(&event.json), "\"event_id\""));
	mail_event_begin_once(&event, "held", &letter.envelope);
	assert_string_equal(strstr(json_end(&event.json), "\"event_id\""), first);
	mail_event_begin_once(&event, "released", &letter.envelope);
	assert_string_not_equal(strstr(json_end(&event.json), "\"event_id\""), first);
	mail_event_begin_once(&event, "held", &other.envelope);
	assert_string_not_equal(strstr(json_end(&event.json), "\"event_id\""), first);
	free(first);
	mail_event_free(&event);
}

static void
write_file(const char *name, const char *text, size_t size)
{
	char *path = xasprintf("%s/%s", dir, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	close(fd);
	free(path);
}

static bool
is_there(const char *name)
{
	char *path = xasprintf("%s/%s", dir, name);
	bool there = access(path, F_OK) == 0;

	free(path);
	return there;
}

static void
the_oldest_files_go_when_there_is_too_much(void **state)
{
	struct event_file *file;

	(void)state;
	write_file("20200101T00.jsonl", "", 600000);
	write_file("20200101T01.jsonl", "", 600000);
	write_file("20200101T01_01.jsonl", "", 200000);
	write_file("notes.txt", "", 5000000);
	file = event_file_open(dir, EVENT_OF_MAIL, 1000000, UINT64_C(1) << 40);
	event_file_add(file, "{\"a\":1}", 7);
	event_file_flush(file);
	assert_true(event_file_dirty(file));
	event_file_tidy(file);
	assert_false(event_file_dirty(file));
	assert_false(is_there("20200101T00.jsonl"));
	assert_true(is_there("20200101T01.jsonl"));
	assert_true(is_there("20200101T01_01.jsonl"));
	assert_true(is_there("notes.txt"));
	event_file_close(&file);
}

static void
old_files_go(void **state)
{
	struct timespec old[2] = { { .tv_sec = 1000000 }, { .tv_sec = 1000000 } };
	char *path = xasprintf("%s/19700112T13.jsonl", dir);
	struct event_file *file;

	(void)state;
	write_file("19700112T13.jsonl", "{}\n", 3);
	assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
	write_file("20200101T01.jsonl", "{}\n", 3);
	file = event_file_open(dir, EVENT_OF_MAIL, 1000000, 86400000);
	event_file_add(file, "{\"a\":1}", 7);
	event_file_flush(file);
	event_file_tidy(file);
	assert_false(is_there("19700112T13.jsonl"));
	assert_true(is_there("20200101T01.jsonl"));
	event_file_close(&file);
	free(path);
}

static void
a_busy_hour_has_several_files_read_in_order(void **state)
{
	struct event_file *file = event_file_open(dir, EVENT_OF_MAIL, 800, UINT64_C(1) << 40);
	struct seen seen = { 0 };

	(void)state;
	for (int i = 0; i < 20; i++) {
		char *line = xasprintf("{\"number\":\"%020d\"}", i);

		event_file_add(file, line, strlen(line));
		event_file_flush(file);
		free(line);
	}
	event_files_read(ONLY(file), 0, on_event, &seen);
	assert_int_equal(seen.count, 20);
	for (size_t i = 1; i < 20; i++)
		assert_true(strcmp(seen.lines[i - 1], seen.lines[i]) < 0);
	forget(&seen);
	event_file_tidy(file);
	event_files_read(ONLY(file), 0, on_event, &seen);
	assert_true(seen.count >= 10 && seen.count < 20 + 1);
	forget(&seen);
	event_file_close(&file);
}

static void
half_a_line_spoils_no_other(void **state)
{
	time_t now = time(NULL);
	char name[40];
	struct event_file *file;
	struct seen seen = { 0 };
	struct tm tm;

	(void)state;
	strftime(name, sizeof name, "%Y%m%dT%H.jsonl", gmtime_r(&now, &tm));
	write_file(name, "{\"a\":1}\n{\"b\":", 13);
	file = event_file_open(dir, EVENT_OF_MAIL, 1000000, UINT64_C(1) << 40);
	event_file_add(file, "{\"c\":1}", 7);
	event_file_flush(file);
	event_files_read(ONLY(file), 0, on_event, &seen);
	assert_int_equal(seen.count, 2);
	assert_string_equal(seen.lines[1], "{\"c\":1}");
	forget(&seen);
	event_file_close(&file);
}

static void
put_at(struct event_file *file, const char *second, const char *name)
{
	char *line = xasprintf(
		"{\"time\":\"2026-01-02T03:04:%s.000Z\",\"event\":\"%s\"}", second, name);

	event_file_add(file, line, strlen(line));
	event_file_flush(file);
	free(line);
}

static void
each_class_has_files_of_its_own_and_is_read_in_its_place(void **state)
{
	static const char *const names[] = { "accepted", "rejected", "delivered", "auth-failed",
		"audit" };
	struct event_file *files[EVENT_CLASSES] = {
		event_file_open(dir, EVENT_OF_MAIL, 1000000, UINT64_C(1) << 40),
		event_file_open(dir, EVENT_FLOOD, 1000, UINT64_C(1) << 40),
		event_file_open(dir, EVENT_AUDIT, 1000, UINT64_C(1) << 40),
	};
	struct seen seen = { 0 };

	(void)state;
	put_at(files[EVENT_OF_MAIL], "01", names[0]);
	put_at(files[EVENT_FLOOD], "02", names[1]);
	put_at(files[EVENT_OF_MAIL], "03", names[2]);
	put_at(files[EVENT_FLOOD], "04", names[3]);
	put_at(files[EVENT_AUDIT], "05", names[4]);
	event_files_read(files, 0, on_event, &seen);
	assert_int_equal(seen.count, 5);
	for (size_t i = 0; i < 5; i++)
		assert_non_null(strstr(seen.lines[i], names[i]));
	forget(&seen);
	for (int i = 0; i < 200; i++)
		put_at(files[EVENT_FLOOD], "06", "rejected");
	for (int i = 0; i < EVENT_CLASSES; i++)
		event_file_tidy(files[i]);
	event_files_read(files, 0, on_event, &seen);
	assert_non_null(strstr(seen.lines[0], "accepted"));
	assert_non_null(strstr(seen.lines[1], "delivered"));
	assert_non_null(strstr(seen.lines[2], "audit"));
	assert_in_range(seen.count, 4, 3 + 30);
	forget(&seen);
	for (int i = 0; i < EVENT_CLASSES; i++)
		event_file_close(&files[i]);
}

/* ---- readers ---- */

static void
put_line(struct event_file *file, const char *line)
{
	event_file_add(file, line, strlen(line));
	event_file_flush(file);
}

/* All there is, in one text; the place behind it. */
static char *
follow(struct event_file *file, char **place)
{
	struct event_reader *reader = event_files_open(ONLY(file), 0, *place);
	struct seen seen = { 0 };
	char *text = xstrdup(""), *longer;

	assert_non_null(reader);
	assert_int_equal(event_reader_next(reader, 10000, on_event, &seen), EVENTS_END);
	free(*place);
	*place = event_reader_place(reader);
	event_reader_close(&reader);
	for (size_t i = 0; i < seen.count; i++) {
		longer = xasprintf("%s%s", text, seen.lines[i]);
		free(text);
		text = longer;
	}
	forget(&seen);
	return text;
}

#define SEES(file, place, expected)                                                                \
	do {                                                                                       \
		char *text_ = follow(file, place);                                                 \
		assert_string_equal(text_, expected);                                              \
		free(text_);                                                                       \
	} while (0)

static void
a_follower_sees_each_line_once_whatever_turns(void **state)
{
	struct event_file *file = event_file_open(dir, EVENT_OF_MAIL, 240, UINT64_C(1) << 40);
	struct event_reader *reader = event_files_open(ONLY(file), 0, NULL);
	struct seen seen = { 0 };
	char *place = NULL, line[32];

	(void)state;
	SEES(file, &place, "");
	for (int i = 0; i < 30; i++) { /* a file takes four */
		snprintf(line, sizeof line, "{\"n\":%d}", i);
		put_line(file, line);
		if (i == 20) { /* a new process goes on behind the parts there are */
			event_file_close(&file);
			file = event_file_open(dir, EVENT_OF_MAIL, 240, UINT64_C(1) << 40);
		}
		SEES(file, &place, line);
		SEES(file, &place, "");
	}
	event_reader_close(&reader);
	reader = event_files_open(ONLY(file), 0, NULL);
	assert_int_equal(event_reader_next(reader, 10000, on_event, &seen), EVENTS_END);
	assert_int_equal(seen.count, 30);
	assert_string_equal(seen.lines[29], line);
	put_line(file, "{\"later\":1}");
	assert_int_equal(event_reader_next(reader, 10000, on_event, &seen), EVENTS_END);
	assert_string_equal(seen.lines[30], "{\"later\":1}");
	forget(&seen);
	event_reader_close(&reader);
	event_file_close(&file);
	free(place);
}

static void
append_text(const char *name, const char *text)
{
	char *path = xasprintf("%s/%s", dir, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	free(path);
}

static void
what_is_being_written_is_waited_for_and_what_is_broken_passed_over(void **state)
{
	struct event_file *file = event_file_open(dir, EVENT_OF_MAIL, 1000000, UINT64_C(1) << 40);
	char *place = NULL, *large = xmalloc(EVENT_LINE_MAX + 100000);

	(void)state;
	append_text("20200101T00.jsonl", "{\"a\":1}\n{\"b\"");
	SEES(file, &place, "{\"a\":1}");
	append_text("20200101T00.jsonl", ":1}");
	SEES(file, &place, "");
	append_text("20200101T00.jsonl", "\n\n}\nnonsense\n{\"c\":1}\n{\"half");
	SEES(file, &place, "{\"b\":1}{\"c\":1}");
	memset(large, 'x', EVENT_LINE_MAX + 99999);
	large[EVENT_LINE_MAX + 99999] = '\0';
	append_text("20200101T01.jsonl", large);
	append_text("20200101T01.jsonl", "}\n{\"d\":1}\n");
	SEES(file, &place, "{\"d\":1}");
	free(large);
	free(place);
	event_file_close(&file);
}

static void
a_place_holds_when_its_file_has_gone(void **state)
{
	struct event_file *file = event_file_open(dir, EVENT_OF_MAIL, 1000000, UINT64_C(1) << 40);
	char *place = NULL, *path = xasprintf("%s/20200101T00.jsonl", dir);

	(void)state;
	append_text("20200101T00.jsonl", "{\"a\":1}\n");
	SEES(file, &place, "{\"a\":1}");
	append_text("20200101T00.jsonl", "{\"b\":1}\n");
	append_text("20200101T01.jsonl", "{\"c\":1}\n");
	assert_int_equal(unlink(path), 0);
	SEES(file, &place, "{\"c\":1}");
	free(path);
	free(place);
	event_file_close(&file);
}

static bool
stop(void *arg, const char *json, size_t length)
{
	on_event(arg, json, length);
	return false;
}

static void
a_reader_that_stops_goes_on_from_its_place(void **state)
{
	struct event_file *files[EVENT_CLASSES] = {
		event_file_open(dir, EVENT_OF_MAIL, 1000000, UINT64_C(1) << 40),
		event_file_open(dir, EVENT_FLOOD, 1000000, UINT64_C(1) << 40),
		event_file_open(dir, EVENT_AUDIT, 1000000, UINT64_C(1) << 40),
	};
	struct event_reader *reader;
	struct seen seen = { 0 };
	char *place = NULL, second[3];

	(void)state;
	for (int i = 0; i < 20; i++) {
		snprintf(second, sizeof second, "%02d", i);
		put_at(files[i % EVENT_CLASSES], second, second);
	}
	for (size_t i = 0; i < 20; i++) {
		reader = event_files_open(files, 0, place);
		assert_int_equal(event_reader_next(reader, 1000, stop, &seen), EVENTS_STOPPED);
		free(place);
		place = event_reader_place(reader);
		event_reader_close(&reader);
		snprintf(second, sizeof second, "%02zu", i);
		assert_int_equal(seen.count, i + 1);
		assert_non_null(strstr(seen.lines[i], second));
	}
	forget(&seen);
	free(place);
	for (int i = 0; i < EVENT_CLASSES; i++)
		event_file_close(&files[i]);
}

static void
what_is_no_place_is_refused(void **state)
{
	static const char *const bad[] = { "", "x", "20200101T00", "20200101T00:1",
		"20200101T00:1,", "20200101T00:1,20200101T00:", "20200101T00:-1,20200101T00:1",
		"20200101T00:1,20200101T00:1", "20200101T00:1,20200101T00:1,20200101T00:1 ",
		"20200101T00:1,20200101T00:1,20200101T00:1,20200101T00:1",
		"../../../etc:1,20200101T00:1", "20200101T00:99999999999999999999,20200101T00:1",
		"2020:1,20200101T00:1", "20200101T00000000000000000000:1,20200101T00:1" };
	struct event_file *file = event_file_open(dir, EVENT_OF_MAIL, 1000000, UINT64_C(1) << 40);

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_null(event_files_open(ONLY(file), 0, bad[i]));
	event_file_close(&file);
}

static void
the_class_is_by_the_name(void **state)
{
	static const struct {
		const char *name;
		enum event_class class;
	} rows[] = {
		{ "rejected", EVENT_FLOOD },
		{ "auth-failed", EVENT_FLOOD },
		{ "tls-failed", EVENT_FLOOD },
		{ "accepted", EVENT_OF_MAIL },
		{ "held", EVENT_OF_MAIL },
		{ "delivered", EVENT_OF_MAIL },
		{ "audit", EVENT_AUDIT },
	};
	struct mail_event event = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		mail_event_begin(&event, rows[i].name, NULL);
		assert_int_equal(event.class, rows[i].class);
		json_end(&event.json);
	}
	mail_event_free(&event);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_event_tells_of_its_message),
		TEST(an_event_that_may_come_again_has_the_same_id_then),
		TEST(the_oldest_files_go_when_there_is_too_much),
		TEST(old_files_go),
		TEST(a_busy_hour_has_several_files_read_in_order),
		TEST(half_a_line_spoils_no_other),
		TEST(what_is_no_place_is_refused),
		TEST(a_reader_that_stops_goes_on_from_its_place),
		TEST(a_place_holds_when_its_file_has_gone),
		TEST(what_is_being_written_is_waited_for_and_what_is_broken_passed_over),
		TEST(a_follower_sees_each_line_once_whatever_turns),
		TEST(each_class_has_files_of_its_own_and_is_read_in_its_place),
		TEST(the_class_is_by_the_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
