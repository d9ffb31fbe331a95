/*
 * test_http_door.c - deadlines of a second, by clients who drip, wait, or do not read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>

#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/net.h"
#include "shared/http/http_door.h"
#include "shared/metrics/metrics.h"

#define TOKEN "secret"
#define WITH_TOKEN "Host: a\r\nAuthorization: Bearer " TOKEN "\r\n"
#define FOR_EVER_MS 20000
#define LARGE (32u * 1024 * 1024)

static struct loop *loop;
static struct http_door *door;
static struct net_address where;
static struct evhttp_request *waiting; /* for its answer */
static struct event *later;
static atomic_int answered; /* late */
static struct metric *late;

static void
answer(struct evhttp_request *request, size_t size)
{
	struct evbuffer *body = evbuffer_new();
	char *text = xcalloc(1, size);

	memset(text, 'x', size);
	evbuffer_add(body, text, size);
	free(text);
	http_door_reply(door, request, 200, body);
	evbuffer_free(body);
}

static void
on_later(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	answer(waiting, 2);
	atomic_fetch_add(&answered, 1);
}

static void
on_request(struct evhttp_request *request, void *arg)
{
	const struct timeval longer = { 1, 500000 };

	(void)arg;
	http_door_take(door, request);
	if (strcmp(evhttp_request_get_uri(request), "/slow") == 0) {
		waiting = request;
		event_add(later, &longer);
	} else {
		answer(request, strcmp(evhttp_request_get_uri(request), "/large") == 0 ? LARGE : 2);
	}
}

static long
admit(void *arg, const struct http_head *head)
{
	(void)arg;
	return head->authorization && http_token_is(TOKEN, head->authorization) ? 1 << 20 : -1;
}

static int
setup(void **state)
{
	const struct http_door_options options = { .connections_max = 20,
		.per_address_max = 20,
		.deadline_s = 1,
		.admit = admit,
		.head_max = 16384,
		.body_max = 1 << 20 };
	int fd;

	(void)state;
	loop = loop_new("test");
	door = http_door_new(loop, &options);
	later = event_new(loop_base(loop), -1, 0, on_later, NULL);
	late = metric_find("shout_http_closed_total", "reason=\"late\"");
	evhttp_set_gencb(http_door_server(door), on_request, NULL);
	assert_int_equal(net_parse("127.0.0.1:0", &where), 0);
	fd = net_bind(&where);
	assert_int_equal(net_listen_on(fd), 0);
	assert_int_equal(net_local(fd, &where), 0);
	assert_int_equal(evhttp_accept_socket(http_door_server(door), fd), 0);
	loop_start(loop);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	loop_stop(loop);
	loop_join(loop);
	event_free(later);
	http_door_free(&door);
	loop_free(&loop);
	return 0;
}

static int
connect_client(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&where.sa, where.length), 0);
	return fd;
}

/* Whether the server has closed; the client says `byte` once more, if any. */
static bool
has_ended(int fd, const char *byte)
{
	struct pollfd readable = { .fd = fd, .events = POLLIN };
	char got[4096];

	if (*byte && send(fd, byte, 1, MSG_NOSIGNAL) < 0)
		return true;
	return poll(&readable, 1, 0) == 1 && read(fd, got, sizeof got) <= 0;
}

static const char *const beginnings[] = {
	"",
	"GET / HTTP/1.1\r\n" WITH_TOKEN,
	"POST / HTTP/1.1\r\n" WITH_TOKEN "Content-Length: 100000\r\n\r\n",
	"POST / HTTP/1.1\r\n" WITH_TOKEN "Transfer-Encoding: chunked\r\n\r\n10000\r\n",
	"GET / HTTP/1.1\r\n" WITH_TOKEN "\r\n", /* and the next request */
	"POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n",
};

static void
a_request_has_its_time_as_a_whole(void **state)
{
	enum { N = 2 * sizeof beginnings / sizeof *beginnings };
	uint64_t end = clock_mono_ms() + FOR_EVER_MS;
	unsigned left = N;
	int fds[N];

	(void)state;
	for (unsigned i = 0; i < N; i++) {
		const char *text = beginnings[i / 2];

		fds[i] = connect_client();
		assert_int_equal(write(fds[i], text, strlen(text)), strlen(text));
	}
	while (left > 0 && clock_mono_ms() < end) {
		for (unsigned i = 0; i < N; i++)
			if (fds[i] >= 0 && has_ended(fds[i], i % 2 ? "x" : "")) {
				close(fds[i]);
				fds[i] = -1;
				left--;
			}
		poll(NULL, 0, 20);
	}
	assert_int_equal(left, 0);
}

/* It is us who are slow. */
static void
a_request_in_work_has_no_deadline(void **state)
{
	static const char request[] = "GET /slow HTTP/1.0\r\n" WITH_TOKEN "\r\n";
	char got[4096];
	int fd = connect_client();

	(void)state;
	assert_int_equal(write(fd, request, strlen(request)), strlen(request));
	assert_true(read(fd, got, sizeof got) > 12);
	assert_memory_equal(got + 8, " 200 ", 5);
	close(fd);
}

static void
an_answer_that_is_not_read_has_one(void **state)
{
	static const char request[] = "GET /large HTTP/1.0\r\n" WITH_TOKEN "\r\n";
	uint64_t end = clock_mono_ms() + FOR_EVER_MS;
	int64_t before = metric_value(late);
	int fd = connect_client();

	(void)state;
	assert_int_equal(write(fd, request, strlen(request)), strlen(request));
	while (metric_value(late) == before && clock_mono_ms() < end)
		poll(NULL, 0, 20);
	assert_int_equal(metric_value(late), before + 1);
	close(fd);
}

/* The request outlives its connection. */
static void
a_client_may_go_while_its_request_is_in_work(void **state)
{
	static const char request[] = "GET /slow HTTP/1.0\r\n" WITH_TOKEN "\r\n";
	uint64_t end = clock_mono_ms() + FOR_EVER_MS;
	int before = atomic_load(&answered), fd = connect_client();

	(void)state;
	assert_int_equal(write(fd, request, strlen(request)), strlen(request));
	close(fd);
	while (atomic_load(&answered) == before && clock_mono_ms() < end)
		poll(NULL, 0, 20);
	assert_int_equal(atomic_load(&answered), before + 1);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_request_has_its_time_as_a_whole),
		TEST(a_request_in_work_has_no_deadline),
		TEST(an_answer_that_is_not_read_has_one),
		TEST(a_client_may_go_while_its_request_is_in_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
