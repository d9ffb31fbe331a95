/*
 * forwarded.h - who a request is from when proxies of ours pass it on (X-Forwarded-For). Pure.
 */
#ifndef SHARED_FORWARDED_H
#define SHARED_FORWARDED_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/base/net.h"

/* Whether the address is one of our proxies'. */
bool
forwarded_trusts(const struct network *proxies, unsigned count, const struct net_address *address);

/* `client` is who is connected, and becomes who the request is from. `value` is the value of
 * X-Forwarded-For, several fields joined by commas; NULL: there is none. Each proxy appends whom
 * the proxy saw, so the value is read from its end, for as long as the hop is a proxy of ours. What
 * stands before that is the client's own claim, and is not looked at. An entry that is no address
 * ends the reading. */
void forwarded_client(const struct network *proxies, unsigned count, const char *value,
	struct net_address *client);

#endif
