/*
 * fake_names.h - getaddrinfo() for tests: one name, whose addresses the test sets, and which may
 * keep its caller waiting. Include it in one test program's only source file.
 */
#ifndef TESTS_UNIT_FAKE_NAMES_H
#define TESTS_UNIT_FAKE_NAMES_H

#include <netdb.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"
#include "shared/base/net.h"
#include "shared/base/resolve.h"

#define FAKE_NAME "server.test"

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	const char *ips[RESOLVE_MAX + 2]; /* NULL-ended */
	bool blocked;
	unsigned asked, answered;
} names = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

struct fake_entry {
	struct addrinfo info;
	struct net_address address;
};

void
freeaddrinfo(struct addrinfo *list)
{
	struct addrinfo *next;

	for (; list; list = next) {
		next = list->ai_next;
		free(list);
	}
}

int
getaddrinfo(
	const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
	struct addrinfo **end = out;

	(void)hints;
	*out = NULL;
	pthread_mutex_lock(&names.lock);
	names.asked++;
	pthread_cond_broadcast(&names.changed);
	while (names.blocked)
		pthread_cond_wait(&names.changed, &names.lock);
	for (const char **ip = names.ips; *ip && strcmp(node, FAKE_NAME) == 0; ip++) {
		struct fake_entry *entry = xcalloc(1, sizeof *entry);

		net_parse_ip(*ip, (uint16_t)atoi(service), &entry->address);
		entry->info.ai_addr = (struct sockaddr *)&entry->address.sa;
		entry->info.ai_addrlen = entry->address.length;
		*end = &entry->info;
		end = &entry->info.ai_next;
	}
	names.answered++;
	pthread_cond_broadcast(&names.changed);
	pthread_mutex_unlock(&names.lock);
	return *out ? 0 : EAI_NONAME;
}

static inline void
names_set(const char *first, const char *second)
{
	pthread_mutex_lock(&names.lock);
	names.ips[0] = first;
	names.ips[1] = second;
	names.ips[2] = NULL;
	pthread_mutex_unlock(&names.lock);
}

#endif
