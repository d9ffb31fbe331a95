/*
 * net.c - addresses and sockets.
 */
#include "shared/base/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 1024

static int
parse_unix(const char *path, struct net_address *out)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&out->sa;
	size_t length = strlen(path);

	if (length == 0 || length >= sizeof un->sun_path)
		return -EINVAL;
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path, length + 1);
	out->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
	return 0;
}

int
net_parse_ip(const char *ip, uint16_t port, struct net_address *out)
{
	struct sockaddr_in *in4 = (struct sockaddr_in *)&out->sa;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&out->sa;

	memset(out, 0, sizeof *out);
	if (inet_pton(AF_INET, ip, &in4->sin_addr) == 1) {
		in4->sin_family = AF_INET;
		in4->sin_port = htons(port);
		out->length = sizeof *in4;
		return 0;
	}
	if (inet_pton(AF_INET6, ip, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		out->length = sizeof *in6;
		return 0;
	}
	return -EINVAL;
}

static int
parse_port(const char *text, uint16_t *out)
{
	char *end;
	long port;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	port = strtol(text, &end, 10);
	if (*end || port > 65535)
		return -EINVAL;
	*out = (uint16_t)port;
	return 0;
}

int
net_parse(const char *text, struct net_address *out)
{
	const char *colon = strrchr(text, ':');
	char host[INET6_ADDRSTRLEN + 2];
	size_t length;
	uint16_t port;

	memset(out, 0, sizeof *out);
	if (strncmp(text, "unix:", 5) == 0)
		return parse_unix(text + 5, out);
	if (!colon || parse_port(colon + 1, &port) < 0)
		return -EINVAL;
	length = (size_t)(colon - text);
	if (length >= 2 && text[0] == '[' && text[length - 1] == ']') {
		text++;
		length -= 2;
	} else if (memchr(text, ':', length)) {
		return -EINVAL; /* an IPv6 address needs brackets */
	}
	if (length >= sizeof host)
		return -EINVAL;
	memcpy(host, text, length);
	host[length] = '\0';
	return net_parse_ip(strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, port, out);
}

static const void *
ip_bytes(const struct net_address *address, int *family_out)
{
	const struct sockaddr_in *in4 = (const struct sockaddr_in *)&address->sa;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address->sa;

	*family_out = address->sa.ss_family;
	if (address->sa.ss_family == AF_INET)
		return &in4->sin_addr;
	if (address->sa.ss_family != AF_INET6)
		return NULL;
	if (!IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
		return &in6->sin6_addr;
	*family_out = AF_INET;
	return in6->sin6_addr.s6_addr + 12;
}

void
net_format_ip(const struct net_address *address, char text[NET_TEXT_MAX])
{
	int family;
	const void *bytes = ip_bytes(address, &family);

	if (bytes)
		inet_ntop(family, bytes, text, NET_TEXT_MAX);
	else if (family == AF_UNIX)
		snprintf(text, NET_TEXT_MAX, "unix:%s",
			((const struct sockaddr_un *)&address->sa)->sun_path);
	else
		snprintf(text, NET_TEXT_MAX, "unknown");
}

void
net_format(const struct net_address *address, char text[NET_TEXT_MAX])
{
	char ip[NET_TEXT_MAX];

	net_format_ip(address, ip);
	if (address->sa.ss_family == AF_UNIX)
		memcpy(text, ip, sizeof ip);
	else
		snprintf(text, NET_TEXT_MAX, strchr(ip, ':') ? "[%.64s]:%u" : "%.64s:%u", ip,
			net_port(address));
}

uint16_t
net_port(const struct net_address *address)
{
	if (address->sa.ss_family == AF_INET)
		return ntohs(((const struct sockaddr_in *)&address->sa)->sin_port);
	if (address->sa.ss_family == AF_INET6)
		return ntohs(((const struct sockaddr_in6 *)&address->sa)->sin6_port);
	return 0;
}

static int
net_socket(const struct net_address *address)
{
	const int one = 1;
	int fd = socket(address->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (address->sa.ss_family != AF_UNIX)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	return fd;
}

static int
fail(int fd)
{
	int err = errno;

	close(fd);
	return -err;
}

/* A killed process leaves its socket file behind, and bind() would fail on it. */
static void
unlink_stale(const struct net_address *address)
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)&address->sa;
	struct stat st;

	if (un->sun_family == AF_UNIX && lstat(un->sun_path, &st) == 0 && S_ISSOCK(st.st_mode))
		unlink(un->sun_path);
}

static int
bind_to(const struct net_address *address, bool shared)
{
	const int one = 1;
	int fd = net_socket(address);

	if (fd < 0)
		return fd;
	unlink_stale(address);
	if (address->sa.ss_family != AF_UNIX)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (shared)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
	if (address->sa.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
	if (bind(fd, (const struct sockaddr *)&address->sa, address->length) < 0)
		return fail(fd);
	return fd;
}

int
net_bind(const struct net_address *address)
{
	return bind_to(address, false);
}

int
net_bind_shared(const struct net_address *address)
{
	return bind_to(address, true);
}

bool
net_has_address(const struct net_address *address)
{
	const int fd = socket(address->sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool has;

	if (fd < 0)
		return false;
	has = bind(fd, (const struct sockaddr *)&address->sa, address->length) == 0 ||
		errno != EADDRNOTAVAIL;
	close(fd);
	return has;
}

int
net_route(const struct net_address *to, const struct net_address *from)
{
	const int fd = socket(to->sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int err = 0;

	if (fd < 0)
		return -errno;
	if ((from && bind(fd, (const struct sockaddr *)&from->sa, from->length) < 0) ||
		connect(fd, (const struct sockaddr *)&to->sa, to->length) < 0)
		err = -errno;
	close(fd);
	return err;
}

int
net_listen_on(int fd)
{
	return listen(fd, BACKLOG) < 0 ? -errno : 0;
}

int
net_connect(const struct net_address *to, const struct net_address *from)
{
	int fd = net_socket(to);

	if (fd < 0)
		return fd;
	if (from && bind(fd, (const struct sockaddr *)&from->sa, from->length) < 0)
		return fail(fd);
	if (connect(fd, (const struct sockaddr *)&to->sa, to->length) < 0 && errno != EINPROGRESS)
		return fail(fd);
	return fd;
}

void
net_report_refusals(int fd, bool report)
{
	const int on = report;
	struct net_address local;

	if (net_local(fd, &local) == 0 && local.sa.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof on);
	else
		setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof on);
}

static enum net_refusal
refusal_of(const struct sock_extended_err *error)
{
	const bool v6 = error->ee_origin == SO_EE_ORIGIN_ICMP6;
	struct net_address from = { 0 };

	if (error->ee_origin != SO_EE_ORIGIN_ICMP && !v6)
		return error->ee_origin == SO_EE_ORIGIN_LOCAL ? NET_REFUSED_HERE : NET_FROM_AFAR;
	from.length = v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
	memcpy(&from.sa, SO_EE_OFFENDER(error), from.length);
	if (v6)
		((struct sockaddr_in6 *)&from.sa)->sin6_port = 0;
	else
		((struct sockaddr_in *)&from.sa)->sin_port = 0;
	if (!net_has_address(&from))
		return NET_FROM_AFAR;
	if (v6 ? error->ee_code == ICMP6_DST_UNREACH_ADDR : error->ee_code == ICMP_HOST_UNREACH)
		return NET_NO_NEIGHBOUR;
	return NET_REFUSED_HERE;
}

enum net_refusal
net_refusal(int fd)
{
	char control[512] __attribute__((aligned(16))), byte;
	struct iovec nothing = { &byte, 1 };
	struct sockaddr_storage name;
	struct msghdr message = { .msg_name = &name,
		.msg_namelen = sizeof name,
		.msg_iov = &nothing,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control };

	if (recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
		return NET_FROM_AFAR;
	for (struct cmsghdr *at = CMSG_FIRSTHDR(&message); at; at = CMSG_NXTHDR(&message, at))
		if ((at->cmsg_level == IPPROTO_IP && at->cmsg_type == IP_RECVERR) ||
			(at->cmsg_level == IPPROTO_IPV6 && at->cmsg_type == IPV6_RECVERR))
			return refusal_of((const struct sock_extended_err *)CMSG_DATA(at));
	return NET_FROM_AFAR;
}

int
net_peer(int fd, struct net_address *out)
{
	memset(out, 0, sizeof *out);
	out->length = sizeof out->sa;
	return getpeername(fd, (struct sockaddr *)&out->sa, &out->length) < 0 ? -errno : 0;
}

int
net_local(int fd, struct net_address *out)
{
	memset(out, 0, sizeof *out);
	out->length = sizeof out->sa;
	return getsockname(fd, (struct sockaddr *)&out->sa, &out->length) < 0 ? -errno : 0;
}

static bool
prefix_equal(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned whole = bits / 8, odd_bits = bits % 8;

	if (memcmp(a, b, whole) != 0)
		return false;
	return odd_bits == 0 || ((a[whole] ^ b[whole]) >> (8 - odd_bits)) == 0;
}

int
network_parse(const char *text, struct network *out)
{
	const char *slash = strchr(text, '/');
	size_t length = slash ? (size_t)(slash - text) : strlen(text);
	char ip[INET6_ADDRSTRLEN];
	struct net_address address;
	uint16_t prefix;
	const void *bytes;
	unsigned most;

	if (length >= sizeof ip)
		return -EINVAL;
	memcpy(ip, text, length);
	ip[length] = '\0';
	if (net_parse_ip(ip, 0, &address) < 0)
		return -EINVAL;
	memset(out, 0, sizeof *out);
	bytes = ip_bytes(&address, &out->family);
	most = out->family == AF_INET ? 32 : 128;
	out->prefix = most;
	if (slash) {
		if (parse_port(slash + 1, &prefix) < 0 || prefix > most)
			return -EINVAL;
		out->prefix = prefix;
	}
	memcpy(out->bytes, bytes, most / 8);
	return 0;
}

bool
network_contains(const struct network *network, const struct net_address *address)
{
	int family;
	const uint8_t *bytes = ip_bytes(address, &family);

	return bytes && family == network->family &&
		prefix_equal(bytes, network->bytes, network->prefix);
}

bool
network_overlaps(const struct network *a, const struct network *b)
{
	return a->family == b->family &&
		prefix_equal(a->bytes, b->bytes, a->prefix < b->prefix ? a->prefix : b->prefix);
}

void
network_format(const struct network *network, char text[NET_TEXT_MAX])
{
	char ip[INET6_ADDRSTRLEN];

	inet_ntop(network->family, network->bytes, ip, sizeof ip);
	snprintf(text, NET_TEXT_MAX, "%s/%u", ip, network->prefix);
}

/* IANA's special-purpose registries (RFC 6890); of IPv6 only 2000::/3 is the internet. */
/* clang-format off */
static const struct network special[] = {
	{ AF_INET, { 0 }, 8 },
	{ AF_INET, { 10 }, 8 },
	{ AF_INET, { 100, 64 }, 10 },
	{ AF_INET, { 127 }, 8 },
	{ AF_INET, { 169, 254 }, 16 },
	{ AF_INET, { 172, 16 }, 12 },
	{ AF_INET, { 192, 0, 0 }, 24 },
	{ AF_INET, { 192, 0, 2 }, 24 },
	{ AF_INET, { 192, 88, 99 }, 24 },
	{ AF_INET, { 192, 168 }, 16 },
	{ AF_INET, { 198, 18 }, 15 },
	{ AF_INET, { 198, 51, 100 }, 24 },
	{ AF_INET, { 203, 0, 113 }, 24 },
	{ AF_INET, { 224 }, 3 }, /* multicast, reserved, broadcast */
	{ AF_INET6, { 0 }, 3 },
	{ AF_INET6, { 0x40 }, 2 },
	{ AF_INET6, { 0x80 }, 1 },
	{ AF_INET6, { 0x20, 0x01, 0x0d, 0xb8 }, 32 }, /* documentation */
	{ AF_INET6, { 0x20, 0x01, 0x00, 0x00 }, 23 }, /* protocol assignments, Teredo */
	{ AF_INET6, { 0x20, 0x02 }, 16 },             /* 6to4: it could hide any IPv4 */
};
/* clang-format on */

const struct network *
net_special(size_t i)
{
	return i < sizeof special / sizeof *special ? &special[i] : NULL;
}

bool
net_is_loopback(const struct net_address *address)
{
	static const struct network loopback[] = {
		{ AF_INET, { 127 }, 8 },
		{ AF_INET6, { [15] = 1 }, 128 },
	};

	return network_contains(&loopback[0], address) || network_contains(&loopback[1], address);
}

bool
net_is_special(const struct net_address *address)
{
	int family;

	if (!ip_bytes(address, &family))
		return true;
	for (size_t i = 0; net_special(i); i++)
		if (network_contains(net_special(i), address))
			return true;
	return false;
}
