/*
 * sentinel_server.h - real sentinels for tests, which notice a dead master within two seconds, and
 * fake ones for what no real one says. Include it in one test program's only source file.
 */
#ifndef TESTS_UNIT_SENTINEL_SERVER_H
#define TESTS_UNIT_SENTINEL_SERVER_H

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <sys/queue.h>

#include "tests/unit/redis_server.h"

#define SENTINEL_PASSWORD "sentinels-own"
#define SENTINEL_MASTER "mail"

struct sentinel_server {
	char dir[64], address[32];
	unsigned port;
	pid_t pid;
};

/* Starts one that watches the master at `port`; `extra` are further lines of its settings. */
static inline int
sentinel_start(struct sentinel_server *sentinel, unsigned port, unsigned quorum, const char *extra)
{
	char file[96], path[96];
	const char *const argv[] = { "redis-server", file, "--sentinel", NULL };
	FILE *out;

	snprintf(sentinel->dir, sizeof sentinel->dir, "/tmp/shout-sentinel-XXXXXX");
	if (!mkdtemp(sentinel->dir))
		return -1;
	sentinel->port = redis_server_free_port();
	snprintf(sentinel->address, sizeof sentinel->address, "127.0.0.1:%u", sentinel->port);
	snprintf(file, sizeof file, "%s/sentinel.conf", sentinel->dir);
	snprintf(path, sizeof path, "%s/s", sentinel->dir);
	out = fopen(file, "w");
	if (!out)
		return -1;
	fprintf(out,
		"port %u\nbind 127.0.0.1\nunixsocket %s\ndir %s\nrequirepass " SENTINEL_PASSWORD
		"\nsentinel monitor " SENTINEL_MASTER " 127.0.0.1 %u %u\n"
		"sentinel auth-pass " SENTINEL_MASTER " " REDIS_SERVER_PASSWORD "\n"
		"sentinel down-after-milliseconds " SENTINEL_MASTER " 2000\n"
		"sentinel failover-timeout " SENTINEL_MASTER " 3000\n%s",
		sentinel->port, path, sentinel->dir, port, quorum, extra);
	fclose(out);
	sentinel->pid = child_start(argv, path);
	return sentinel->pid > 0 ? 0 : -1;
}

static inline void
sentinel_kill(struct sentinel_server *sentinel)
{
	child_kill(&sentinel->pid);
	if (sentinel->dir[0])
		child_remove(sentinel->dir);
	memset(sentinel, 0, sizeof *sentinel);
}

/* Says the same to everybody, at once, whatever it is asked; NULL: nothing, for ever. */
struct sentinel_fake {
	struct evconnlistener *listener;
	char address[32];
	char says[256];
	bool silent;
	unsigned asked;
	LIST_HEAD(, fake_link) links;
};

struct fake_link {
	LIST_ENTRY(fake_link) entry;
	struct bufferevent *bev;
};

static inline void
fake_link_free(struct fake_link *link)
{
	LIST_REMOVE(link, entry);
	bufferevent_free(link->bev);
	free(link);
}

static inline void
fake_on_read(struct bufferevent *bev, void *arg)
{
	(void)arg;
	evbuffer_drain(bufferevent_get_input(bev), evbuffer_get_length(bufferevent_get_input(bev)));
}

static inline void
fake_on_event(struct bufferevent *bev, short what, void *arg)
{
	(void)bev;
	(void)what;
	fake_link_free(arg);
}

static inline void
fake_on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from,
	int length, void *arg)
{
	struct sentinel_fake *fake = arg;
	struct fake_link *link = calloc(1, sizeof *link);
	struct bufferevent *bev = bufferevent_socket_new(
		evconnlistener_get_base(listener), fd, BEV_OPT_CLOSE_ON_FREE);

	(void)from;
	(void)length;
	fake->asked++;
	link->bev = bev;
	LIST_INSERT_HEAD(&fake->links, link, entry);
	bufferevent_setcb(bev, fake_on_read, NULL, fake_on_event, link);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
	if (!fake->silent)
		evbuffer_add_printf(bufferevent_get_output(bev), "+PONG\r\n%s", fake->says);
}

static inline void
fake_open(struct sentinel_fake *fake, struct event_base *base)
{
	const unsigned port = redis_server_free_port();
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	memset(fake, 0, sizeof *fake);
	fake->listener = evconnlistener_new_bind(base, fake_on_accept, fake,
		LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE, 16, (struct sockaddr *)&in, sizeof in);
	snprintf(fake->address, sizeof fake->address, "127.0.0.1:%u", port);
}

static inline void
fake_close(struct sentinel_fake *fake)
{
	if (fake->listener)
		evconnlistener_free(fake->listener);
	fake->listener = NULL;
	while (!LIST_EMPTY(&fake->links))
		fake_link_free(LIST_FIRST(&fake->links));
}

static inline void
fake_names(struct sentinel_fake *fake, const char *host, const char *port)
{
	snprintf(fake->says, sizeof fake->says, "*2\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n", strlen(host),
		host, strlen(port), port);
}

#endif
