/*
 * door.c - how many connections there are, in all and from each address.
 *
 * ingress:  ingress (accept), session -> [door]
 *
 * A hash table under one lock, taken twice a connection. It grows with the number of different
 * addresses that are connected, which connections_max bounds.
 */
#include "ingress/door.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "shared/log.h"

struct visitor {
	struct visitor *next;
	uint8_t key[16];
	unsigned count;
};

struct door {
	atomic_uint total;
	unsigned total_max, per_address_max, mask;
	pthread_mutex_t lock;
	struct visitor **buckets; /* under lock */
};

struct door *
door_new(unsigned total_max, unsigned per_address_max)
{
	struct door *door = xcalloc(1, sizeof *door);
	unsigned size = 64;

	while (size < total_max && size < 65536)
		size *= 2;
	door->mask = size - 1;
	door->buckets = xcalloc(size, sizeof *door->buckets);
	door->total_max = total_max;
	door->per_address_max = per_address_max;
	pthread_mutex_init(&door->lock, NULL);
	return door;
}

void
door_free(struct door **door_ref)
{
	struct door *door = *door_ref;

	if (!door)
		return;
	for (unsigned i = 0; i <= door->mask; i++)
		while (door->buckets[i]) {
			struct visitor *visitor = door->buckets[i];

			door->buckets[i] = visitor->next;
			free(visitor);
		}
	free(door->buckets);
	pthread_mutex_destroy(&door->lock);
	free(door);
	*door_ref = NULL;
}

bool
door_enter(struct door *door)
{
	if (atomic_fetch_add(&door->total, 1) < door->total_max)
		return true;
	atomic_fetch_sub(&door->total, 1);
	return false;
}

void
door_leave(struct door *door)
{
	atomic_fetch_sub(&door->total, 1);
}

unsigned
door_count(struct door *door)
{
	return atomic_load(&door->total);
}

static void
make_key(const struct net_address *address, uint8_t key[16])
{
	memset(key, 0, 16);
	if (address->sa.ss_family == AF_INET6)
		memcpy(key, &((const struct sockaddr_in6 *)&address->sa)->sin6_addr, 8);
	else if (address->sa.ss_family == AF_INET)
		memcpy(key + 12, &((const struct sockaddr_in *)&address->sa)->sin_addr, 4);
}

/* FNV-1a: who can fill one bucket owns many networks, and then has the total against him. */
static struct visitor **
find(struct door *door, const uint8_t key[16])
{
	struct visitor **at;
	unsigned hash = 2166136261u;

	for (int i = 0; i < 16; i++)
		hash = (hash ^ key[i]) * 16777619u;
	for (at = &door->buckets[hash & door->mask]; *at; at = &(*at)->next)
		if (memcmp((*at)->key, key, 16) == 0)
			break;
	return at;
}

bool
door_enter_address(struct door *door, const struct net_address *address)
{
	uint8_t key[16];
	struct visitor **at;
	bool ok;

	make_key(address, key);
	pthread_mutex_lock(&door->lock);
	at = find(door, key);
	ok = !*at || (*at)->count < door->per_address_max;
	if (ok && !*at) {
		*at = xcalloc(1, sizeof **at);
		memcpy((*at)->key, key, 16);
	}
	if (ok)
		(*at)->count++;
	pthread_mutex_unlock(&door->lock);
	return ok;
}

void
door_leave_address(struct door *door, const struct net_address *address)
{
	uint8_t key[16];
	struct visitor **at, *gone = NULL;

	make_key(address, key);
	pthread_mutex_lock(&door->lock);
	at = find(door, key);
	if (*at && --(*at)->count == 0) {
		gone = *at;
		*at = gone->next;
	}
	pthread_mutex_unlock(&door->lock);
	free(gone);
}
