/*
 * answer.h - parser of DNS answer packets (RFC 1035 4), as libunbound hands them over. Pure.
 */
#ifndef SHARED_ANSWER_H
#define SHARED_ANSWER_H

#include <stddef.h>
#include <stdint.h>

enum {
	ANSWER_A = 1,
	ANSWER_NS = 2,
	ANSWER_CNAME = 5,
	ANSWER_SOA = 6,
	ANSWER_PTR = 12,
	ANSWER_MX = 15,
	ANSWER_TXT = 16,
	ANSWER_AAAA = 28,
	ANSWER_TLSA = 52
};

#define ANSWER_NAME_MAX 256
#define ANSWER_RECORDS_MAX 100 /* more are ignored */

struct answer_record {
	uint16_t type;
	uint32_t ttl_s;
	uint16_t preference;        /* MX */
	char name[ANSWER_NAME_MAX]; /* MX, CNAME, NS, PTR: lower case, no trailing dot, "" is the
				       root */
	uint8_t address[16];        /* A (4), AAAA (16) */
	const uint8_t *data;        /* rdata in the packet */
	uint16_t data_length;
};

struct answer {
	int rcode;
	size_t count;
	struct answer_record records[ANSWER_RECORDS_MAX]; /* of the wanted type, CNAMEs followed */
	uint32_t ttl_s;                                   /* the least of all on the way */
	char why[128]; /* what is wrong with the first record that was left out; "": none was */
};

/* Finds the records of `type` that answer the question, along CNAMEs. Records that cannot be used,
 * such as an MX whose name is no host's, are left out. 0, or -EINVAL when for that reason no record
 * is left (`why`). */
int answer_parse(const uint8_t *packet, size_t size, uint16_t type, struct answer *out);

#endif
