/*
 * spf_macro.h - macros in the domains of an SPF record (RFC 7208 7). Pure.
 */
#ifndef CONTROL_DOMAIN_SPF_MACRO_H
#define CONTROL_DOMAIN_SPF_MACRO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPF_NAME_MAX 256 /* of an expanded name, with its NUL */

/* What macros stand for; texts are the caller's. */
struct spf_macros {
	const char *local, *sender_domain, *domain, *helo;
	const char *validated; /* %{p} */
	const uint8_t *address;
	bool v6;
};

/* Whether the text is a macro-string. `explains`: %{c}, %{r} and %{t} are allowed, too.
 * `*macro_last_out`: whether the text ends with a macro. */
bool spf_macro_check(const char *text, size_t length, bool explains, bool *macro_last_out);
/* Whether %{p} stands in a text that spf_macro_check() liked. */
bool spf_macro_wants_validated(const char *text, size_t length);
/* Writes the name that the text stands for. A name that is too long loses labels at its left. */
void spf_macro_expand(
	const struct spf_macros *macros, const char *text, size_t length, char out[SPF_NAME_MAX]);

#endif
