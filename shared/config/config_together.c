/*
 * config_together.c - checks the keys of shout.yaml against each other, once each of them is right
 * by itself.
 */
#include "shared/config/config_private.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shared/base/log.h"
#include "shared/base/net.h"

static void
check_pair(struct config_check *check, const char *path, const char *certificate, const char *key)
{
	if (certificate && !key)
		config_error(check, path, "has a certificate, but no key");
	else if (key && !certificate)
		config_error(check, path, "has a key, but no certificate");
}

static void
check_certificates(const struct config_loaded *loaded, struct config_check *check)
{
	char path[64];

	check_pair(check, "ingress.tls", loaded->certificate, loaded->key);
	check_pair(check, "control.tls", loaded->config.control.tls.certificate,
		loaded->config.control.tls.key);
	for (unsigned i = 0; i < loaded->more_count; i++) {
		snprintf(path, sizeof path, "ingress.tls.more[%u]", i);
		if (loaded->more[i].certificate || loaded->more[i].key)
			check_pair(check, path, loaded->more[i].certificate, loaded->more[i].key);
		else
			config_error(check, path, "needs a certificate and a key");
	}
	if (loaded->more_count && !loaded->certificate)
		config_error(check, "ingress.tls.more", "needs ingress.tls.certificate and .key");
}

static void
check_listener(const struct config *config, struct config_check *check, unsigned i)
{
	static const char *const kinds[] = { "none", "starttls", "implicit" };
	const struct listen_config *listen = &config->ingress.listen[i];
	char path[64];

#define AT(key) (snprintf(path, sizeof path, "ingress.listen[%u]." key, i), path)
	if (!listen->address)
		config_error(check, AT("address"), "is needed, like 0.0.0.0:25");
	if (listen->tls != LISTEN_PLAIN && !config->ingress.tls.files_count)
		config_error(check, AT("tls"),
			"\"%s\" needs ingress.tls.certificate and ingress.tls.key",
			kinds[listen->tls]);
	if (listen->tls_required && listen->tls != LISTEN_STARTTLS)
		config_error(check, AT("tls_required"), "needs tls: starttls");
	if (listen->proxy && !listen->proxies_count)
		config_error(check, AT("proxy"), "needs proxies, who may send the PROXY header");
	if (!listen->proxy && listen->proxies_count)
		config_error(check, AT("proxies"), "needs proxy: true");
#undef AT
}

static void
check_sasl(const struct config *config, struct config_check *check)
{
	if (config->queue.sasl.mechanism == SASL_NONE) {
		if (config->queue.sasl.username || config->queue.sasl.password)
			config_error(check, "queue.sasl", "needs a mechanism, like SCRAM-SHA-256");
	} else if (!config->queue.sasl.username ||
		!(config->queue.sasl.password || config->queue.sasl.password_file)) {
		config_error(check, "queue.sasl", "needs username and password or password_file");
	}
}

static void
check_queue(const struct config *config, struct config_check *check)
{
	if (config->queue.ca && !config->queue.tls)
		config_error(check, "queue.ca", "needs queue.tls: true");
	check_sasl(config, check);
	if (config->queue.backend == BACKEND_KAFKA) {
		if (!config->queue.brokers)
			config_error(
				check, "queue.brokers", "is needed, like kafka1:9092,kafka2:9092");
		return;
	}
	if (config->queue.brokers)
		config_error(check, "queue.brokers", "needs queue.backend: kafka");
	if (config->queue.tls)
		config_error(check, "queue.tls", "needs queue.backend: kafka");
	if (config->queue.sasl.mechanism != SASL_NONE)
		config_error(check, "queue.sasl", "needs queue.backend: kafka");
}

/* One that is named twice would have two votes. */
static void
check_sentinels_differ(const struct config *config, struct config_check *check)
{
	char path[64];

	for (unsigned i = 1; i < config->redis.sentinels_count; i++)
		for (unsigned j = 0; j < i; j++)
			if (strcasecmp(config->redis.sentinels[i], config->redis.sentinels[j]) ==
				0) {
				snprintf(path, sizeof path, "redis.sentinels[%u]", i);
				config_error(check, path, "is the same as redis.sentinels[%u]", j);
				break;
			}
}

static void
check_sentinels(const struct config *config, struct config_check *check)
{
	if (config->redis.address)
		config_error(check, "redis.sentinels",
			"is set together with redis.address: the sentinels say where the master is");
	if (!config->redis.master)
		config_error(check, "redis.sentinels",
			"needs redis.master: the name that the sentinels have for it");
	check_sentinels_differ(config, check);
}

static void
check_redis(const struct config *config, struct config_check *check)
{
	if (config->redis.ca && !config->redis.tls)
		config_error(check, "redis.ca", "needs redis.tls: true");
	if (config->redis.sentinels_count)
		check_sentinels(config, check);
	else if (config->redis.master)
		config_error(check, "redis.master", "needs redis.sentinels, who know that name");
	else if (config->redis.sentinel_password || config->redis.sentinel_password_file)
		config_error(check,
			config->redis.sentinel_password_file ? "redis.sentinel_password_file"
							     : "redis.sentinel_password",
			"needs redis.sentinels");
}

static void
check_sources(const struct config *config, struct config_check *check)
{
	struct net_address first, second;

	if (config->sender.source_address_count > 2)
		config_error(check, "sender.source_address[2]",
			"is too many: one IPv4 and one IPv6 address");
	else if (config->sender.source_address_count == 2 &&
		net_parse_ip(config->sender.source_address[0], 0, &first) == 0 &&
		net_parse_ip(config->sender.source_address[1], 0, &second) == 0 &&
		first.sa.ss_family == second.sa.ss_family)
		config_error(check, "sender.source_address[1]",
			"is of the same family as the first: one IPv4 and one IPv6 address");
}

static void
check_sender(const struct config *config, struct config_check *check)
{
	if (config->sender.retry.first > config->sender.retry.max)
		config_error(check, "sender.retry.first", "is longer than sender.retry.max");
	if (config->sender.concurrency_start > config->sender.concurrency_max)
		config_error(check, "sender.concurrency_start",
			"is more than sender.concurrency_max (%u)", config->sender.concurrency_max);
	check_sources(config, check);
}

static void
check_score(const struct config *config, struct config_check *check)
{
	if (config->score.throttle > config->score.hold)
		config_error(
			check, "score.throttle", "is above score.hold (%u)", config->score.hold);
	if (config->score.unknown_notify > config->score.unknown_hold)
		config_error(check, "score.unknown_notify", "is above score.unknown_hold (%u)",
			config->score.unknown_hold);
	if (config->score.complaints_notify > config->score.complaints_hold)
		config_error(check, "score.complaints_notify",
			"is above score.complaints_hold (%u)", config->score.complaints_hold);
}

static void
check_dkim(const struct config *config, struct config_check *check)
{
	const char *secret = config->dkim.secret;

	if (config->dkim.sender_id && !config->dkim.domain)
		config_error(
			check, "dkim.sender_id", "needs dkim.domain, whose signature covers it");
	if (secret && (strlen(secret) != 64 || strspn(secret, "0123456789abcdef") != 64))
		config_error(check, "dkim.secret_file",
			"does not have 64 signs of 0-9 and a-f (openssl rand -hex 32)");
}

static bool
plan_is_twice(const struct config *config, unsigned i)
{
	for (unsigned j = 0; j < i; j++)
		if (config->service.plans[j].name && config->service.plans[i].name &&
			strcmp(config->service.plans[j].name, config->service.plans[i].name) == 0)
			return true;
	return false;
}

static void
check_plans(const struct config *config, struct config_check *check)
{
	char path[64];

	for (unsigned i = 0; i < config->service.plans_count; i++) {
		const struct plan_config *plan = &config->service.plans[i];

		snprintf(path, sizeof path, "service.plans[%u]", i);
		if (!plan->name)
			config_error(check, path, "needs a name");
		if (plan_is_twice(config, i))
			config_error(check, path, "has the name of another plan");
		if (plan->mailboxes_max && plan->mailboxes_min > plan->mailboxes_max)
			config_error(check, path, "has a mailboxes_min above its mailboxes_max");
	}
}

/* An address to listen on, and where in the file it stands. */
struct place {
	char path[64];
	const char *text;
	bool page; /* of the API or the metrics: its port is shared with nothing, also not by a
		      wildcard */
};

static bool
is_any(const struct net_address *address)
{
	static const struct network any[] = {
		{ .family = AF_INET, .prefix = 32 },
		{ .family = AF_INET6, .prefix = 128 },
	};

	return network_contains(&any[0], address) || network_contains(&any[1], address);
}

static bool
places_collide(const struct place *a, const struct place *b)
{
	char a_ip[NET_TEXT_MAX], b_ip[NET_TEXT_MAX];
	struct net_address x, y;

	if (!a->text || !b->text || net_parse(a->text, &x) < 0 || net_parse(b->text, &y) < 0 ||
		x.sa.ss_family != y.sa.ss_family || net_port(&x) != net_port(&y) || !net_port(&x))
		return false;
	net_format_ip(&x, a_ip);
	net_format_ip(&y, b_ip);
	return strcmp(a_ip, b_ip) == 0 || ((a->page || b->page) && (is_any(&x) || is_any(&y)));
}

static void
check_places(const struct config *config, struct config_check *check)
{
	const unsigned listeners = config->ingress.listen_count, count = listeners + 2;
	struct place *places = xcalloc(count, sizeof *places);

	for (unsigned i = 0; i < listeners; i++) {
		snprintf(places[i].path, sizeof places->path, "ingress.listen[%u].address", i);
		places[i].text = config->ingress.listen[i].address;
	}
	places[listeners] = (struct place){ "control.listen", config->control.listen, true };
	places[listeners + 1] = (struct place){ "metrics.listen", config->metrics.listen, true };
	for (unsigned j = 1; j < count; j++)
		for (unsigned i = 0; i < j; i++)
			if (places_collide(&places[i], &places[j])) {
				config_error(check, places[j].path,
					"\"%s\" is in use already by %s", places[j].text,
					places[i].path);
				break;
			}
	free(places);
}

void
config_check_together(const struct config_loaded *loaded, struct config_check *check)
{
	const struct config *config = &loaded->config;

	if (!config->state_dir)
		config_error(check, "state_dir",
			"is needed: a directory for the queue, like /var/lib/shout");
	if (config->group && !config->user)
		config_error(check, "group", "needs user, who gets that group");
	check_queue(config, check);
	check_redis(config, check);
	check_certificates(loaded, check);
	for (unsigned i = 0; i < config->ingress.listen_count; i++)
		check_listener(config, check, i);
	if (config->scanner.enabled && !config->scanner.clamd_count)
		config_error(check, "scanner.clamd",
			"is empty; name a clamd, or set scanner.enabled: false");
	check_score(config, check);
	check_dkim(config, check);
	check_sender(config, check);
	check_plans(config, check);
	check_places(config, check);
}
