/*
 * config_schema.c - the keys of shout.yaml: their types for libcyaml, and which of them SIGHUP
 * changes. What a value has to look like says config_rules.c.
 *
 * Mappings have offset 0, and fields count from the start of struct config_loaded, so that a key
 * may be stored away from its neighbours. Only fields of list entries count from their entry.
 */
#include "shared/config/config_private.h"

#include <string.h>

#include "shared/base/log.h"
#include "shared/config/config_live.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define OPT CYAML_FLAG_OPTIONAL
#define TEXT_FLAGS (OPT | CYAML_FLAG_POINTER_NULL_STR)

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

/* Durations and sizes are loaded as text where their number belongs. */
_Static_assert(sizeof(char *) == sizeof(uint64_t), "text does not fit where its number goes");
_Static_assert(sizeof(enum config_backend) == sizeof(int), "enums are stored as int");

static const cyaml_strval_t levels[] = {
	{ "debug", LOG_LEVEL_DEBUG },
	{ "info", LOG_LEVEL_INFO },
	{ "warn", LOG_LEVEL_WARN },
	{ "error", LOG_LEVEL_ERROR },
};
static const cyaml_strval_t backends[] = {
	{ "lmdb", BACKEND_LMDB },
	{ "kafka", BACKEND_KAFKA },
};
static const cyaml_strval_t mechanisms[] = {
	{ "none", SASL_NONE },
	{ "PLAIN", SASL_PLAIN },
	{ "SCRAM-SHA-256", SASL_SCRAM_SHA_256 },
	{ "SCRAM-SHA-512", SASL_SCRAM_SHA_512 },
};
static const cyaml_strval_t tls_kinds[] = {
	{ "none", LISTEN_PLAIN },
	{ "starttls", LISTEN_STARTTLS },
	{ "implicit", LISTEN_IMPLICIT },
};
static const cyaml_strval_t auth_kinds[] = {
	{ "never", AUTH_NEVER },
	{ "known-addresses", AUTH_KNOWN_ADDRESSES },
	{ "always", AUTH_ALWAYS },
};
static const cyaml_strval_t profiles[] = {
	{ "modern", TLS_MODERN },
	{ "legacy", TLS_LEGACY },
};
static const cyaml_strval_t policies[] = {
	{ "hold", ALERT_HOLD },
	{ "tag", ALERT_TAG },
	{ "pass", ALERT_PASS },
};
static const cyaml_strval_t dkim_failures[] = {
	{ "pass", DKIM_PASS },
	{ "wait", DKIM_WAIT },
};
static const cyaml_strval_t newlines[] = {
	{ "normalise", BARE_NORMALISE },
	{ "refuse", BARE_REFUSE },
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
	TEXT_LIST("sentinels", redis.sentinels),
	TEXT("master", CONFIG(redis.master)),
	TEXT("sentinel_password", CONFIG(redis.sentinel_password)),
	TEXT("sentinel_password_file", CONFIG(redis.sentinel_password_file)),
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

static const cyaml_schema_field_t floor_fields[] = {
	NUMBER("originator", CONFIG(score.floor.originator)),
	NUMBER("credential", CONFIG(score.floor.credential)),
	NUMBER("account", CONFIG(score.floor.account)),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t score_fields[] = {
	BOOL("enabled", CONFIG(score.enabled)),
	NUMBER("minimum", CONFIG(score.minimum)),
	NUMBER("unknown_notify", CONFIG(score.unknown_notify)),
	NUMBER("unknown_hold", CONFIG(score.unknown_hold)),
	NUMBER("complaints_notify", CONFIG(score.complaints_notify)),
	NUMBER("complaints_hold", CONFIG(score.complaints_hold)),
	NUMBER("viruses", CONFIG(score.viruses)),
	NUMBER("spam", CONFIG(score.spam)),
	NUMBER("throttle", CONFIG(score.throttle)),
	NUMBER("hold", CONFIG(score.hold)),
	TEXT("learning", CONFIG(score.learning)),
	MAPPING("floor", floor_fields),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t dnsbl_fields[] = {
	TEXT_LIST("lists", dnsbl.lists),
	TEXT("every", CONFIG(dnsbl.every)),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t dkim_fields[] = {
	TEXT("secret_file", CONFIG(dkim.secret_file)),
	TEXT("domain", CONFIG(dkim.domain)),
	TEXT("sender_id", CONFIG(dkim.sender_id)),
	TEXT("zone", CONFIG(dkim.zone)),
	ENUM("on_failure", CONFIG(dkim.on_failure), int, dkim_failures),
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
	TEXT("replies", CONFIG(sender.replies)),
	MAPPING("timeout", timeout_fields),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t dns_fields[] = {
	TEXT_LIST("forward", dns.forward),
	TEXT("trust_anchor", CONFIG(dns.trust_anchor)),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t control_tls_fields[] = {
	TEXT("certificate", CONFIG(control.tls.certificate)),
	TEXT("key", CONFIG(control.tls.key)),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t webhooks_fields[] = {
	TEXT_LIST("networks", control.webhooks.networks),
	TEXT("retry", CONFIG(control.webhooks.retry)),
	TEXT("give_up", CONFIG(control.webhooks.give_up)),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t control_fields[] = {
	TEXT("listen", CONFIG(control.listen)),
	MAPPING("tls", control_tls_fields),
	TEXT_LIST("proxies", control.proxies),
	TEXT_LIST("hosts", control.hosts),
	TEXT("trace_keep", CONFIG(control.trace_keep)),
	TEXT("panel", CONFIG(control.panel)),
	MAPPING("webhooks", webhooks_fields),
	CYAML_FIELD_END,
};

#define PLAN(member) offsetof(struct plan_config, member)

static const cyaml_schema_field_t plan_fields[] = {
	TEXT("name", PLAN(name)),
	NUMBER("mailboxes_min", PLAN(mailboxes_min)),
	NUMBER("mailboxes_max", PLAN(mailboxes_max)),
	NUMBER("messages_hour", PLAN(messages_hour)),
	NUMBER("messages_day", PLAN(messages_day)),
	NUMBER("recipients_hour", PLAN(recipients_hour)),
	NUMBER("recipients_day", PLAN(recipients_day)),
	CYAML_FIELD_END,
};

static const cyaml_schema_value_t plan_entry = { CYAML_VALUE_MAPPING(
	CYAML_FLAG_DEFAULT, struct plan_config, plan_fields) };

static const cyaml_schema_field_t service_fields[] = {
	TEXT("name", CONFIG(service.name)),
	TEXT_LIST("hosts", service.hosts),
	TEXT("support", CONFIG(service.support)),
	TEXT("panel", CONFIG(service.panel)),
	TEXT("notices", CONFIG(service.notices)),
	LIST("plans", CONFIG(service.plans), CONFIG(service.plans_count), struct plan_config,
		&plan_entry),
	TEXT("spf", CONFIG(service.spf)),
	TEXT_LIST("addresses", service.addresses),
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
	MAPPING("score", score_fields),
	MAPPING("dnsbl", dnsbl_fields),
	MAPPING("dkim", dkim_fields),
	MAPPING("sender", sender_fields),
	MAPPING("dns", dns_fields),
	MAPPING("control", control_fields),
	MAPPING("service", service_fields),
	MAPPING("metrics", metrics_fields),
	CYAML_FIELD_END,
};

const cyaml_schema_value_t config_schema = { CYAML_VALUE_MAPPING(
	CYAML_FLAG_POINTER, LOADED, top_fields) };

#define MEMBER(member) ((struct config *)0)->member
/* Does not compile for a member that is not atomic. */
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
	{ "ingress.tls.certificate", 0, 0 }, /* config_take() treats it by name */
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
	LIVE("score.enabled", score.enabled),
	LIVE("score.minimum", score.minimum),
	LIVE("score.unknown_notify", score.unknown_notify),
	LIVE("score.unknown_hold", score.unknown_hold),
	LIVE("score.complaints_notify", score.complaints_notify),
	LIVE("score.complaints_hold", score.complaints_hold),
	LIVE("score.viruses", score.viruses),
	LIVE("score.spam", score.spam),
	LIVE("score.throttle", score.throttle),
	LIVE("score.hold", score.hold),
	LIVE("score.learning", score.learning),
	LIVE("score.floor.originator", score.floor.originator),
	LIVE("score.floor.credential", score.floor.credential),
	LIVE("score.floor.account", score.floor.account),
	LIVE("dnsbl.every", dnsbl.every),
	LIVE("dkim.on_failure", dkim.on_failure),
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
	{ "control.tls.certificate", 0, 0 },
	{ "control.tls.key", 0, 0 },
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
