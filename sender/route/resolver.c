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
	struct resolver_health *health;
	struct net_address address;
	const char *text;
	int fd; /* -1: failed, or there is no round */
	struct event *readable;
	uint16_t id;
	bool named; /* asked for a name now, since it did not answer for */
	char why[64];
};

struct resolver_health {
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
doubts_end(struct resolver_health *health, const char *why)
{
	STAILQ_HEAD(, doubt) ended = STAILQ_HEAD_INITIALIZER(ended);
	struct doubt *doubt;

	STAILQ_CONCAT(&ended, &health->doubts);
	while ((doubt = STAILQ_FIRST(&ended))) {
		STAILQ_REMOVE_HEAD(&ended, link);
		doubt->cb(doubt->arg, why);
		free(doubt);
	}
}

static void
round_end(struct resolver_health *health, bool good)
{
	const bool changed = health->dead == good;

	health->asking = false;
	for (size_t i = 0; i < health->count; i++)
		server_close(&health->servers[i]);
	timer_cancel(&health->timer);
	health->dead = !good;
	*(good ? &health->good_ms : &health->dead_ms) = clock_mono_ms();
	if (!good)
		timer_set(&health->timer, TICK_MS);
	if (changed && health->tell)
		health->tell(health->tell_arg, good ? NULL : health->why);
	doubts_end(health, good ? NULL : health->why);
}

static void
describe(struct resolver_health *health)
{
	size_t used = (size_t)snprintf(health->why, sizeof health->why,
		"no name server of this relay answers: look at it, or at dns.forward (");

	for (size_t i = 0; i < health->count && used < sizeof health->why; i++)
		used += (size_t)snprintf(health->why + used, sizeof health->why - used, "%s%s: %s",
			i ? ", " : "", health->servers[i].text,
			health->servers[i].why[0] ? health->servers[i].why : "no answer");
	if (used < sizeof health->why - 1)
		snprintf(health->why + used, sizeof health->why - used, ")");
}

static void
server_failed(struct server *server, const char *why)
{
	struct resolver_health *health = server->health;

	snprintf(server->why, sizeof server->why, "%s", why);
	server_close(server);
	for (size_t i = 0; i < health->count; i++)
		if (health->servers[i].fd >= 0)
			return;
	describe(health);
	round_end(health, false);
}

/* Sends the question; -errno when it cannot be sent. */
static int
server_ask(struct server *server)
{
	const struct resolver_health *health = server->health;
	const char *name = !server->named ? "" : health->name[0] ? health->name : health->hostname;
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
		round_end(server->health, true);
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
	server->readable = event_new(loop_base(server->health->loop), server->fd,
		EV_READ | EV_PERSIST, on_readable, server);
	event_add(server->readable, NULL);
	return server_ask(server);
}

static void
round_begin(struct resolver_health *health)
{
	bool any = false;
	int err;

	health->asking = true;
	health->ticks = 0;
	for (size_t i = 0; i < health->count; i++) {
		err = server_open(&health->servers[i]);
		if (err < 0) {
			snprintf(health->servers[i].why, sizeof health->servers[i].why, "%s",
				strerror(-err));
			server_close(&health->servers[i]);
		}
		any |= health->servers[i].fd >= 0;
	}
	if (!any)
		describe(health);
	if (any)
		timer_set(&health->timer, TICK_MS);
	else
		round_end(health, false);
}

static void
on_timer(void *arg)
{
	struct resolver_health *health = arg;

	if (!health->asking) {
		round_begin(health);
	} else if (++health->ticks < TICKS) {
		for (size_t i = 0; i < health->count; i++)
			if (health->servers[i].fd >= 0)
				(void)server_ask(&health->servers[i]);
		timer_set(&health->timer, TICK_MS);
	} else {
		describe(health);
		round_end(health, false);
	}
}

static void
on_slow(void *arg)
{
	struct resolver_health *health = arg;

	if (!health->asking && !health->dead && clock_mono_ms() - health->found_ms >= SLOW_MS)
		round_begin(health);
}

static void
server_add(struct resolver_health *health, const char *text)
{
	struct server *server = &health->servers[health->count];

	if (health->count == SERVERS_MAX || net_parse(text, &server->address) < 0)
		return;
	*server = (struct server){
		.health = health, .address = server->address, .text = text, .fd = -1
	};
	health->count++;
}

struct resolver_health *
resolver_health_new(struct loop *loop, const struct config *config)
{
	struct resolver_health *health = xcalloc(1, sizeof *health);

	health->loop = loop;
	health->hostname = config->hostname ? config->hostname : "";
	STAILQ_INIT(&health->doubts);
	timer_init(&health->timer, loop, on_timer, health);
	timer_init(&health->slow, loop, on_slow, health);
	for (unsigned i = 0; i < config->dns.forward_count; i++)
		server_add(health, config->dns.forward[i]);
	for (size_t i = 0; !config->dns.forward_count && resolver_root(i); i++)
		server_add(health, resolver_root(i));
	return health;
}

void
resolver_health_free(struct resolver_health **health_ref)
{
	struct resolver_health *health = *health_ref;
	struct doubt *doubt;

	if (!health)
		return;
	*health_ref = NULL;
	while ((doubt = STAILQ_FIRST(&health->doubts))) {
		STAILQ_REMOVE_HEAD(&health->doubts, link);
		free(doubt);
	}
	for (size_t i = 0; i < health->count; i++)
		server_close(&health->servers[i]);
	timer_cancel(&health->timer);
	timer_cancel(&health->slow);
	free(health);
}

void
resolver_on_change(
	struct resolver_health *health, void (*tell)(void *arg, const char *why), void *arg)
{
	health->tell = tell;
	health->tell_arg = arg;
}

void
resolver_doubt(struct resolver_health *health, uint64_t since_ms, resolver_cb cb, void *arg)
{
	const uint64_t now = clock_mono_ms();
	struct doubt *doubt;

	if (health->dead || (health->dead_ms && health->dead_ms >= since_ms)) {
		cb(arg, health->why);
		return;
	}
	if (health->good_ms && now - health->good_ms < GOOD_MS) {
		cb(arg, NULL);
		return;
	}
	doubt = xcalloc(1, sizeof *doubt);
	*doubt = (struct doubt){ .cb = cb, .arg = arg };
	STAILQ_INSERT_TAIL(&health->doubts, doubt, link);
	if (!health->asking)
		round_begin(health);
}

void
resolver_asked(struct resolver_health *health)
{
	if (!timer_is_set(&health->slow))
		timer_set(&health->slow, SLOW_MS);
}

void
resolver_found(struct resolver_health *health, const char *name)
{
	health->found_ms = clock_mono_ms();
	snprintf(health->name, sizeof health->name, "%s", name);
}
