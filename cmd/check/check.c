/*
 * check.c - reads what a start would read, in the order of a start: as root, then as the user.
 */
#include "cmd/check/check.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "control/notices/notices.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/net.h"
#include "shared/base/state_dir.h"
#include "shared/base/tls.h"
#include "shared/process/descriptors.h"

#define SOON_S (14 * 86400)

static void
check_user(struct findings *findings)
{
	const struct config *config = findings->config;
	char why[512];

	if (!config->user) {
		findings->identity = (struct identity){ geteuid(), getegid(), NULL };
		printf("user         whoever starts it\n");
		if (geteuid() == 0)
			warn(findings, "user is not set: a start by root is refused");
	} else if (identity_find(config->user, config->group, &findings->identity, why,
			   sizeof why) == 0) {
		printf("user         %s\n", config->user);
		if (findings->identity.uid == 0)
			warn(findings,
				"Shout runs as root, though without capabilities: set user "
				"to an account of its own");
	} else {
		fail(findings, "user NOT usable: %s", why);
		findings->identity = (struct identity){ geteuid(), getegid(), NULL };
	}
}

static void
print_listener(const struct listen_config *listen)
{
	static const char *const kinds[] = { "plain", "STARTTLS", "TLS" };
	static const char *const without[] = { "", ", without TLS from known addresses",
		", also without TLS" };

	printf("listen       %s %s%s%s%s%s%s\n", listen->address, kinds[listen->tls],
		listen->tls_required ? " required" : "",
		listen->tls != LISTEN_PLAIN && listen->profile == TLS_LEGACY ? " (from 1.0)" : "",
		listen->auth ? ", AUTH" : ", no AUTH",
		listen->auth ? without[listen->auth_without_tls] : "",
		listen->proxy ? ", PROXY" : "");
}

static bool
files_usable(const struct tls_files *files, unsigned count, char *why, size_t why_size)
{
	struct tls_server *server = tls_server_new(files, count, TLS_MODERN, why, why_size);
	bool usable = server != NULL;

	tls_server_free(&server);
	return usable;
}

static bool
certificates_usable(const struct config *config, char *why, size_t why_size)
{
	return files_usable(
		config->ingress.tls.files, config->ingress.tls.files_count, why, why_size);
}

/* `named` becomes true when the certificate has our name. */
static void
check_certificate(struct findings *findings, const char *file, bool *named)
{
	const int64_t now = (int64_t)(clock_us() / 1000000);
	struct tls_look look;

	if (tls_look(file, findings->config->hostname, &look) < 0)
		return; /* told already */
	*named |= look.named;
	if (look.ends_s <= now)
		fail(findings, "%s has expired: renew it, then SIGHUP", file);
	else if (look.ends_s - now <= SOON_S)
		warn(findings, "%s expires within %" PRId64 " days: renew it, then SIGHUP", file,
			(look.ends_s - now + 86399) / 86400);
	if (look.begins_s > now)
		fail(findings, "%s is not valid yet: correct the clock, or wait", file);
}

static void
check_control(struct findings *findings)
{
	const struct tls_files *tls = &findings->config->control.tls;
	bool named = false;
	char why[512];

	if (!tls->certificate)
		return;
	if (!files_usable(tls, 1, why, sizeof why))
		fail(findings, "control.tls is NOT usable: %s", why);
	check_certificate(findings, tls->certificate, &named);
}

static void
check_certificates(struct findings *findings)
{
	unsigned count = findings->config->ingress.tls.files_count;
	bool named = false;
	char why[512];

	if (!count) {
		printf("certificates none\n");
	} else if (certificates_usable(findings->config, why, sizeof why)) {
		printf("certificates %u usable\n", count);
	} else {
		fail(findings, "certificates NOT usable: %s", why);
	}
	for (unsigned i = 0; i < count; i++)
		check_certificate(
			findings, findings->config->ingress.tls.files[i].certificate, &named);
	if (count && !named)
		warn(findings,
			"no certificate has the name %s (hostname): clients that check it refuse TLS",
			findings->config->hostname);
}

/* Called as the user. */
static void
check_reload(struct findings *findings)
{
	const struct config *config = findings->config;
	char why[512];

	if (access(config->file, R_OK) < 0)
		warn(findings, "SIGHUP will not read the settings again, as the user may not: %s",
			strerror(errno));
	if (!findings->errors && config->ingress.tls.files_count &&
		!certificates_usable(config, why, sizeof why))
		warn(findings,
			"SIGHUP will not read the certificates again, as the user may not: %s",
			why);
}

/* Called as the user, or, for a folder that a start would make, as who makes it. */
static void
check_state_dir(struct findings *findings)
{
	const struct config *config = findings->config;
	const char *path = config->state_dir;
	char found[PATH_MAX];
	struct statvfs disk;

	if (access(path, F_OK) < 0 && errno == ENOENT)
		return; /* check_parent() */
	if (access(path, R_OK | W_OK | X_OK) < 0)
		fail(findings,
			"state_dir %s CANNOT be used: %s: chown -R it to the user, or set another user",
			path, strerror(errno));
	else if (!state_dir_is_ours(path, found))
		fail(findings,
			"state_dir %s CANNOT be used: %s belongs to another user: chown -R it to the "
			"user, or set another user",
			path, found);
	else if (statvfs(path, &disk) == 0 &&
		disk.f_bavail * 100 < disk.f_blocks * config->queue.min_free)
		fail(findings,
			"the disk of state_dir %s has less than %u %% free (queue.min_free): no mail is "
			"taken",
			path, config->queue.min_free);
	else
		printf("state_dir    %s\n", path);
}

/* Called as who would make the folder. */
static void
check_parent(struct findings *findings)
{
	const char *path = findings->config->state_dir, *slash = strrchr(path, '/');
	char *parent = xstrndup(path, slash == path ? 1 : (size_t)(slash - path));

	if (access(path, F_OK) < 0 && errno == ENOTDIR)
		fail(findings, "state_dir %s cannot be made: %s is no directory", path, parent);
	else if (access(path, F_OK) < 0 && access(parent, W_OK | X_OK) < 0)
		fail(findings, "state_dir %s cannot be made: %s: %s", path, parent,
			strerror(errno));
	else if (access(path, F_OK) < 0)
		printf("state_dir    %s, to be created\n", path);
	free(parent);
}

static void
print_scanner(const struct config *config)
{
	printf("scanner      ");
	if (!config->scanner.enabled)
		printf("OFF: mail is forwarded unscanned");
	for (unsigned i = 0; config->scanner.enabled && i < config->scanner.clamd_count; i++)
		printf("%s%s", i ? ", " : "clamd at ", config->scanner.clamd[i]);
	if (config->scanner.enabled && config->scanner.clamd_temporary)
		printf(", which unpacks in %s", config->scanner.clamd_temporary);
	printf("\n");
}

static void
check_page(struct findings *findings, const char *name, const char *listen, bool tls)
{
	struct net_address address;

	printf("%-12s %s\n", name, listen ? listen : "off");
	if (listen && !tls && net_parse(listen, &address) == 0 && !net_is_loopback(&address))
		warn(findings, "%s.listen is open beyond this machine, without TLS", name);
}

static void
print_descriptors(const struct config *config)
{
	struct descriptors share = descriptors_share(config);

	printf("open files   %" PRIu64 " needed", share.needed);
	if (share.connections < config->ingress.connections_max)
		printf(", but the limit is %" PRIu64 ": at most %u clients at once instead of %u",
			share.limit, share.connections, config->ingress.connections_max);
	printf("\n");
}

static void
print_settings(struct findings *findings)
{
	const struct config *config = findings->config;

	printf("queue        %s\n", config->queue.backend == BACKEND_LMDB ? "lmdb" : "kafka");
	for (unsigned i = 0; i < config->ingress.listen_count; i++)
		print_listener(&config->ingress.listen[i]);
	if (!config->ingress.listen_count)
		printf("listen       nowhere: ingress has no listener\n");
	printf("postmaster   %s\n", config->ingress.postmaster);
	print_scanner(config);
	printf("route        %s\n", config->sender.route);
	printf("DNSSEC       %s\n", config->dns.trust_anchor);
	check_page(findings, "control", config->control.listen, config->control.tls.certificate);
	check_page(findings, "metrics", config->metrics.listen, false);
	print_descriptors(config);
}

/* Reads the provider's own texts, as the user. */
static void
check_notices(struct findings *findings)
{
	char *errors = NULL, *line, *next;
	size_t length;
	FILE *out = xopen_memstream(&errors, &length);
	struct notices *notices = notices_new(findings->config, NULL, out);

	xclose_memstream(out);
	notices_free(&notices);
	for (line = errors; (next = strchr(line, '\n')); line = next + 1)
		fail(findings, "a mail to customers is WRONG: %.*s", (int)(next - line), line);
	free(errors);
}

static void
look(struct findings *findings)
{
	const struct config *config = findings->config;

	printf("file         %s\nhostname     %s\n", config->file, config->hostname);
	check_user(findings);
	check_names(findings);
	check_certificates(findings);
	check_control(findings);
	print_settings(findings);
	check_files(findings);
	privileges_take_up();
	check_ports(findings);
	check_parent(findings);
	fflush(stdout);
	if (findings->identity.name)
		privileges_drop(&findings->identity);
	check_reload(findings);
	check_notices(findings);
	check_state_dir(findings);
	printf("redis        %s%s%s\n", config->redis.sentinels_count ? "master " : "",
		config->redis.sentinels_count ? config->redis.master : config->redis.address,
		config->redis.tls ? ", TLS" : "");
	fflush(stdout);
	check_replies(findings);
	check_sentinels(findings);
	check_redis_memory(findings);
	check_brokers(findings);
	check_resolver(findings);
	check_clamd(findings);
}

/* With JSON the log lines go nowhere. */
static void
look_for_json(struct findings *findings)
{
	const int out = dup(STDOUT_FILENO);
	struct json *json = findings->json;
	FILE *nowhere = freopen("/dev/null", "w", stdout);

	json_begin(json);
	json_open(json, "findings", '[');
	look(findings);
	json_close(json, ']');
	json_int(json, "errors", findings->errors);
	json_int(json, "warnings", findings->warnings);
	json_bool(json, "ok", !findings->errors);
	dprintf(out, "%s\n", json_end(json));
	json_free(json);
	close(out);
	(void)nowhere;
}

int
check(const struct config *config, bool as_json)
{
	struct json json = { 0 };
	struct findings findings = { .config = config, .json = as_json ? &json : NULL };

	if (as_json) {
		look_for_json(&findings);
		return findings.errors ? 1 : 0;
	}
	look(&findings);
	if (findings.errors)
		printf("%u error%s\n", findings.errors, findings.errors == 1 ? "" : "s");
	if (findings.warnings)
		printf("%u warning%s\n", findings.warnings, findings.warnings == 1 ? "" : "s");
	printf("%s\n", findings.errors ? "NOT ok" : "ok");
	return findings.errors ? 1 : 0;
}
