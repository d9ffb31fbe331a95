/*
 * dns_provider.c - the table of who runs the DNS.
 *
 * report -> [dns_provider]
 */
#include "control/domain/dns_provider.h"

#include <fnmatch.h>
#include <stddef.h>

static const struct {
	const char *pattern; /* of a name server, as fnmatch() has it */
	struct dns_provider provider;
} providers[] = {
	/* clang-format off */
	{ "*.technorail.com",     { "Aruba", "https://admin.aruba.it/", NULL } },
	{ "*.arubadns.*",         { "Aruba", "https://admin.aruba.it/", NULL } },
	{ "*.register.it",        { "Register.it", "https://controlpanel.register.it/", NULL } },
	{ "*.interbusiness.it",   { "TIM", "https://www.tim.it/", NULL } },
	{ "*.seeweb.it",          { "Seeweb", "https://cloudcenter.seeweb.it/", NULL } },
	{ "*.seeweb.com",         { "Seeweb", "https://cloudcenter.seeweb.it/", NULL } },
	{ "*.netsons.*",          { "Netsons", "https://www.netsons.com/", NULL } },
	{ "*.ovh.net",            { "OVH", "https://www.ovh.com/manager/", "short" } },
	{ "*.anycast.me",         { "OVH", "https://www.ovh.com/manager/", "short" } },
	{ "*.ui-dns.*",           { "IONOS", "https://my.ionos.com/", "short" } },
	{ "*.infomaniak.*",       { "Infomaniak", "https://manager.infomaniak.com/", "short" } },
	{ "*.gandi.net",          { "Gandi", "https://admin.gandi.net/", "short" } },
	{ "*.ns.hetzner.*",       { "Hetzner", "https://dns.hetzner.com/", "short" } },
	{ "*.first-ns.de",        { "Hetzner", "https://dns.hetzner.com/", "short" } },
	{ "*.second-ns.*",        { "Hetzner", "https://dns.hetzner.com/", "short" } },
	{ "*.ns.cloudflare.com",  { "Cloudflare", "https://dash.cloudflare.com/", "short" } },
	{ "*.awsdns-*",           { "Route 53", "https://console.aws.amazon.com/route53/", "short" } },
	{ "*.azure-dns.*",        { "Azure", "https://portal.azure.com/", "short" } },
	{ "*.domaincontrol.com",  { "GoDaddy", "https://dcc.godaddy.com/", "short" } },
	/* clang-format on */
};

const struct dns_provider *
dns_provider_find(const char *host)
{
	for (size_t i = 0; i < sizeof providers / sizeof *providers; i++)
		if (fnmatch(providers[i].pattern, host, 0) == 0)
			return &providers[i].provider;
	return NULL;
}
