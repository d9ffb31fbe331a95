/*
 * test_metrics.c - the three pages over a real HTTP connection.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/net.h"
#include "shared/metrics/metrics.h"

static struct loop *loop;
static struct net_address where;
static char page[65536];

/* A port that was free a moment ago. */
static void
pick_address(char text[NET_TEXT_MAX])
{
	int fd;

	assert_int_equal(net_parse("127.0.0.1:0", &where), 0);
	fd = net_bind(&where);
	assert_true(fd >= 0);
	assert_int_equal(net_local(fd, &where), 0);
	close(fd);
	net_format(&where, text);
}

static void
get(const char *path)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	size_t used = 0;
	ssize_t n;

	assert_int_equal(connect(fd, (struct sockaddr *)&where.sa, where.length), 0);
	dprintf(fd, "GET %s HTTP/1.0\r\nHost: a\r\n\r\n", path);
	while ((n = read(fd, page + used, sizeof page - 1 - used)) > 0)
		used += (size_t)n;
	page[used] = '\0';
	close(fd);
}

static void
assert_line(const char *line)
{
	const char *found = strstr(page, line);

	if (!found || found[-1] != '\n' || found[strlen(line)] != '\n')
		fail_msg("no line \"%s\" in:\n%s", line, page);
}

static double
read_seven(void *arg)
{
	return *(double *)arg;
}

static void
shows_what_was_counted(void **state)
{
	static double half = 7.5;
	static const char help[] = "Messages\nall of them";
	struct metric *in = metric_counter("t_total", help, "topic=\"in\"");
	struct metric *gauge = metric_gauge("t_open", "Open", NULL);
	struct metric *out = metric_counter("t_total", help, "topic=\"out\"");
	const char *first;

	(void)state;
	metric_ask(metric_gauge("t_read", "Read", NULL), read_seven, &half);
	assert_ptr_equal(in, metric_find("t_total", "topic=\"in\""));
	assert_null(metric_find("t_total", NULL));
	assert_null(metric_find("t_tota", "topic=\"in\""));
	metric_add(in, 2);
	metric_add(in, 3);
	metric_add(out, 1);
	metric_set(gauge, 4);
	assert_int_equal(metric_value(in), 5);
	get("/metrics");
	assert_non_null(strstr(page, "HTTP/1.0 200"));
	assert_non_null(strstr(page, "Content-Type: text/plain; version=0.0.4"));
	assert_line("# HELP t_total Messages\\nall of them");
	assert_line("# TYPE t_total counter");
	assert_line("t_total{topic=\"in\"} 5");
	assert_line("t_total{topic=\"out\"} 1");
	assert_line("t_open 4");
	assert_line("t_read 7.5");
	first = strstr(page, "# TYPE t_total");
	assert_null(strstr(first + 1, "# TYPE t_total"));
	assert_non_null(strstr(page, "topic=\"in\"} 5\nt_total{topic=\"out\"}"));
}

static void
cumulates_a_histogram(void **state)
{
	struct metric *plain = metric_histogram("t_seconds", "Time", NULL);
	struct metric *named = metric_histogram("t_seconds", "Time", "role=\"a\"");

	(void)state;
	metric_observe_us(plain, 500);
	metric_observe_us(plain, 501);
	metric_observe_us(plain, 700000000);
	metric_observe_us(named, 1000000);
	get("/metrics");
	assert_line("t_seconds_bucket{le=\"0.0005\"} 1");
	assert_line("t_seconds_bucket{le=\"0.001\"} 2");
	assert_line("t_seconds_bucket{le=\"600\"} 2");
	assert_line("t_seconds_bucket{le=\"+Inf\"} 3");
	assert_line("t_seconds_sum 700.001001");
	assert_line("t_seconds_count 3");
	assert_line("t_seconds_bucket{role=\"a\",le=\"0.5\"} 0");
	assert_line("t_seconds_bucket{role=\"a\",le=\"1\"} 1");
	assert_line("t_seconds_count{role=\"a\"} 1");
}

/* Days, for what may wait for days. */
static void
observes_many_and_long(void **state)
{
	struct metric *metric = metric_histogram_long("t_long_seconds", "Time", NULL);

	(void)state;
	metric_observe_many_us(metric, 3600 * UINT64_C(1000000), 40);
	metric_observe_us(metric, 6 * 86400 * UINT64_C(1000000));
	get("/metrics");
	assert_line("t_long_seconds_bucket{le=\"1800\"} 0");
	assert_line("t_long_seconds_bucket{le=\"3600\"} 40");
	assert_line("t_long_seconds_bucket{le=\"432000\"} 40");
	assert_line("t_long_seconds_count 41");
	assert_line("t_long_seconds_sum 662400.000000");
}

static struct metric *
same_place(const char *labels)
{
	return metric_gauge("t_places", "Places", labels);
}

/* Whoever begins again gets what was there. */
static void
gives_one_place_the_same_metric(void **state)
{
	(void)state;
	assert_ptr_equal(same_place(NULL), same_place(NULL));
	assert_ptr_equal(same_place("a=\"1\""), same_place("a=\"1\""));
	assert_ptr_not_equal(same_place("a=\"1\""), same_place("a=\"2\""));
}

static void
second_place(void)
{
	metric_gauge("t_places", "Places", NULL);
}
static void
other_kind(void)
{
	metric_histogram("t_places", "Places", "b=\"1\"");
}
static void
other_help(void)
{
	metric_gauge("t_places", "Else", "b=\"2\"");
}
static void
counter_without_total(void)
{
	metric_counter("t_counts", "Counts", NULL);
}
static void
gauge_with_total(void)
{
	metric_gauge("t_now_total", "Now", NULL);
}
static void
no_help(void)
{
	metric_gauge("t_silent", "", NULL);
}
static void
hyphen(void)
{
	metric_gauge("t-hyphen", "Hyphen", NULL);
}
static void
raw_quote(void)
{
	metric_gauge("t_labels", "Labels", "host=\"a\"b\"");
}
static void
raw_line(void)
{
	metric_gauge("t_labels", "Labels", "host=\"a\nb\"");
}
static void
open_label(void)
{
	metric_gauge("t_labels", "Labels", "host=\"a");
}
static void
loose_comma(void)
{
	metric_gauge("t_labels", "Labels", "host=\"a\",");
}
static void
no_label(void)
{
	metric_gauge("t_labels", "Labels", "=\"a\"");
}

/* What a process that registers it says, and its status. */
static int
register_elsewhere(void (*registers)(void), char *said, size_t size)
{
	int pipes[2], status;
	ssize_t got;
	pid_t pid;

	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	if (pid == 0) {
		dup2(pipes[1], 2);
		registers();
		_exit(77);
	}
	close(pipes[1]);
	got = read(pipes[0], said, size - 1);
	said[got > 0 ? got : 0] = '\0';
	close(pipes[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
a_wrong_registration_ends_the_program_by_name(void **state)
{
	static const struct {
		void (*registers)(void);
		const char *name;
	} wrongs[] = {
		{ second_place, "t_places" },
		{ other_kind, "t_places" },
		{ other_help, "t_places" },
		{ counter_without_total, "t_counts" },
		{ gauge_with_total, "t_now_total" },
		{ no_help, "t_silent" },
		{ hyphen, "t-hyphen" },
		{ raw_quote, "t_labels" },
		{ raw_line, "t_labels" },
		{ open_label, "t_labels" },
		{ loose_comma, "t_labels" },
		{ no_label, "t_labels" },
	};
	char said[1024];

	(void)state;
	same_place(NULL);
	for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
		assert_int_equal(register_elsewhere(wrongs[i].registers, said, sizeof said), 1);
		if (!strstr(said, wrongs[i].name))
			fail_msg("%s is not named: %s", wrongs[i].name, said);
	}
}

/* What other people name their hosts. */
static void
escapes_hostile_labels(void **state)
{
	char labels[METRIC_LABELS_MAX] = "", value[600];

	(void)state;
	metric_label(labels, "host", "a\"} 1\nt_forged 2\\");
	metric_label(labels, "other", "\xff\x80h\xc3\xa9");
	metric_set(metric_gauge("t_hostile", "Hostile", labels), 3);
	get("/metrics");
	assert_line("t_hostile{host=\"a\\\"} 1 t_forged 2\\\\\",other=\"??h\xc3\xa9\"} 3");
	memset(value, '"', sizeof value);
	value[sizeof value - 1] = labels[0] = '\0';
	metric_label(labels, "a", value);
	metric_label(labels, "b", value);
	metric_set(metric_gauge("t_longest", "Longest", labels), 4);
	get("/metrics");
	assert_int_equal(strlen(labels), 2 * (4 + 2 * 255) + 1);
	assert_non_null(strstr(page, labels));
}

static void *
count_many(void *arg)
{
	for (int i = 0; i < 50000; i++)
		metric_add(arg, 1);
	return NULL;
}

static void
loses_no_count_between_threads(void **state)
{
	struct metric *metric = metric_counter("t_many_total", "Many", NULL);
	pthread_t threads[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count_many, metric), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(metric_value(metric), 200000);
}

static void *
register_many(void *arg)
{
	char labels[METRIC_LABELS_MAX], number[16];

	for (int i = 0; i < 300; i++) {
		snprintf(number, sizeof number, "%d", i);
		labels[0] = '\0';
		metric_label(labels, "n", number);
		metric_set(metric_gauge("t_grows", "Grows", labels), 1);
	}
	return arg;
}

/* No line is missing that was there before. */
static void
is_read_while_metrics_are_registered(void **state)
{
	pthread_t threads[2];
	int before = 0, count;

	(void)state;
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, register_many, NULL), 0);
	do {
		get("/metrics");
		count = 0;
		for (const char *at = page; (at = strstr(at, "\nt_grows{")); at++)
			count++;
		assert_in_range(count, before, 300);
		before = count;
	} while (count < 300);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
}

static void
is_ready_unless_a_probe_has_failed(void **state)
{
	struct probe *clamd, *redis;

	(void)state;
	get("/readyz");
	assert_non_null(strstr(page, "HTTP/1.0 200"));
	assert_non_null(strstr(page, "\r\n\r\nready\n"));
	clamd = probe_new("clamd");
	redis = probe_new("redis");
	assert_ptr_equal(probe_new("clamd"), clamd);
	get("/metrics");
	assert_line("shout_ready{part=\"clamd\"} 0");
	get("/readyz");
	assert_non_null(strstr(page, "HTTP/1.0 503"));
	assert_non_null(strstr(page,
		"\r\n\r\nfailed\nclamd: failed: not started yet\nredis: failed: not started yet\n"));
	probe_set(clamd, HEALTH_READY, NULL);
	probe_set(redis, HEALTH_DEGRADED, "refuses connections");
	get("/readyz");
	assert_non_null(strstr(page, "HTTP/1.0 200"));
	assert_non_null(strstr(
		page, "\r\n\r\ndegraded\nclamd: ready\nredis: degraded: refuses connections\n"));
	get("/metrics");
	assert_line("shout_ready{part=\"clamd\"} 1");
	assert_line("shout_ready{part=\"redis\"} 1");
	assert_line("shout_degraded{part=\"clamd\"} 0");
	assert_line("shout_degraded{part=\"redis\"} 1");
	probe_set(redis, HEALTH_READY, NULL);
	get("/readyz");
	assert_non_null(strstr(page, "\r\n\r\nready\nclamd: ready\nredis: ready\n"));
}

static void
is_alive_and_knows_no_other_page(void **state)
{
	(void)state;
	get("/livez");
	assert_non_null(strstr(page, "HTTP/1.0 200"));
	get("/");
	assert_non_null(strstr(page, " 404 "));
}

static void
refuses_what_is_no_socket(void **state)
{
	int pipes[2];

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(metrics_listen(loop, pipes[0]), -ENOTSOCK);
	close(pipes[1]);
}

static int
start(void **state)
{
	char text[NET_TEXT_MAX];

	(void)state;
	pick_address(text);
	loop = loop_new("metrics");
	if (metrics_listen(loop, net_bind(&where)) < 0)
		return -1;
	loop_start(loop);
	return 0;
}

static int
stop(void **state)
{
	(void)state;
	loop_stop(loop);
	loop_join(loop);
	metrics_close();
	loop_free(&loop);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shows_what_was_counted),
		cmocka_unit_test(cumulates_a_histogram),
		cmocka_unit_test(observes_many_and_long),
		cmocka_unit_test(gives_one_place_the_same_metric),
		cmocka_unit_test(a_wrong_registration_ends_the_program_by_name),
		cmocka_unit_test(escapes_hostile_labels),
		cmocka_unit_test(loses_no_count_between_threads),
		cmocka_unit_test(is_read_while_metrics_are_registered),
		cmocka_unit_test(is_ready_unless_a_probe_has_failed),
		cmocka_unit_test(is_alive_and_knows_no_other_page),
		cmocka_unit_test(refuses_what_is_no_socket),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
