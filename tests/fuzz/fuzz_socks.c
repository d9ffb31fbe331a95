/*
 * fuzz_socks.c - whatever a proxy says, no more than it said is taken, and the end is an end. The
 * first line is a proxy's URL.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sender/egress/socks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
talk(const struct egress_proxy *proxy, const uint8_t *data, size_t size)
{
	enum socks_result result;
	struct socks_step step;
	struct net_address to;
	struct socks socks;
	size_t at = 0;

	assert(net_parse(size % 2 ? "192.0.2.25:25" : "[2001:db8::7]:25", &to) == 0);
	socks_begin(&socks, proxy, &to, &step);
	assert(step.out_length == 3);
	do {
		result = socks_take(&socks, data + at, size - at, &step);
		at += step.used;
		assert(at <= size && step.out_length <= SOCKS_OUT_MAX);
		assert((result == SOCKS_SEND) == (step.out_length > 0));
	} while (result == SOCKS_SEND);
	assert((result == SOCKS_READY) == (socks.state == SOCKS_OPEN));
	assert((result == SOCKS_PROXY_FAILS || result == SOCKS_HOST_FAILS) == (step.why != NULL));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = memchr(data, '\n', size);
	struct egress_proxy proxy, again;
	char via[EGRESS_VIA_MAX], *url;

	if (!end)
		return 0;
	url = strndup((const char *)data, (size_t)(end - data));
	assert(url);
	if (!egress_proxy_parse(&proxy, url)) {
		egress_proxy_format(&proxy, via);
		assert(!egress_proxy_parse(&again, via) && !*again.user);
		talk(&proxy, end + 1, size - (size_t)(end + 1 - data));
	}
	free(url);
	return 0;
}
