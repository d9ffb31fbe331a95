/*
 * spf_term.c - one term of an SPF record.
 */
#include "control/domain/spf_term.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "control/domain/spf_macro.h"
#include "shared/base/text.h"

#define VERSION "v=spf1"

bool
spf_is_record(const char *text)
{
	const size_t length = strlen(VERSION);

	return !strncasecmp(text, VERSION, length) && (!text[length] || text[length] == ' ');
}

bool
spf_term_next(const char *record, size_t *at, const char **term_out, size_t *length_out)
{
	*at += strspn(record + *at, " ");
	*term_out = record + *at;
	*length_out = strcspn(*term_out, " ");
	*at += *length_out;
	return *length_out > 0;
}

static bool
is_alpha(char c)
{
	return to_lower(c) >= 'a' && to_lower(c) <= 'z';
}

/* The length of the name that a modifier begins with; 0: the term is no modifier. */
static size_t
modifier_name(const char *text, size_t length)
{
	size_t n = 0;

	if (!length || !is_alpha(text[0]))
		return 0;
	while (n < length && (is_alnum(text[n]) || (text[n] && strchr("-_.", text[n]))))
		n++;
	return n < length && text[n] == '=' ? n : 0;
}

/* "." toplabel [ "." ]: the last label has a letter, or a "-" inside. */
static bool
ends_in_toplabel(const char *text, size_t length)
{
	bool digits = true;
	size_t start;

	if (length && text[length - 1] == '.')
		length--;
	for (start = length; start && text[start - 1] != '.'; start--) {
		const char c = text[start - 1];

		if (!is_alnum(c) && c != '-')
			return false;
		digits = digits && is_digit(c);
	}
	return start && start < length && !digits && text[start] != '-' && text[length - 1] != '-';
}

static bool
domain_spec(const char *text, size_t length, struct spf_term *out)
{
	bool macro_last;

	if (!spf_macro_check(text, length, false, &macro_last))
		return false;
	out->spec = text;
	out->spec_length = length;
	return macro_last || ends_in_toplabel(text, length);
}

/* A number without leading zeros. */
static bool
prefix_parse(const char *text, size_t length, unsigned most, unsigned *out)
{
	unsigned value = 0;

	if (!length || length > 3 || (text[0] == '0' && length > 1))
		return false;
	for (size_t i = 0; i < length; i++) {
		if (!is_digit(text[i]))
			return false;
		value = value * 10 + (unsigned)(text[i] - '0');
	}
	*out = value;
	return value <= most;
}

/* Cuts "/number" or "//number" off the end of the text; `slashes` is how many it has to have. What
 * does not end so stays as it is. */
static bool
prefix_cut(const char *text, size_t *length, size_t slashes, unsigned most, unsigned *out)
{
	size_t start = *length;

	while (start && is_digit(text[start - 1]))
		start--;
	if (start == *length || start < slashes || text[start - 1] != '/' ||
		(start > 1 && text[start - 2] == '/') != (slashes == 2))
		return true;
	if (!prefix_parse(text + start, *length - start, most, out))
		return false;
	*length = start - slashes;
	return true;
}

/* [ ":" domain-spec ] [ "/" n ] [ "//" n ] */
static bool
target_parse(const char *text, size_t length, struct spf_term *out)
{
	if (!prefix_cut(text, &length, 2, 128, &out->prefix6) ||
		!prefix_cut(text, &length, 1, 32, &out->prefix))
		return false;
	if (!length)
		return true;
	return text[0] == ':' && domain_spec(text + 1, length - 1, out);
}

/* ":" network [ "/" n ] */
static bool
network_parse(const char *text, size_t length, int family, unsigned *prefix, uint8_t *address)
{
	char ip[INET6_ADDRSTRLEN];

	if (!length || text[0] != ':' ||
		!prefix_cut(text, &length, 1, family == AF_INET ? 32 : 128, prefix) ||
		length - 1 >= sizeof ip)
		return false;
	memcpy(ip, text + 1, length - 1);
	ip[length - 1] = '\0';
	return inet_pton(family, ip, address) == 1;
}

static bool
spec_required(const char *text, size_t length, char separator, struct spf_term *out)
{
	return length > 1 && text[0] == separator && domain_spec(text + 1, length - 1, out);
}

static bool
modifier_parse(const char *text, size_t length, size_t name, struct spf_term *out)
{
	bool ignored;

	if (text_is(text, name, "redirect"))
		out->kind = SPF_REDIRECT;
	else if (text_is(text, name, "exp"))
		out->kind = SPF_EXP;
	else
		out->kind = SPF_UNKNOWN;
	if (out->kind != SPF_UNKNOWN)
		return spec_required(text + name, length - name, '=', out);
	return spf_macro_check(text + name + 1, length - name - 1, true, &ignored);
}

static bool
mechanism_find(const char *text, size_t length, enum spf_kind *out)
{
	static const char *const names[] = {
		[SPF_ALL] = "all",
		[SPF_INCLUDE] = "include",
		[SPF_A] = "a",
		[SPF_MX] = "mx",
		[SPF_PTR] = "ptr",
		[SPF_IP4] = "ip4",
		[SPF_IP6] = "ip6",
		[SPF_EXISTS] = "exists",
	};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (text_is(text, length, names[i])) {
			*out = (enum spf_kind)i;
			return true;
		}
	return false;
}

static bool
mechanism_parse(const char *text, size_t length, struct spf_term *out)
{
	size_t name = 0;

	while (name < length && text[name] != ':' && text[name] != '/')
		name++;
	if (!mechanism_find(text, name, &out->kind))
		return false;
	text += name;
	length -= name;
	switch (out->kind) {
	case SPF_ALL: return !length;
	case SPF_A:
	case SPF_MX: return target_parse(text, length, out);
	case SPF_PTR: return !length || spec_required(text, length, ':', out);
	case SPF_IP4: return network_parse(text, length, AF_INET, &out->prefix, out->address);
	case SPF_IP6: return network_parse(text, length, AF_INET6, &out->prefix6, out->address);
	default: return spec_required(text, length, ':', out);
	}
}

bool
spf_term_parse(const char *text, size_t length, struct spf_term *out)
{
	const size_t name = modifier_name(text, length);

	*out = (struct spf_term){ .qualifier = '+', .prefix = 32, .prefix6 = 128 };
	if (name)
		return modifier_parse(text, length, name, out);
	if (length && strchr("+-~?", text[0])) {
		out->qualifier = *text++;
		length--;
	}
	return mechanism_parse(text, length, out);
}
