/*
 * test_config.c - bad files and their exact errors, units, defaults, and deploy/shout.yaml.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/log.h"
#include "shared/config/config.h"

static char directory[] = "/tmp/shout-config-XXXXXX";
static char file[64];

static void
write_file(const char *text)
{
	FILE *out = fopen(file, "w");

	assert_non_null(out);
	fputs(text, out);
	fclose(out);
}

/* Loads `text`; `errors` gets what was said, with "F" for the file's name. */
static struct config *
load_text(const char *text, char errors[4096])
{
	char *said = NULL, *at = errors;
	size_t size = 0;
	FILE *stream = open_memstream(&said, &size);
	struct config *config;

	write_file(text);
	config = config_load(file, stream);
	fclose(stream);
	for (const char *p = said; *p && at < errors + 4000;) {
		if (strncmp(p, file, strlen(file)) == 0) {
			*at++ = 'F';
			p += strlen(file);
		} else {
			*at++ = *p++;
		}
	}
	*at = '\0';
	free(said);
	return config;
}

struct bad {
	const char *text, *errors;
};

#define DIR "state_dir: /tmp\n"

static const struct bad bad_files[] = {
	{ "", "F:1: the file is empty; at least state_dir is needed\n" },
	{ "hostname: a.example\n",
		"F:1: state_dir: is needed: a directory for the queue, like /var/lib/shout\n" },
	{ "- a\n", "F:1: the file has to hold \"key: value\"\n" },
	{ DIR "hostname: [a]\n", "F:2: hostname: is not a single value\n" },
	{ DIR "hostname: a_b!\n",
		"F:2: hostname: \"a_b!\" is not a host name, like mail.example.net\n" },
	{ "state_dir: here\n", "F:1: state_dir: \"here\" is not an absolute path\n" },
	{ DIR "state_dir: /var\n", "F:2: state_dir: is set twice, first in line 1\n" },
	{ DIR "log:\n\tlevel: info\n",
		"F:3: not YAML: while scanning for the next token, found character that cannot start "
		"any token (indent with blanks, not with tabs; quote a value that starts with @ or "
		"`)\n" },
	{ DIR "log:\n  level: [\n",
		"F:4: not YAML: while parsing a flow node, did not find expected node content\n" },
	{ DIR "lgo:\n  level: info\n", "F:2: lgo: unknown key; did you mean log?\n" },
	{ DIR "metrics:\n  address: a\n",
		"F:3: metrics.address: unknown key; known here: listen\n" },
	{ DIR "log: info\n", "F:2: log: is not a mapping; put its keys below it, indented\n" },
	{ DIR "log:\n  level: loud\n",
		"F:3: log.level: \"loud\" is not one of: debug, info, warn, error\n" },
	{ DIR "log:\n  level:\n", "F:3: log.level: has no value; give one, or remove the key\n" },
	{ DIR "service:\n  plans:\n    - {messages_day: 5}\n    - {name: none, mailboxes_min: -1}\n",
		"F:5: service.plans[1].name: \"none\" is not a word of 1 to 32 signs of a-z, 0-9, -, _ "
		"and ., and not none\n"
		"F:5: service.plans[1].mailboxes_min: \"-1\" is not a whole number\n" },
	{ DIR "service:\n  plans:\n    - {messages_day: 5}\n    - {name: a, mailboxes_min: 5, "
	      "mailboxes_max: 4}\n    - {name: a}\n",
		"F:4: service.plans[0]: needs a name\n"
		"F:5: service.plans[1]: has a mailboxes_min above its mailboxes_max\n"
		"F:6: service.plans[2]: has the name of another plan\n" },
	{ DIR "queue:\n  backend: kafka\n",
		"F:2: queue.brokers: is needed, like kafka1:9092,kafka2:9092\n" },
	{ DIR "queue:\n  brokers: a.example:9092\n",
		"F:3: queue.brokers: needs queue.backend: kafka\n" },
	{ DIR "queue:\n  tls: true\n  sasl: {mechanism: PLAIN}\n",
		"F:4: queue.sasl: needs username and password or password_file\n"
		"F:3: queue.tls: needs queue.backend: kafka\n"
		"F:4: queue.sasl: needs queue.backend: kafka\n" },
	{ DIR "queue:\n  ca: /etc/passwd\n  sasl: {password: a, password_file: /etc/passwd}\n",
		"F:4: queue.sasl.password_file: is set together with queue.sasl.password\n"
		"F:3: queue.ca: needs queue.tls: true\n"
		"F:4: queue.sasl: needs a mechanism, like SCRAM-SHA-256\n" },
	{ DIR "queue:\n  brokers: a.example:9092,b\n",
		"F:3: queue.brokers: \"a.example:9092,b\" is not host:port,host:port\n" },
	{ DIR "queue:\n  min_free: ten\n  partitions: 0\n  replication: 03\n",
		"F:3: queue.min_free: \"ten\" is not a whole number\n"
		"F:4: queue.partitions: \"0\" is not between 1 and 1000\n"
		"F:5: queue.replication: \"03\" is not a whole number\n" },
	{ DIR "queue:\n  map_size: 64 GB\n  events_size: 99999999999999999999\n",
		"F:3: queue.map_size: \"64 GB\" is not a size, like 4096, 256k, 50M or 2G\n"
		"F:4: queue.events_size: \"99999999999999999999\" is not a size, like 4096, 256k, 50M "
		"or 2G\n" },
	{ DIR "ingress:\n  postmaster: root\n",
		"F:3: ingress.postmaster: \"root\" is not a mail address, like postmaster@example.net\n" },
	{ DIR "ingress:\n  postmaster: <root@a.example>\n",
		"F:3: ingress.postmaster: \"<root@a.example>\" is not a mail address, like postmaster@example.net\n" },
	{ DIR "ingress:\n  postmaster: root@b\xc3\xbc.example\n",
		"F:3: ingress.postmaster: \"root@b\xc3\xbc.example\" is not a mail address, like postmaster@example.net\n" },
	{ DIR "redis:\n  address: unix:redis.sock\n",
		"F:3: redis.address: \"unix:redis.sock\" is neither unix:/PATH nor host:port\n" },
	{ DIR "redis:\n  tls: maybe\n", "F:3: redis.tls: \"maybe\" is not one of: true, false\n" },
	{ DIR "redis:\n  ca: /etc/passwd\n", "F:3: redis.ca: needs redis.tls: true\n" },
	{ DIR "redis:\n  password: a\n  password_file: /etc/passwd\n",
		"F:4: redis.password_file: is set together with redis.password\n" },
	{ DIR "redis:\n  address: a.example:6379\n  sentinels: [b.example:26379]\n  master: mail\n",
		"F:4: redis.sentinels: is set together with redis.address: the sentinels say where the "
		"master is\n" },
	{ DIR "redis:\n  sentinels: [b.example:26379]\n",
		"F:3: redis.sentinels: needs redis.master: the name that the sentinels have for it\n" },
	{ DIR "redis:\n  master: mail\n",
		"F:3: redis.master: needs redis.sentinels, who know that name\n" },
	{ DIR "redis:\n  sentinels: []\n  master: mail\n",
		"F:4: redis.master: needs redis.sentinels, who know that name\n" },
	{ DIR "redis:\n  sentinel_password: a\n",
		"F:3: redis.sentinel_password: needs redis.sentinels\n" },
	{ DIR "redis:\n  sentinel_password_file: /dev/null\n",
		"F:3: redis.sentinel_password_file: needs redis.sentinels\n" },
	{ DIR "redis:\n  sentinels: [b.example:26379]\n  master: mail\n"
	      "  sentinel_password: a\n  sentinel_password_file: /etc/passwd\n",
		"F:6: redis.sentinel_password_file: is set together with redis.sentinel_password\n" },
	{ DIR "redis:\n  sentinels: [\"unix:/run/s\", b.example, ~]\n  master: my mail\n",
		"F:3: redis.sentinels[0]: \"unix:/run/s\" is not host:port, like "
		"sentinel1.example.net:26379\n"
		"F:3: redis.sentinels[1]: \"b.example\" is not host:port, like "
		"sentinel1.example.net:26379\n"
		"F:3: redis.sentinels[2]: is empty\n"
		"F:4: redis.master: \"my mail\" is not a name that a sentinel may have for a master: "
		"letters, digits, . - _\n" },
	{ DIR "redis:\n  master: mail\n  sentinels:\n    - a.example:1\n    - b.example:1\n    - A.example:1\n",
		"F:7: redis.sentinels[2]: is the same as redis.sentinels[0]\n" },
	{ DIR "ingress:\n  listen: 0.0.0.0:25\n",
		"F:3: ingress.listen: is not a list; write each entry on a line with \"- \"\n" },
	{ DIR "ingress:\n  listen:\n    - address: 0.0.0.0:25\n      tls: ssl\n",
		"F:5: ingress.listen[0].tls: \"ssl\" is not one of: none, starttls, implicit\n" },
	{ DIR "ingress:\n  listen:\n    - tls: none\n    - address: smtp\n",
		"F:5: ingress.listen[1].address: \"smtp\" is not address:port, like 0.0.0.0:25 or "
		"[::]:25\n" },
	{ DIR "ingress:\n  listen:\n    - tls: none\n",
		"F:4: ingress.listen[0].address: is needed, like 0.0.0.0:25\n" },
	{ DIR "ingress:\n  listen:\n    - address: 0.0.0.0:25\n      tls: starttls\n",
		"F:5: ingress.listen[0].tls: \"starttls\" needs ingress.tls.certificate and "
		"ingress.tls.key\n" },
	{ DIR "ingress:\n  listen:\n    - address: 0.0.0.0:25\n      tls_required: yes\n"
	      "      proxy: true\n",
		"F:5: ingress.listen[0].tls_required: needs tls: starttls\n"
		"F:6: ingress.listen[0].proxy: needs proxies, who may send the PROXY header\n" },
	{ DIR "ingress:\n  listen:\n    - address: 0.0.0.0:25\n      proxies: [10.0.0.0/99]\n",
		"F:5: ingress.listen[0].proxies[0]: \"10.0.0.0/99\" is not a network or an address, "
		"like 192.0.2.0/24 or 2001:db8::1\n" },
	{ DIR "ingress:\n  tls:\n    certificate: /nonexistent\n",
		"F:4: ingress.tls.certificate: \"/nonexistent\" cannot be read: No such file or "
		"directory\n" },
	{ DIR "ingress:\n  tls:\n    certificate: /etc/passwd\n    more: [{}]\n",
		"F:3: ingress.tls: has a certificate, but no key\n"
		"F:5: ingress.tls.more[0]: needs a certificate and a key\n" },
	{ DIR "ingress:\n  message_size_limit: 51M\n  help_url: ftp://a\n",
		"F:3: ingress.message_size_limit: \"51M\" is not between 64k and 50M\n"
		"F:4: ingress.help_url: \"ftp://a\" is not an http or https URL\n" },
	{ DIR "scanner:\n  clamd: []\n",
		"F:3: scanner.clamd: is empty; name a clamd, or set scanner.enabled: false\n" },
	{ DIR "scanner:\n  clamd: [~]\n  timeout: 1 minute\n",
		"F:3: scanner.clamd[0]: is empty\n"
		"F:4: scanner.timeout: \"1 minute\" is not a duration, like 500ms, 30s, 5m, 4h or "
		"5d\n" },
	{ DIR "scanner:\n  clamd_temporary: /nonexistent\n",
		"F:3: scanner.clamd_temporary: \"/nonexistent\" is not a directory\n" },
	{ DIR "sender:\n  route: direct\n  retry:\n    frist: 1s\n",
		"F:3: sender.route: \"direct\" is neither mx nor host:port\n"
		"F:5: sender.retry.frist: unknown key; did you mean first?\n" },
	{ DIR "sender:\n  retry: {first: 5h}\n  concurrency_start: 30\n",
		"F:3: sender.retry.first: is longer than sender.retry.max\n"
		"F:4: sender.concurrency_start: is more than sender.concurrency_max (20)\n" },
	{ DIR "sender:\n  source_address: 192.0.2.1\n",
		"F:3: sender.source_address: is not a list; write each entry on a line with \"- \"\n" },
	{ DIR "sender:\n  source_address: [192.0.2.1, 192.0.2.2]\n",
		"F:3: sender.source_address[1]: is of the same family as the first: one IPv4 and one IPv6 "
		"address\n" },
	{ DIR "sender:\n  source_address: [\"2001:db8::1\", 192.0.2.1, 192.0.2.2]\n",
		"F:3: sender.source_address[2]: is too many: one IPv4 and one IPv6 address\n" },
	{ DIR "ingress:\n  listen:\n    - address: 127.0.0.1:25\n    - address: localhost:25\n"
	      "metrics: {listen: \"[::]:25\"}\n",
		"F:5: ingress.listen[1].address: \"localhost:25\" is in use already by "
		"ingress.listen[0].address\n" },
	{ DIR "ingress:\n  listen:\n    - address: 0.0.0.0:25\n    - address: 127.0.0.1:25\n"
	      "control: {listen: \"127.0.0.1:25\"}\nmetrics: {listen: \"127.0.0.1:25\"}\n",
		"F:6: control.listen: \"127.0.0.1:25\" is in use already by "
		"ingress.listen[0].address\n"
		"F:7: metrics.listen: \"127.0.0.1:25\" is in use already by "
		"ingress.listen[0].address\n" },
	{ DIR "sender:\n  source_address: [eth0]\n",
		"F:3: sender.source_address[0]: \"eth0\" is not an IP address\n" },
	{ DIR "dns:\n  forward: [\"ns.example:53\"]\n  trust_anchor: /nonexistent\n",
		"F:3: dns.forward[0]: \"ns.example:53\" is not address:port, like 192.0.2.53:53\n"
		"F:4: dns.trust_anchor: \"/nonexistent\" cannot be read: No such file or directory\n" },
};

/* What it names may be somebody else's; what it says is checked all the same. */
static void
can_be_read_alone(void **state)
{
	static const char text[] = DIR
		"control:\n  listen: 127.0.0.1:1\nredis:\n  password_file: /none\n"
		"ingress:\n  tls: {certificate: /none, key: /none}\n"
		"queue:\n  ca: /none\n  sasl: {password_file: /none}\n";
	struct config *config;
	char *said;
	size_t size;
	FILE *errors = open_memstream(&said, &size);

	(void)state;
	write_file(text);
	config = config_load_alone(file, errors);
	assert_non_null(config);
	assert_string_equal(config->control.listen, "127.0.0.1:1");
	assert_null(config->redis.password);
	config_free(&config);
	write_file(DIR "colour: red\n");
	assert_null(config_load_alone(file, errors));
	fclose(errors);
	assert_non_null(strstr(said, "unknown key"));
	free(said);
}

static void
says_what_is_wrong_and_where(void **state)
{
	char errors[4096];

	(void)state;
	for (size_t i = 0; i < sizeof bad_files / sizeof bad_files[0]; i++) {
		assert_null(load_text(bad_files[i].text, errors));
		assert_string_equal(errors, bad_files[i].errors);
	}
}

static void
says_that_a_file_is_missing(void **state)
{
	char *said = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&said, &size);

	(void)state;
	assert_null(config_load("/nonexistent/shout.yaml", stream));
	fclose(stream);
	assert_string_equal(
		said, "/nonexistent/shout.yaml: cannot be read: No such file or directory\n");
	free(said);
}

static void
fills_in_defaults(void **state)
{
	char errors[4096];
	struct config *c = load_text("state_dir: /tmp\n"
				     "hostname: a.example\n"
				     "ingress:\n  listen:\n    - address: 127.0.0.1:0\n",
		errors);

	(void)state;
	assert_string_equal(errors, "");
	assert_non_null(c);
	assert_int_equal(c->log.level, LOG_LEVEL_INFO);
	assert_int_equal(c->queue.backend, BACKEND_LMDB);
	assert_int_equal(c->queue.map_size, 64ull << 30);
	assert_int_equal(c->queue.min_free, 10);
	assert_string_equal(c->redis.address, "unix:/run/redis/redis-server.sock");
	assert_null(c->redis.password);
	assert_int_equal(c->ingress.message_size_limit, 50 << 20);
	assert_int_equal(c->ingress.timeout, 300000);
	assert_string_equal(c->ingress.help_url, "https://a.example/help");
	assert_string_equal(c->ingress.postmaster, "postmaster@a.example");
	assert_true(c->ingress.listen[0].auth);
	assert_int_equal(c->ingress.listen[0].tls, LISTEN_PLAIN);
	assert_true(c->scanner.enabled);
	assert_string_equal(c->scanner.clamd[0], "unix:/run/clamav/clamd.ctl");
	assert_string_equal(c->sender.route, "mx");
	assert_int_equal(c->sender.lifetime, 5ull * 86400000);
	assert_int_equal(c->sender.retry.max, 4 * 3600000);
	assert_int_equal(c->sender.port, 25);
	assert_null(c->control.listen);
	assert_null(c->metrics.listen);
	config_free(&c);
	assert_null(c);
}

static void
takes_what_the_file_says(void **state)
{
	char errors[4096];
	struct config *c = load_text(
		"state_dir: /tmp\n"
		"log: {level: debug}\n"
		"queue: {min_free: 0, map_size: 1G}\n"
		"redis: {address: 'localhost:6379', password: s3cret}\n"
		"ingress:\n"
		"  tls: {certificate: /etc/passwd, key: /etc/group,\n"
		"        more: [{certificate: /etc/hosts, key: /etc/fstab}]}\n"
		"  listen:\n"
		"  - {address: '[::1]:25', tls: starttls, tls_required: true, auth: false}\n"
		"  - {address: '127.0.0.1:465', tls: implicit, tls_profile: legacy,\n"
		"     auth_without_tls: known-addresses, proxy: true, proxies: [127.0.0.1, '::/0']}\n"
		"scanner: {enabled: false, clamd: [unix:/a, '127.0.0.1:3310']}\n"
		"sender: {route: 'mail.example:2525', timeout: {idle: 0, dot: 1500ms}}\n"
		"dns: {trust_anchor: none}\n"
		"control: {listen: '127.0.0.1:8080'}\n",
		errors);

	(void)state;
	assert_string_equal(errors, "");
	assert_non_null(c);
	assert_int_equal(c->log.level, LOG_LEVEL_DEBUG);
	assert_int_equal(c->queue.min_free, 0);
	assert_string_equal(c->redis.password, "s3cret");
	assert_int_equal(c->ingress.tls.files_count, 2);
	assert_string_equal(c->ingress.tls.files[0].certificate, "/etc/passwd");
	assert_string_equal(c->ingress.tls.files[1].key, "/etc/fstab");
	assert_int_equal(c->ingress.listen_count, 2);
	assert_true(c->ingress.listen[0].tls_required);
	assert_false(c->ingress.listen[0].auth);
	assert_int_equal(c->ingress.listen[1].profile, TLS_LEGACY);
	assert_int_equal(c->ingress.listen[1].auth_without_tls, AUTH_KNOWN_ADDRESSES);
	assert_string_equal(c->ingress.listen[1].proxies[1], "::/0");
	assert_false(c->scanner.enabled);
	assert_int_equal(c->scanner.clamd_count, 2);
	assert_string_equal(c->sender.route, "mail.example:2525");
	assert_int_equal(c->sender.timeout.idle, 0);
	assert_int_equal(c->sender.timeout.dot, 1500);
	assert_string_equal(c->dns.trust_anchor, "none");
	assert_string_equal(c->control.listen, "127.0.0.1:8080");
	config_free(&c);
}

static void
reads_the_password_from_its_file(void **state)
{
	char path[64], text[160], errors[4096];
	struct config *c;
	FILE *out;

	(void)state;
	snprintf(path, sizeof path, "%s/password", directory);
	out = fopen(path, "w");
	assert_non_null(out);
	fputs("s3cret\n", out);
	fclose(out);
	snprintf(text, sizeof text, DIR "redis: {password_file: %s}\n", path);
	c = load_text(text, errors);
	assert_string_equal(errors, "");
	assert_string_equal(c->redis.password, "s3cret");
	config_free(&c);
	unlink(path);
}

static void
takes_sentinels_instead_of_an_address(void **state)
{
	char errors[4096];
	struct config *c = load_text(DIR
		"redis:\n  address: ~\n  master: mail-1\n  sentinel_password: s3cret\n"
		"  sentinels: ['s1.example:26379', '[2001:db8::1]:26379']\n",
		errors);

	(void)state;
	assert_string_equal(errors, "");
	assert_non_null(c);
	assert_null(c->redis.address);
	assert_int_equal(c->redis.sentinels_count, 2);
	assert_string_equal(c->redis.sentinels[1], "[2001:db8::1]:26379");
	assert_string_equal(c->redis.master, "mail-1");
	assert_string_equal(c->redis.sentinel_password, "s3cret");
	assert_null(c->redis.password);
	config_free(&c);
}

static void
loads_the_example(void **state)
{
	struct config *c = config_load("deploy/shout.yaml", stderr);

	(void)state;
	assert_non_null(c);
	assert_string_equal(c->state_dir, "/var/lib/shout");
	config_free(&c);
}

/* What the example says is what a file without that key gets. */
static void
the_example_shows_the_defaults(void **state)
{
	char errors[4096];
	struct config *a = config_load("deploy/shout.yaml", stderr);
	struct config *b = load_text("state_dir: /var/lib/shout\n", errors);

	(void)state;
	assert_non_null(a);
	assert_non_null(b);
#define SAME(member) assert_memory_equal(&a->member, &b->member, sizeof a->member)
	SAME(log);
	SAME(limits);
	SAME(queue);
	SAME(redis.sentinels_count);
	SAME(redis.tls);
	SAME(ingress.threads);
	SAME(ingress.message_size_limit);
	SAME(ingress.recipients_max);
	SAME(ingress.connections_max);
	SAME(ingress.connections_per_address);
	SAME(ingress.known_share);
	SAME(ingress.strangers_per_network);
	SAME(ingress.stranger_timeout);
	SAME(ingress.stranger_rates);
	SAME(ingress.errors_max);
	SAME(ingress.timeout);
	SAME(ingress.bare_newline);
	SAME(ingress.received_client_address);
	SAME(ingress.in_flight_max);
	SAME(ingress.waiting_max);
	SAME(scanner.enabled);
	SAME(scanner.timeout);
	SAME(scanner.connections);
	SAME(scanner.signature_age);
	SAME(scanner.error_limit);
	SAME(sender.lifetime);
	SAME(sender.null_lifetime);
	SAME(sender.held_lifetime);
	SAME(sender.retry);
	SAME(sender.delay_dsn);
	SAME(sender.concurrency_start);
	SAME(sender.concurrency_max);
	SAME(sender.connections_max);
	SAME(sender.port);
	SAME(sender.timeout);
	assert_string_equal(a->redis.address, b->redis.address);
	assert_string_equal(a->sender.route, b->sender.route);
	assert_string_equal(a->scanner.clamd[0], b->scanner.clamd[0]);
	assert_string_equal(a->dns.trust_anchor, b->dns.trust_anchor);
	config_free(&a);
	config_free(&b);
}

struct unit_row {
	const char *text;
	int (*parse)(const char *, uint64_t *);
	int err;
	uint64_t value;
};

static const struct unit_row unit_rows[] = {
	{ "500ms", config_duration, 0, 500 },
	{ "30s", config_duration, 0, 30000 },
	{ "5m", config_duration, 0, 300000 },
	{ "4h", config_duration, 0, 14400000 },
	{ "5d", config_duration, 0, 432000000 },
	{ "0", config_duration, 0, 0 },
	{ "5", config_duration, -EINVAL, 0 },
	{ "", config_duration, -EINVAL, 0 },
	{ "s", config_duration, -EINVAL, 0 },
	{ "-1s", config_duration, -EINVAL, 0 },
	{ "1 s", config_duration, -EINVAL, 0 },
	{ "1s ", config_duration, -EINVAL, 0 },
	{ "1.5h", config_duration, -EINVAL, 0 },
	{ "9999999999999999999d", config_duration, -EINVAL, 0 },
	{ "4096", config_size, 0, 4096 },
	{ "256k", config_size, 0, 262144 },
	{ "50M", config_size, 0, 52428800 },
	{ "2G", config_size, 0, 2147483648 },
	{ "1T", config_size, 0, 1099511627776 },
	{ "50MB", config_size, -EINVAL, 0 },
	{ "07", config_size, -EINVAL, 0 },
	{ "18446744073709551616", config_size, -EINVAL, 0 },
	{ "17179869184G", config_size, -EINVAL, 0 },
};

static void
reads_durations_and_sizes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof unit_rows / sizeof unit_rows[0]; i++) {
		const struct unit_row *row = &unit_rows[i];
		uint64_t value = 0;
		assert_int_equal(row->parse(row->text, &value), row->err);
		if (!row->err)
			assert_int_equal(value, row->value);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_durations_and_sizes),
		cmocka_unit_test(says_what_is_wrong_and_where),
		cmocka_unit_test(says_that_a_file_is_missing),
		cmocka_unit_test(fills_in_defaults),
		cmocka_unit_test(takes_what_the_file_says),
		cmocka_unit_test(can_be_read_alone),
		cmocka_unit_test(reads_the_password_from_its_file),
		cmocka_unit_test(takes_sentinels_instead_of_an_address),
		cmocka_unit_test(loads_the_example),
		cmocka_unit_test(the_example_shows_the_defaults),
	};
	int failed;

	if (!mkdtemp(directory))
		return 1;
	snprintf(file, sizeof file, "%s/shout.yaml", directory);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(file);
	rmdir(directory);
	return failed;
}
