/*
 * spf_term.h - one term of an SPF record (RFC 7208 4.6, 5, 6, 12). Pure.
 */
#ifndef CONTROL_DOMAIN_SPF_TERM_H
#define CONTROL_DOMAIN_SPF_TERM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum spf_kind {
	SPF_ALL,
	SPF_INCLUDE,
	SPF_A,
	SPF_MX,
	SPF_PTR,
	SPF_IP4,
	SPF_IP6,
	SPF_EXISTS,
	SPF_REDIRECT,
	SPF_EXP,
	SPF_UNKNOWN /* a modifier that this specification does not know: passed over */
};

struct spf_term {
	enum spf_kind kind;
	char qualifier;   /* + - ~ ? */
	const char *spec; /* the domain-spec, within the record; NULL: none */
	size_t spec_length;
	uint8_t address[16];      /* ip4, ip6 */
	unsigned prefix, prefix6; /* bits that count, of IPv4 and IPv6 */
};

/* Finds the next term from `*at` on, and moves `*at` behind it. False: there are no more. */
bool spf_term_next(const char *record, size_t *at, const char **term_out, size_t *length_out);
/* Reads a term. False: a syntax error. */
bool spf_term_parse(const char *text, size_t length, struct spf_term *out);
/* Whether the TXT record is one of SPF version 1. */
bool spf_is_record(const char *text);

#endif
