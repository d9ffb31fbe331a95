/*
 * files.c - checks who else may read Shout's secrets, or change its files.
 */
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/check/check.h"
#include "shared/base/log.h"

#define GROUPS_MAX 1024

/* Whether the user is in that group, or the group is root's alone. */
static bool
is_ours(const struct identity *identity, gid_t gid)
{
	gid_t groups[GROUPS_MAX];
	int count = GROUPS_MAX;
	bool found = gid == 0 || gid == identity->gid;

	if (!identity->name)
		count = getgroups(GROUPS_MAX, groups);
	else if (getgrouplist(identity->name, identity->gid, groups, &count) < 0)
		count = 0;
	for (int i = 0; i < count; i++)
		found |= groups[i] == gid;
	return found;
}

/* Words for who has these bits, or NULL. */
static const char *
who_may(const struct findings *findings, const struct stat *st, mode_t others, mode_t group)
{
	if (st->st_mode & others)
		return "everybody";
	if ((st->st_mode & group) && !is_ours(&findings->identity, st->st_gid))
		return "another group";
	return NULL;
}

static void
check_file(struct findings *findings, const char *what, const char *path, bool secret)
{
	const char *who;
	struct stat st;

	if (!path || stat(path, &st) < 0)
		return;
	who = who_may(findings, &st, S_IWOTH, S_IWGRP);
	if (who)
		warn(findings, "%s (%s, mode %04o) may be changed by %s", path, what,
			st.st_mode & 07777u, who);
	who = secret ? who_may(findings, &st, S_IROTH, S_IRGRP) : NULL;
	if (who)
		warn(findings, "%s (%s, mode %04o) may be read by %s", path, what,
			st.st_mode & 07777u, who);
}

static void
check_state_dir(struct findings *findings)
{
	const char *path = findings->config->state_dir;
	char *token = xasprintf("%s/control.token", path);
	struct stat st;

	if (stat(path, &st) == 0) {
		if (st.st_mode & 077)
			warn(findings,
				"%s (state_dir, mode %04o) may be looked into by others: chmod 700",
				path, st.st_mode & 07777u);
		if (st.st_uid != findings->identity.uid)
			warn(findings, "%s (state_dir) belongs to uid %u, Shout runs as uid %u",
				path, st.st_uid, findings->identity.uid);
	}
	check_file(findings, "the API's token", token, true);
	free(token);
}

static bool
holds_password(const struct config *config)
{
	return (config->redis.password && !config->redis.password_file) ||
		(config->redis.sentinel_password && !config->redis.sentinel_password_file) ||
		(config->queue.sasl.password && !config->queue.sasl.password_file);
}

void
check_files(struct findings *findings)
{
	const struct config *config = findings->config;

	check_file(findings, holds_password(config) ? "settings with a password" : "settings",
		config->file, holds_password(config));
	check_file(findings, "redis.password_file", config->redis.password_file, true);
	check_file(findings, "redis.sentinel_password_file", config->redis.sentinel_password_file,
		true);
	check_file(findings, "queue.sasl.password_file", config->queue.sasl.password_file, true);
	check_file(findings, "redis.ca", config->redis.ca, false);
	check_file(findings, "queue.ca", config->queue.ca, false);
	for (unsigned i = 0; i < config->ingress.tls.files_count; i++) {
		check_file(
			findings, "a certificate", config->ingress.tls.files[i].certificate, false);
		check_file(findings, "a key", config->ingress.tls.files[i].key, true);
	}
	check_file(findings, "a certificate", config->control.tls.certificate, false);
	check_file(findings, "a key", config->control.tls.key, true);
	check_state_dir(findings);
}
