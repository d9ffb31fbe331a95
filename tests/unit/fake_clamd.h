/*
 * fake_clamd.h - a clamd that misbehaves as no real one does. It answers samples as its flags say,
 * and other bodies by their first word: clean, virus, limit, error, hang, close, garbage, number,
 * late (answered after the next one, as infected, or with "late clean" as clean), early (answered
 * as clean before it is there).
 */
#ifndef TESTS_UNIT_FAKE_CLAMD_H
#define TESTS_UNIT_FAKE_CLAMD_H

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

#include "scanner/sample.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/queue/queue.h"

struct fake_client;

struct fake {
	struct evconnlistener *listener;
	char path[80], host[96];
	bool blind, no_mail, no_zip, no_nested; /* what it does not alert on */
	bool stranger, drip;                    /* no clamd at all; answers byte by byte */
	bool silent;                            /* takes everything and answers nothing */
	uint64_t stream_max;
	unsigned scans, open, open_most; /* of mail: in all, in flight now and at most */
	unsigned samples_large;          /* samples that are larger than a piece */
	char *late;                      /* an answer that waits for the next one */
	bool late_clean;
	LIST_HEAD(, fake_client) clients;
};

struct fake_client {
	struct fake *fake;
	struct bufferevent *bev;
	struct evbuffer *body, *slow; /* slow: answers that go byte by byte */
	struct event *drip;
	bool streaming;
	unsigned number, open;
	LIST_ENTRY(fake_client) link;
};

/* The loop that the fakes run on, and a directory for their sockets: the test's to set. */
static struct loop *fake_loop;
static char fake_directory[64];
static unsigned fakes;

static inline void
fake_say(struct fake_client *client, unsigned number, const char *text)
{
	struct evbuffer *out = bufferevent_get_output(client->bev);
	char answer[256];
	int n = snprintf(answer, sizeof answer, "%u: %s", number, text) + 1;

	if (client->fake->silent)
		return;
	if (!client->fake->drip) {
		evbuffer_add(out, answer, (size_t)n);
		return;
	}
	evbuffer_add(client->slow, answer, (size_t)n);
	event_active(client->drip, 0, 0);
}

static inline void
fake_on_drip(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval now = { 0, 0 };
	struct fake_client *client = arg;

	(void)fd;
	(void)what;
	evbuffer_remove_buffer(client->slow, bufferevent_get_output(client->bev), 1);
	if (evbuffer_get_length(client->slow))
		event_add(client->drip, &now);
}

static inline void
fake_client_free(struct fake_client *client)
{
	LIST_REMOVE(client, link);
	event_free(client->drip);
	evbuffer_free(client->slow);
	client->fake->open -= client->open;
	bufferevent_free(client->bev);
	evbuffer_free(client->body);
	free(client);
}

/* False: the client is gone. */
static inline bool
fake_answer_mail(struct fake_client *client, const char *body)
{
	struct fake *fake = client->fake;
	static const char *const rows[][2] = {
		{ "clean", "stream: OK" },
		{ "virus", "stream: Test.Virus FOUND" },
		{ "limit", "stream: Heuristics.Limits.Exceeded.MaxRecursion FOUND" },
		{ "pua", "stream: PUA.Test.Tool FOUND" },
		{ "trick", "stream: Heuristics.Phishing.Test FOUND" },
		{ "error", "stream: Can't allocate memory ERROR" },
		{ "garbage", "\x01\x02 what?" },
	};

	fake->scans++;
	if (strncmp(body, "close", 5) == 0) {
		fake_client_free(client);
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
		fake_say(client, client->number + 77, "stream: OK");
	if (strncmp(body, "late", 4) == 0) {
		free(fake->late);
		fake->late = xasprintf("%u", client->number);
		fake->late_clean = strncmp(body, "late clean", 10) == 0;
		return true;
	}
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (strncmp(body, rows[i][0], strlen(rows[i][0])) == 0)
			fake_say(client, client->number, rows[i][1]);
	if (fake->late) {
		fake_say(client, (unsigned)atoi(fake->late),
			fake->late_clean ? "stream: OK" : "stream: Late.Virus FOUND");
		free(fake->late);
		fake->late = NULL;
	}
	return true;
}

static inline bool
fake_answer_body(struct fake_client *client)
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
	if (strncmp(body, "Received: ", 10) == 0 && !strstr(body, "\r\nFrom: "))
		body = strchr(body, '\n') + 1; /* what tells it from others */
	if (size == SAMPLE_SIZE && memcmp(body, plain, size) == 0)
		found = !fake->blind;
	else if (strstr(body, "\r\nFrom: <postmaster@"))
		found = !fake->no_mail;
	else if (size > 50 && memcmp(body, "PK", 2) == 0 &&
		strncmp(body + 30, "sample.zip", 10) == 0)
		found = !fake->no_nested;
	else if (size > 50 && memcmp(body, "PK", 2) == 0)
		found = !fake->no_zip;
	fake->samples_large += found >= 0 && size > QUEUE_PIECE_MAX;
	if (found < 0)
		here = fake_answer_mail(client, body);
	if (found >= 0)
		fake_say(client, client->number, found ? "stream: Eicar FOUND" : "stream: OK");
	if (here)
		evbuffer_drain(client->body, size + 1);
	return here;
}

/* Takes one chunk; 1 go on, 0 wait, -1 the client is gone. */
static inline int
fake_take_chunk(struct fake_client *client, struct evbuffer *in)
{
	uint32_t size;

	if (evbuffer_copyout(in, &size, 4) < 4)
		return 0;
	size = ntohl(size);
	if (evbuffer_get_length(in) < 4 + size)
		return 0;
	evbuffer_drain(in, 4);
	if (size) {
		if (!evbuffer_get_length(client->body) && size > 5 &&
			memcmp(evbuffer_pullup(in, 5), "early", 5) == 0)
			fake_say(client, client->number, "stream: OK");
		evbuffer_remove_buffer(in, client->body, size);
		if (client->fake->stream_max &&
			evbuffer_get_length(client->body) > client->fake->stream_max) {
			char answer[64];
			int n = snprintf(answer, sizeof answer,
				"%u: INSTREAM size limit exceeded. ERROR", client->number);

			assert_int_equal(
				write(bufferevent_getfd(client->bev), answer, (size_t)n + 1),
				n + 1);
			fake_client_free(client);
			return -1;
		}
		return 1;
	}
	client->streaming = false;
	return fake_answer_body(client) ? 1 : -1;
}

static inline int
fake_take_command(struct fake_client *client, struct evbuffer *in)
{
	size_t length;
	char *command = evbuffer_readln(in, &length, EVBUFFER_EOL_NUL);

	if (!command)
		return 0;
	if (client->fake->stranger)
		evbuffer_add(bufferevent_get_output(client->bev), "220 hello\r\n", 12);
	client->number += strcmp(command, "zIDSESSION") != 0;
	if (strcmp(command, "zVERSION") == 0)
		fake_say(client, client->number, "ClamAV 1.4.6/27200/Mon Nov 23 10:00:00 2026");
	else if (strcmp(command, "zSTATS") == 0)
		fake_say(client, client->number,
			"POOLS: 1\n\nTHREADS: live 1  idle 0 max 12 idle-timeout 30");
	else if (strcmp(command, "zINSTREAM") == 0)
		client->streaming = true;
	free(command);
	return 1;
}

static inline void
fake_on_read(struct bufferevent *bev, void *arg)
{
	struct fake_client *client = arg;
	struct evbuffer *in = bufferevent_get_input(bev);
	int more = 1;

	while (more > 0)
		more = client->streaming ? fake_take_chunk(client, in)
					 : fake_take_command(client, in);
}

static inline void
fake_on_event(struct bufferevent *bev, short what, void *arg)
{
	(void)bev;
	(void)what;
	fake_client_free(arg);
}

static inline void
fake_on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *sa, int length,
	void *arg)
{
	struct fake_client *client = xcalloc(1, sizeof *client);

	(void)listener;
	(void)sa;
	(void)length;
	client->fake = arg;
	LIST_INSERT_HEAD(&client->fake->clients, client, link);
	client->body = evbuffer_new();
	client->slow = evbuffer_new();
	client->drip = evtimer_new(loop_base(fake_loop), fake_on_drip, client);
	client->bev = bufferevent_socket_new(loop_base(fake_loop), fd, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(client->bev, fake_on_read, NULL, fake_on_event, client);
	bufferevent_enable(client->bev, EV_READ | EV_WRITE);
}

static inline void
fake_listen(struct fake *fake)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	snprintf(sa.sun_path, sizeof sa.sun_path, "%s", fake->path);
	fake->listener = evconnlistener_new_bind(loop_base(fake_loop), fake_on_accept, fake,
		LEV_OPT_CLOSE_ON_FREE, 16, (struct sockaddr *)&sa, sizeof sa);
	assert_non_null(fake->listener);
}

static inline void
fake_init(struct fake *fake)
{
	memset(fake, 0, sizeof *fake);
	LIST_INIT(&fake->clients);
	snprintf(fake->path, sizeof fake->path, "%s/%u", fake_directory, fakes++);
	snprintf(fake->host, sizeof fake->host, "unix:%s", fake->path);
}

/* As a restart does: every connection ends. */
static inline void
fake_hang_up(struct fake *fake)
{
	while (!LIST_EMPTY(&fake->clients))
		fake_client_free(LIST_FIRST(&fake->clients));
}

static inline void
fake_end(struct fake *fake)
{
	if (fake->listener)
		evconnlistener_free(fake->listener);
	free(fake->late);
	unlink(fake->path);
}

#endif
