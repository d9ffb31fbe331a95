/*
 * address.h - parser of mailboxes in SMTP paths (RFC 5321 4.1.2, RFC 6531). Pure; -EINVAL for what
 * is no mailbox.
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
 * A mailbox alone: "a@b.example", "\"odd one\"@b.example", "x@[192.0.2.1]", "postmaster". 0 or
 * -EINVAL. Checks syntax, control characters, and lengths: ADDRESS_MAX in all, domain 255, label 63
 * (a local part may exceed RFC 5321's 64). A dot at the end of the domain is dropped, as Postfix
 * does: RFC 5321 does not allow the dot, and the next hop may refuse it.
 */
int address_parse(const char *text, size_t length, struct address *out);
/* Whether the text is a mailbox with a domain, to which mail of ours can go. Takes NULL. */
bool address_is_mailbox(const char *text);

/*
 * The path of MAIL FROM: and RCPT TO:, from the first byte after the colon: optional blanks,
 * "<...>" (a source route "@a,@b:" is dropped), or a mailbox without brackets (old clients). An
 * empty path "<>" gives length 0. Returns how many bytes the path took, or -EINVAL.
 */
long address_parse_path(const char *text, size_t length, struct address *out);

/* A domain: letters-digits-hyphens labels, or UTF-8 labels; no literal. */
bool address_domain_valid(const char *domain, size_t length);

/* Writes the one form of a domain, so that equal domains give equal texts: lower case, no trailing
 * dot, A-labels ("xn--...") for UTF-8, one spelling of an address literal. A text that is no domain
 * name is copied. False when the text is empty or too long. */
bool address_domain_canonical(const char *domain, size_t length, char out[256]);

/* Like address_domain_canonical(), but false for a text without such a form: invisible characters
 * that change a name, characters that no name may have, and A-labels that stand for either. */
bool address_domain_named(const char *domain, size_t length, char out[256]);

#define ADDRESS_CANONICAL_MAX (ADDRESS_MAX + 256)
#define ADDRESS_POSTMASTER "postmaster"

/*
 * Writes the one form of a mailbox, so that equal mailboxes give equal texts: no needless quotes or
 * backslashes in the local part (RFC 5321 4.1.2), the domain as address_domain_canonical() writes
 * it. The case of a local part matters, except for postmaster (RFC 5321 4.5.1). `address` was
 * parsed, and is not the empty path.
 */
void address_canonical(const struct address *address, char out[ADDRESS_CANONICAL_MAX]);

#define ADDRESS_ASCII_MAX (ADDRESS_MAX + 256)

/*
 * The mailbox as a host without SMTPUTF8 takes it: a UTF-8 domain becomes A-labels (RFC 6531 3.2),
 * ASCII stays. False when the mailbox has no such form; `out` is then cut to its size.
 */
bool address_to_ascii(const char *address, char out[ADDRESS_ASCII_MAX]);

/*
 * The ASCII form of a UTF-8 address for DSNs and ORCPT (utf-8-addr-xtext of RFC 6533 3):
 * "b\x{F8}b@x". `escaped`: the text already has such escapes, and they stay. False when the result
 * does not fit; `out` is then cut between characters.
 */
bool address_to_xtext(const char *address, bool escaped, char *out, size_t size);

#endif
