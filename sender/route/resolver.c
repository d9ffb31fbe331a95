/*
 * resolver.c - finds out whether the resolver fails, or the names do.
 *
 * site, site_address (a look-up failed) -> [resolver] -> name servers, by UDP
 */
#include "sender/route/resolver.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/net.h"
#include "shared/base/timer.h"
#include "shared/config/config.h"

#define SERVERS_MAX 8
#define TICK_MS 1000
#define TICKS 3 /* ticks of a round; each but the last asks anew */
#define GOOD_MS 5000
#define SLOW_MS 5000
#define TYPE_A 1
#define TYPE_NS 2

struct doubt {
	STAILQ_ENTRY(doubt) link;
	resolver_cb cb;
	void *arg;
};

struct server {
	struct resolver_watch *watch;
	struct net_address address;
	const char *text;
	int fd; /* -1: failed, or there is no round */
	struct event *readable;
	uint16_t id;
	bool named; /* asked for a name now, since it did not answer for */
	char why[64];
};

struct resolver_watch {
	struct loop *loop;
	const char *hostname;
	struct server servers[SERVERS_MAX];
	size_t count;
	struct timer timer, slow;
	uint64_t found_ms;
	bool asking;
	unsigned ticks;
	uint64_t good_ms, dead_ms; /* when that was last seen; 0: never */
	bool dead;
	char why[256], name[256];
	STAILQ_HEAD(, doubt) doubts;
	void (*tell)(void *arg, const char *why);
	void *tell_arg;
};

size_t
resolver_query(uint8_t out[RESOLVER_QUERY_MAX], uint16_t id, const char *name, uint8_t type)
{
	size_t at = 12;

	memset(out, 0, RESOLVER_QUERY_MAX);
	out[0] = (uint8_t)(id >> 8);
	out[1] = (uint8_t)id;
	out[2] = 1; /* recursion desired */
	out[5] = 1; /* one question */
	while (*name && at + 70 < RESOLVER_QUERY_MAX) {
		const size_t length = strcspn(name, ".");

		out[at++] = (uint8_t)length;
		memcpy(out + at, name, length < 64 ? length : 63);
		at += length;
		name += length + (name[length] == '.');
	}
	at++;
	out[at + 1] = type;
	out[at + 3] = 1;
	return at + 4;
}

const char *
resolver_root(size_t i)
{
	static const char *const roots[] = { "198.41.0.4:53", "193.0.14.129:53",
		"[2001:503:ba3e::2:30]:53", "[2001:7fd::1]:53" };

	return i < sizeof roots / sizeof *roots ? roots[i] : NULL;
}

static void
server_close(struct server *server)
{
	if (server->readable)
		event_free(server->readable);
	server->readable = NULL;
	if (server->fd >= 0)
		close(server->fd);
	server->fd = -1;
}

/* The callbacks may begin a new doubt. */
static void
doubts_end(struct resolver_watch *watch, const char *why)
{
	STAILQ_HEAD(, doubt) ended = STAILQ_HEAD_INITIALIZER(ended);
	struct doubt *doubt;

	STAILQ_CONCAT(&ended, &watch->doubts);
	while ((doubt = STAILQ_FIRST(&ended))) {
		STAILQ_REMOVE_HEAD(&ended, link);
		doubt->cb(doubt->arg, why);
		free(doubt);
	}
}

static void
round_end(struct resolver_watch *watch, bool good)
{
	const bool changed = watch->dead == good;

	watch->asking = false;
	for (size_t i = 0; i < watch->count; i++)
		server_close(&watch->servers[i]);
	timer_cancel(&watch->timer);
	watch->dead = !good;
	*(good ? &watch->good_ms : &watch->dead_ms) = clock_mono_ms();
	if (!good)
		timer_set(&watch->timer, TICK_MS);
	if (changed && watch->tell)
		watch->tell(watch->tell_arg, good ? NULL : watch->why);
	doubts_end(watch, good ? NULL : watch->why);
}

static void
describe(struct resolver_watch *watch)
{
	size_t used = (size_t)snprintf(watch->why, sizeof watch->why,
		"no name server of this relay answers: look at it, or at dns.forward (");

	for (size_t i = 0; i < watch->count && used < sizeof watch->why; i++)
		used += (size_t)snprintf(watch->why + used, sizeof watch->why - used, "%s%s: %s",
			i ? ", " : "", watch->servers[i].text,
			watch->servers[i].why[0] ? watch->servers[i].why : "no answer");
	if (used < sizeof watch->why - 1)
		snprintf(watch->why + used, sizeof watch->why - used, ")");
}

static void
server_failed(struct server *server, const char *why)
{
	struct resolver_watch *watch = server->watch;

	snprintf(server->why, sizeof server->why, "%s", why);
	server_close(server);
	for (size_t i = 0; i < watch->count; i++)
		if (watch->servers[i].fd >= 0)
			return;
	describe(watch);
	round_end(watch, false);
}

/* Sends the question; -errno when it cannot be sent. */
static int
server_ask(struct server *server)
{
	const struct resolver_watch *watch = server->watch;
	const char *name = !server->named ? "" : watch->name[0] ? watch->name : watch->hostname;
	uint8_t query[RESOLVER_QUERY_MAX];
	size_t length;

	server->id = (uint16_t)arc4random_uniform(65536);
	length = resolver_query(query, server->id, name, server->named ? TYPE_A : TYPE_NS);
	return send(server->fd, query, length, 0) < 0 && errno != EAGAIN ? -errno : 0;
}

static void
take_answer(struct server *server, unsigned code)
{
	static const char *const codes[] = { "", "FORMERR", "SERVFAIL", "", "NOTIMP", "REFUSED" };
	char why[64];
	int err;

	if (code == 0 || code == 3) {
		round_end(server->watch, true);
		return;
	}
	snprintf(why, sizeof why, "answers %s to everything", code < 6 ? codes[code] : "errors");
	if (server->named) {
		server_failed(server, why);
		return;
	}
	server->named = true;
	err = server_ask(server);
	if (err < 0)
		server_failed(server, strerror(-err));
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct server *server = arg;
	uint8_t answer[4096];
	const ssize_t got = recv(fd, answer, sizeof answer, 0);

	(void)what;
	if (got < 0 && errno != EAGAIN && errno != EINTR)
		server_failed(server, strerror(errno));
	else if (got >= 12 && answer[0] == server->id >> 8 && answer[1] == (server->id & 255))
		take_answer(server, answer[3] & 15);
}

static int
server_open(struct server *server)
{
	const struct net_address *to = &server->address;

	server->named = false;
	server->why[0] = '\0';
	server->fd = socket(to->sa.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (server->fd < 0 || connect(server->fd, (const struct sockaddr *)&to->sa, to->length) < 0)
		return -errno;
	server->readable = event_new(loop_base(server->watch->loop), server->fd,
		EV_READ | EV_PERSIST, on_readable, server);
	event_add(server->readable, NULL);
	return server_ask(server);
}

static void
round_begin(struct resolver_watch *watch)
{
	bool any = false;
	int err;

	watch->asking = true;
	watch->ticks = 0;
	for (size_t i = 0; i < watch->count; i++) {
		err = server_open(&watch->servers[i]);
		if (err < 0) {
			snprintf(watch->servers[i].why, sizeof watch->servers[i].why, "%s",
				strerror(-err));
			server_close(&watch->servers[i]);
		}
		any |= watch->servers[i].fd >= 0;
	}
	if (!any)
		describe(watch);
	if (any)
		timer_set(&watch->timer, TICK_MS);
	else
		round_end(watch, false);
}

static void
on_timer(void *arg)
{
	struct resolver_watch *watch = arg;

	if (!watch->asking) {
		round_begin(watch);
	} else if (++watch->ticks < TICKS) {
		for (size_t i = 0; i < watch->count; i++)
			if (watch->servers[i].fd >= 0)
				(void)server_ask(&watch->servers[i]);
		timer_set(&watch->timer, TICK_MS);
	} else {
		describe(watch);
		round_end(watch, false);
	}
}

static void
on_slow(void *arg)
{
	struct resolver_watch *watch = arg;

	if (!watch->asking && !watch->dead && clock_mono_ms() - watch->found_ms >= SLOW_MS)
		round_begin(watch);
}

static void
server_add(struct resolver_watch *watch, const char *text)
{
	struct server *server = &watch->servers[watch->count];

	if (watch->count == SERVERS_MAX || net_parse(text, &server->address) < 0)
		return;
	*server = (struct server){
		.watch = watch, .address = server->address, .text = text, .fd = -1
	};
	watch->count++;
}

struct resolver_watch *
resolver_watch_new(struct loop *loop, const struct config *config)
{
	struct resolver_watch *watch = xcalloc(1, sizeof *watch);

	watch->loop = loop;
	watch->hostname = config->hostname ? config->hostname : "";
	STAILQ_INIT(&watch->doubts);
	timer_init(&watch->timer, loop, on_timer, watch);
	timer_init(&watch->slow, loop, on_slow, watch);
	for (unsigned i = 0; i < config->dns.forward_count; i++)
		server_add(watch, config->dns.forward[i]);
	for (size_t i = 0; !config->dns.forward_count && resolver_root(i); i++)
		server_add(watch, resolver_root(i));
	return watch;
}

void
resolver_watch_free(struct resolver_watch **watch_ref)
{
	struct resolver_watch *watch = *watch_ref;
	struct doubt *doubt;

	if (!watch)
		return;
	*watch_ref = NULL;
	while ((doubt = STAILQ_FIRST(&watch->doubts))) {
		STAILQ_REMOVE_HEAD(&watch->doubts, link);
		free(doubt);
	}
	for (size_t i = 0; i < watch->count; i++)
		server_close(&watch->servers[i]);
	timer_cancel(&watch->timer);
	timer_cancel(&watch->slow);
	free(watch);
}

void
resolver_on_change(
	struct resolver_watch *watch, void (*tell)(void *arg, const char *why), void *arg)
{
	watch->tell = tell;
	watch->tell_arg = arg;
}

void
resolver_doubt(struct resolver_watch *watch, uint64_t since_ms, resolver_cb cb, void *arg)
{
	const uint64_t now = clock_mono_ms();
	struct doubt *doubt;

	if (watch->dead || (watch->dead_ms && watch->dead_ms >= since_ms)) {
		cb(arg, watch->why);
		return;
	}
	if (watch->good_ms && now - watch->good_ms < GOOD_MS) {
		cb(arg, NULL);
		return;
	}
	doubt = xcalloc(1, sizeof *doubt);
	*doubt = (struct doubt){ .cb = cb, .arg = arg };
	STAILQ_INSERT_TAIL(&watch->doubts, doubt, link);
	if (!watch->asking)
		round_begin(watch);
}

void
resolver_asked(struct resolver_watch *watch)
{
	if (!timer_is_set(&watch->slow))
		timer_set(&watch->slow, SLOW_MS);
}

void
resolver_found(struct resolver_watch *watch, const char *name)
{
	watch->found_ms = clock_mono_ms();
	snprintf(watch->name, sizeof watch->name, "%s", name);
}
