/*
 * target.c - keeps posts from private networks (server-side request forgery).
 *
 * webhook.c (an address in an URL), post.c (each address before it is connected to) -> [target]
 */
#include "control/webhook/target.h"

#include <string.h>

#include "shared/base/net.h"
#include "shared/config/config.h"

bool
target_allowed(const struct config *config, const struct sockaddr *address, socklen_t length)
{
	struct net_address to = { .length = length };
	struct network network;

	if (length > sizeof to.sa ||
		(address->sa_family != AF_INET && address->sa_family != AF_INET6))
		return false;
	memcpy(&to.sa, address, length);
	if (!net_is_special(&to))
		return true;
	for (unsigned i = 0; i < config->control.webhooks.networks_count; i++)
		if (network_parse(config->control.webhooks.networks[i], &network) == 0 &&
			network_contains(&network, &to))
			return true;
	return false;
}
