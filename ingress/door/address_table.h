/*
 * address_table.h - things by client: a hash table whose entries are embedded in what it holds.
 */
#ifndef INGRESS_ADDRESS_TABLE_H
#define INGRESS_ADDRESS_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/net.h"

/* Who counts as one client: an IPv4 address (also when it is mapped into IPv6), or an IPv6 /64. */
struct address_key {
	uint8_t bytes[16];
};
struct address_key address_key(const struct net_address *address);
/* The client's network: an IPv4 /24 or an IPv6 /48. */
struct address_key address_network_key(const struct net_address *address);

bool address_is_ip6(const struct address_key *key);

/* The first member of each thing that the table holds. The caller allocates and frees the thing. */
struct address_entry {
	struct address_entry *next;
	struct address_key key;
};

struct address_table {
	struct address_entry **buckets;
	unsigned mask;
	uint32_t seed;
};

/* A table made for about `most` entries. */
void address_table_init(struct address_table *table, unsigned most);
/* All entries must have been removed before. */
void address_table_free(struct address_table *table);
/* NULL when there is none. */
struct address_entry *
address_find(const struct address_table *table, const struct address_key *key);
void address_insert(
	struct address_table *table, struct address_entry *entry, const struct address_key *key);
void address_remove(struct address_table *table, struct address_entry *entry);

#endif
