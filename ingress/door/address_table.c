/*
 * address_table.c - things by client: a hash table whose entries are embedded in what it holds.
 *
 * ingress:  door, familiar -> [address_table]
 *
 * The hash has a seed, so that nobody can pick addresses that share a bucket.
 */
#include "ingress/door/address_table.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"

#define BUCKETS_MAX 65536u

static struct address_key
make_key(const struct net_address *address, unsigned bytes4, unsigned bytes6)
{
	const struct in6_addr *ip6 = &((const struct sockaddr_in6 *)&address->sa)->sin6_addr;
	struct address_key key = { 0 };

	key.bytes[10] = key.bytes[11] = 0xff;
	if (address->sa.ss_family == AF_INET)
		memcpy(key.bytes + 12, &((const struct sockaddr_in *)&address->sa)->sin_addr,
			bytes4);
	else if (address->sa.ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(ip6))
		memcpy(key.bytes + 12, ip6->s6_addr + 12, bytes4);
	else if (address->sa.ss_family == AF_INET6) {
		memset(key.bytes, 0, sizeof key.bytes);
		memcpy(key.bytes, ip6, bytes6);
	}
	return key;
}

struct address_key
address_key(const struct net_address *address)
{
	return make_key(address, 4, 8);
}

struct address_key
address_network_key(const struct net_address *address)
{
	return make_key(address, 3, 6);
}

bool
address_is_ip6(const struct address_key *key)
{
	return key->bytes[10] == 0;
}

void
address_table_init(struct address_table *table, unsigned most)
{
	unsigned size = 64;

	while (size < most && size < BUCKETS_MAX)
		size *= 2;
	table->buckets = xcalloc(size, sizeof(struct address_entry *));
	table->mask = size - 1;
	arc4random_buf(&table->seed, sizeof table->seed);
}

void
address_table_free(struct address_table *table)
{
	free(table->buckets);
	table->buckets = NULL;
}

/* The bucket of a key: FNV-1a, then its high bits are mixed into the low ones. */
static struct address_entry **
bucket(const struct address_table *table, const struct address_key *key)
{
	uint32_t hash = 2166136261u ^ table->seed;

	for (size_t i = 0; i < sizeof key->bytes; i++)
		hash = (hash ^ key->bytes[i]) * 16777619u;
	hash ^= hash >> 15;
	return &table->buckets[hash & table->mask];
}

struct address_entry *
address_find(const struct address_table *table, const struct address_key *key)
{
	struct address_entry *entry = *bucket(table, key);

	while (entry && memcmp(&entry->key, key, sizeof *key) != 0)
		entry = entry->next;
	return entry;
}

void
address_insert(
	struct address_table *table, struct address_entry *entry, const struct address_key *key)
{
	struct address_entry **at = bucket(table, key);

	entry->key = *key;
	entry->next = *at;
	*at = entry;
}

void
address_remove(struct address_table *table, struct address_entry *entry)
{
	struct address_entry **at = bucket(table, &entry->key);

	while (*at != entry)
		at = &(*at)->next;
	*at = entry->next;
}
