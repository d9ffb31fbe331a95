/*
 * service.c - one datagram a message, to the socket that the service manager named.
 *
 * cmd/shout.c: started, reload, stop -> [service] -> systemd
 *
 * The protocol of sd_notify(3) instead of libsystemd: a datagram is all that is needed.
 */
#include "shared/process/service.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "shared/base/log.h"
#include "shared/base/loop.h"

/* 0 or -errno. The socket has a file, as systemd's has: the sandbox closes the way to others. */
static int
send_state(const char *path, const char *state)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	const size_t length = strlen(path);
	int fd, err = 0;

	if (length >= sizeof to.sun_path)
		return -ENAMETOOLONG;
	memcpy(to.sun_path, path, length);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) < 0)
		err = -errno;
	close(fd);
	return err;
}

void
service_notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	int err = path && *path ? send_state(path, state) : 0;

	if (err < 0)
		LOG_WARN("cannot tell the service manager", "socket", path, "state", state, "error",
			strerror(-err));
}

void
service_notify_reload(void)
{
	char state[64];

	snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_mono_us());
	service_notify(state);
}
