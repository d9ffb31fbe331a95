/*
 * egress.c - the table of egress IPs, their faults in this process, and the young accounts.
 *
 * relay.config -> [egress] <- mail (choice), client (faults)
 */
#include "sender/egress/egress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <uthash.h>

#include "sender/egress/choice.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/named.h"

#define ACCOUNT "account/"
#define YOUNG_US (UINT64_C(14) * 24 * 3600 * 1000000)

struct ip {
	UT_hash_handle hh;
	struct egress_entry entry;
	bool faulty;
	uint64_t fault_until_us;
	char why[EGRESS_WHY_MAX];
	char name[]; /* the key in relay.config, without its prefix */
};

struct young {
	UT_hash_handle hh;
	uint64_t until_us;
	char id[];
};

struct egress {
	struct ip *ips;
	struct young *young;
	size_t faulty;
};

struct egress *
egress_new(void)
{
	return xcalloc(1, sizeof(struct egress));
}

static void
ip_drop(struct egress *egress, struct ip *ip)
{
	HASH_DEL(egress->ips, ip);
	egress->faulty -= ip->faulty;
	egress_entry_wipe(&ip->entry);
	free(ip);
}

void
egress_free(struct egress **egress_ref)
{
	struct egress *egress = *egress_ref;
	struct ip *ip, *next;
	struct young *young, *after;

	if (!egress)
		return;
	HASH_ITER (hh, egress->ips, ip, next)
		ip_drop(egress, ip);
	HASH_ITER (hh, egress->young, young, after) {
		HASH_DEL(egress->young, young);
		free(young);
	}
	free(egress);
	*egress_ref = NULL;
}

static struct ip *
ip_find(const struct egress *egress, const char *name)
{
	struct ip *ip;

	HASH_FIND_STR(egress->ips, name, ip);
	return ip;
}

static bool
set_ip(struct egress *egress, const char *name, const char *json)
{
	struct ip *ip = ip_find(egress, name);
	struct egress_entry entry;

	if (!json || egress_entry_parse(&entry, json) < 0 || strcmp(entry.ip, name) != 0) {
		if (ip)
			ip_drop(egress, ip);
		return !json;
	}
	if (!ip)
		NAMED_GET(egress->ips, name, name, ip);
	ip->entry = entry;
	ip->fault_until_us = 0; /* it may be mended */
	egress_entry_wipe(&entry);
	return true;
}

/* Thousands of accounts may be there; the old ones need no memory. */
static void
set_account(struct egress *egress, const char *id, const char *text, uint64_t now)
{
	json_t *json = text ? json_loads(text, 0, NULL) : NULL;
	const json_int_t created = json_integer_value(json_object_get(json, "created_us"));
	struct young *young;

	json_decref(json);
	HASH_FIND_STR(egress->young, id, young);
	if (created > 0 && (uint64_t)created + YOUNG_US > now) {
		NAMED_GET(egress->young, id, id, young);
		young->until_us = (uint64_t)created + YOUNG_US;
	} else if (young) {
		HASH_DEL(egress->young, young);
		free(young);
	}
}

bool
egress_set(struct egress *egress, const char *key, const char *json, uint64_t now_us)
{
	if (strncmp(key, EGRESS_PREFIX, sizeof EGRESS_PREFIX - 1) == 0)
		return set_ip(egress, key + sizeof EGRESS_PREFIX - 1, json);
	if (strncmp(key, ACCOUNT, sizeof ACCOUNT - 1) == 0)
		set_account(egress, key + sizeof ACCOUNT - 1, json, now_us);
	return true;
}

bool
egress_any(const struct egress *egress)
{
	return egress->ips;
}

size_t
egress_count(const struct egress *egress)
{
	return HASH_COUNT(egress->ips);
}

const struct egress_entry *
egress_find(const struct egress *egress, const char *name)
{
	const struct ip *ip = ip_find(egress, name);

	return ip ? &ip->entry : NULL;
}

void
egress_each(const struct egress *egress, void (*on_ip)(void *arg, const struct egress_entry *entry),
	void *arg)
{
	const struct ip *ip, *next;

	for (ip = egress->ips; ip; ip = next) {
		next = ip->hh.next;
		on_ip(arg, &ip->entry);
	}
}

static bool
has_pool(const struct egress *egress, const char *pool)
{
	for (const struct ip *ip = egress->ips; ip; ip = ip->hh.next)
		if (strcmp(ip->entry.pool, pool) == 0)
			return true;
	return false;
}

static bool
is_young(const struct egress *egress, const char *account, uint64_t now)
{
	struct young *young;

	HASH_FIND_STR(egress->young, account, young);
	return young && young->until_us > now;
}

const char *
egress_pool(const struct egress *egress, const Envelope *envelope, uint64_t now_us)
{
	const char *pool = "good";

	if (!*envelope->mail_from || envelope->kind != ENVELOPE__KIND__MAIL)
		pool = "bounce";
	else if (envelope->suspect)
		pool = "suspect";
	else if (is_young(egress, envelope->account, now_us))
		pool = "new";
	if (!has_pool(egress, pool))
		pool = "good";
	return has_pool(egress, pool) || !egress->ips ? pool : egress->ips->entry.pool;
}

static bool
is_usable(const struct ip *ip, uint64_t now)
{
	return ip->entry.rest_until_us <= now && (!ip->faulty || ip->fault_until_us <= now);
}

bool
egress_usable(const struct egress *egress, const char *name, uint64_t now_us)
{
	const struct ip *ip = ip_find(egress, name);

	return ip && is_usable(ip, now_us);
}

static bool
lane_is_usable(const struct ip *ip, const struct egress_wish *wish, uint64_t now)
{
	return is_usable(ip, now) &&
		(!wish->lane_usable || wish->lane_usable(wish->arg, ip->entry.ip));
}

static bool
has_ipv4(const struct egress *egress, const char *pool)
{
	for (const struct ip *ip = egress->ips; ip; ip = ip->hh.next)
		if (ip->entry.address.sa.ss_family == AF_INET && strcmp(ip->entry.pool, pool) == 0)
			return true;
	return false;
}

/* Whether the IP is one to choose from. */
static bool
is_candidate(const struct ip *ip, const struct egress_wish *wish, bool ipv4, uint64_t now)
{
	return strcmp(ip->entry.pool, wish->pool) == 0 &&
		(!ipv4 || ip->entry.address.sa.ss_family == AF_INET) &&
		lane_is_usable(ip, wish, now);
}

const struct egress_entry *
egress_choose(const struct egress *egress, const struct egress_wish *wish, uint64_t now_us)
{
	const struct ip *kept = wish->kept ? ip_find(egress, wish->kept) : NULL, *best = NULL;
	const bool ipv4 = has_ipv4(egress, wish->pool);
	double best_score = 0;

	if (kept && lane_is_usable(kept, wish, now_us))
		return &kept->entry;
	for (const struct ip *ip = egress->ips; ip; ip = ip->hh.next) {
		double score;

		if (!is_candidate(ip, wish, ipv4, now_us))
			continue;
		score = choice_score(ip->entry.ip, ip->entry.weight, wish->account, wish->site);
		if (best && score <= best_score)
			continue;
		best = ip;
		best_score = score;
	}
	return best ? &best->entry : NULL;
}

uint64_t
egress_usable_at(const struct egress *egress, const char *pool, uint64_t now_us)
{
	uint64_t first = UINT64_MAX;

	for (const struct ip *ip = egress->ips; ip; ip = ip->hh.next) {
		uint64_t at = ip->entry.rest_until_us;

		if (strcmp(ip->entry.pool, pool) != 0)
			continue;
		if (is_usable(ip, now_us))
			return 0;
		if (ip->faulty && ip->fault_until_us > at)
			at = ip->fault_until_us;
		first = at < first ? at : first;
	}
	return first == UINT64_MAX ? 0 : first;
}

bool
egress_fault(struct egress *egress, const char *name, const char *why, uint64_t now_us)
{
	struct ip *ip = ip_find(egress, name);
	bool fresh;

	if (!ip)
		return false;
	fresh = !ip->faulty;
	egress->faulty += fresh;
	ip->faulty = true;
	ip->fault_until_us = now_us + EGRESS_FAULT_US;
	snprintf(ip->why, sizeof ip->why, "%s", why);
	return fresh;
}

bool
egress_works(struct egress *egress, const char *name)
{
	struct ip *ip = ip_find(egress, name);

	if (!ip || !ip->faulty)
		return false;
	ip->faulty = false;
	egress->faulty--;
	return true;
}

const char *
egress_why(const struct egress *egress, const char *name)
{
	const struct ip *ip = ip_find(egress, name);

	return ip && ip->faulty ? ip->why : NULL;
}

size_t
egress_faulty(const struct egress *egress)
{
	return egress->faulty;
}
