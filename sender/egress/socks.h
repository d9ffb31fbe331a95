/*
 * socks.h - the client's side of SOCKS5 (RFC 1928), with user and password (RFC 1929). Pure: bytes
 * in, bytes out.
 *
 *   socks_begin() -> bytes to send; then socks_take() for what comes, until it says SOCKS_OPEN.
 */
#ifndef SENDER_SOCKS_H
#define SENDER_SOCKS_H

#include <stddef.h>
#include <stdint.h>

#include "shared/base/net.h"
#include "shared/egress/egress_entry.h"

#define SOCKS_OUT_MAX 516 /* user and password of 255 octets each, and more */

enum socks_state {
	SOCKS_METHOD,  /* awaits the method that the proxy chose */
	SOCKS_AUTH,    /* awaits whether user and password are right */
	SOCKS_CONNECT, /* awaits the connection */
	SOCKS_OPEN     /* what comes from now on comes from the destination */
};

struct socks {
	enum socks_state state;
	const struct egress_proxy *proxy; /* borrowed */
	struct net_address to;            /* IPv4 or IPv6 */
};

enum socks_result {
	SOCKS_MORE,        /* more bytes are needed */
	SOCKS_SEND,        /* `used` bytes were taken, and `out` is to be sent */
	SOCKS_READY,       /* `used` bytes were taken, and the destination is connected */
	SOCKS_PROXY_FAILS, /* the proxy refuses, or talks no SOCKS5 */
	SOCKS_HOST_FAILS   /* the destination could not be reached */
};

struct socks_step {
	size_t used;
	uint8_t out[SOCKS_OUT_MAX]; /* may hold the password: wipe it */
	size_t out_length;
	const char *why; /* after a failure */
};

/* Fills step->out with the greeting. */
void socks_begin(struct socks *socks, const struct egress_proxy *proxy,
	const struct net_address *to, struct socks_step *step);
/* Takes the beginning of `data`. Call it again with what was left. Not in SOCKS_OPEN. */
enum socks_result
socks_take(struct socks *socks, const uint8_t *data, size_t length, struct socks_step *step);

#endif
