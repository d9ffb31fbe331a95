/*
 * address.c - mailboxes in SMTP paths (RFC 5321 4.1.2, RFC 6531).
 *
 * Used by the ingress (MAIL, RCPT), by header.c for address lists, and by whoever needs a domain.
 * Owns nothing: an address points into the caller's text. Fails with -EINVAL.
 *
 * More lenient than the grammar where real mail needs it: dots may stand anywhere in a local part
 * (providers gave such mailboxes out), a local part may be longer than 64 octets (reply tokens),
 * and labels may hold underscores (host names of Windows networks).
 */
#include "shared/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include <idn2.h>

#include "shared/text.h"

#define DOMAIN_MAX 255
#define LABEL_MAX 63

static bool
is_atext(char c)
{
	return (unsigned char)c >= 0x80 || is_alnum(c) || (c && strchr("!#$%&'*+-/=?^_`{|}~.", c));
}

/* Length of the quoted local part at `text`, both quotes included; 0 when it is malformed. */
static size_t
quoted_length(const char *text, size_t length)
{
	for (size_t i = 1; i < length; i++) {
		if (text[i] == '"')
			return i + 1;
		if (text[i] == '\\' && ++i == length)
			return 0;
		if (is_control(text[i]))
			return 0;
	}
	return 0;
}

static size_t
local_length(const char *text, size_t length)
{
	size_t i = 0;

	if (length && text[0] == '"')
		return quoted_length(text, length);
	while (i < length && is_atext(text[i]))
		i++;
	return i;
}

static bool
literal_valid(const char *text, size_t length)
{
	char ip[INET6_ADDRSTRLEN];
	unsigned char bytes[16];
	int family = AF_INET;

	if (length < 3 || text[0] != '[' || text[length - 1] != ']')
		return false;
	text++;
	length -= 2;
	if (length > 5 && strncasecmp(text, "IPv6:", 5) == 0) {
		family = AF_INET6;
		text += 5;
		length -= 5;
	}
	if (length >= sizeof ip || memchr(text, '\0', length))
		return false;
	memcpy(ip, text, length);
	ip[length] = '\0';
	return inet_pton(family, ip, bytes) == 1;
}

static bool
label_valid(const char *label, size_t length)
{
	if (length < 1 || length > LABEL_MAX || label[0] == '-' || label[length - 1] == '-')
		return false;
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)label[i] < 0x80 && !is_alnum(label[i]) && label[i] != '-' &&
			label[i] != '_')
			return false;
	return utf8_valid(label, length);
}

bool
address_domain_valid(const char *domain, size_t length)
{
	const char *end = domain + length, *dot;

	if (length < 1 || length > DOMAIN_MAX)
		return false;
	if (length > 1 && end[-1] == '.')
		end--;
	for (; (dot = memchr(domain, '.', (size_t)(end - domain))); domain = dot + 1)
		if (!label_valid(domain, (size_t)(dot - domain)))
			return false;
	return label_valid(domain, (size_t)(end - domain));
}

int
address_parse(const char *text, size_t length, struct address *out)
{
	size_t local = local_length(text, length);

	memset(out, 0, sizeof *out);
	if (local == 0 || length >= ADDRESS_MAX || !utf8_valid(text, local))
		return -EINVAL;
	out->text = text;
	out->length = length;
	if (local < length) {
		if (text[local] != '@')
			return -EINVAL;
		out->domain = text + local + 1;
		out->domain_length = length - local - 1;
		out->literal = out->domain_length && *out->domain == '[';
		if (!(out->literal ? literal_valid : address_domain_valid)(
			    out->domain, out->domain_length))
			return -EINVAL;
		if (text[length - 1] == '.') {
			out->length--;
			out->domain_length--;
		}
	}
	for (size_t i = 0; i < length; i++)
		out->utf8 |= (unsigned char)text[i] >= 0x80;
	return 0;
}

/* Length of "@a,@b:" at the start of a path, 0 without one, -EINVAL when malformed. */
static long
source_route_length(const char *text, size_t length)
{
	const char *colon = memchr(text, ':', length), *at = text, *comma;

	if (length == 0 || text[0] != '@')
		return 0;
	/* A literal in a route holds colons of its own; nobody has used one for decades. */
	if (!colon)
		return -EINVAL;
	for (; at < colon; at = comma + 1) {
		comma = memchr(at, ',', (size_t)(colon - at));
		if (!comma)
			comma = colon;
		if (*at != '@' || !address_domain_valid(at + 1, (size_t)(comma - at) - 1))
			return -EINVAL;
	}
	return colon + 1 - text;
}

/* Where the text ends: at `stop` (or, for a blank, at any blank) outside quotes, or at its end. */
static size_t
path_end(const char *text, size_t length, char stop)
{
	bool quoted = false;
	size_t i;

	for (i = 0; i < length; i++) {
		if (quoted && text[i] == '\\' && i + 1 < length)
			i++;
		else if (text[i] == '"')
			quoted = !quoted;
		else if (!quoted && (text[i] == stop || (stop == ' ' && is_blank(text[i]))))
			break;
	}
	return i;
}

static int
bracketed_parse(const char *text, size_t length, struct address *out)
{
	long route;

	while (length && is_blank(*text)) {
		text++;
		length--;
	}
	while (length && is_blank(text[length - 1]))
		length--;
	if (length == 0) {
		memset(out, 0, sizeof *out);
		out->text = text;
		return 0;
	}
	route = source_route_length(text, length);
	if (route < 0)
		return -EINVAL;
	return address_parse(text + route, length - (size_t)route, out);
}

long
address_parse_path(const char *text, size_t length, struct address *out)
{
	size_t at = 0, end;

	while (at < length && is_blank(text[at]))
		at++;
	if (at == length)
		return -EINVAL;
	if (text[at] != '<') {
		end = path_end(text + at, length - at, ' ');
		if (address_parse(text + at, end, out) < 0)
			return -EINVAL;
		return (long)(at + end);
	}
	at++;
	end = path_end(text + at, length - at, '>');
	if (at + end == length || bracketed_parse(text + at, end, out) < 0)
		return -EINVAL;
	return (long)(at + end + 1);
}

/* Upper case beyond ASCII and compatible forms are mapped, as mail programs and resolvers do. */
static void
to_a_labels(char domain[256])
{
	char *ascii = NULL;

	if (idn2_to_ascii_8z(domain, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) == IDN2_OK &&
		strlen(ascii) < 256)
		memcpy(domain, ascii, strlen(ascii) + 1);
	idn2_free(ascii);
}

bool
address_domain_canonical(const char *domain, size_t length, char out[256])
{
	bool utf8 = false;

	if (length && domain[length - 1] == '.')
		length--;
	if (length < 1 || length > DOMAIN_MAX || memchr(domain, '\0', length))
		return false;
	for (size_t i = 0; i < length; i++) {
		out[i] = to_lower(domain[i]);
		utf8 |= (unsigned char)domain[i] >= 0x80;
	}
	out[length] = '\0';
	if (utf8)
		to_a_labels(out);
	return true;
}

void
address_domain_lower(const struct address *address, char out[256])
{
	size_t length = address->domain ? address->domain_length : 0;

	if (length && address->domain[length - 1] == '.')
		length--;
	for (size_t i = 0; i < length; i++)
		out[i] = to_lower(address->domain[i]);
	out[length] = '\0';
}
