/*
 * config_schema.c - the keys of shout.yaml: types for libcyaml, defaults, ranges, and what each
 * value has to look like.
 *
 * All mappings have offset 0 and all fields count from the start of struct config_loaded (but those
 * of list entries), so that a key may be stored away from its neighbours.
 */
#include "shared/config/config_private.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/base/log.h"
#include "shared/base/net.h"
#include "shared/base/text.h"
#include "shared/config/config_live.h"
#include "shared/mail/address.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define OPT CYAML_FLAG_OPTIONAL
#define TEXT_FLAGS (OPT | CYAML_FLAG_POINTER_NULL_STR)
#define LOADED struct config_loaded
#define CONFIG(member) offsetof(struct config_loaded, config.member)

#define FIELD(name, offset_, ...)                                                                  \
	{                                                                                          \
		.key = (name), .data_offset = (uint32_t)(offset_), .value = { __VA_ARGS__ }        \
	}
#define TEXT(name, offset)                                                                         \
	FIELD(name, offset, CYAML_VALUE_STRING(TEXT_FLAGS, char *, 0, CYAML_UNLIMITED))
#define NUMBER(name, offset) FIELD(name, offset, CYAML_VALUE_UINT(OPT, unsigned))
#define BOOL(name, offset) FIELD(name, offset, CYAML_VALUE_BOOL(OPT, bool))
#define ENUM(name, offset, type, names)                                                            \
	FIELD(name, offset, CYAML_VALUE_ENUM(OPT | CYAML_FLAG_STRICT, type, names, COUNT(names)))
#define MAPPING(name, list) FIELD(name, 0, CYAML_VALUE_MAPPING(OPT, LOADED, list))
#define LIST(name, offset, count, type, entry_)                                                    \
	{                                                                                          \
		.key = (name), .data_offset = (uint32_t)(offset),                                  \
		.count_offset = (uint32_t)(count), .count_size = sizeof(unsigned), .value = {      \
			CYAML_VALUE_SEQUENCE(                                                      \
				OPT | CYAML_FLAG_POINTER, type, entry_, 0, CYAML_UNLIMITED)        \
		}                                                                                  \
	}
#define TEXT_LIST(name, member)                                                                    \
	LIST(name, CONFIG(member), CONFIG(member##_count), char *, &text_entry)

/* Durations and sizes are loaded as text into the place of their number. */
_Static_assert(sizeof(char *) == sizeof(uint64_t), "text does not fit where its number goes");
_Static_assert(sizeof(enum config_backend) == sizeof(int), "enums are stored as int");

static const cyaml_strval_t levels[] = {
	{"debug",  LOG_LEVEL_DEBUG},
	{ "info",  LOG_LEVEL_INFO },
	{ "warn",  LOG_LEVEL_WARN },
	{ "error", LOG_LEVEL_ERROR},
};
static const cyaml_strval_t backends[] = {
	{"lmdb",   BACKEND_LMDB },
	{ "kafka", BACKEND_KAFKA},
};
static const cyaml_strval_t mechanisms[] = {
	{"none",           SASL_NONE         },
	{ "PLAIN",         SASL_PLAIN        },
	{ "SCRAM-SHA-256", SASL_SCRAM_SHA_256},
	{ "SCRAM-SHA-512", SASL_SCRAM_SHA_512},
};
static const cyaml_strval_t tls_kinds[] = {
	{"none",      LISTEN_PLAIN   },
	{ "starttls", LISTEN_STARTTLS},
	{ "implicit", LISTEN_IMPLICIT},
};
static const cyaml_strval_t auth_kinds[] = {
	{"never",            AUTH_NEVER          },
	{ "known-addresses", AUTH_KNOWN_ADDRESSES},
	{ "always",          AUTH_ALWAYS         },
};
static const cyaml_strval_t profiles[] = {
	{"modern",  TLS_MODERN},
	{ "legacy", TLS_LEGACY},
};
static const cyaml_strval_t policies[] = {
	{"hold",  ALERT_HOLD},
	{ "tag",  ALERT_TAG },
	{ "pass", ALERT_PASS},
};
static const cyaml_strval_t newlines[] = {
	{"normalise", BARE_NORMALISE},
	{ "refuse",   BARE_REFUSE   },
};

static const cyaml_schema_value_t text_entry = { CYAML_VALUE_STRING(
	CYAML_FLAG_POINTER, char *, 1, CYAML_UNLIMITED) };

static const cyaml_schema_field_t log_fields[] = {
	ENUM("level", CONFIG(log.level), int, levels),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t sasl_fields[] = {
	ENUM("mechanism", CONFIG(queue.sasl.mechanism), enum config_sasl, mechanisms),
	TEXT("username", CONFIG(queue.sasl.username)),
	TEXT("password", CONFIG(queue.sasl.password)),
	TEXT("password_file", CONFIG(queue.sasl.password_file)),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t queue_fields[] = {
	ENUM("backend", CONFIG(queue.backend), enum config_backend, backends),
	TEXT("brokers", CONFIG(queue.brokers)),
	NUMBER("partitions", CONFIG(queue.partitions)),
	NUMBER("replication", CONFIG(queue.replication)),
	BOOL("tls", CONFIG(queue.tls)),
	TEXT("ca", CONFIG(queue.ca)),
	MAPPING("sasl", sasl_fields),
	TEXT("map_size", CONFIG(queue.map_size)),
	NUMBER("min_free", CONFIG(queue.min_free)),
	TEXT("events_size", CONFIG(queue.events_size)),
	TEXT("floods_size", CONFIG(queue.floods_size)),
	TEXT("events_keep", CONFIG(queue.events_keep)),
	TEXT("audit_size", CONFIG(queue.audit_size)),
	TEXT("audit_keep", CONFIG(queue.audit_keep)),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t redis_fields[] = {
	TEXT("address", CONFIG(redis.address)),
	TEXT("password", CONFIG(redis.password)),
	TEXT("password_file", CONFIG(redis.password_file)),
	BOOL("tls", CONFIG(redis.tls)),
	TEXT("ca", CONFIG(redis.ca)),
	CYAML_FIELD_END,
};

#define LISTEN(member) offsetof(struct listen_config, member)

static const cyaml_schema_field_t listen_fields[] = {
	TEXT("address", LISTEN(address)),
	ENUM("tls", LISTEN(tls), enum listen_tls, tls_kinds),
	BOOL("tls_required", LISTEN(tls_required)),
	ENUM("tls_profile", LISTEN(profile), enum tls_profile, profiles),
	BOOL("auth", LISTEN(auth)),
	ENUM("auth_without_tls", LISTEN(auth_without_tls), enum listen_auth, auth_kinds),
	BOOL("proxy", LISTEN(proxy)),
	LIST("proxies", LISTEN(proxies), LISTEN(proxies_count), char *, &text_entry),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t listen_entry = { CYAML_VALUE_MAPPING(
	CYAML_FLAG_DEFAULT, struct listen_config, listen_fields) };

static const cyaml_schema_field_t more_fields[] = {
	TEXT("certificate", offsetof(struct tls_files, certificate)),
	TEXT("key", offsetof(struct tls_files, key)),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t more_entry = { CYAML_VALUE_MAPPING(
	CYAML_FLAG_DEFAULT, struct tls_files, more_fields) };

static const cyaml_schema_field_t tls_fields[] = {
	TEXT("certificate", offsetof(LOADED, certificate)),
	TEXT("key", offsetof(LOADED, key)),
	LIST("more", offsetof(LOADED, more), offsetof(LOADED, more_count), struct tls_files,
		&more_entry),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t rate_fields[] = {
	NUMBER("connections", CONFIG(ingress.stranger_rates.connections)),
	NUMBER("handshakes", CONFIG(ingress.stranger_rates.handshakes)),
	NUMBER("commands", CONFIG(ingress.stranger_rates.commands)),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t ingress_fields[] = {
	LIST("listen", CONFIG(ingress.listen), CONFIG(ingress.listen_count), struct listen_config,
		&listen_entry),
	NUMBER("threads", CONFIG(ingress.threads)),
	MAPPING("tls", tls_fields),
	TEXT("message_size_limit", CONFIG(ingress.message_size_limit)),
	NUMBER("recipients_max", CONFIG(ingress.recipients_max)),
	NUMBER("connections_max", CONFIG(ingress.connections_max)),
	NUMBER("connections_per_address", CONFIG(ingress.connections_per_address)),
	NUMBER("known_share", CONFIG(ingress.known_share)),
	NUMBER("strangers_per_network", CONFIG(ingress.strangers_per_network)),
	TEXT("stranger_timeout", CONFIG(ingress.stranger_timeout)),
	MAPPING("stranger_rates", rate_fields),
	NUMBER("errors_max", CONFIG(ingress.errors_max)),
	TEXT("timeout", CONFIG(ingress.timeout)),
	ENUM("bare_newline", CONFIG(ingress.bare_newline), enum bare_newline, newlines),
	BOOL("received_client_address", CONFIG(ingress.received_client_address)),
	TEXT("help_url", CONFIG(ingress.help_url)),
	TEXT("postmaster", CONFIG(ingress.postmaster)),
	NUMBER("in_flight_max", CONFIG(ingress.in_flight_max)),
	NUMBER("waiting_max", CONFIG(ingress.waiting_max)),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t default_fields[] = {
	NUMBER("messages_hour", CONFIG(limits.defaults.messages_hour)),
	NUMBER("messages_day", CONFIG(limits.defaults.messages_day)),
	NUMBER("recipients_hour", CONFIG(limits.defaults.recipients_hour)),
	NUMBER("recipients_day", CONFIG(limits.defaults.recipients_day)),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t limits_fields[] = {
	MAPPING("default", default_fields),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t scanner_fields[] = {
	BOOL("enabled", CONFIG(scanner.enabled)),
	TEXT_LIST("clamd", scanner.clamd),
	TEXT("clamd_temporary", CONFIG(scanner.clamd_temporary)),
	TEXT("timeout", CONFIG(scanner.timeout)),
	NUMBER("connections", CONFIG(scanner.connections)),
	TEXT("signature_age", CONFIG(scanner.signature_age)),
	TEXT("error_limit", CONFIG(scanner.error_limit)),
	ENUM("pua", CONFIG(scanner.pua), int, policies),
	ENUM("heuristics", CONFIG(scanner.heuristics), int, policies),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t retry_fields[] = {
	TEXT("first", CONFIG(sender.retry.first)),
	TEXT("max", CONFIG(sender.retry.max)),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t rest_fields[] = {
	TEXT("max", CONFIG(sender.rest.max)),
	TEXT("route", CONFIG(sender.rest.route)),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t timeout_fields[] = {
	TEXT("connect", CONFIG(sender.timeout.connect)),
	TEXT("command", CONFIG(sender.timeout.command)),
	TEXT("dot", CONFIG(sender.timeout.dot)),
	TEXT("idle", CONFIG(sender.timeout.idle)),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t sender_fields[] = {
	TEXT("route", CONFIG(sender.route)),
	TEXT_LIST("allow_networks", sender.allow_networks),
	TEXT("lifetime", CONFIG(sender.lifetime)),
	TEXT("null_lifetime", CONFIG(sender.null_lifetime)),
	TEXT("held_lifetime", CONFIG(sender.held_lifetime)),
	MAPPING("retry", retry_fields),
	MAPPING("rest", rest_fields),
	NUMBER("ambiguous_retries", CONFIG(sender.ambiguous_retries)),
	TEXT("delay_dsn", CONFIG(sender.delay_dsn)),
	NUMBER("concurrency_start", CONFIG(sender.concurrency_start)),
	NUMBER("concurrency_max", CONFIG(sender.concurrency_max)),
	NUMBER("connections_max", CONFIG(sender.connections_max)),
	NUMBER("port", CONFIG(sender.port)),
	TEXT_LIST("source_address", sender.source_address),
	MAPPING("timeout", timeout_fields),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t dns_fields[] = {
	TEXT_LIST("forward", dns.forward),
	TEXT("trust_anchor", CONFIG(dns.trust_anchor)),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t control_fields[] = {
	TEXT("listen", CONFIG(control.listen)),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t metrics_fields[] = {
	TEXT("listen", CONFIG(metrics.listen)),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t top_fields[] = {
	TEXT("hostname", CONFIG(hostname)),
	TEXT("state_dir", CONFIG(state_dir)),
	TEXT("user", CONFIG(user)),
	TEXT("group", CONFIG(group)),
	MAPPING("log", log_fields),
	MAPPING("queue", queue_fields),
	MAPPING("redis", redis_fields),
	MAPPING("ingress", ingress_fields),
	MAPPING("limits", limits_fields),
	MAPPING("scanner", scanner_fields),
	MAPPING("sender", sender_fields),
	MAPPING("dns", dns_fields),
	MAPPING("control", control_fields),
	MAPPING("metrics", metrics_fields),
	CYAML_FIELD_END,
};

const cyaml_schema_value_t config_schema = { CYAML_VALUE_MAPPING(
	CYAML_FLAG_POINTER, LOADED, top_fields) };

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
wrong_listen(const char *text)
{
	struct net_address address;

	if (net_parse(text, &address) == 0 && address.sa.ss_family != AF_UNIX)
		return NULL;
	return "is not address:port, like 0.0.0.0:25 or [::]:25";
}

static const char *
wrong_resolver(const char *text)
{
	struct net_address address;

	if (net_parse(text, &address) == 0 && address.sa.ss_family != AF_UNIX)
		return NULL;
	return "is not address:port, like 192.0.2.53:53";
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
	CHECKED("redis.address", CONFIG(redis.address), "unix:/run/redis/redis-server.sock",
		wrong_server),
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
	VALUE("sender.timeout.connect",  KIND_DURATION, sender.timeout.connect, "30s", "100ms", "10m"),
	VALUE("sender.timeout.command",  KIND_DURATION, sender.timeout.command, "5m", "100ms", "1h"),
	VALUE("sender.timeout.dot",      KIND_DURATION, sender.timeout.dot, "10m",  "100ms", "1h"),
	VALUE("sender.timeout.idle",     KIND_DURATION, sender.timeout.idle, "5s",  "0",   "5m"),
	CHECKED("dns.forward[]", 0, NULL, wrong_resolver),
	CHECKED("dns.trust_anchor", CONFIG(dns.trust_anchor), NULL, wrong_anchor),
	CHECKED("control.listen", CONFIG(control.listen), NULL, wrong_listen),
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

#define MEMBER(member) ((struct config *)0)->member
/* A member that is not atomic does not compile here. */
#define LIVE(path, member)                                                                           \
	{                                                                                            \
		path, CONFIG(member),                                                              \
			_Generic(&MEMBER(member), _Atomic int *                                    \
				 : sizeof(int), _Atomic unsigned *                                 \
				 : sizeof(unsigned), _Atomic uint64_t *                            \
				 : sizeof(uint64_t), _Atomic bool *                                \
				 : sizeof(bool)) \
	}

/* clang-format off */
const struct config_live config_live_keys[] = {
	LIVE("log.level", log.level),
	LIVE("queue.min_free", queue.min_free),
	LIVE("queue.events_size", queue.events_size),
	LIVE("queue.floods_size", queue.floods_size),
	LIVE("queue.events_keep", queue.events_keep),
	LIVE("queue.audit_size", queue.audit_size),
	LIVE("queue.audit_keep", queue.audit_keep),
	{ "ingress.tls.certificate", 0, 0 }, /* config_take() */
	{ "ingress.tls.key", 0, 0 },
	{ "ingress.tls.more", 0, 0 },
	LIVE("ingress.recipients_max", ingress.recipients_max),
	LIVE("ingress.connections_max", ingress.connections_max),
	LIVE("ingress.connections_per_address", ingress.connections_per_address),
	LIVE("ingress.known_share", ingress.known_share),
	LIVE("ingress.strangers_per_network", ingress.strangers_per_network),
	LIVE("ingress.stranger_timeout", ingress.stranger_timeout),
	LIVE("ingress.stranger_rates.connections", ingress.stranger_rates.connections),
	LIVE("ingress.stranger_rates.handshakes", ingress.stranger_rates.handshakes),
	LIVE("ingress.stranger_rates.commands", ingress.stranger_rates.commands),
	LIVE("ingress.errors_max", ingress.errors_max),
	LIVE("ingress.timeout", ingress.timeout),
	LIVE("ingress.bare_newline", ingress.bare_newline),
	LIVE("ingress.received_client_address", ingress.received_client_address),
	LIVE("ingress.in_flight_max", ingress.in_flight_max),
	LIVE("ingress.waiting_max", ingress.waiting_max),
	LIVE("limits.default.messages_hour", limits.defaults.messages_hour),
	LIVE("limits.default.messages_day", limits.defaults.messages_day),
	LIVE("limits.default.recipients_hour", limits.defaults.recipients_hour),
	LIVE("limits.default.recipients_day", limits.defaults.recipients_day),
	LIVE("scanner.timeout", scanner.timeout),
	LIVE("scanner.signature_age", scanner.signature_age),
	LIVE("scanner.error_limit", scanner.error_limit),
	LIVE("scanner.pua", scanner.pua),
	LIVE("scanner.heuristics", scanner.heuristics),
	LIVE("sender.lifetime", sender.lifetime),
	LIVE("sender.null_lifetime", sender.null_lifetime),
	LIVE("sender.held_lifetime", sender.held_lifetime),
	LIVE("sender.retry.first", sender.retry.first),
	LIVE("sender.retry.max", sender.retry.max),
	LIVE("sender.rest.max", sender.rest.max),
	LIVE("sender.rest.route", sender.rest.route),
	LIVE("sender.ambiguous_retries", sender.ambiguous_retries),
	LIVE("sender.delay_dsn", sender.delay_dsn),
	LIVE("sender.concurrency_start", sender.concurrency_start),
	LIVE("sender.concurrency_max", sender.concurrency_max),
	LIVE("sender.connections_max", sender.connections_max),
	LIVE("sender.timeout.connect", sender.timeout.connect),
	LIVE("sender.timeout.command", sender.timeout.command),
	LIVE("sender.timeout.dot", sender.timeout.dot),
	LIVE("sender.timeout.idle", sender.timeout.idle),
	{ 0 },
};
/* clang-format on */

bool
config_is_live(const char *path)
{
	for (const struct config_live *live = config_live_keys; live->path; live++)
		if (strcmp(live->path, path) == 0)
			return true;
	return false;
}
