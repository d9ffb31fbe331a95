/*
 * redis_server.h - a real redis-server for tests: unix socket and TCP port in a directory of its
 * own, with a password; ended by its pid. Include it in one test program's only source file.
 */
#ifndef TESTS_UNIT_REDIS_SERVER_H
#define TESTS_UNIT_REDIS_SERVER_H

#include <errno.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "tests/unit/child.h"

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

/* Starts (again, at the same addresses) and waits until it listens; 0 or -1. */
static inline int
redis_server_start(struct redis_server *server)
{
	char port[16], path[96];
	const char *const argv[] = { "redis-server", "--port", port, "--bind", "127.0.0.1",
		"--unixsocket", path, "--dir", server->dir, "--save", "", "--requirepass",
		REDIS_SERVER_PASSWORD, "--masterauth", REDIS_SERVER_PASSWORD,
		"--enable-debug-command", "yes", "--appendonly", "no", NULL };

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
	server->pid = child_start(argv, path);
	return server->pid > 0 ? 0 : -1;
}

static inline void
redis_server_kill(struct redis_server *server)
{
	child_kill(&server->pid);
}

static inline void
redis_server_remove(struct redis_server *server)
{
	redis_server_kill(server);
	child_remove(server->dir);
}

#endif
