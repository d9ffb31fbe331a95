/*
 * local.c - faults of this machine: which there are, and since when.
 *
 * client_connect, resolver -> [local] -> /readyz, attempt (stands still), settle (waits, uncounted)
 *
 * A stranger's domain may lead to an address that only this machine cannot reach: a fault of that
 * one destination. A whole family lacks its route when the route to the internet (to a root name
 * server, which is not asked) has gone, or the route to the last address that a connection was had
 * with.
 */
#include "sender/route/local.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/said.h"
#include "shared/base/timer.h"
#include "shared/config/config.h"
#include "shared/metrics/metrics.h"

#define TEST_MS 1000
#define REST_MS 1000 /* after a fault of the whole machine nothing is tried for so long */
#define LATELY_MS 60000
#define QUIET_MS 10000    /* a fault that was not seen for so long is over */
#define FOR_ONE_MS 600000 /* the same, for a fault that only one destination shows */
#define FAMILIES 2

struct fault {
	bool active;
	uint64_t last_ms;
	char why[LOCAL_WHY_MAX];
	struct net_address to; /* ROUTE, FIREWALL: the last one */
	bool timed;            /* time alone ends the fault: the routes do not show its end */
	struct said said;
	struct metric *count;
};

struct family {
	int family;
	struct net_address internet; /* an address of it */
	struct net_address source;   /* length 0: none is set */
	struct net_address last;     /* had a connection; length 0: none had */
	uint64_t stood_ms;           /* when */
	bool had_internet;
	bool lacks; /* its route or source address is missing */
};

struct local {
	struct timer timer;
	struct probe *probe;
	void (*again)(void *arg);
	void *arg;
	struct fault faults[LOCAL_FAULTS];
	struct family families[FAMILIES];
};

static const char *const kinds[LOCAL_FAULTS] = { "none", "descriptors", "memory", "ports",
	"source_address", "route", "firewall", "resolver" };

enum local_fault
local_of(int err, bool bound)
{
	switch (err < 0 ? -err : err) {
	case EMFILE:
	case ENFILE: return LOCAL_DESCRIPTORS;
	case ENOBUFS:
	case ENOMEM: return LOCAL_MEMORY;
	case EADDRNOTAVAIL: return bound ? LOCAL_SOURCE : LOCAL_PORTS;
	case EADDRINUSE:
	case EAGAIN: return LOCAL_PORTS;
	case ENETUNREACH:
	case ENETDOWN:
	case EHOSTUNREACH:
	case EAFNOSUPPORT: return LOCAL_ROUTE;
	case EACCES:
	case EPERM: return LOCAL_FIREWALL;
	default: return LOCAL_NONE;
	}
}

bool
local_is_whole(enum local_fault fault)
{
	return fault == LOCAL_DESCRIPTORS || fault == LOCAL_MEMORY || fault == LOCAL_PORTS;
}

static struct family *
family_of(const struct local *local, int family)
{
	for (size_t i = 0; local && i < FAMILIES; i++)
		if (local->families[i].family == family)
			return (struct family *)&local->families[i];
	return NULL;
}

static const struct net_address *
source_of(const struct family *family)
{
	return family->source.length ? &family->source : NULL;
}

static bool
has_internet(const struct family *family)
{
	return net_route(&family->internet, source_of(family)) == 0;
}

/* Whether this machine uses the family, or did. */
static bool
was_had(const struct family *family)
{
	return family->source.length || family->had_internet || family->last.length;
}

/* Whether no family works of those that this machine has. */
static bool
all_lack(const struct local *local)
{
	bool any = false;

	for (size_t i = 0; i < FAMILIES; i++) {
		if (was_had(&local->families[i]) && !local->families[i].lacks)
			return false;
		any |= local->families[i].lacks;
	}
	return any;
}

static void
tell(struct local *local)
{
	char text[1024];
	size_t used = 0;

	text[0] = '\0';
	for (int i = 0; i < LOCAL_FAULTS; i++)
		if (local->faults[i].active && used < sizeof text)
			used += (size_t)snprintf(text + used, sizeof text - used, "%s%s",
				used ? "; " : "", local->faults[i].why);
	probe_set(local->probe,
		!used                     ? HEALTH_READY
			: all_lack(local) ? HEALTH_FAILED
					  : HEALTH_DEGRADED,
		used ? text : NULL);
}

static void
timer_arm(struct local *local)
{
	if (!timer_is_set(&local->timer))
		timer_set(&local->timer, TEST_MS);
}

/* `reason` is the same text for many destinations, so it is logged once. */
static void
fault_begin(struct local *local, enum local_fault kind, const char *reason, const char *why)
{
	struct fault *fault = &local->faults[kind];
	const bool changed = !fault->active || strcmp(fault->why, why) != 0;
	unsigned left_out;

	fault->active = true;
	fault->last_ms = clock_mono_ms();
	snprintf(fault->why, sizeof fault->why, "%s", why);
	metric_add(fault->count, 1);
	if (said_now(&fault->said, reason, SAID_ONCE, &left_out))
		LOG_WARN("a fault of this machine keeps mail from going out", "fault", kinds[kind],
			"error", why);
	if (changed)
		tell(local);
	timer_arm(local);
}

static void
fault_end(struct local *local, enum local_fault kind)
{
	struct fault *fault = &local->faults[kind];
	unsigned left_out;

	if (!fault->active)
		return;
	fault->active = false;
	said_clear(&fault->said, &left_out);
	LOG_INFO("a fault of this machine is over", "fault", kinds[kind], SAID_LEFT_OUT(left_out));
	tell(local);
	if (local->again)
		local->again(local->arg);
}

/* Whether the family works now. */
static bool
family_works(const struct family *family)
{
	if (family->source.length && !net_has_address(&family->source))
		return false;
	if (family->had_internet && !has_internet(family))
		return false;
	return !family->last.length || net_route(&family->last, source_of(family)) == 0;
}

static bool
any_lacks(const struct local *local, bool source)
{
	for (size_t i = 0; i < FAMILIES; i++)
		if (local->families[i].lacks &&
			source ==
				(local->families[i].source.length &&
					!net_has_address(&local->families[i].source)))
			return true;
	return false;
}

static bool
is_over(struct local *local, enum local_fault kind)
{
	const struct fault *fault = &local->faults[kind];
	const uint64_t age = clock_mono_ms() - fault->last_ms;
	const struct family *family = family_of(local, fault->to.sa.ss_family);

	switch (kind) {
	case LOCAL_DESCRIPTORS:
	case LOCAL_MEMORY:
	case LOCAL_PORTS: return age > QUIET_MS;
	case LOCAL_SOURCE: return !any_lacks(local, true);
	case LOCAL_ROUTE:
		if (fault->timed)
			return age > LATELY_MS;
		return !any_lacks(local, false) &&
			(!family || age > FOR_ONE_MS ||
				net_route(&fault->to, source_of(family)) == 0);
	case LOCAL_FIREWALL: return age > FOR_ONE_MS;
	default: return false; /* a fault that others see and end */
	}
}

static void
family_test(struct family *family)
{
	family->lacks = !family_works(family);
	family->had_internet |= !family->lacks && has_internet(family);
}

static void
on_timer(void *arg)
{
	struct local *local = arg;
	bool any = false;

	for (size_t i = 0; i < FAMILIES; i++)
		if (local->families[i].lacks)
			family_test(&local->families[i]);
	for (int i = 1; i < LOCAL_FAULTS; i++) {
		if (local->faults[i].active && is_over(local, (enum local_fault)i))
			fault_end(local, (enum local_fault)i);
		any |= local->faults[i].active;
	}
	if (any)
		timer_arm(local);
}

static void
explain(enum local_fault kind, int err, const struct net_address *to,
	const struct net_address *from, char why[LOCAL_WHY_MAX])
{
	static const char *const texts[LOCAL_FAULTS] = { "",
		"this relay has no file descriptor left", "this relay has no memory left",
		"this relay has no port left to connect from",
		"this relay does not have its source address", "this relay has no route",
		"a firewall of this relay refuses connections" };
	const struct net_address *about = kind == LOCAL_SOURCE  ? from
		: kind == LOCAL_ROUTE || kind == LOCAL_FIREWALL ? to
								: NULL;
	char ip[NET_TEXT_MAX] = "";

	if (about)
		net_format_ip(about, ip);
	snprintf(why, LOCAL_WHY_MAX, "%s%s%s (%s)", texts[kind],
		kind == LOCAL_SOURCE ? " "
			: about      ? " to "
				     : "",
		ip, strerror(err));
}

/* Looks at start, so that no mail has to fail first. */
static void
source_check(struct local *local, struct family *family)
{
	char why[LOCAL_WHY_MAX];

	if (!family->source.length || net_has_address(&family->source))
		return;
	explain(LOCAL_SOURCE, EADDRNOTAVAIL, &family->source, &family->source, why);
	family->lacks = true;
	fault_begin(local, LOCAL_SOURCE, why, why);
}

static void
families_set(struct local *local, const struct config *config)
{
	static const char *const internet[FAMILIES] = { "198.41.0.4", "2001:503:ba3e::2:30" };
	struct net_address source;
	struct family *family;

	local->families[0].family = AF_INET;
	local->families[1].family = AF_INET6;
	for (unsigned i = 0; i < config->sender.source_address_count; i++)
		if (net_parse_ip(config->sender.source_address[i], 0, &source) == 0 &&
			(family = family_of(local, source.sa.ss_family)))
			family->source = source;
	for (size_t i = 0; i < FAMILIES; i++) {
		(void)net_parse_ip(internet[i], 53, &local->families[i].internet);
		local->families[i].had_internet = has_internet(&local->families[i]);
	}
}

struct local *
local_new(struct loop *loop, const struct config *config)
{
	struct local *local = xcalloc(1, sizeof *local);
	char labels[64];

	timer_init(&local->timer, loop, on_timer, local);
	for (int i = 1; i < LOCAL_FAULTS; i++) {
		snprintf(labels, sizeof labels, "fault=\"%s\"", kinds[i]);
		local->faults[i].count = metric_counter("shout_sender_local_faults_total",
			"What this machine itself kept from going out.", labels);
	}
	families_set(local, config);
	local->probe = probe_new("egress");
	tell(local);
	for (size_t i = 0; i < FAMILIES; i++)
		source_check(local, &local->families[i]);
	return local;
}

void
local_free(struct local **local_ref)
{
	struct local *local = *local_ref;

	if (!local)
		return;
	timer_cancel(&local->timer);
	free(local);
	*local_ref = NULL;
}

void
local_on_recovery(struct local *local, void (*again)(void *arg), void *arg)
{
	local->again = again;
	local->arg = arg;
}

/* Whether this machine never had the family: no source address set, no use, no route. Not every
 * machine has IPv6. When no family was ever had, IPv4 is the one that is missed. */
static bool
never_had(const struct local *local, const struct family *family)
{
	for (size_t i = 0; i < FAMILIES; i++)
		if (&local->families[i] != family && was_had(&local->families[i]))
			return !was_had(family) && !has_internet(family);
	return family->family == AF_INET6 && !was_had(family);
}

static void
family_note(struct family *family, enum local_fault kind)
{
	if (kind == LOCAL_SOURCE || (kind == LOCAL_ROUTE && !family_works(family)))
		family->lacks = true;
}

/* The kernel reports IPv6 without an own address like a lack of ports. A neighbour that does not
 * answer may be down; when nobody was reached lately, it is taken for the way out. */
static enum local_fault
kind_of(const struct family *family, int err, enum net_refusal later, const struct net_address *to,
	const struct net_address *from)
{
	enum local_fault kind = local_of(err, from && !net_has_address(from));

	if (!family)
		return LOCAL_NONE;
	if (later == NET_NO_NEIGHBOUR)
		return clock_mono_ms() - family->stood_ms > LATELY_MS ? LOCAL_ROUTE : LOCAL_NONE;
	if (later == NET_REFUSED_HERE)
		return net_route(to, from) == 0 ? LOCAL_FIREWALL : LOCAL_ROUTE;
	if (kind == LOCAL_PORTS && err == EADDRNOTAVAIL && !has_internet(family))
		return LOCAL_ROUTE;
	return kind;
}

enum local_fault
local_failed(struct local *local, int err, enum net_refusal later, const struct net_address *to,
	const struct net_address *from, char why[LOCAL_WHY_MAX])
{
	struct family *family = family_of(local, to->sa.ss_family);
	enum local_fault kind = kind_of(family, err, later, to, from);
	char reason[96];

	why[0] = '\0';
	if (!family || kind == LOCAL_NONE)
		return LOCAL_NONE;
	explain(kind, err, to, from, why);
	if (kind == LOCAL_ROUTE && never_had(local, family)) {
		snprintf(why, LOCAL_WHY_MAX, "there is no %s here (%s)",
			family->family == AF_INET6 ? "IPv6" : "IPv4", strerror(err));
		return LOCAL_NONE;
	}
	family_note(family, kind);
	local->faults[kind].to = *to;
	local->faults[kind].timed = later != NET_FROM_AFAR;
	snprintf(reason, sizeof reason, "%d %d", to->sa.ss_family, err);
	fault_begin(local, kind, reason, why);
	tell(local);
	return kind;
}

static bool
same_ip(const struct net_address *a, const struct net_address *b)
{
	char x[NET_TEXT_MAX], y[NET_TEXT_MAX];

	net_format_ip(a, x);
	net_format_ip(b, y);
	return strcmp(x, y) == 0;
}

void
local_connected(struct local *local, const struct net_address *to, bool stands)
{
	struct family *family = family_of(local, to->sa.ss_family);

	if (!family)
		return;
	for (int i = LOCAL_DESCRIPTORS; i <= LOCAL_PORTS; i++)
		fault_end(local, (enum local_fault)i);
	if (!stands)
		return;
	family->last = *to;
	family->stood_ms = clock_mono_ms();
	for (int i = LOCAL_ROUTE; i <= LOCAL_FIREWALL; i++)
		if (local->faults[i].active && !family->lacks &&
			local->faults[i].to.sa.ss_family == family->family &&
			((i == LOCAL_ROUTE && local->faults[i].timed) ||
				same_ip(&local->faults[i].to, to)))
			fault_end(local, (enum local_fault)i);
}

bool
local_lacks(const struct local *local, int family_number, char why[LOCAL_WHY_MAX])
{
	const struct family *family = family_of(local, family_number);
	const bool source = family && family->source.length && !net_has_address(&family->source);

	if (!family || !family->lacks)
		return false;
	snprintf(why, LOCAL_WHY_MAX, "%s", local->faults[source ? LOCAL_SOURCE : LOCAL_ROUTE].why);
	return true;
}

bool
local_stands(const struct local *local)
{
	const uint64_t now = clock_mono_ms();

	if (!local)
		return false;
	for (int i = LOCAL_DESCRIPTORS; i <= LOCAL_PORTS; i++)
		if (local->faults[i].active && now - local->faults[i].last_ms < REST_MS)
			return true;
	return all_lack(local);
}

void
local_resolver(struct local *local, const char *why)
{
	if (!local)
		return;
	if (why)
		fault_begin(local, LOCAL_RESOLVER, why, why);
	else
		fault_end(local, LOCAL_RESOLVER);
}
