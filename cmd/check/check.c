/*
 * check.c - reads what a start would read, in its order: as root, and then as the user.
 */
#include "cmd/check/check.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/log.h"
#include "shared/base/net.h"
#include "shared/base/state_dir.h"
#include "shared/base/tls.h"
#include "shared/process/descriptors.h"

void
warn(struct findings *findings, const char *format, ...)
{
	va_list args;

	findings->warnings++;
	printf("warning      ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

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
		printf("user         NOT usable: %s\n", why);
		findings->identity = (struct identity){ geteuid(), getegid(), NULL };
		findings->good = false;
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
certificates_usable(const struct config *config, char *why, size_t why_size)
{
	struct tls_server *server = tls_server_new(config->ingress.tls.files,
		config->ingress.tls.files_count, TLS_MODERN, why, why_size);
	bool usable = server != NULL;

	tls_server_free(&server);
	return usable;
}

static void
check_certificates(struct findings *findings)
{
	unsigned count = findings->config->ingress.tls.files_count;
	char why[512];

	if (!count) {
		printf("certificates none\n");
	} else if (certificates_usable(findings->config, why, sizeof why)) {
		printf("certificates %u usable\n", count);
	} else {
		printf("certificates NOT usable: %s\n", why);
		findings->good = false;
	}
}

/* As the user. */
static void
check_reload(struct findings *findings)
{
	const struct config *config = findings->config;
	char why[512];

	if (findings->good && config->ingress.tls.files_count &&
		!certificates_usable(config, why, sizeof why))
		warn(findings,
			"SIGHUP will not read the certificates again, as the user may not: %s",
			why);
}

/* As the user. */
static void
check_state_dir(struct findings *findings)
{
	const char *path = findings->config->state_dir;
	char found[PATH_MAX];

	if (access(path, R_OK | W_OK | X_OK) < 0) {
		findings->good &= errno == ENOENT;
		printf("state_dir    %s%s%s\n", path,
			errno == ENOENT ? ", to be created" : " CANNOT be used: ",
			errno == ENOENT ? "" : strerror(errno));
	} else if (!state_dir_is_ours(path, found)) {
		findings->good = false;
		printf("state_dir    %s CANNOT be used: %s belongs to another user\n", path, found);
	} else {
		printf("state_dir    %s\n", path);
	}
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
check_page(struct findings *findings, const char *name, const char *listen)
{
	struct net_address address;

	printf("%-12s %s\n", name, listen ? listen : "off");
	if (listen && net_parse(listen, &address) == 0 && !net_is_loopback(&address))
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
	check_page(findings, "control", config->control.listen);
	check_page(findings, "metrics", config->metrics.listen);
	print_descriptors(config);
}

int
check(const struct config *config)
{
	struct findings findings = { .config = config, .good = true };

	printf("file         %s\nhostname     %s\n", config->file, config->hostname);
	check_user(&findings);
	check_certificates(&findings);
	print_settings(&findings);
	check_files(&findings);
	fflush(stdout);
	if (findings.identity.name)
		privileges_drop(&findings.identity);
	check_reload(&findings);
	check_state_dir(&findings);
	printf("redis        %s%s\n", config->redis.address, config->redis.tls ? ", TLS" : "");
	check_redis_memory(&findings);
	if (findings.warnings)
		printf("%u warning%s\n", findings.warnings, findings.warnings == 1 ? "" : "s");
	printf("%s\n", findings.good ? "ok" : "NOT ok");
	return findings.good ? 0 : 1;
}
