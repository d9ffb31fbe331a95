/*
 * servers.c - asks each broker, clamd and name server that Shout depends on, the way that Shout
 * asks them, for a few seconds each.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cmd/check/check.h"
#include "scanner/clamd_check.h"
#include "sender/route/resolver.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/net.h"
#include "shared/base/resolve.h"
#include "shared/queue/kafka/kafka_brokers.h"

#define CLAMD_MS 5000
#define BROKER_MS 5000
#define RESOLVER_MS 2000
#define RESOLVER_TRIES 2

/* clamd */

struct visit {
	struct loop *loop;
	struct net_address address;
	char why[256];
};

static void
on_report(void *arg, const struct clamd_check_report *report)
{
	struct visit *visit = arg;

	snprintf(visit->why, sizeof visit->why, "%s",
		report->lost ? "the connection ended" : report->why);
	loop_stop(visit->loop);
}

static void
on_resolved(void *arg, const struct net_address *addresses, size_t count, const char *why)
{
	struct visit *visit = arg;

	if (count)
		visit->address = addresses[0];
	else
		snprintf(visit->why, sizeof visit->why, "%s", why);
	loop_stop(visit->loop);
}

/* Why the clamd cannot be trusted; "": it can. */
static void
clamd_visit(const struct config *config, const char *host, char why[256])
{
	const struct clamd_check_options options = { config->ingress.message_size_limit, CLAMD_MS };
	struct visit visit = { .loop = loop_new("check") };
	struct clamd_check *asked = NULL;

	resolve_start(visit.loop, host, on_resolved, &visit);
	loop_run(visit.loop);
	if (!visit.why[0]) {
		loop_free(&visit.loop);
		visit.loop = loop_new("check");
		asked = clamd_check_new(visit.loop, &visit.address, &options, on_report, &visit);
		clamd_check_run(asked, CHECK_SAMPLES);
		loop_run(visit.loop);
	}
	clamd_check_free(&asked);
	loop_free(&visit.loop);
	snprintf(why, 256, "%s", visit.why);
}

void
check_clamd(struct findings *findings)
{
	const struct config *config = findings->config;
	unsigned bad = 0;
	char why[256];

	for (unsigned i = 0; config->scanner.enabled && i < config->scanner.clamd_count; i++) {
		clamd_visit(config, config->scanner.clamd[i], why);
		if (!why[0])
			continue;
		bad++;
		warn(findings, "clamd at %s will not do: %s", config->scanner.clamd[i], why);
	}
	if (bad && bad == config->scanner.clamd_count)
		fail(findings,
			"no clamd scans: mail waits until one does; start clamav-daemon, or "
			"correct scanner.clamd");
}

/* Brokers */

static void
on_broker_away(void *arg, const char *broker, const char *why)
{
	warn(arg, "broker %s does not answer: %s", broker, why);
}

static void
on_topic_missing(void *arg, const char *topic)
{
	fail(arg, "the brokers have no topic %s: shout topics creates it", topic);
}

void
check_brokers(struct findings *findings)
{
	const struct kafka_brokers_handler handler = { on_broker_away, on_topic_missing };

	if (findings->config->queue.backend == BACKEND_KAFKA &&
		!kafka_brokers_ask(findings->config, BROKER_MS, &handler, findings))
		fail(findings, "no broker answers: start them, or correct queue.brokers");
}

/* Name servers */

/* The code of the answer, or -errno. */
static int
ask(const struct net_address *server, const char *name, uint8_t type)
{
	int fd = socket(server->sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0), err = -ETIMEDOUT;
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	uint8_t query[RESOLVER_QUERY_MAX], answer[4096];
	uint16_t id = 1;
	size_t length;
	ssize_t got;

	if (fd < 0)
		return -errno;
	(void)!getrandom(&id, sizeof id, 0);
	length = resolver_query(query, id, name, type);
	if (connect(fd, (const struct sockaddr *)&server->sa, server->length) < 0)
		err = -errno;
	for (int i = 0; i < RESOLVER_TRIES && err == -ETIMEDOUT; i++) {
		if (send(fd, query, length, 0) < 0)
			err = -errno;
		else if (poll(&wait, 1, RESOLVER_MS) > 0) {
			got = recv(fd, answer, sizeof answer, 0);
			if (got < 0)
				err = -errno;
			else if (got >= 12 && answer[0] == query[0] && answer[1] == query[1])
				err = answer[3] & 15;
		}
	}
	close(fd);
	return err;
}

static bool
answers(const struct config *config, const struct net_address *server, char why[128])
{
	static const char *const codes[] = { "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP",
		"REFUSED" };
	int code = ask(server, "", 2);

	if (code > 0 && code != 3)
		code = ask(server, config->hostname, 1);
	if (code < 0)
		snprintf(why, 128, "%s", strerror(-code));
	else if (code && code != 3)
		snprintf(
			why, 128, "it answers %s to everything", code < 6 ? codes[code] : "errors");
	return code == 0 || code == 3;
}

void
check_resolver(struct findings *findings)
{
	const struct config *config = findings->config;
	const unsigned forwarders = config->dns.forward_count, count = forwarders ? forwarders : 4;
	struct net_address server;
	unsigned good = 0;
	char why[128];

	if (strcmp(config->sender.route, "mx") != 0 &&
		net_parse(config->sender.route, &server) == 0)
		return; /* no name is ever looked up */
	for (unsigned i = 0; i < count; i++) {
		const char *text = forwarders ? config->dns.forward[i] : resolver_root(i);

		if (net_parse(text, &server) < 0)
			continue;
		if (answers(config, &server, why))
			good++;
		else if (forwarders)
			warn(findings, "dns.forward[%u]: %s does not answer: %s", i, text, why);
	}
	if (!good && forwarders)
		fail(findings, "no name server answers: correct dns.forward, or start them");
	else if (!good)
		fail(findings,
			"no root name server answers: let UDP and TCP to port 53 out, or set "
			"dns.forward");
}
