/*
 * net.h - addresses and sockets: parse, listen, connect, bind. All sockets are non-blocking and
 * close-on-exec.
 */
#ifndef SHARED_NET_H
#define SHARED_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct net_address {
	struct sockaddr_storage sa;
	socklen_t length;
};

#define NET_TEXT_MAX 128

/* "192.0.2.1:25", "[2001:db8::1]:25", "localhost:25" (numeric, or "localhost" = 127.0.0.1; for
 * other names see resolve.h), "unix:/path". 0 or -EINVAL. */
int net_parse(const char *text, struct net_address *out);
/* An address without a port in `ip`, and the port: "192.0.2.1" or "2001:db8::1". 0 or -EINVAL. */
int net_parse_ip(const char *ip, uint16_t port, struct net_address *out);
/* The reverse of net_parse(). net_format_ip() leaves out the port and the brackets, and writes an
 * IPv4-mapped address as IPv4. */
void net_format(const struct net_address *address, char text[NET_TEXT_MAX]);
void net_format_ip(const struct net_address *address, char text[NET_TEXT_MAX]);
uint16_t net_port(const struct net_address *address);

/* A socket that is bound to the address but does not listen yet, or -errno. -EADDRINUSE also when
 * the socket that listens there shares its address (SO_REUSEPORT). */
int net_bind(const struct net_address *address);
/* The same for several sockets of a process that share the address (SO_REUSEPORT). It succeeds
 * beside another process's shared socket, too: ask net_bind() first whether there is one. */
int net_bind_shared(const struct net_address *address);
/* The bound socket begins to listen. 0 or -errno. */
int net_listen_on(int fd);
/* Whether this machine has the address. Port 0 stands for any port. */
bool net_has_address(const struct net_address *address);
/* Whether this machine has a route to `to`, from `from` unless NULL. Sends nothing. 0 or -errno. */
int net_route(const struct net_address *to, const struct net_address *from);
/*
 * A socket whose connect() is under way, bound to `from` unless NULL; or -errno. Sets TCP_NODELAY.
 */
int net_connect(const struct net_address *to, const struct net_address *from);
/* Who refused a connect(): a host or network far away, this machine (its own firewall), or nobody
 * (no neighbour answers). The reporting is switched on before connect() and off once the connection
 * stands: an ICMP error from the way would end a standing connection. */
enum net_refusal { NET_FROM_AFAR, NET_REFUSED_HERE, NET_NO_NEIGHBOUR };
void net_report_refusals(int fd, bool report);
enum net_refusal net_refusal(int fd);
/* The remote address and the local address of a socket. */
int net_peer(int fd, struct net_address *out);
int net_local(int fd, struct net_address *out);

/* A network: "192.0.2.0/24", "2001:db8::/64", or one address. */
struct network {
	int family;
	uint8_t bytes[16];
	unsigned prefix;
};
int network_parse(const char *text, struct network *out);
bool network_contains(const struct network *network, const struct net_address *address);
/* Whether one is within the other. */
bool network_overlaps(const struct network *a, const struct network *b);

/* Loopback, private (RFC 1918, 4193), link-local, CGNAT (RFC 6598), multicast, unspecified,
 * documentation and reserved addresses, also when mapped into IPv6. Such an address is never on the
 * internet. */
bool net_is_special(const struct net_address *address);
bool net_is_loopback(const struct net_address *address);
/* The networks of net_is_special() one by one; NULL after the last. */
const struct network *net_special(size_t i);
/* "192.0.2.0/24" */
void network_format(const struct network *network, char text[NET_TEXT_MAX]);

#endif
