/*
 * answer.c - DNS answer packets, as libunbound hands them over.
 *
 * dns -> [answer] -> sender's sites, control's checks of domains
 *
 * Names may point backwards in the packet (RFC 1035 4.1.4), and only backwards, so reading a name
 * always ends. Names are compared as octets: only a mail host's name has to be a host name. A
 * record that cannot be used is left out, and `why` tells of the first such record. Owns nothing:
 * rdata is the packet's.
 */
#include "shared/dns/answer.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "shared/base/text.h"

#define HEADER_SIZE 12
#define CNAMES_MAX 16 /* libunbound follows fewer */
#define CLASS_IN 1
#define NAME_MAX_OCTETS 254 /* without the root's, which ends each name (RFC 1035 2.3.4) */

struct packet {
	const uint8_t *data;
	size_t size;
};

/* Labels with their lengths, in lower case, without the root. */
struct name {
	uint8_t octets[NAME_MAX_OCTETS];
	size_t length;
};

/* One resource record, read but not judged. */
struct rr {
	size_t owner; /* offset of the name */
	uint16_t type, class;
	uint32_t ttl_s;
	size_t data; /* offset of the rdata */
	uint16_t data_length;
};

static uint16_t
be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

/* Moves `*at` behind the name at `*at`. False: nobody can tell where that name ends. */
static bool
name_skip(const struct packet *p, size_t *at)
{
	while (*at < p->size && p->data[*at] && p->data[*at] < 64)
		*at += 1 + (size_t)p->data[*at];
	if (*at >= p->size || (p->data[*at] && p->data[*at] < 0xc0))
		return false;
	*at += p->data[*at] ? 2 : 1;
	return *at <= p->size;
}

static bool
label_append(struct name *out, const uint8_t *label, size_t n)
{
	if (out->length + 1 + n > sizeof out->octets)
		return false;
	out->octets[out->length++] = (uint8_t)n;
	for (size_t i = 0; i < n; i++)
		out->octets[out->length++] = (uint8_t)to_lower((char)label[i]);
	return true;
}

/* Reads the name at `here`, and follows pointers. False: there is no name. */
static bool
name_read(const struct packet *p, size_t here, struct name *out)
{
	size_t lowest = here;

	out->length = 0;
	while (here < p->size && p->data[here]) {
		size_t n = p->data[here];

		if (n >= 0xc0) {
			if (here + 2 > p->size)
				return false;
			here = be16(p->data + here) & 0x3fff;
			if (here >= lowest)
				return false;
			lowest = here;
		} else if (n > 63 || here + 1 + n > p->size ||
			!label_append(out, p->data + here + 1, n)) {
			return false;
		} else {
			here += 1 + n;
		}
	}
	return here < p->size;
}

static bool
name_is(const struct name *a, const struct name *b)
{
	return a->length == b->length && memcmp(a->octets, b->octets, a->length) == 0;
}

static void
text_append(char *out, size_t size, size_t *length, uint8_t octet)
{
	const bool graphic = octet > ' ' && octet < 127 && octet != '.';

	if (*length + (graphic ? 1 : 4) < size)
		*length += (size_t)snprintf(
			out + *length, size - *length, graphic ? "%c" : "\\%03u", octet);
}

/* Writes the name as text without a trailing dot; octets that cannot be shown become \DDD (RFC 1035
 * 5.1). Returns whether the name is a host's: letters, digits, '-' and '_' alone, and no IPv4
 * address, which ends in a number. */
static bool
name_text(const struct name *name, char *out, size_t size)
{
	bool odd = false, number = false;
	size_t length = 0;

	out[0] = '\0';
	for (size_t at = 0; at < name->length; at += 1 + (size_t)name->octets[at]) {
		number = true;
		if (at && length + 1 < size)
			out[length++] = '.';
		for (size_t i = 1; i <= name->octets[at]; i++) {
			const char c = (char)name->octets[at + i];

			number = number && is_digit(c);
			odd = odd || (!is_alnum(c) && c != '-' && c != '_');
			text_append(out, size, &length, name->octets[at + i]);
		}
	}
	out[length] = '\0';
	return !odd && !number;
}

static bool
rr_read(const struct packet *p, size_t *at, struct rr *out)
{
	const uint8_t *fixed;

	out->owner = *at;
	if (!name_skip(p, at) || p->size - *at < 10)
		return false;
	fixed = p->data + *at;
	out->type = be16(fixed);
	out->class = be16(fixed + 2);
	out->ttl_s = (uint32_t)be16(fixed + 4) << 16 | be16(fixed + 6);
	if (out->ttl_s > INT32_MAX) /* RFC 2181 8 */
		out->ttl_s = 0;
	out->data_length = be16(fixed + 8);
	out->data = *at + 10;
	if (p->size - out->data < out->data_length)
		return false;
	*at = out->data + out->data_length;
	return true;
}

/* Reads the name that ends the rdata, from `skip` on. */
static bool
rdata_name(const struct packet *p, const struct rr *rr, size_t skip, struct name *out)
{
	size_t at = rr->data + skip;

	return rr->data_length > skip && name_read(p, at, out) && name_skip(p, &at) &&
		at == rr->data + rr->data_length;
}

/* ---- what is wrong with a record ---- */

static const char unreadable[] = "a record whose name cannot be read";

static void
blame(struct answer *out, const char *what)
{
	if (!out->why[0])
		snprintf(out->why, sizeof out->why, "%s", what);
}

/* The root is a mail host, too: a null MX. */
static bool
host_read(const struct packet *p, const struct rr *rr, size_t skip, char *host, struct answer *out)
{
	struct name name;

	if (!rdata_name(p, rr, skip, &name)) {
		blame(out, unreadable);
		return false;
	}
	if (name_text(&name, host, ANSWER_NAME_MAX))
		return true;
	if (!out->why[0])
		snprintf(out->why, sizeof out->why, "\"%.100s\" is no host name", host);
	return false;
}

static bool
record_read(const struct packet *p, const struct rr *rr, struct answer_record *record,
	struct answer *out)
{
	memset(record, 0, sizeof *record);
	record->type = rr->type;
	record->ttl_s = rr->ttl_s;
	record->data = p->data + rr->data;
	record->data_length = rr->data_length;
	switch (rr->type) {
	case ANSWER_A:
	case ANSWER_AAAA:
		if (rr->data_length != (rr->type == ANSWER_A ? 4 : 16)) {
			blame(out, "an address of the wrong length");
			return false;
		}
		memcpy(record->address, record->data, record->data_length);
		return true;
	case ANSWER_NS:
	case ANSWER_PTR:
	case ANSWER_CNAME: return host_read(p, rr, 0, record->name, out);
	case ANSWER_MX:
		if (rr->data_length >= 2)
			record->preference = be16(record->data);
		return host_read(p, rr, 2, record->name, out);
	default: return true;
	}
}

/* ---- the answer section ---- */

static void
least(uint32_t *ttl_s, uint32_t other)
{
	if (other < *ttl_s)
		*ttl_s = other;
}

static void
add(const struct packet *p, const struct rr *rr, struct answer *out)
{
	if (out->count == ANSWER_RECORDS_MAX || !record_read(p, rr, &out->records[out->count], out))
		return;
	out->count++;
	least(&out->ttl_s, rr->ttl_s);
}

/*
 * Walks once through the answer section for records of `name`. True: there was only a CNAME, which
 * replaces `name`, and the caller walks again.
 */
static bool
walk(const struct packet *p, size_t at, uint16_t type, struct name *name, struct answer *out)
{
	struct name owner, target;
	bool alias = false;
	uint32_t alias_ttl_s = 0;
	struct rr rr;

	for (unsigned records = be16(p->data + 6); records; records--) {
		if (!rr_read(p, &at, &rr)) {
			blame(out, "a record that does not fit in its packet");
			break; /* nobody knows where the next record begins */
		}
		if (rr.class != CLASS_IN)
			continue;
		if (!name_read(p, rr.owner, &owner)) {
			blame(out, unreadable);
		} else if (!name_is(&owner, name)) {
			continue;
		} else if (rr.type == type) {
			add(p, &rr, out);
		} else if (rr.type == ANSWER_CNAME && !alias) {
			alias = rdata_name(p, &rr, 0, &target);
			alias_ttl_s = rr.ttl_s;
			if (!alias)
				blame(out, unreadable);
		}
	}
	if (!alias || out->count)
		return false;
	least(&out->ttl_s, alias_ttl_s);
	*name = target;
	return true;
}

int
answer_parse(const uint8_t *packet, size_t size, uint16_t type, struct answer *out)
{
	const struct packet p = { packet, size };
	struct name name;
	size_t at = HEADER_SIZE;

	out->rcode = 0;
	out->count = 0;
	out->ttl_s = UINT32_MAX;
	out->why[0] = '\0';
	if (size < HEADER_SIZE || !(packet[2] & 0x80) || be16(packet + 4) != 1 ||
		!name_read(&p, at, &name) || !name_skip(&p, &at) || size - at < 4) {
		blame(out, "what came is no answer");
		return -EINVAL;
	}
	out->rcode = packet[3] & 15;
	at += 4;
	for (int cnames = 0; walk(&p, at, type, &name, out); cnames++)
		if (cnames == CNAMES_MAX) {
			blame(out, "a circle of aliases, or too many");
			break;
		}
	if (out->ttl_s == UINT32_MAX)
		out->ttl_s = 0;
	return out->count || !out->why[0] ? 0 : -EINVAL;
}
