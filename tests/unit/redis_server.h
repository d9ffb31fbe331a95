/*
 * redis_server.h - a real redis-server for tests: unix socket and TCP port in a directory of its
 * own, with a password; ended by its pid. Include it in one test program's only source file.
 */
#ifndef TESTS_UNIT_REDIS_SERVER_H
#define TESTS_UNIT_REDIS_SERVER_H

#include <errno.h>
#include <fcntl.h>
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

#include <arpa/inet.h>
#include <netinet/in.h>

#define REDIS_SERVER_PASSWORD "let-me-in"

struct redis_server {
	char dir[64], unix_address[96], tcp_address[32];
	unsigned port;
	pid_t pid;
};

static inline unsigned
redis_server_free_port(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof in;
	const int fd = socket(AF_INET, SOCK_STREAM, 0);
	const bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&in, sizeof in) == 0 &&
		getsockname(fd, (struct sockaddr *)&in, &length) == 0;

	close(fd);
	return ok ? ntohs(in.sin_port) : 0;
}

static inline bool
redis_server_answers(const struct redis_server *server)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	bool ok;

	snprintf(un.sun_path, sizeof un.sun_path, "%s", server->unix_address + 5);
	ok = fd >= 0 && connect(fd, (struct sockaddr *)&un, sizeof un) == 0;
	close(fd);
	return ok;
}

/* Starts (again, at the same addresses) and waits until it listens; 0 or -1. */
static inline int
redis_server_start(struct redis_server *server)
{
	const struct timespec pause = { .tv_nsec = 5000000 };
	char port[16], path[96];

	if (!server->dir[0]) {
		snprintf(server->dir, sizeof server->dir, "/tmp/shout-redis-XXXXXX");
		if (!mkdtemp(server->dir))
			return -1;
		server->port = redis_server_free_port();
	}
	snprintf(server->unix_address, sizeof server->unix_address, "unix:%s/s", server->dir);
	snprintf(server->tcp_address, sizeof server->tcp_address, "127.0.0.1:%u", server->port);
	snprintf(port, sizeof port, "%u", server->port);
	snprintf(path, sizeof path, "%s", server->unix_address + 5);
	server->pid = fork();
	if (server->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* also when the test crashes */
		if (freopen("/dev/null", "w", stdout) == NULL)
			_exit(1);
		execlp("redis-server", "redis-server", "--port", port, "--bind", "127.0.0.1",
			"--unixsocket", path, "--dir", server->dir, "--save", "", "--requirepass",
			REDIS_SERVER_PASSWORD, "--enable-debug-command", "yes", "--appendonly",
			"no", (char *)NULL);
		_exit(127);
	}
	for (int i = 0; i < 2000 && server->pid > 0; i++) {
		if (redis_server_answers(server))
			return 0;
		if (waitpid(server->pid, NULL, WNOHANG) == server->pid)
			return -1;
		nanosleep(&pause, NULL);
	}
	return -1;
}

static inline void
redis_server_kill(struct redis_server *server)
{
	if (server->pid > 0) {
		kill(server->pid, SIGKILL);
		waitpid(server->pid, NULL, 0);
	}
	server->pid = 0;
}

static inline void
redis_server_remove(struct redis_server *server)
{
	redis_server_kill(server);
	if (!server->dir[0])
		return;
	unlink(server->unix_address + 5);
	rmdir(server->dir);
	server->dir[0] = '\0';
}

#endif
