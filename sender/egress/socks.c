/*
 * socks.c - what is said to a SOCKS5 proxy, and what its answers mean.
 *
 * client_connect -> [socks] -> client_connect
 */
#include "sender/egress/socks.h"

#include <netinet/in.h>
#include <string.h>

#define VERSION 5
#define METHOD_NONE 0
#define METHOD_PASSWORD 2
#define AUTH_VERSION 1
#define COMMAND_CONNECT 1
#define TYPE_IPV4 1
#define TYPE_NAME 3
#define TYPE_IPV6 4
#define HEAD 4 /* version, reply, reserved, type */
#define PORT 2

static void
put(struct socks_step *step, const void *data, size_t length)
{
	memcpy(step->out + step->out_length, data, length);
	step->out_length += length;
}

static void
put_byte(struct socks_step *step, uint8_t byte)
{
	put(step, &byte, 1);
}

void
socks_begin(struct socks *socks, const struct egress_proxy *proxy, const struct net_address *to,
	struct socks_step *step)
{
	socks->state = SOCKS_METHOD;
	socks->proxy = proxy;
	socks->to = *to;
	step->used = step->out_length = 0;
	put_byte(step, VERSION);
	put_byte(step, 1);
	put_byte(step, *proxy->user ? METHOD_PASSWORD : METHOD_NONE);
}

static void
put_connect(const struct socks *socks, struct socks_step *step)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&socks->to.sa;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&socks->to.sa;

	put_byte(step, VERSION);
	put_byte(step, COMMAND_CONNECT);
	put_byte(step, 0);
	if (socks->to.sa.ss_family == AF_INET) {
		put_byte(step, TYPE_IPV4);
		put(step, &v4->sin_addr, sizeof v4->sin_addr);
		put(step, &v4->sin_port, PORT);
	} else {
		put_byte(step, TYPE_IPV6);
		put(step, &v6->sin6_addr, sizeof v6->sin6_addr);
		put(step, &v6->sin6_port, PORT);
	}
}

static void
put_password(const struct socks *socks, struct socks_step *step)
{
	const size_t user = strlen(socks->proxy->user), password = strlen(socks->proxy->password);

	put_byte(step, AUTH_VERSION);
	put_byte(step, (uint8_t)user);
	put(step, socks->proxy->user, user);
	put_byte(step, (uint8_t)password);
	put(step, socks->proxy->password, password);
}

static enum socks_result
fail(struct socks_step *step, enum socks_result result, const char *why)
{
	step->why = why;
	return result;
}

static enum socks_result
take_method(struct socks *socks, const uint8_t *data, size_t length, struct socks_step *step)
{
	const bool password = *socks->proxy->user;

	if (data[0] != VERSION)
		return fail(step, SOCKS_PROXY_FAILS, "the proxy talks no SOCKS5");
	if (length < 2)
		return SOCKS_MORE;
	if (data[1] != (password ? METHOD_PASSWORD : METHOD_NONE))
		return fail(step, SOCKS_PROXY_FAILS,
			password ? "the proxy takes no user and password"
				 : "the proxy wants a user and a password");
	step->used = 2;
	socks->state = password ? SOCKS_AUTH : SOCKS_CONNECT;
	if (password)
		put_password(socks, step);
	else
		put_connect(socks, step);
	return SOCKS_SEND;
}

static enum socks_result
take_auth(struct socks *socks, const uint8_t *data, size_t length, struct socks_step *step)
{
	if (data[0] != AUTH_VERSION)
		return fail(step, SOCKS_PROXY_FAILS, "the proxy answers the password oddly");
	if (length < 2)
		return SOCKS_MORE;
	if (data[1] != 0)
		return fail(step, SOCKS_PROXY_FAILS, "the proxy refuses the user or the password");
	step->used = 2;
	socks->state = SOCKS_CONNECT;
	put_connect(socks, step);
	return SOCKS_SEND;
}

/* RFC 1928 6. The proxy tells of the way to the destination in 3 to 6; the others are its own. */
static enum socks_result
refused(struct socks_step *step, uint8_t reply)
{
	static const char *const texts[] = {
		NULL,
		"the proxy failed",
		"the proxy's rules do not allow the connection",
		"Network is unreachable",
		"No route to host",
		"Connection refused",
		"Connection timed out",
		"the proxy does not know CONNECT",
		"the proxy has no such addresses",
	};

	if (reply >= sizeof texts / sizeof *texts)
		return fail(step, SOCKS_PROXY_FAILS, "the proxy gives a reply that is none");
	return fail(step, reply >= 3 && reply <= 6 ? SOCKS_HOST_FAILS : SOCKS_PROXY_FAILS,
		texts[reply]);
}

/* The length of the address behind the head; 0: not known yet, or (`why`) none. */
static size_t
address_length(const uint8_t *data, size_t length, struct socks_step *step)
{
	switch (data[3]) {
	case TYPE_IPV4: return 4;
	case TYPE_IPV6: return 16;
	case TYPE_NAME: return length > HEAD ? 1u + data[HEAD] : 0;
	default: step->why = "the proxy gives an address that is none"; return 0;
	}
}

static enum socks_result
take_connect(struct socks *socks, const uint8_t *data, size_t length, struct socks_step *step)
{
	size_t address;

	if (data[0] != VERSION)
		return fail(step, SOCKS_PROXY_FAILS, "the proxy talks no SOCKS5");
	if (length >= 2 && data[1] != 0)
		return refused(step, data[1]);
	if (length < HEAD)
		return SOCKS_MORE;
	address = address_length(data, length, step);
	if (step->why)
		return SOCKS_PROXY_FAILS;
	if (!address || length < HEAD + address + PORT)
		return SOCKS_MORE;
	step->used = HEAD + address + PORT;
	socks->state = SOCKS_OPEN;
	return SOCKS_READY;
}

enum socks_result
socks_take(struct socks *socks, const uint8_t *data, size_t length, struct socks_step *step)
{
	step->used = step->out_length = 0;
	step->why = NULL;
	if (!length)
		return SOCKS_MORE;
	switch (socks->state) {
	case SOCKS_METHOD: return take_method(socks, data, length, step);
	case SOCKS_AUTH: return take_auth(socks, data, length, step);
	default: return take_connect(socks, data, length, step);
	}
}
