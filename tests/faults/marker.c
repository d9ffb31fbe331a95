/*
 * marker.c - preloaded into a process: does what a marker says when a role's thread writes it, the
 * scanner to clamd, the sender to a host.
 *
 *     CRASH-THE-<thread>      the process ends
 *     FORBIDDEN-IN-<thread>   what an intruder would do; the errors go to standard error
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>

static void
try_what_is_forbidden(void)
{
	char *const words[] = { "/bin/true", NULL };
	int run = posix_spawn(NULL, words[0], NULL, NULL, words, NULL);
	int write = open(getenv("FORBIDDEN_FILE"), O_WRONLY | O_CREAT, 0600) < 0 ? errno : 0;
	int trace = ptrace(PTRACE_PEEKDATA, getppid(), NULL, NULL) < 0 ? errno : 0;

	dprintf(2, "forbidden: run %s, write %s, trace %s\n", strerrorname_np(run),
		strerrorname_np(write), strerrorname_np(trace));
}

static void
obey(const void *text, size_t size)
{
	char thread[16] = "", marker[64];
	int length;

	pthread_getname_np(pthread_self(), thread, sizeof thread);
	length = snprintf(marker, sizeof marker, "CRASH-THE-%s", thread);
	if (memmem(text, size, marker, (size_t)length))
		abort();
	length = snprintf(marker, sizeof marker, "FORBIDDEN-IN-%s", thread);
	if (memmem(text, size, marker, (size_t)length))
		try_what_is_forbidden();
}

int
evbuffer_write(struct evbuffer *buffer, evutil_socket_t fd)
{
	static int (*real)(struct evbuffer *, evutil_socket_t);
	size_t size = evbuffer_get_length(buffer);
	char *copy = malloc(size + 1);

	evbuffer_copyout(buffer, copy, size);
	obey(copy, size);
	free(copy);
	if (!real)
		real = (int (*)(struct evbuffer *, evutil_socket_t))dlsym(
			RTLD_NEXT, "evbuffer_write");
	return real(buffer, fd);
}

ssize_t
sendmsg(int fd, const struct msghdr *message, int flags)
{
	static ssize_t (*real)(int, const struct msghdr *, int);

	for (size_t i = 0; i < message->msg_iovlen; i++)
		obey(message->msg_iov[i].iov_base, message->msg_iov[i].iov_len);
	if (!real)
		real = (ssize_t(*)(int, const struct msghdr *, int))dlsym(RTLD_NEXT, "sendmsg");
	return real(fd, message, flags);
}
