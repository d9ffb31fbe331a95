/*
 * proxy.h - parser of HAProxy's PROXY protocol header, versions 1 and 2. Pure.
 */
#ifndef INGRESS_PROXY_H
#define INGRESS_PROXY_H

#include <stddef.h>

#include "shared/base/net.h"

#define PROXY_HEADER_MAX 4096 /* version 2 with its TLVs */

struct proxy_header {
	struct net_address
		client; /* length 0: LOCAL or UNKNOWN, the connection's own peer counts */
};

/* 1 done, *size_out bytes belong to the header; 0 more bytes needed; -1 no PROXY header. */
int proxy_parse(const char *data, size_t size, struct proxy_header *out, size_t *size_out);

#endif
