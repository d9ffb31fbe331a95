/*
 * crash.c - preloaded into a process: ends it when a role's thread hands a marker on.
 *
 * "CRASH-THE-scanner" in what the scanner writes to clamd, "CRASH-THE-sender" in what the sender
 * writes to a host.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <event2/buffer.h>

static int
marker(char *text, size_t size)
{
	char thread[16] = "";

	pthread_getname_np(pthread_self(), thread, sizeof thread);
	return snprintf(text, size, "CRASH-THE-%s", thread);
}

int
evbuffer_write(struct evbuffer *buffer, evutil_socket_t fd)
{
	static int (*real)(struct evbuffer *, evutil_socket_t);
	char text[64];
	int length = marker(text, sizeof text);

	if (evbuffer_search(buffer, text, (size_t)length, NULL).pos >= 0)
		abort();
	if (!real)
		real = (int (*)(struct evbuffer *, evutil_socket_t))dlsym(
			RTLD_NEXT, "evbuffer_write");
	return real(buffer, fd);
}

ssize_t
sendmsg(int fd, const struct msghdr *message, int flags)
{
	static ssize_t (*real)(int, const struct msghdr *, int);
	char text[64];
	int length = marker(text, sizeof text);

	for (size_t i = 0; i < message->msg_iovlen; i++)
		if (memmem(message->msg_iov[i].iov_base, message->msg_iov[i].iov_len, text,
			    (size_t)length))
			abort();
	if (!real)
		real = (ssize_t(*)(int, const struct msghdr *, int))dlsym(RTLD_NEXT, "sendmsg");
	return real(fd, message, flags);
}
