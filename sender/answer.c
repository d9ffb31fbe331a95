/*
 * answer.c - DNS answer packets, as libunbound hands them over.
 *
 * sender:  dns -> [answer] -> site
 *
 * Names may point backwards in the packet (RFC 1035 4.1.4) and only backwards, so reading one ends
 * always. A packet that is malformed anywhere in its answer section is refused as a whole.
 * Owns nothing: rdata is the packet's.
 */
#include "sender/answer.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "shared/text.h"

#define HEADER_SIZE 12
#define CNAMES_MAX 8
#define CLASS_IN 1
#define NAME_TEXT_MAX 253 /* 255 octets in the packet (RFC 1035 2.3.4) */

struct packet {
	const uint8_t *data;
	size_t size;
};

/* One resource record, read but not judged. */
struct rr {
	char owner[ANSWER_NAME_MAX];
	bool owner_odd;
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

static bool
label_append(char *out, size_t *length, const uint8_t *label, size_t n, bool *odd)
{
	if (*length + (*length > 0) + n > NAME_TEXT_MAX)
		return false;
	if (*length)
		out[(*length)++] = '.';
	for (size_t i = 0; i < n; i++) {
		char c = to_lower((char)label[i]);

		*odd |= !is_alnum(c) && c != '-' && c != '_';
		out[(*length)++] = c;
	}
	return true;
}

/* Reads the name at `*at`, which moves behind it. Text without a trailing dot; `*odd`: it holds
 * bytes no host name has. False when malformed. */
static bool
name_read(const struct packet *p, size_t *at, char out[ANSWER_NAME_MAX], bool *odd)
{
	size_t here = *at, lowest = *at, length = 0;
	bool jumped = false;

	*odd = false;
	for (;;) {
		size_t n;

		if (here >= p->size)
			return false;
		n = p->data[here];
		if (n == 0)
			break;
		if ((n & 0xc0) == 0xc0) {
			if (here + 2 > p->size)
				return false;
			if (!jumped)
				*at = here + 2;
			jumped = true;
			here = be16(p->data + here) & 0x3fff;
			if (here >= lowest)
				return false;
			lowest = here;
			continue;
		}
		if (n > 63 || here + 1 + n > p->size ||
			!label_append(out, &length, p->data + here + 1, n, odd))
			return false;
		here += 1 + n;
	}
	out[length] = '\0';
	if (!jumped)
		*at = here + 1;
	return true;
}

static bool
rr_read(const struct packet *p, size_t *at, struct rr *out)
{
	const uint8_t *fixed;

	if (!name_read(p, at, out->owner, &out->owner_odd) || p->size - *at < 10)
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

/* The name that is the rest of the rdata, from `skip` on. */
static bool
rdata_name(const struct packet *p, const struct rr *rr, size_t skip, char out[ANSWER_NAME_MAX])
{
	size_t at = rr->data + skip;
	bool odd;

	return rr->data_length > skip && name_read(p, &at, out, &odd) && !odd &&
		at == rr->data + rr->data_length;
}

static bool
record_read(const struct packet *p, const struct rr *rr, struct answer_record *out)
{
	memset(out, 0, sizeof *out);
	out->type = rr->type;
	out->ttl_s = rr->ttl_s;
	out->data = p->data + rr->data;
	out->data_length = rr->data_length;
	switch (rr->type) {
	case ANSWER_A:
	case ANSWER_AAAA:
		if (rr->data_length != (rr->type == ANSWER_A ? 4 : 16))
			return false;
		memcpy(out->address, out->data, out->data_length);
		return true;
	case ANSWER_CNAME: return rdata_name(p, rr, 0, out->name);
	case ANSWER_MX:
		if (rr->data_length < 3)
			return false;
		out->preference = be16(out->data);
		return rdata_name(p, rr, 2, out->name);
	default: return true;
	}
}

static void
least(uint32_t *ttl_s, uint32_t other)
{
	if (other < *ttl_s)
		*ttl_s = other;
}

static bool
add(const struct packet *p, const struct rr *rr, struct answer *out)
{
	struct answer_record over,
		*record = out->count < ANSWER_RECORDS_MAX ? &out->records[out->count] : &over;

	if (!record_read(p, rr, record))
		return false;
	if (record != &over)
		out->count++;
	least(&out->ttl_s, rr->ttl_s);
	return true;
}

/*
 * One walk through the answer section for records of `name`. A CNAME, when there is no record of
 * the type itself, replaces `name`: then 1 (walk again); 0: done; -1: malformed.
 */
static int
walk(const struct packet *p, size_t at, uint16_t type, char name[ANSWER_NAME_MAX],
	struct answer *out)
{
	char target[ANSWER_NAME_MAX];
	unsigned records = be16(p->data + 6);
	bool alias = false;
	uint32_t alias_ttl_s = 0;
	struct rr rr;

	for (; records; records--) {
		if (!rr_read(p, &at, &rr))
			return -1;
		if (rr.class != CLASS_IN || rr.owner_odd || strcmp(rr.owner, name) != 0)
			continue;
		if (rr.type == type) {
			if (!add(p, &rr, out))
				return -1;
		} else if (rr.type == ANSWER_CNAME && !alias) {
			if (!rdata_name(p, &rr, 0, target))
				return -1;
			alias = true;
			alias_ttl_s = rr.ttl_s;
		}
	}
	if (!alias || out->count)
		return 0;
	least(&out->ttl_s, alias_ttl_s);
	memcpy(name, target, ANSWER_NAME_MAX);
	return 1;
}

int
answer_parse(const uint8_t *packet, size_t size, uint16_t type, struct answer *out)
{
	const struct packet p = { packet, size };
	char name[ANSWER_NAME_MAX];
	size_t at = HEADER_SIZE;
	int more = 1;
	bool odd;

	out->rcode = 0;
	out->count = 0;
	out->ttl_s = UINT32_MAX;
	if (size < HEADER_SIZE || !(packet[2] & 0x80) || be16(packet + 4) != 1 ||
		!name_read(&p, &at, name, &odd) || size - at < 4)
		return -EINVAL;
	out->rcode = packet[3] & 15;
	at += 4;
	for (int cnames = 0; more > 0; cnames++) {
		if (cnames > CNAMES_MAX)
			return -EINVAL;
		more = walk(&p, at, type, name, out);
	}
	if (more < 0)
		return -EINVAL;
	if (out->ttl_s == UINT32_MAX)
		out->ttl_s = 0;
	return 0;
}
