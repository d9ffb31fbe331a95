/*
 * child.h - a server that a test starts: in a directory of its own, reached by a unix socket, ended
 * by its pid, also when the test crashes. Include it in one test program's only source file.
 */
#ifndef TESTS_UNIT_CHILD_H
#define TESTS_UNIT_CHILD_H

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

static inline bool
child_answers(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	bool ok;

	snprintf(un.sun_path, sizeof un.sun_path, "%s", path);
	ok = fd >= 0 && connect(fd, (struct sockaddr *)&un, sizeof un) == 0;
	close(fd);
	return ok;
}

/* Starts `argv` and waits until it listens at the unix socket `path`: its pid, or 0. */
static inline pid_t
child_start(const char *const *argv, const char *path)
{
	const struct timespec pause = { .tv_nsec = 5000000 };
	const pid_t pid = fork();

	if (pid == 0) {
		const int null = open("/dev/null", O_RDWR);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(null, 1);
		dup2(null, 2);
		execvp(argv[0], (char *const *)argv);
		_exit(127);
	}
	for (int i = 0; i < 12000 && pid > 0; i++) {
		if (child_answers(path))
			return pid;
		if (waitpid(pid, NULL, WNOHANG) == pid)
			return 0;
		nanosleep(&pause, NULL);
	}
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	return 0;
}

static inline void
child_kill(pid_t *pid)
{
	if (*pid > 0) {
		kill(*pid, SIGKILL);
		waitpid(*pid, NULL, 0);
	}
	*pid = 0;
}

static inline int
child_unlink(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

/* The directory with all that is in it; an empty name is none. */
static inline void
child_remove(char *dir)
{
	if (dir[0])
		nftw(dir, child_unlink, 16, FTW_DEPTH | FTW_PHYS);
	dir[0] = '\0';
}

#endif
