/*
 * dns.c - DNS look-ups by libunbound on our loop.
 *
 * sender's route, control's domain -> [dns] -> libunbound (recursion, forwarders, DNSSEC, cache) ->
 * answer
 *
 * libunbound calls back from inside ub_resolve_event() when its cache has the answer, and must not
 * be called from its own callbacks. So an answer is copied, and handed over on the loop's next
 * turn. ub_cancel() does not work in an event context. So a query that nobody waits for stays in
 * the list until its answer comes, or until dns_free().
 */
#include "shared/dns/dns.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <event2/event.h>
#include <event2/event_struct.h>
#include <idn2.h>
#include <unbound.h>

#include <unbound-event.h>

#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/net.h"
#include "shared/base/timer.h"
#include "shared/config/config.h"
#include "shared/metrics/metrics.h"

#define TIMEOUT_S 60
#define CLASS_IN 1

struct option {
	const char *name, *value;
};

/* clang-format off */
static const struct option always[] = {
	{ "msg-cache-size:",         "8m" },
	{ "rrset-cache-size:",       "16m" },
	{ "outgoing-range:",         "256" }, /* asked at once: two for each of LOOKUPS_MAX */
	{ "num-queries-per-thread:", "4096" },
	{ "outgoing-num-tcp:",       "16" },
	{ "tcp-auth-query-timeout:", "10000" },
	{ "infra-keep-probing:",     "yes" },
	{ NULL, NULL },
};

/*
 * libunbound takes only the answer to the last packet that it sent. A forwarder does all the work
 * of a look-up before it answers. So a forwarder that is asked again before that is never heard.
 * How long a forwarder was silent is soon forgotten.
 */
static const struct option forwarding[] = {
	{ "do-not-query-localhost:",    "no" }, /* where forwarders often are */
	{ "unknown-server-time-limit:", "10000" },
	{ "infra-cache-min-rtt:",       "10000" },
	{ "infra-host-ttl:",            "10" },
	{ NULL, NULL },
};

static const struct option forgetting[] = {
	{ "cache-max-ttl:",          "60" },
	{ "cache-max-negative-ttl:", "5" },
	{ NULL, NULL },
};
/* clang-format on */

static const struct user {
	const char *total, *seconds; /* metrics */
	bool fresh;
} users[] = {
	[DNS_SENDER] = { "shout_sender_dns_total", "shout_sender_dns_seconds", false },
	[DNS_CONTROL] = { "shout_control_dns_total", "shout_control_dns_seconds", true },
};

/* What became of a look-up, for the metrics. */
enum found {
	FOUND_ANSWER,
	FOUND_EMPTY, /* the name is there, without such records */
	FOUND_NXDOMAIN,
	FOUND_SERVFAIL,
	FOUND_REFUSED,
	FOUND_OTHER, /* another code, or no look-up could be made */
	FOUND_BOGUS,
	FOUND_UNREADABLE,
	FOUND_TIMEOUT,
	FOUNDS
};

struct dns {
	struct loop *loop;
	struct metric *found[FOUNDS], *seconds;
	struct ub_ctx *ub;
	LIST_HEAD(query_list, dns_query) queries;
};

struct dns_query {
	LIST_ENTRY(dns_query) entry;
	struct dns *dns;
	dns_cb cb; /* NULL: nobody waits for the answer */
	void *arg;
	void (*over)(void *arg);
	void *over_arg;
	uint16_t type;
	struct timer timer;
	bool at_ub; /* libunbound holds a pointer to this */
	enum found found;
	uint64_t asked_us;
	struct dns_result result;
	uint8_t *packet;
	size_t size;
};

static void
query_free(struct dns_query *query)
{
	if (query->over)
		query->over(query->over_arg);
	timer_cancel(&query->timer);
	LIST_REMOVE(query, entry);
	free(query->packet);
	free(query);
}

static void
fail(struct dns_query *query, enum found found, const char *why)
{
	query->found = found;
	query->result.status = DNS_FAILED;
	snprintf(query->result.why, sizeof query->result.why, "%s", why);
}

static void
no_domain(struct dns_query *query)
{
	query->found = FOUND_NXDOMAIN;
	query->result.status = DNS_NO_DOMAIN;
}

static void
judge(struct dns_query *query, const struct answer *answer)
{
	static const struct {
		enum found found;
		const char *why;
	} rcodes[] = {
		[1] = { FOUND_OTHER, "FORMERR" },
		[2] = { FOUND_SERVFAIL, "SERVFAIL" },
		[4] = { FOUND_OTHER, "NOTIMP" },
		[5] = { FOUND_REFUSED, "REFUSED" },
	};

	query->result.ttl_s = answer->ttl_s;
	if (answer->rcode == 3)
		no_domain(query);
	else if (answer->rcode >= (int)(sizeof rcodes / sizeof *rcodes))
		fail(query, FOUND_OTHER, "an unknown error code");
	else if (answer->rcode)
		fail(query, rcodes[answer->rcode].found, rcodes[answer->rcode].why);
	else {
		query->found = answer->count ? FOUND_ANSWER : FOUND_EMPTY;
		query->result.answer = answer;
	}
}

static void
count(const struct dns_query *query)
{
	metric_add(query->dns->found[query->found], 1);
	metric_observe_us(query->dns->seconds, clock_mono_us() - query->asked_us);
}

static void
deliver(struct dns_query *query)
{
	struct answer answer;
	dns_cb cb = query->cb;

	if (query->packet && answer_parse(query->packet, query->size, query->type, &answer) < 0)
		fail(query, FOUND_UNREADABLE, answer.why);
	else if (query->packet)
		judge(query, &answer);
	count(query);
	query->cb = NULL;
	if (cb)
		cb(query->arg, &query->result);
	if (!query->at_ub)
		query_free(query);
}

/* Called when the answer is there, or the time is up. */
static void
on_timer(void *arg)
{
	struct dns_query *query = arg;

	if (query->at_ub)
		fail(query, FOUND_TIMEOUT, "no answer in time");
	deliver(query);
}

static void
on_answer(void *arg, int rcode, void *packet, int size, int security, char *why_bogus, int limited)
{
	struct dns_query *query = arg;

	(void)limited;
	query->at_ub = false;
	if (!query->cb) {
		query_free(query);
		return;
	}
	if (security == 1) {
		fail(query, FOUND_BOGUS, why_bogus ? why_bogus : "bogus DNSSEC");
	} else if (rcode == 3) {
		no_domain(query);
	} else if (rcode || !packet || size <= 0) {
		fail(query, FOUND_SERVFAIL, "no name server has a usable answer (SERVFAIL)");
	} else {
		query->size = (size_t)size;
		query->packet = xmalloc(query->size);
		memcpy(query->packet, packet, query->size);
	}
	timer_soon(&query->timer);
}

int
dns_name_ascii(const char *name, char out[ANSWER_NAME_MAX])
{
	char *ascii = NULL;
	int err = idn2_to_ascii_8z(name, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);

	if (err == IDN2_OK && strlen(ascii) < ANSWER_NAME_MAX)
		snprintf(out, ANSWER_NAME_MAX, "%s", ascii);
	else
		err = -EINVAL;
	idn2_free(ascii);
	return err ? -EINVAL : 0;
}

static int
set_forwarder(struct ub_ctx *ub, const char *address)
{
	struct net_address forwarder;
	char ip[NET_TEXT_MAX], text[NET_TEXT_MAX + 8];

	if (net_parse(address, &forwarder) < 0)
		return UB_SYNTAX;
	net_format_ip(&forwarder, ip);
	snprintf(text, sizeof text, "%s@%u", ip, net_port(&forwarder));
	return ub_ctx_set_fwd(ub, text);
}

static int
set_anchor(struct ub_ctx *ub, const char *file)
{
	if (!file || strcmp(file, "none") == 0)
		return 0;
	return ub_ctx_add_ta_file(ub, file);
}

static int
set_options(struct ub_ctx *ub, const struct option *options)
{
	int err = 0;

	for (; !err && options->name; options++)
		err = ub_ctx_set_option(ub, options->name, options->value);
	return err;
}

/* The owner of a domain says where its name servers are, even on this host or in our network. Such
 * addresses are not asked. With forwarders libunbound follows no such delegation. */
static int
ask_no_special_address(struct ub_ctx *ub)
{
	const struct network *network;
	char text[NET_TEXT_MAX];
	int err = 0;

	for (size_t i = 0; !err && (network = net_special(i)); i++) {
		network_format(network, text);
		err = ub_ctx_set_option(ub, "do-not-query-address:", text);
	}
	return err;
}

static int
set_up(struct ub_ctx *ub, const struct config *config, bool fresh)
{
	int err = set_options(ub, always);

	if (!err && fresh)
		err = set_options(ub, forgetting);
	if (!err && config->dns.forward_count)
		err = set_options(ub, forwarding);
	else if (!err)
		err = ask_no_special_address(ub);
	for (unsigned i = 0; !err && i < config->dns.forward_count; i++)
		err = set_forwarder(ub, config->dns.forward[i]);
	if (!err)
		err = set_anchor(ub, config->dns.trust_anchor);
	return err;
}

static void
register_metrics(struct dns *dns, const struct user *user)
{
	static const char *const labels[FOUNDS] = {
		[FOUND_ANSWER] = "result=\"answer\"",
		[FOUND_EMPTY] = "result=\"empty\"",
		[FOUND_NXDOMAIN] = "result=\"nxdomain\"",
		[FOUND_SERVFAIL] = "result=\"servfail\"",
		[FOUND_REFUSED] = "result=\"refused\"",
		[FOUND_OTHER] = "result=\"other\"",
		[FOUND_BOGUS] = "result=\"bogus\"",
		[FOUND_UNREADABLE] = "result=\"unreadable\"",
		[FOUND_TIMEOUT] = "result=\"timeout\"",
	};

	for (int i = 0; i < FOUNDS; i++)
		dns->found[i] = metric_counter(
			user->total, "DNS look-ups by what came of them", labels[i]);
	dns->seconds = metric_histogram(
		user->seconds, "From a DNS question to its answer, the cache's among them", NULL);
}

struct dns *
dns_new(struct loop *loop, const struct config *config, enum dns_user user)
{
	struct dns *dns = xcalloc(1, sizeof *dns);
	int err;

	dns->loop = loop;
	register_metrics(dns, &users[user]);
	LIST_INIT(&dns->queries);
	dns->ub = ub_ctx_create_event(loop_base(loop));
	if (!dns->ub)
		die("cannot set up DNS", "out of memory");
	err = set_up(dns->ub, config, users[user].fresh);
	if (err) {
		LOG_ERROR("cannot set up DNS", "error", ub_strerror(err));
		dns_free(&dns);
	}
	return dns;
}

void
dns_free(struct dns **dns_ref)
{
	struct dns *dns = *dns_ref;

	if (!dns)
		return;
	ub_ctx_delete(dns->ub);
	while (!LIST_EMPTY(&dns->queries))
		query_free(LIST_FIRST(&dns->queries));
	free(dns);
	*dns_ref = NULL;
}

struct dns_query *
dns_resolve(struct dns *dns, const char *name, uint16_t type, dns_cb cb, void *arg)
{
	struct dns_query *query = xcalloc(1, sizeof *query);
	int err;

	query->dns = dns;
	query->cb = cb;
	query->arg = arg;
	query->type = type;
	query->at_ub = true;
	query->asked_us = clock_mono_us();
	timer_init(&query->timer, dns->loop, on_timer, query);
	timer_set(&query->timer, TIMEOUT_S * 1000);
	LIST_INSERT_HEAD(&dns->queries, query, entry);
	err = ub_resolve_event(dns->ub, name, type, CLASS_IN, query, on_answer, NULL);
	if (err) {
		query->at_ub = false;
		fail(query, FOUND_OTHER, ub_strerror(err));
		timer_soon(&query->timer);
	}
	return query;
}

void
dns_query_over(struct dns_query *query, void (*over)(void *arg), void *arg)
{
	query->over = over;
	query->over_arg = arg;
}

struct loop *
dns_loop(const struct dns *dns)
{
	return dns->loop;
}

void
dns_cancel(struct dns_query *query)
{
	query->cb = NULL;
	if (!query->at_ub)
		query_free(query);
	else
		timer_cancel(&query->timer);
}
