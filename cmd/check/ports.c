/*
 * ports.c - checks whether the addresses to listen on can be had, and names the process that has
 * one.
 *
 * /proc names a socket's process to root only. A Shout that runs with the same file is found by its
 * command line, which everybody may read.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/check/check.h"
#include "shared/base/log.h"
#include "shared/base/net.h"

struct holder {
	long pid; /* 0: not known */
	char name[64];
};

/* The inode of a listening socket on that port, in /proc/net/tcp or tcp6; 0: none. */
static unsigned long
inode_of(const char *table, unsigned port)
{
	char line[512];
	unsigned long inode = 0, found = 0;
	unsigned at, state;
	FILE *file = fopen(table, "re");

	while (file && !found && fgets(line, sizeof line, file))
		if (sscanf(line,
			    " %*u: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*s %*s %lu",
			    &at, &state, &inode) == 3 &&
			at == port && state == 0x0a)
			found = inode;
	if (file)
		fclose(file);
	return found;
}

static bool
holds(long pid, unsigned long inode)
{
	char path[64], wanted[64], link[64];
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof path, "/proc/%ld/fd", pid);
	snprintf(wanted, sizeof wanted, "socket:[%lu]", inode);
	dir = opendir(path);
	while (dir && !found && (entry = readdir(dir))) {
		ssize_t length = readlinkat(dirfd(dir), entry->d_name, link, sizeof link - 1);

		found = length > 0 && (size_t)length == strlen(wanted) &&
			memcmp(link, wanted, (size_t)length) == 0;
	}
	if (dir)
		closedir(dir);
	return found;
}

/* Reads the words of a process's command line, each with its NUL, and a NUL behind. */
static size_t
command_line(long pid, char *text, size_t size)
{
	char path[64];
	FILE *file;
	size_t length;

	snprintf(path, sizeof path, "/proc/%ld/cmdline", pid);
	file = fopen(path, "re");
	length = file ? fread(text, 1, size - 2, file) : 0;
	if (file)
		fclose(file);
	text[length] = text[length + 1] = '\0';
	return length;
}

static void
name_of(long pid, char name[64])
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof path, "/proc/%ld/comm", pid);
	file = fopen(path, "re");
	if (!file || !fgets(name, 64, file))
		snprintf(name, 64, "unknown");
	name[strcspn(name, "\n")] = '\0';
	if (file)
		fclose(file);
}

/* Whether the process is a Shout with that file, and no `shout check`. */
static bool
runs_with(long pid, const char *file)
{
	char words[4096], real[PATH_MAX], *word = words;
	const size_t length = command_line(pid, words, sizeof words);
	const char *slash = strrchr(words, '/'), *command = words + strlen(words) + 1;
	bool same = false;

	if (!length || strcmp(slash ? slash + 1 : words, "shout") != 0 || pid == (long)getpid() ||
		strcmp(command, "check") == 0)
		return false;
	for (; word < words + length; word += strlen(word) + 1)
		if (strcmp(word, "-c") == 0 && realpath(word + 3, real))
			same = strcmp(real, file) == 0;
	return same;
}

static struct holder
holder_of(unsigned long inode, const char *file)
{
	struct holder holder = { 0, "" }, same = { 0, "" };
	DIR *dir = opendir("/proc");
	struct dirent *entry;

	while (dir && !holder.pid && (entry = readdir(dir))) {
		const long pid = isdigit((unsigned char)entry->d_name[0])
			? strtol(entry->d_name, NULL, 10)
			: 0;

		if (pid && inode && holds(pid, inode))
			holder.pid = pid;
		else if (pid && runs_with(pid, file))
			same.pid = pid;
	}
	if (dir)
		closedir(dir);
	if (!holder.pid && same.pid)
		holder = same;
	if (holder.pid)
		name_of(holder.pid, holder.name);
	return holder;
}

static void
tell_in_use(struct findings *findings, const char *key, const char *text, unsigned port)
{
	char file[PATH_MAX];
	unsigned long inode = inode_of("/proc/net/tcp", port);
	struct holder holder;

	if (!inode)
		inode = inode_of("/proc/net/tcp6", port);
	if (!realpath(findings->config->file, file))
		snprintf(file, sizeof file, "%s", findings->config->file);
	holder = holder_of(inode, file);
	if (holder.pid && runs_with(holder.pid, file))
		printf("port         %s is in use by this Shout, which runs (%s, pid %ld)\n", text,
			holder.name, holder.pid);
	else if (holder.pid)
		fail(findings, "%s: %s is in use by %s, pid %ld: stop it, or choose another port",
			key, text, holder.name, holder.pid);
	else
		fail(findings, "%s: %s is in use by another process: root is told which (ss -ltnp)",
			key, text);
}

static void
check_port(struct findings *findings, const char *key, const char *text)
{
	struct net_address address;
	int fd;

	if (!text || net_parse(text, &address) < 0)
		return;
	fd = net_bind(&address);
	if (fd >= 0)
		close(fd);
	else if (fd == -EADDRINUSE)
		tell_in_use(findings, key, text, net_port(&address));
	else if (fd == -EADDRNOTAVAIL)
		fail(findings, "%s: %s is no address of this machine", key, text);
	else if (fd == -EACCES)
		fail(findings, "%s: %s needs root, or the capability CAP_NET_BIND_SERVICE", key,
			text);
	else
		fail(findings, "%s: %s: %s", key, text, strerror(-fd));
}

void
check_ports(struct findings *findings)
{
	const struct config *config = findings->config;
	char key[64];

	for (unsigned i = 0; i < config->ingress.listen_count; i++) {
		snprintf(key, sizeof key, "ingress.listen[%u].address", i);
		check_port(findings, key, config->ingress.listen[i].address);
	}
	check_port(findings, "control.listen", config->control.listen);
	check_port(findings, "metrics.listen", config->metrics.listen);
}

void
check_names(struct findings *findings)
{
	const struct config *config = findings->config;
	struct net_address address;

	if (!strchr(config->hostname, '.'))
		warn(findings,
			"hostname %s has no dot: many hosts refuse such a name in EHLO; set hostname to "
			"the full one",
			config->hostname);
	for (unsigned i = 0; i < config->sender.source_address_count; i++)
		if (net_parse_ip(config->sender.source_address[i], 0, &address) == 0 &&
			!net_has_address(&address))
			fail(findings,
				"sender.source_address[%u]: %s is no address of this machine: add it, "
				"or change the setting",
				i, config->sender.source_address[i]);
}
