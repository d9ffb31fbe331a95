/*
 * proxy.c - HAProxy's PROXY protocol header, versions 1 (a text line) and 2 (binary).
 *
 * ingress:  accepted connection -> [proxy] -> session
 *
 * The header decides who the client is, so nothing is guessed: bytes that are not exactly a header
 * are refused. Owns nothing.
 */
#include "ingress/door/proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "shared/base/text.h"

#define V1_MAX 107 /* the specification's longest line */
#define V2_FIXED 16

static const unsigned char signature[12] = "\r\n\r\n\0\r\nQUIT\n";

/* A proxy with one socket for both families names IPv4 clients as ::ffff:192.0.2.1. They are
 * counted and known by their IPv4 address. */
static void
set_address(struct net_address *out, int family, const void *ip, uint16_t port_be)
{
	static const unsigned char mapped[12] = { [10] = 0xff, 0xff };

	if (family == AF_INET6 && memcmp(ip, mapped, sizeof mapped) == 0) {
		family = AF_INET;
		ip = (const unsigned char *)ip + sizeof mapped;
	}
	if (family == AF_INET) {
		struct sockaddr_in *sin = (struct sockaddr_in *)&out->sa;

		sin->sin_family = AF_INET;
		sin->sin_port = port_be;
		memcpy(&sin->sin_addr, ip, 4);
		out->length = sizeof *sin;
	} else {
		struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)&out->sa;

		sin6->sin6_family = AF_INET6;
		sin6->sin6_port = port_be;
		memcpy(&sin6->sin6_addr, ip, 16);
		out->length = sizeof *sin6;
	}
}

/* Cuts the next word off a line whose words are parted by exactly one blank. */
static int
word_next(const char **line, const char *end, char *word, size_t size)
{
	const char *blank = memchr(*line, ' ', (size_t)(end - *line));
	size_t length = (size_t)((blank ? blank : end) - *line);

	if (length == 0 || length >= size || memchr(*line, '\0', length))
		return -1;
	memcpy(word, *line, length);
	word[length] = '\0';
	*line += length + (blank ? 1 : 0);
	return 0;
}

static int
port_parse(const char *word)
{
	int port = 0;

	if (word[0] == '0' && word[1])
		return -1;
	for (; *word; word++) {
		if (!is_digit(*word) || port > 6553)
			return -1;
		port = port * 10 + (*word - '0');
	}
	return port <= 65535 ? port : -1;
}

static int
v1_addresses(const char *line, const char *end, struct proxy_header *out)
{
	char words[5][INET6_ADDRSTRLEN];
	unsigned char from[16], to[16];
	int family, port;

	if (word_next(&line, end, words[0], sizeof words[0]) < 0)
		return -1;
	if (strcmp(words[0], "UNKNOWN") == 0)
		return 0;
	for (int i = 1; i < 5; i++)
		if (word_next(&line, end, words[i], sizeof words[i]) < 0)
			return -1;
	if (strcmp(words[0], "TCP4") != 0 && strcmp(words[0], "TCP6") != 0)
		return -1;
	family = words[0][3] == '4' ? AF_INET : AF_INET6;
	port = port_parse(words[3]);
	if (line != end || end[-1] == ' ' || inet_pton(family, words[1], from) != 1 ||
		inet_pton(family, words[2], to) != 1 || port < 0 || port_parse(words[4]) < 0)
		return -1;
	set_address(&out->client, family, from, htons((uint16_t)port));
	return 0;
}

static int
v1_parse(const char *data, size_t size, struct proxy_header *out, size_t *size_out)
{
	size_t seen = size < V1_MAX ? size : V1_MAX;
	const char *cr = memchr(data, '\r', seen), *lf = memchr(data, '\n', seen);

	if (lf && (!cr || lf != cr + 1))
		return -1;
	if (!lf)
		return size < V1_MAX && (!cr || cr + 1 == data + size) ? 0 : -1;
	if (v1_addresses(data + 6, cr, out) < 0)
		return -1;
	*size_out = (size_t)(lf + 1 - data);
	return 1;
}

static unsigned
be16(const unsigned char *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

/* Only whole TLVs may follow the addresses. None of them matters here. */
static int
tlvs_skip(const unsigned char *p, size_t size)
{
	while (size) {
		size_t length;

		if (size < 3)
			return -1;
		length = 3 + be16(p + 1);
		if (length > size)
			return -1;
		p += length;
		size -= length;
	}
	return 0;
}

static int
v2_addresses(const unsigned char *p, unsigned family, size_t size, struct proxy_header *out)
{
	static const struct {
		unsigned family;
		size_t size;
	} kinds[] = {
		{ 0x00, 0 },   /* unspecified */
		{ 0x11, 12 },  /* TCP over IPv4 */
		{ 0x21, 36 },  /* TCP over IPv6 */
		{ 0x31, 216 }, /* UNIX stream */
	};
	uint16_t port;

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		if (kinds[i].family != family)
			continue;
		/* Behind unspecified addresses may stand anything (2.2: "ignore"). */
		if (size < kinds[i].size ||
			(family && tlvs_skip(p + kinds[i].size, size - kinds[i].size) < 0))
			return -1;
		if (family == 0x11 || family == 0x21) {
			memcpy(&port, p + (family == 0x11 ? 8 : 32), 2);
			set_address(&out->client, family == 0x11 ? AF_INET : AF_INET6, p, port);
		}
		return 0;
	}
	return -1;
}

static int
v2_parse(const unsigned char *p, size_t size, struct proxy_header *out, size_t *size_out)
{
	size_t total;

	if (size > 12 && p[12] != 0x20 && p[12] != 0x21)
		return -1;
	if (size < V2_FIXED)
		return 0;
	total = V2_FIXED + be16(p + 14);
	if (total > PROXY_HEADER_MAX)
		return -1;
	if (size < total)
		return 0;
	if (p[12] == 0x21 && v2_addresses(p + V2_FIXED, p[13], total - V2_FIXED, out) < 0)
		return -1;
	*size_out = total;
	return 1;
}

static int
starts_with(const char *data, size_t size, const void *start, size_t length)
{
	return memcmp(data, start, size < length ? size : length) == 0;
}

int
proxy_parse(const char *data, size_t size, struct proxy_header *out, size_t *size_out)
{
	memset(out, 0, sizeof *out);
	*size_out = 0;
	if (size == 0)
		return 0;
	if (starts_with(data, size, signature, sizeof signature))
		return size < sizeof signature
			? 0
			: v2_parse((const unsigned char *)data, size, out, size_out);
	if (starts_with(data, size, "PROXY ", 6))
		return size < 6 ? 0 : v1_parse(data, size, out, size_out);
	return -1;
}
