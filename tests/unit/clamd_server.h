/*
 * clamd_server.h - a real clamd for tests, whose only signatures are EICAR's: unix socket in a
 * directory of its own; ended by its pid. Include it in one test program's only source file.
 */
#ifndef TESTS_UNIT_CLAMD_SERVER_H
#define TESTS_UNIT_CLAMD_SERVER_H

#include <stdio.h>

#include "scanner/sample.h"
#include "tests/unit/child.h"

struct clamd_server {
	char dir[64], address[96];
	pid_t pid;
};

static inline FILE *
clamd_server_file(const struct clamd_server *server, const char *name)
{
	char path[128];

	snprintf(path, sizeof path, "%s/%s", server->dir, name);
	return fopen(path, "w");
}

/* The directory, with signatures and clamd.conf; `settings` are further lines of it. 0 or -1. */
static inline int
clamd_server_init(struct clamd_server *server, const char *settings)
{
	char plain[SAMPLE_SIZE];
	FILE *file;

	*server = (struct clamd_server){ .dir = "/tmp/shout-clamd-XXXXXX" };
	if (!mkdtemp(server->dir))
		return -1;
	snprintf(server->address, sizeof server->address, "unix:%s/s", server->dir);
	sample_plain(plain);
	file = clamd_server_file(server, "eicar.ndb");
	if (!file)
		return -1;
	fputs("Eicar-Test:0:*:", file);
	for (size_t i = 0; i < SAMPLE_SIZE; i++)
		fprintf(file, "%02x", (unsigned char)plain[i]);
	fputs("\n", file);
	fclose(file);
	file = clamd_server_file(server, "clamd.conf");
	if (!file)
		return -1;
	fprintf(file,
		"LocalSocket %s\nDatabaseDirectory %s\nTemporaryDirectory %s\nForeground yes\n"
		"FixStaleSocket yes\n%s\n",
		server->address + 5, server->dir, server->dir, settings);
	fclose(file);
	return 0;
}

/* Starts (again) and waits until it listens; 0 or -1. */
static inline int
clamd_server_start(struct clamd_server *server)
{
	char path[96];
	const char *const argv[] = { "clamd", "-c", path, NULL };

	snprintf(path, sizeof path, "%s/clamd.conf", server->dir);
	server->pid = child_start(argv, server->address + 5);
	return server->pid > 0 ? 0 : -1;
}

static inline void
clamd_server_remove(struct clamd_server *server)
{
	child_kill(&server->pid);
	child_remove(server->dir);
}

#endif
