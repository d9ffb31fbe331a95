/*
 * egress_entry.h - an egress IP as relay.config has it ("egress/<ip>"), and the URL of its proxy.
 * Pure.
 *
 *   {"version","ip","helo","pool","weight","via","proxy_secret","warm_us","rest_until_us",
 *    "lifted_us","created_us"}
 *
 * "via" is the proxy without its user; "proxy_secret" has "user:password", percent-encoded.
 */
#ifndef SHARED_EGRESS_ENTRY_H
#define SHARED_EGRESS_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/net.h"

#define EGRESS_PREFIX "egress/"
#define EGRESS_HELO_MAX 256
#define EGRESS_POOL_MAX 64
#define EGRESS_WEIGHT_MAX 1000
#define EGRESS_SECRET_MAX 256 /* of a user, of a password: RFC 1929 has 255 octets */

struct egress_proxy {
	struct net_address address;                                /* length 0: no proxy */
	char user[EGRESS_SECRET_MAX], password[EGRESS_SECRET_MAX]; /* user "": none */
};

struct egress_entry {
	char ip[NET_TEXT_MAX]; /* in its one form */
	struct net_address address;
	char helo[EGRESS_HELO_MAX];
	char pool[EGRESS_POOL_MAX];
	unsigned weight; /* 1 to EGRESS_WEIGHT_MAX */
	struct egress_proxy proxy;
	uint64_t warm_us;       /* since when it warms up; 0: it is warm */
	uint64_t rest_until_us; /* it rests until then, as an operator wants; 0: it does not */
	uint64_t lifted_us; /* when an operator last said that its blocks are lifted; 0: never */
};

/* Reads an entry. -EINVAL: it is none. */
int egress_entry_parse(struct egress_entry *entry, const char *json);
/* Wipes the proxy's secrets. */
void egress_entry_wipe(struct egress_entry *entry);

/* "socks5://user:password@192.0.2.1:1080"; user and password may be missing, and are
 * percent-encoded. The host is an address, or "localhost". NULL, or what is wrong. */
const char *egress_proxy_parse(struct egress_proxy *proxy, const char *url);
/* "socks5://192.0.2.1:1080": the part that may be shown. */
#define EGRESS_VIA_MAX (NET_TEXT_MAX + 16)
void egress_proxy_format(const struct egress_proxy *proxy, char out[EGRESS_VIA_MAX]);
/* Writes the address in its one form. -EINVAL: it is none, or none that mail can come from. */
int egress_ip_canonical(const char *text, char out[NET_TEXT_MAX]);
/* Whether the text can be a pool's name: good, new, suspect, bounce, dedicated:<name>. */
bool egress_pool_valid(const char *name);

#endif
