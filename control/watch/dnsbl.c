/*
 * dnsbl.c - block lists: names, codes, and when they are believed.
 *
 * dnsbl_watch -> [dnsbl]
 *
 * A list that stopped, whose domain was sold, or that refuses our resolver answers everything, or
 * nothing, or with an error code: all of that is unknown, never a listing and never clean.
 */
#include "control/watch/dnsbl.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define KEY_LABEL_MIN 20 /* of zones like "<key>.zen.dq.spamhaus.net" */

const char *const dnsbl_state_names[] = { "unknown", "clean", "listed" };

bool
dnsbl_name(const char *ip, const char *zone, char out[DNSBL_NAME_MAX])
{
	unsigned char bytes[16];
	size_t used = 0;

	if (strlen(zone) + 64 + 1 > DNSBL_NAME_MAX)
		return false;
	if (inet_pton(AF_INET, ip, bytes) == 1) {
		snprintf(out, DNSBL_NAME_MAX, "%u.%u.%u.%u.%s", bytes[3], bytes[2], bytes[1],
			bytes[0], zone);
		return true;
	}
	if (inet_pton(AF_INET6, ip, bytes) != 1)
		return false;
	for (int i = 15; i >= 0; i--)
		used += (size_t)snprintf(
			out + used, DNSBL_NAME_MAX - used, "%x.%x.", bytes[i] & 15, bytes[i] >> 4);
	snprintf(out + used, DNSBL_NAME_MAX - used, "%s", zone);
	return true;
}

void
dnsbl_label(const char *zone, char out[DNSBL_NAME_MAX])
{
	const size_t first = strcspn(zone, ".");

	snprintf(out, DNSBL_NAME_MAX, "%s%s", first >= KEY_LABEL_MIN ? "***" : "",
		first >= KEY_LABEL_MIN ? zone + first : zone);
}

enum dnsbl_state
dnsbl_answer_state(const struct dnsbl_answer *answer)
{
	if (answer->status == DNSBL_NO_NAME)
		return DNSBL_CLEAN;
	if (answer->status != DNSBL_ANSWERED || !answer->count)
		return DNSBL_UNKNOWN;
	for (size_t i = 0; i < answer->count; i++) {
		const uint8_t *code = answer->addresses[i];

		if (code[0] != 127 || (code[1] == 255 && code[2] == 255))
			return DNSBL_UNKNOWN;
	}
	return DNSBL_LISTED;
}

enum dnsbl_state
dnsbl_judge(const struct dnsbl_answer *listed_test, const struct dnsbl_answer *clean_test,
	const struct dnsbl_answer *asked)
{
	if (dnsbl_answer_state(listed_test) != DNSBL_LISTED ||
		dnsbl_answer_state(clean_test) != DNSBL_CLEAN)
		return DNSBL_UNKNOWN;
	return dnsbl_answer_state(asked);
}

bool
dnsbl_take(struct dnsbl_standing *standing, enum dnsbl_state verdict)
{
	if (verdict == DNSBL_UNKNOWN)
		return false;
	if ((verdict == DNSBL_LISTED) == standing->listed) {
		standing->other = 0;
		return false;
	}
	if (++standing->other < DNSBL_CONFIRMATIONS)
		return false;
	standing->listed = !standing->listed;
	standing->other = 0;
	return true;
}
