/*
 * familiar.h - the addresses from which customers came lately, of this process: who is there is no
 * stranger. Known without asking Redis, since logins and mail from a public IP add to it. One set
 * for all loops; from any thread.
 */
#ifndef INGRESS_FAMILIAR_H
#define INGRESS_FAMILIAR_H

#include <stdbool.h>

#include "shared/base/net.h"

struct familiar;

/* Remembers the `most` addresses that were added last, each for 30 days. */
struct familiar *familiar_new(unsigned most);
void familiar_free(struct familiar **familiar);

/* A login from the address was right, or an active account has it as its public IP. An IPv6 /64 is
 * one address, and so is IPv4 in whatever form. */
void familiar_add(struct familiar *familiar, const struct net_address *address);
bool familiar_has(struct familiar *familiar, const struct net_address *address);

#endif
