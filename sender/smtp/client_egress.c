/*
 * client_egress.c - the egress IP of a connection: the address it is bound to, or the SOCKS5 proxy
 * that has it, and the name in EHLO.
 *
 * client, client_connect -> [client_egress]
 */
#include <stdlib.h>
#include <string.h>

#include "sender/smtp/client_private.h"
#include "shared/base/log.h"
#include "shared/config/config.h"

void
client_egress_take(struct client *client, const struct egress_entry *egress)
{
	if (!egress)
		return;
	client->egress = xmalloc(sizeof *client->egress);
	*client->egress = *egress;
}

void
client_egress_free(struct client *client)
{
	if (!client->egress)
		return;
	egress_entry_wipe(client->egress);
	free(client->egress);
	client->egress = NULL;
}

bool
client_has_proxy(const struct client *client)
{
	return client->egress && client->egress->proxy.address.length;
}

const struct net_address *
client_source(const struct client *client, int family)
{
	if (client_has_proxy(client))
		return NULL;
	if (!client->egress)
		return client_context_source(client->context, family);
	return client->egress->address.sa.ss_family == family ? &client->egress->address : NULL;
}

bool
client_uses(const struct client *client, int family)
{
	if (client->egress)
		return client->egress->address.sa.ss_family == family;
	return client_context_uses(client->context, family);
}

const char *
client_hello_name(const struct client *client)
{
	return client->egress ? client->egress->helo : client->context->config->hostname;
}

const struct net_address *
client_connects_to(const struct client *client)
{
	return client_has_proxy(client) ? &client->egress->proxy.address
					: &client->addresses[client->address_at];
}

/* A proxy that was asked for the destination answers late when the destination does. */
bool
client_proxy_is_at_fault(const struct client *client)
{
	if (!client_has_proxy(client))
		return false;
	return client->state == ST_CONNECT ||
		(client->state == ST_PROXY && client->socks.state != SOCKS_CONNECT);
}
