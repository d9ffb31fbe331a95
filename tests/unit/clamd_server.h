/*
 * clamd_server.h - a real clamd for tests, whose only signatures are EICAR's: unix socket in a
 * directory of its own; ended by its pid. Include it in one test program's only source file.
 */
#ifndef TESTS_UNIT_CLAMD_SERVER_H
#define TESTS_UNIT_CLAMD_SERVER_H

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "scanner/sample.h"

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

static inline bool
clamd_server_answers(const struct clamd_server *server)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	bool ok;

	snprintf(un.sun_path, sizeof un.sun_path, "%s", server->address + 5);
	ok = fd >= 0 && connect(fd, (struct sockaddr *)&un, sizeof un) == 0;
	close(fd);
	return ok;
}

/* Starts (again) and waits until it listens; 0 or -1. */
static inline int
clamd_server_start(struct clamd_server *server)
{
	const struct timespec pause = { .tv_nsec = 10000000 };
	char path[96];

	snprintf(path, sizeof path, "%s/clamd.conf", server->dir);
	server->pid = fork();
	if (server->pid == 0) {
		int null = open("/dev/null", O_RDWR);

		prctl(PR_SET_PDEATHSIG, SIGKILL); /* also when the test crashes */
		dup2(null, 1);
		dup2(null, 2);
		execlp("clamd", "clamd", "-c", path, (char *)NULL);
		_exit(127);
	}
	for (int i = 0; i < 6000 && server->pid > 0; i++) {
		if (clamd_server_answers(server))
			return 0;
		if (waitpid(server->pid, NULL, WNOHANG) == server->pid)
			return -1;
		nanosleep(&pause, NULL);
	}
	return -1;
}

static inline void
clamd_server_kill(struct clamd_server *server)
{
	if (server->pid > 0) {
		kill(server->pid, SIGKILL);
		waitpid(server->pid, NULL, 0);
	}
	server->pid = 0;
}

static inline int
clamd_server_unlink(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void
clamd_server_remove(struct clamd_server *server)
{
	clamd_server_kill(server);
	if (server->dir[0])
		nftw(server->dir, clamd_server_unlink, 16, FTW_DEPTH | FTW_PHYS);
	server->dir[0] = '\0';
}

#endif
