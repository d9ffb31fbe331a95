/*
 * familiar.h - the addresses from which customers came to this process lately. A client with such
 * an address is no stranger. Logins, and mail from a public IP, add an address, so Redis is not
 * asked. One set for all loops; from any thread.
 */
#ifndef INGRESS_FAMILIAR_H
#define INGRESS_FAMILIAR_H

#include <stdbool.h>

#include "shared/base/net.h"

struct familiar;

/* Remembers the `most` addresses that were added last, each for 30 days. */
struct familiar *familiar_new(unsigned most);
void familiar_free(struct familiar **familiar);

/* Remembers the address: a login from there was right, or an active account has it as its public
 * IP. An IPv6 /64 is one address, and so is IPv4 in whatever form. */
void familiar_add(struct familiar *familiar, const struct net_address *address);
bool familiar_has(struct familiar *familiar, const struct net_address *address);

#endif
