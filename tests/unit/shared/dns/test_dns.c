/*
 * test_dns.c - look-ups by way of resolvers that are slow, lose a packet, are gone, or want TCP.
 *
 * Each resolver is a process of its own that answers one query after the other: what is asked again
 * in the meantime waits behind what was asked before. All cases run side by side.
 */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/net.h"
#include "shared/config/config.h"
#include "shared/dns/dns.h"

#define SLOW_S 3
#define QUERY_MAX 2048

enum habit {
	HABIT_QUICK,
	HABIT_SLOW,
	HABIT_LOSES_THE_FIRST,
	HABIT_TCP,
	HABIT_SLOW_TCP,
	HABIT_GONE
};

struct resolver {
	pid_t pid;
	char address[NET_TEXT_MAX];
};

/* ---- a resolver ---- */

/* One MX, whatever is asked; or (`cut`) that TCP is needed. Returns the answer's size. */
static size_t
answer_to(const uint8_t *query, size_t size, bool cut, uint8_t *out)
{
	static const uint8_t mx[] = "\xc0\x0c\0\xf\0\1\0\0\1\x2c\0\6\0\xa\2mx";
	size_t end = 12;

	while (end < size && query[end])
		end += 1 + (size_t)query[end];
	end += 5;
	if (end > size)
		return 0;
	memcpy(out, query, end);
	memcpy(out + 2, cut ? "\x83\x80\0\1\0\0\0\0\0\0" : "\x81\x80\0\1\0\1\0\0\0\0", 10);
	if (cut)
		return end;
	memcpy(out + end, mx, sizeof mx);
	return end + sizeof mx; /* the string's end is the root */
}

static void
wait_if(bool slow)
{
	if (slow)
		nanosleep(&(struct timespec){ .tv_sec = SLOW_S }, NULL);
}

static void
serve_udp(int fd, enum habit habit)
{
	uint8_t query[QUERY_MAX], answer[QUERY_MAX + 64];
	static bool heard;
	struct net_address from = { .length = sizeof from.sa };
	ssize_t size = recvfrom(
		fd, query, sizeof query, 0, (struct sockaddr *)&from.sa, &from.length);
	size_t length;

	if (size < 12 || habit == HABIT_GONE || (habit == HABIT_LOSES_THE_FIRST && !heard)) {
		heard = true;
		return;
	}
	wait_if(habit == HABIT_SLOW || habit == HABIT_SLOW_TCP);
	length = answer_to(
		query, (size_t)size, habit == HABIT_TCP || habit == HABIT_SLOW_TCP, answer);
	(void)!sendto(fd, answer, length, 0, (struct sockaddr *)&from.sa, from.length);
}

static void
serve_tcp(int fd, enum habit habit)
{
	uint8_t query[QUERY_MAX], answer[QUERY_MAX + 64];
	int client = accept(fd, NULL, NULL);
	ssize_t size = read(client, query, sizeof query);

	wait_if(habit == HABIT_SLOW_TCP);
	if (size > 14) {
		size_t length = answer_to(query + 2, (size_t)size - 2, false, answer + 2);

		answer[0] = (uint8_t)(length >> 8);
		answer[1] = (uint8_t)length;
		(void)!write(client, answer, length + 2);
	}
	close(client);
}

static void
serve(int udp, int tcp, enum habit habit)
{
	struct pollfd fds[2] = { [0].fd = udp, [1].fd = tcp };

	fds[0].events = fds[1].events = POLLIN;
	while (poll(fds, 2, -1) > 0) {
		if (fds[0].revents)
			serve_udp(udp, habit);
		if (fds[1].revents)
			serve_tcp(tcp, habit);
	}
	_exit(0);
}

/* The port that UDP got may be taken for TCP. */
static void
resolver_start(struct resolver *resolver, enum habit habit)
{
	struct net_address address;
	int udp, tcp;

	for (;;) {
		udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		net_parse("127.0.0.1:0", &address);
		assert_int_equal(bind(udp, (struct sockaddr *)&address.sa, address.length), 0);
		assert_int_equal(net_local(udp, &address), 0);
		if (!bind(tcp, (struct sockaddr *)&address.sa, address.length) && !listen(tcp, 10))
			break;
		close(udp);
		close(tcp);
	}
	net_format(&address, resolver->address);
	resolver->pid = fork();
	if (!resolver->pid && !prctl(PR_SET_PDEATHSIG, SIGKILL))
		serve(udp, tcp, habit);
	close(udp);
	close(tcp);
}

/* ---- the look-ups ---- */

static unsigned waiting;

static void
on_result(void *arg, const struct dns_result *result)
{
	const char *name = arg;

	waiting--;
	if (result->status != DNS_ANSWER)
		fail_msg("%s: %s", name, result->why);
	assert_int_equal(result->answer->count, 1);
	assert_string_equal(result->answer->records[0].name, "mx");
}

/* clang-format off */
static const struct row {
	const char *name;
	enum habit habits[2];
	unsigned resolvers, look_ups;
} rows[] = {
	{ "slow",                     { HABIT_SLOW },              1, 2 },
	{ "loses the first query",    { HABIT_LOSES_THE_FIRST },   1, 2 },
	{ "wants TCP",                { HABIT_TCP },               1, 2 },
	{ "wants TCP and is slow",    { HABIT_SLOW_TCP },          1, 1 },
	{ "one of two is gone",       { HABIT_GONE, HABIT_QUICK }, 2, 5 },
	{ "one is gone and one slow", { HABIT_GONE, HABIT_SLOW },  2, 1 },
};
/* clang-format on */
#define ROWS (sizeof rows / sizeof *rows)

static void
row_start(const struct row *row, struct loop *loop, struct resolver *resolvers, struct dns **dns)
{
	char *forward[2], name[64];
	struct config config = {
		.dns = { .forward = forward,
			.forward_count = row->resolvers,
			.trust_anchor = (char *)"none" },
	};

	for (unsigned i = 0; i < row->resolvers; i++) {
		resolver_start(&resolvers[i], row->habits[i]);
		forward[i] = resolvers[i].address;
	}
	*dns = dns_new(loop, &config, DNS_SENDER);
	assert_non_null(*dns);
	for (unsigned i = 0; i < row->look_ups; i++) {
		snprintf(name, sizeof name, "d%u.example", i);
		waiting++;
		dns_resolve(*dns, name, ANSWER_MX, on_result, (void *)row->name);
	}
}

static void
every_look_up_has_its_answer(void **state)
{
	struct resolver resolvers[ROWS][2] = { 0 };
	struct dns *dns[ROWS];
	struct loop *loop = loop_new("test");

	(void)state;
	for (size_t i = 0; i < ROWS; i++)
		row_start(&rows[i], loop, resolvers[i], &dns[i]);
	while (waiting)
		event_base_loop(loop_base(loop), EVLOOP_ONCE);
	for (size_t i = 0; i < ROWS; i++) {
		dns_free(&dns[i]);
		for (unsigned j = 0; j < rows[i].resolvers; j++) {
			kill(resolvers[i][j].pid, SIGKILL);
			waitpid(resolvers[i][j].pid, NULL, 0);
		}
	}
	loop_free(&loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_look_up_has_its_answer),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
