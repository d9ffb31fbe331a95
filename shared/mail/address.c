/*
 * address.c - mailboxes in SMTP paths (RFC 5321 4.1.2, RFC 6531).
 *
 * Used by the ingress (MAIL, RCPT), by header.c for address lists, and by whoever needs a domain.
 * Owns nothing: an address points into the caller's text. Fails with -EINVAL.
 *
 * More lenient than the grammar where real mail needs it: dots may stand anywhere in a local part
 * (providers gave such mailboxes out), a local part may be longer than 64 octets (reply tokens),
 * and labels may have underscores (host names of Windows networks).
 */
#include "shared/mail/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <idn2.h>

#include "shared/base/text.h"

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

/* The bytes of "[192.0.2.1]" or "[IPv6:2001:db8::1]". Returns the address family, 0 when the text
 * is no literal. */
static int
literal_parse(const char *text, size_t length, unsigned char bytes[16])
{
	char ip[INET6_ADDRSTRLEN];
	int family = AF_INET;

	if (length < 3 || text[0] != '[' || text[length - 1] != ']')
		return 0;
	text++;
	length -= 2;
	if (length > 5 && strncasecmp(text, "IPv6:", 5) == 0) {
		family = AF_INET6;
		text += 5;
		length -= 5;
	}
	if (length >= sizeof ip || memchr(text, '\0', length))
		return 0;
	memcpy(ip, text, length);
	ip[length] = '\0';
	return inet_pton(family, ip, bytes) == 1 ? family : 0;
}

static bool
literal_valid(const char *text, size_t length)
{
	unsigned char bytes[16];

	return literal_parse(text, length, bytes) != 0;
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
	struct address read = { .text = text, .length = length };

	memset(out, 0, sizeof *out);
	if (local == 0 || length >= ADDRESS_MAX || !utf8_valid(text, local) ||
		text_has_hidden_controls(text, local))
		return -EINVAL;
	if (local < length) {
		if (text[local] != '@')
			return -EINVAL;
		read.domain = text + local + 1;
		read.domain_length = length - local - 1;
		read.literal = read.domain_length && *read.domain == '[';
		if (!(read.literal ? literal_valid : address_domain_valid)(
			    read.domain, read.domain_length))
			return -EINVAL;
		if (text[length - 1] == '.') {
			read.length--;
			read.domain_length--;
		}
	}
	read.utf8 = !text_is_ascii(text, length);
	*out = read;
	return 0;
}

/* Length of "@a,@b:" at the start of a path: 0 without one, -EINVAL when malformed. */
static long
source_route_length(const char *text, size_t length)
{
	const char *colon = memchr(text, ':', length), *at = text, *comma;

	if (length == 0 || text[0] != '@')
		return 0;
	/* Address literals in a route have colons, too. No mail has used them for decades. */
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

/*
 * Where the text ends: at the first `stop` outside quotes (for a blank, any blank), or at its end.
 */
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

bool
address_is_mailbox(const char *text)
{
	struct address address;

	return text && address_parse(text, strlen(text), &address) == 0 && address.domain;
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

/* Maps capitals beyond ASCII and compatible forms, as mail programs and resolvers do. Some scripts
 * have full stops of their own, which may end the name. Some characters map to nothing, which may
 * leave no domain. */
static bool
to_a_labels(char domain[256])
{
	char *ascii = NULL;
	size_t length;
	bool valid = false;

	if (idn2_to_ascii_8z(domain, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) == IDN2_OK) {
		length = strlen(ascii);
		valid = address_domain_valid(ascii, length);
		if (valid)
			snprintf(domain, 256, "%.*s", (int)(length - (ascii[length - 1] == '.')),
				ascii);
	}
	idn2_free(ascii);
	return valid;
}

/* An IPv4 address mapped into IPv6 gets the IPv4 spelling: both lead to the same host. */
static bool
literal_canonical(const char *text, size_t length, char out[256])
{
	static const unsigned char mapped[12] = { [10] = 0xff, 0xff };
	unsigned char bytes[16], *ip = bytes;
	int family = literal_parse(text, length, bytes);
	char shown[INET6_ADDRSTRLEN];

	if (family == AF_INET6 && memcmp(bytes, mapped, sizeof mapped) == 0) {
		family = AF_INET;
		ip += sizeof mapped;
	}
	if (!family || !inet_ntop(family, ip, shown, sizeof shown))
		return false;
	snprintf(out, 256, "[%s%s]", family == AF_INET6 ? "ipv6:" : "", shown);
	return true;
}

bool
address_domain_canonical(const char *domain, size_t length, char out[256])
{
	if (literal_canonical(domain, length, out))
		return true;
	if (length && domain[length - 1] == '.')
		length--;
	if (length < 1 || length > DOMAIN_MAX || memchr(domain, '\0', length))
		return false;
	for (size_t i = 0; i < length; i++)
		out[i] = to_lower(domain[i]);
	out[length] = '\0';
	if (!text_is_ascii(out, length))
		to_a_labels(out);
	return true;
}

bool
address_domain_named(const char *domain, size_t length, char out[256])
{
	const char *top;

	if (!address_domain_canonical(domain, length, out))
		return false;
	if (out[0] == '[')
		return literal_valid(out, strlen(out));
	if (strstr(out, "xn--") && !to_a_labels(out)) /* checks A-labels, too */
		return false;
	top = strrchr(out, '.');
	return text_is_ascii(out, strlen(out)) && address_domain_valid(out, strlen(out)) &&
		!(top && strchr(top, '_'));
}

/* Drops needless quotes and backslashes of a local part; returns the new length. */
static size_t
local_canonical(const char *text, size_t length, char *out)
{
	bool quotes = length == 2;
	size_t n = 0;

	if (text[0] != '"') {
		memcpy(out, text, length);
		return length;
	}
	out[n++] = '"';
	for (size_t i = 1; i + 1 < length; i++) {
		if (text[i] == '\\')
			i++;
		if (text[i] == '"' || text[i] == '\\')
			out[n++] = '\\';
		quotes |= !is_atext(text[i]);
		out[n++] = text[i];
	}
	out[n++] = '"';
	if (quotes)
		return n;
	memmove(out, out + 1, n - 2);
	return n - 2;
}

void
address_canonical(const struct address *address, char out[ADDRESS_CANONICAL_MAX])
{
	size_t local = address->length - (address->domain ? address->domain_length + 1 : 0);
	size_t n = local_canonical(address->text, local, out);

	if (text_is(out, n, ADDRESS_POSTMASTER))
		memcpy(out, ADDRESS_POSTMASTER, n);
	out[n] = '\0';
	if (address->domain &&
		address_domain_canonical(address->domain, address->domain_length, out + n + 1))
		out[n] = '@';
}

bool
address_to_ascii(const char *address, char out[ADDRESS_ASCII_MAX])
{
	const size_t length = strlen(address);
	const char *at = strrchr(address, '@');
	char domain[256];

	if (!text_is_ascii(address, length) && at &&
		text_is_ascii(address, (size_t)(at - address)) &&
		address_domain_canonical(at + 1, strlen(at + 1), domain))
		snprintf(out, ADDRESS_ASCII_MAX, "%.*s@%s", (int)(at - address), address, domain);
	else
		snprintf(out, ADDRESS_ASCII_MAX, "%s", address);
	return length < ADDRESS_MAX && text_is_ascii(out, strlen(out));
}

/* `text` is UTF-8. */
static unsigned
code_point(const char *text, size_t length)
{
	static const unsigned char first_bits[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	unsigned point = (unsigned char)text[0] & first_bits[length];

	for (size_t i = 1; i < length; i++)
		point = point << 6 | ((unsigned char)text[i] & 0x3f);
	return point;
}

bool
address_to_xtext(const char *address, bool escaped, char *out, size_t size)
{
	const char *end = address + strlen(address);
	size_t n = 0;

	for (size_t step; address < end; address += step) {
		char unit[16];
		size_t length;

		step = utf8_length(address, (size_t)(end - address));
		if (!step)
			snprintf(unit, sizeof unit, "?");
		else if (step > 1 || (!escaped && strchr(" +=\\", *address)))
			snprintf(unit, sizeof unit, "\\x{%02X}", code_point(address, step));
		else
			snprintf(unit, sizeof unit, "%c", *address);
		step = step ? step : 1;
		length = strlen(unit);
		if (n + length >= size)
			break;
		memcpy(out + n, unit, length);
		n += length;
	}
	out[n] = '\0';
	return address == end;
}
