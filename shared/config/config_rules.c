/*
 * config_rules.c - what the values of shout.yaml have to be: kinds, defaults, ranges, and what is
 * wrong with a text.
 */
#include "shared/config/config_private.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/base/net.h"
#include "shared/base/text.h"
#include "shared/mail/address.h"

static const char *
wrong_domain(const char *text)
{
	return address_domain_valid(text, strlen(text)) && text_is_ascii(text, strlen(text))
		? NULL
		: "is not a host name, like mail.example.net";
}

/* In ASCII: mail for it comes with and without SMTPUTF8. */
static const char *
wrong_mailbox(const char *text)
{
	struct address address;

	return address_parse(text, strlen(text), &address) == 0 && address.domain && !address.utf8
		? NULL
		: "is not a mail address, like postmaster@example.net";
}

static const char *
wrong_absolute(const char *text)
{
	return text[0] == '/' ? NULL : "is not an absolute path";
}

static const char *
wrong_file(const char *text)
{
	static _Thread_local char why[128];

	if (access(text, R_OK) == 0)
		return NULL;
	snprintf(why, sizeof why, "cannot be read: %s", strerror(errno));
	return why;
}

static const char *
wrong_directory(const char *text)
{
	struct stat st;

	if (text[0] != '/')
		return wrong_absolute(text);
	return stat(text, &st) == 0 && S_ISDIR(st.st_mode) ? NULL : "is not a directory";
}

static const char *
wrong_panel(const char *text)
{
	return strcmp(text, "none") == 0 ? NULL : wrong_directory(text);
}

static const char *
wrong_anchor(const char *text)
{
	return strcmp(text, "none") == 0 ? NULL : wrong_file(text);
}

/* host:port where a name may be resolved later. */
static bool
is_endpoint(const char *text)
{
	const char *colon = strrchr(text, ':');
	struct net_address address;
	uint64_t port;

	if (net_parse(text, &address) == 0)
		return address.sa.ss_family != AF_UNIX;
	return colon && address_domain_valid(text, (size_t)(colon - text)) &&
		config_value(KIND_NUMBER, colon + 1, &port) == 0 && port >= 1 && port <= 65535;
}

static const char *
wrong_server(const char *text)
{
	if (strncmp(text, "unix:/", 6) == 0 || is_endpoint(text))
		return NULL;
	return "is neither unix:/PATH nor host:port";
}

static const char *
wrong_sentinel(const char *text)
{
	return is_endpoint(text) ? NULL : "is not host:port, like sentinel1.example.net:26379";
}

/* The signs that Sentinel takes. */
static const char *
wrong_master(const char *text)
{
	static const char signs[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
				    ".-_";

	return *text && text[strspn(text, signs)] == '\0'
		? NULL
		: "is not a name that a sentinel may have for a master: letters, digits, . - _";
}

static bool
is_port(const char *text)
{
	struct net_address address;

	return net_parse(text, &address) == 0 && address.sa.ss_family != AF_UNIX;
}

static const char *
wrong_listen(const char *text)
{
	return is_port(text) ? NULL : "is not address:port, like 0.0.0.0:25 or [::]:25";
}

static const char *
wrong_resolver(const char *text)
{
	return is_port(text) ? NULL : "is not address:port, like 192.0.2.53:53";
}

static const char *
wrong_route(const char *text)
{
	return strcmp(text, "mx") == 0 || is_endpoint(text) ? NULL : "is neither mx nor host:port";
}

static const char *
wrong_network(const char *text)
{
	struct network network;

	return network_parse(text, &network) == 0
		? NULL
		: "is not a network or an address, like 192.0.2.0/24 or 2001:db8::1";
}

static const char *
wrong_ip(const char *text)
{
	struct net_address address;

	return net_parse_ip(text, 0, &address) == 0 ? NULL : "is not an IP address";
}

static const char *
wrong_url(const char *text)
{
	bool http = strncmp(text, "https://", 8) == 0 || strncmp(text, "http://", 7) == 0;

	return http && strcspn(text, " \t\r\n") == strlen(text) ? NULL
								: "is not an http or https URL";
}

/* Paths are put behind it. */
static const char *
wrong_base_url(const char *text)
{
	if (wrong_url(text))
		return wrong_url(text);
	return text[strlen(text) - 1] != '/' ? NULL : "ends with a slash";
}

/* A name for a From field. */
static const char *
wrong_phrase(const char *text)
{
	const size_t length = strlen(text);

	return length > 0 && length <= 100 && utf8_valid(text, length) &&
			!text_has_hidden_controls(text, length) && !strpbrk(text, "\r\n\t")
		? NULL
		: "is not a name of 1 to 100 bytes in one line";
}

/* The name of something, to be typed. */
static const char *
wrong_word(const char *text)
{
	const size_t length = strlen(text);

	return length > 0 && length <= 32 && strcmp(text, "none") != 0 &&
			strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == length
		? NULL
		: "is not a word of 1 to 32 signs of a-z, 0-9, -, _ and ., and not none";
}

/* Google's rule for the last part of a Feedback-ID. */
static const char *
wrong_sender_id(const char *text)
{
	const size_t length = strlen(text);

	for (size_t i = 0; i < length; i++)
		if (!is_alnum(text[i]) && text[i] != '-')
			return "has other signs than letters, digits and -";
	return length >= 5 && length <= 15 ? NULL : "is not 5 to 15 signs long";
}

static const char *
wrong_brokers(const char *text)
{
	char one[256];

	for (size_t n; *text; text += n + (text[n] == ',')) {
		n = strcspn(text, ",");
		snprintf(one, sizeof one, "%.*s", (int)n, text);
		if (!is_endpoint(one))
			return "is not host:port,host:port";
	}
	return NULL;
}

#define VALUE(path, kind, member, ...)                                                             \
	{                                                                                          \
		path, kind, CONFIG(member), __VA_ARGS__, NULL                                      \
	}
#define IN_LIST(path, min, max)                                                                    \
	{                                                                                          \
		path, KIND_NUMBER, 0, NULL, min, max, NULL                                         \
	}
#define CHECKED(path, offset, fallback, wrong)                                                     \
	{                                                                                          \
		path, KIND_TEXT, offset, fallback, NULL, NULL, wrong                               \
	}

/* clang-format off */
const struct config_rule config_rules[] = {
	CHECKED("hostname", CONFIG(hostname), NULL, wrong_domain),
	CHECKED("state_dir", CONFIG(state_dir), NULL, wrong_absolute),
	CHECKED("queue.brokers", CONFIG(queue.brokers), NULL, wrong_brokers),
	VALUE("queue.partitions",        KIND_NUMBER,   queue.partitions,   "12",   "1",   "1000"),
	VALUE("queue.replication",       KIND_NUMBER,   queue.replication,  "3",    "1",   "9"),
	CHECKED("queue.ca", CONFIG(queue.ca), NULL, wrong_file),
	CHECKED("queue.sasl.password_file", CONFIG(queue.sasl.password_file), NULL, wrong_file),
	VALUE("queue.map_size",          KIND_SIZE,     queue.map_size,     "64G",  "64M", "16T"),
	VALUE("queue.min_free",          KIND_NUMBER,   queue.min_free,     "10",   "0",   "90"),
	VALUE("queue.events_size",       KIND_SIZE,     queue.events_size,  "1G",   "1M",  "1T"),
	VALUE("queue.floods_size",       KIND_SIZE,     queue.floods_size,  "100M", "1M",  "1T"),
	VALUE("queue.events_keep",       KIND_DURATION, queue.events_keep,  "30d",  "1h",  "3650d"),
	VALUE("queue.audit_size",        KIND_SIZE,     queue.audit_size,   "100M", "1M",  "1T"),
	VALUE("queue.audit_keep",        KIND_DURATION, queue.audit_keep,   "365d", "1h",  "3650d"),
	CHECKED("redis.address", CONFIG(redis.address), NULL, wrong_server),
	CHECKED("redis.sentinels[]", 0, NULL, wrong_sentinel),
	CHECKED("redis.master", CONFIG(redis.master), NULL, wrong_master),
	CHECKED("redis.sentinel_password_file", CONFIG(redis.sentinel_password_file), NULL,
		wrong_file),
	CHECKED("redis.password_file", CONFIG(redis.password_file), NULL, wrong_file),
	CHECKED("redis.ca", CONFIG(redis.ca), NULL, wrong_file),
	CHECKED("ingress.listen[].address", 0, NULL, wrong_listen),
	CHECKED("ingress.listen[].proxies[]", 0, NULL, wrong_network),
	VALUE("ingress.threads",         KIND_NUMBER,   ingress.threads,    "0",    "0",   "256"),
	CHECKED("ingress.tls.certificate", offsetof(LOADED, certificate), NULL, wrong_file),
	CHECKED("ingress.tls.key", offsetof(LOADED, key), NULL, wrong_file),
	CHECKED("ingress.tls.more[].certificate", 0, NULL, wrong_file),
	CHECKED("ingress.tls.more[].key", 0, NULL, wrong_file),
	VALUE("ingress.message_size_limit", KIND_SIZE,
		ingress.message_size_limit, "50M", "64k", "50M"),
	VALUE("ingress.recipients_max",  KIND_NUMBER,   ingress.recipients_max, "1000", "100", "1000"),
	VALUE("ingress.connections_max", KIND_NUMBER,   ingress.connections_max, "2000", "1", "100000"),
	VALUE("ingress.connections_per_address", KIND_NUMBER,
		ingress.connections_per_address, "100", "1", "100000"),
	VALUE("ingress.known_share",     KIND_NUMBER,   ingress.known_share, "50",  "0",   "90"),
	VALUE("ingress.strangers_per_network", KIND_NUMBER,
		ingress.strangers_per_network, "250", "1", "100000"),
	VALUE("ingress.stranger_timeout", KIND_DURATION, ingress.stranger_timeout, "30s", "1s", "1h"),
	VALUE("ingress.stranger_rates.connections", KIND_NUMBER,
		ingress.stranger_rates.connections, "600", "1", "1000000"),
	VALUE("ingress.stranger_rates.handshakes", KIND_NUMBER,
		ingress.stranger_rates.handshakes, "120", "1", "1000000"),
	VALUE("ingress.stranger_rates.commands", KIND_NUMBER,
		ingress.stranger_rates.commands, "1200", "1", "1000000"),
	VALUE("ingress.errors_max",      KIND_NUMBER,   ingress.errors_max, "20",   "1",   "1000"),
	VALUE("ingress.timeout",         KIND_DURATION, ingress.timeout,    "5m",   "1s",  "1h"),
	CHECKED("ingress.help_url", CONFIG(ingress.help_url), NULL, wrong_url),
	CHECKED("ingress.postmaster", CONFIG(ingress.postmaster), NULL, wrong_mailbox),
	VALUE("ingress.in_flight_max",   KIND_NUMBER, ingress.in_flight_max, "10000", "1", "10000000"),
	VALUE("ingress.waiting_max",     KIND_NUMBER, ingress.waiting_max, "200000", "1", "100000000"),
	VALUE("limits.default.messages_hour", KIND_NUMBER,
		limits.defaults.messages_hour, "1000", "0", "1000000000"),
	VALUE("limits.default.messages_day", KIND_NUMBER,
		limits.defaults.messages_day, "5000", "0", "1000000000"),
	VALUE("limits.default.recipients_hour", KIND_NUMBER,
		limits.defaults.recipients_hour, "5000", "0", "1000000000"),
	VALUE("limits.default.recipients_day", KIND_NUMBER,
		limits.defaults.recipients_day, "20000", "0", "1000000000"),
	CHECKED("scanner.clamd[]", 0, NULL, wrong_server),
	CHECKED("scanner.clamd_temporary", CONFIG(scanner.clamd_temporary), NULL, wrong_directory),
	VALUE("scanner.timeout",         KIND_DURATION, scanner.timeout,    "60s",  "1s",  "1h"),
	VALUE("scanner.connections",     KIND_NUMBER,   scanner.connections, "10",  "1",   "1000"),
	VALUE("scanner.signature_age",   KIND_DURATION, scanner.signature_age, "48h", "1h", "3650d"),
	VALUE("scanner.error_limit",     KIND_DURATION, scanner.error_limit, "3d", "1s", "14d"),
	VALUE("score.minimum",           KIND_NUMBER,   score.minimum,          "50",  "1", "1000000"),
	VALUE("score.unknown_notify",    KIND_NUMBER,   score.unknown_notify,   "5",   "1", "100"),
	VALUE("score.unknown_hold",      KIND_NUMBER,   score.unknown_hold,     "10",  "1", "100"),
	VALUE("score.complaints_notify", KIND_NUMBER,   score.complaints_notify, "1",  "1", "1000"),
	VALUE("score.complaints_hold",   KIND_NUMBER,   score.complaints_hold,  "3",   "1", "1000"),
	VALUE("score.viruses",           KIND_NUMBER,   score.viruses,          "3",   "1", "1000000"),
	VALUE("score.spam",              KIND_NUMBER,   score.spam,             "10",  "1", "1000000"),
	VALUE("score.throttle",          KIND_NUMBER,   score.throttle,         "3",   "2", "1000"),
	VALUE("score.hold",              KIND_NUMBER,   score.hold,             "10",  "2", "1000"),
	VALUE("score.learning",          KIND_DURATION, score.learning,         "7d",  "0", "90d"),
	VALUE("score.floor.originator",  KIND_NUMBER,   score.floor.originator, "15",  "1", "1000000"),
	VALUE("score.floor.credential",  KIND_NUMBER,   score.floor.credential, "100", "1", "1000000"),
	VALUE("score.floor.account",     KIND_NUMBER,   score.floor.account,    "200", "1", "1000000"),
	CHECKED("dnsbl.lists[]", 0, NULL, wrong_domain),
	VALUE("dnsbl.every",             KIND_DURATION, dnsbl.every,            "15m", "1s", "1d"),
	CHECKED("dkim.secret_file", CONFIG(dkim.secret_file), NULL, wrong_file),
	CHECKED("dkim.domain", CONFIG(dkim.domain), NULL, wrong_domain),
	CHECKED("dkim.sender_id", CONFIG(dkim.sender_id), NULL, wrong_sender_id),
	CHECKED("dkim.zone", CONFIG(dkim.zone), NULL, wrong_domain),
	CHECKED("sender.route", CONFIG(sender.route), "mx", wrong_route),
	CHECKED("sender.allow_networks[]", 0, NULL, wrong_network),
	VALUE("sender.lifetime",         KIND_DURATION, sender.lifetime,    "5d",   "1s",  "30d"),
	VALUE("sender.null_lifetime",    KIND_DURATION, sender.null_lifetime, "1d", "1s",  "30d"),
	VALUE("sender.held_lifetime",    KIND_DURATION, sender.held_lifetime, "14d", "1s", "365d"),
	VALUE("sender.retry.first",      KIND_DURATION, sender.retry.first, "5m",   "100ms", "1d"),
	VALUE("sender.retry.max",        KIND_DURATION, sender.retry.max,   "4h",   "100ms", "1d"),
	VALUE("sender.rest.max",         KIND_DURATION, sender.rest.max,    "30m",  "100ms", "1d"),
	VALUE("sender.rest.route",       KIND_DURATION, sender.rest.route,  "2m",   "100ms", "1d"),
	VALUE("sender.ambiguous_retries", KIND_NUMBER,  sender.ambiguous_retries, "3", "0", "100"),
	VALUE("sender.delay_dsn",        KIND_DURATION, sender.delay_dsn,   "4h",   "1s",  "30d"),
	VALUE("sender.concurrency_start", KIND_NUMBER,  sender.concurrency_start, "5", "1", "1000"),
	VALUE("sender.concurrency_max",  KIND_NUMBER,   sender.concurrency_max, "20", "1", "1000"),
	VALUE("sender.connections_max",  KIND_NUMBER,   sender.connections_max, "1000", "1", "100000"),
	VALUE("sender.port",             KIND_NUMBER,   sender.port,        "25",   "1",   "65535"),
	CHECKED("sender.source_address[]", 0, NULL, wrong_ip),
	CHECKED("sender.replies", CONFIG(sender.replies), NULL, wrong_file),
	VALUE("sender.timeout.connect",  KIND_DURATION, sender.timeout.connect, "30s", "100ms", "10m"),
	VALUE("sender.timeout.command",  KIND_DURATION, sender.timeout.command, "5m", "100ms", "1h"),
	VALUE("sender.timeout.dot",      KIND_DURATION, sender.timeout.dot, "10m",  "100ms", "1h"),
	VALUE("sender.timeout.idle",     KIND_DURATION, sender.timeout.idle, "5s",  "0",   "5m"),
	CHECKED("dns.forward[]", 0, NULL, wrong_resolver),
	CHECKED("dns.trust_anchor", CONFIG(dns.trust_anchor), NULL, wrong_anchor),
	CHECKED("control.listen", CONFIG(control.listen), NULL, wrong_listen),
	CHECKED("control.tls.certificate", CONFIG(control.tls.certificate), NULL, wrong_file),
	CHECKED("control.tls.key", CONFIG(control.tls.key), NULL, wrong_file),
	CHECKED("control.proxies[]", 0, NULL, wrong_network),
	CHECKED("control.hosts[]", 0, NULL, wrong_domain),
	CHECKED("control.panel", CONFIG(control.panel), NULL, wrong_panel),
	CHECKED("service.name", CONFIG(service.name), NULL, wrong_phrase),
	CHECKED("service.hosts[]", 0, NULL, wrong_domain),
	CHECKED("service.support", CONFIG(service.support), NULL, wrong_mailbox),
	CHECKED("service.panel", CONFIG(service.panel), NULL, wrong_base_url),
	CHECKED("service.notices", CONFIG(service.notices), NULL, wrong_directory),
	CHECKED("service.plans[].name", 0, NULL, wrong_word),
	IN_LIST("service.plans[].mailboxes_min", "0", "1000000"),
	IN_LIST("service.plans[].mailboxes_max", "1", "1000000"),
	IN_LIST("service.plans[].messages_hour", "0", "1000000"),
	IN_LIST("service.plans[].messages_day", "0", "1000000"),
	IN_LIST("service.plans[].recipients_hour", "0", "1000000"),
	IN_LIST("service.plans[].recipients_day", "0", "1000000"),
	VALUE("control.trace_keep",      KIND_DURATION, control.trace_keep, "30d",  "7d",  "30d"),
	CHECKED("control.webhooks.networks[]", 0, NULL, wrong_network),
	VALUE("control.webhooks.retry",  KIND_DURATION, control.webhooks.retry, "10s", "10ms", "1h"),
	VALUE("control.webhooks.give_up", KIND_DURATION, control.webhooks.give_up, "3d",   "1s",  "30d"),
	CHECKED("service.spf", CONFIG(service.spf), NULL, wrong_domain),
	CHECKED("service.addresses[]", 0, NULL, wrong_ip),
	CHECKED("metrics.listen", CONFIG(metrics.listen), NULL, wrong_listen),
	{ 0 },
};
/* clang-format on */

const struct config_rule *
config_rule_find(const char *path)
{
	for (const struct config_rule *rule = config_rules; rule->path; rule++)
		if (strcmp(rule->path, path) == 0)
			return rule;
	return NULL;
}

bool
config_rule_is_file(const struct config_rule *rule)
{
	return rule->wrong == wrong_file || rule->wrong == wrong_anchor ||
		rule->wrong == wrong_directory;
}
