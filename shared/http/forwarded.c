/*
 * forwarded.c - who a request is from when proxies of ours pass it on. Fails towards the nearest
 * hop that is known.
 */
#include "shared/http/forwarded.h"

#include <string.h>

#include "shared/base/text.h"

bool
forwarded_trusts(const struct network *proxies, unsigned count, const struct net_address *address)
{
	for (unsigned i = 0; i < count; i++)
		if (network_contains(&proxies[i], address))
			return true;
	return false;
}

/* Reads "192.0.2.1", "192.0.2.1:4711", "2001:db8::1" or "[2001:db8::1]:4711". */
static bool
read_hop(const char *text, size_t length, struct net_address *out)
{
	char ip[NET_TEXT_MAX], plain[NET_TEXT_MAX];
	struct net_address address;

	if (length == 0 || length >= sizeof ip)
		return false;
	memcpy(ip, text, length);
	ip[length] = '\0';
	if (net_parse_ip(ip, 0, &address) < 0 &&
		((*ip != '[' && !is_digit(*ip)) || net_parse(ip, &address) < 0))
		return false;
	net_format_ip(&address, plain); /* an IPv4-mapped address as IPv4, without a port */
	return net_parse_ip(plain, 0, out) == 0;
}

/* Takes the last entry off the value; its length (0: an empty entry), or -1 at the beginning. */
static int
last_entry(const char *value, size_t *end, const char **entry_out)
{
	size_t last = *end, first;

	if (last == 0)
		return -1;
	for (first = last; first > 0 && value[first - 1] != ','; first--)
		;
	*end = first > 0 ? first - 1 : 0;
	while (first < last && is_blank(value[first]))
		first++;
	while (last > first && is_blank(value[last - 1]))
		last--;
	*entry_out = value + first;
	return (int)(last - first);
}

void
forwarded_client(const struct network *proxies, unsigned count, const char *value,
	struct net_address *client)
{
	size_t end = value ? strlen(value) : 0;
	struct net_address hop;
	const char *entry;
	int length;

	while (forwarded_trusts(proxies, count, client)) {
		length = last_entry(value, &end, &entry);
		if (length < 0 || !read_hop(entry, (size_t)length, &hop))
			return;
		*client = hop;
	}
}
