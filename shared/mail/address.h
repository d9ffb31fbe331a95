/*
 * address.h - parser of mailboxes in SMTP paths (RFC 5321 4.1.2, RFC 6531). Pure.
 */
#ifndef SHARED_ADDRESS_H
#define SHARED_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

#define ADDRESS_MAX 320 /* local part 64, @, domain 255 */

/* A mailbox inside the caller's text. */
struct address {
	const char *text; /* local@domain, without brackets, source route and a trailing dot */
	size_t length;
	const char
		*domain; /* inside text; its end is text + length. NULL: no domain ("postmaster") */
	size_t domain_length;
	bool utf8;    /* needs SMTPUTF8 */
	bool literal; /* the domain is an address literal */
};

/*
 * A mailbox alone: "a@b.example", "\"odd one\"@b.example", "x@[192.0.2.1]", "postmaster".
 * 0 or -EINVAL. Checks syntax and lengths (whole ADDRESS_MAX, domain 255, label 63; longer local
 * parts than RFC 5321's 64 pass), control characters. A dot at the end of the domain, which RFC
 * 5321 does not know and the next hop may refuse, is left out of what is returned, as Postfix does.
 */
int address_parse(const char *text, size_t length, struct address *out);

/*
 * The path of MAIL FROM: and RCPT TO:, from the first byte after the colon: optional blanks,
 * "<...>" (a source route "@a,@b:" is dropped), or a mailbox without brackets (old clients). An
 * empty path "<>" gives length 0. Returns how many bytes the path took, or -EINVAL.
 */
long address_parse_path(const char *text, size_t length, struct address *out);

/* A domain: letters-digits-hyphens labels, or UTF-8 labels; no literal. */
bool address_domain_valid(const char *domain, size_t length);

/* What names the same domain gives the same text: lower case, no trailing dot, A-labels ("xn--...")
 * for UTF-8; one spelling of an address literal. What is no domain name is copied. False when it is
 * empty or too long. */
bool address_domain_canonical(const char *domain, size_t length, char out[256]);

/* The same; false as well for what has no such form: invisible characters that change a name, signs
 * that no name may have, A-labels that stand for those. */
bool address_domain_named(const char *domain, size_t length, char out[256]);

#define ADDRESS_CANONICAL_MAX (ADDRESS_MAX + 256)
#define ADDRESS_POSTMASTER "postmaster"

/*
 * What names the same mailbox gives the same text: no quotes or backslashes that the local part can
 * do without (RFC 5321 4.1.2), the domain as above. The local part's case counts, but for
 * postmaster's (RFC 5321 4.5.1). `address` was parsed, and is not the empty path.
 */
void address_canonical(const struct address *address, char out[ADDRESS_CANONICAL_MAX]);

#define ADDRESS_ASCII_MAX (ADDRESS_MAX + 256)

/*
 * The mailbox as a host without SMTPUTF8 takes it: a domain in UTF-8 as A-labels (RFC 6531 3.2),
 * what is ASCII as it is. False when there is no such form; `out` is cut at the room there is then.
 */
bool address_to_ascii(const char *address, char out[ADDRESS_ASCII_MAX]);

/*
 * The ASCII form of an address with UTF-8 in DSNs and ORCPT (utf-8-addr-xtext of RFC 6533 3):
 * "b\x{F8}b@x". `escaped`: its own escapes are in the text already, and stay. False when it does
 * not fit; `out` is cut between characters then.
 */
bool address_to_xtext(const char *address, bool escaped, char *out, size_t size);

#endif
