/*
 * fuzz_forwarded.c - whatever X-Forwarded-For says: a stranger stays who is connected, and what
 * stands before the outermost proxy's entry changes nothing.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"
#include "shared/http/forwarded.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
client_of(const char *peer, const char *value, char out[NET_TEXT_MAX])
{
	struct network proxies;
	struct net_address client;

	network_parse("10.0.0.0/8", &proxies);
	net_parse_ip(peer, 0, &client);
	forwarded_client(&proxies, 1, value, &client);
	net_format_ip(&client, out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *value = xstrndup((const char *)data, size);
	char *claimed = xasprintf("192.0.2.7,%s", value);
	char *passed = xasprintf("%s, 198.51.100.1", value);
	char plain[NET_TEXT_MAX], more[NET_TEXT_MAX];

	client_of("192.0.2.9", value, plain);
	assert(strcmp(plain, "192.0.2.9") == 0);
	client_of("10.0.0.1", passed, plain);
	assert(strcmp(plain, "198.51.100.1") == 0);
	client_of("10.0.0.1", value, plain);
	client_of("10.0.0.1", claimed, more);
	assert(strncmp(plain, "10.", 3) == 0 || strcmp(plain, more) == 0);
	free(passed);
	free(claimed);
	free(value);
	return 0;
}
