/*
 * account_address.c - which networks an account may have, and how one is shown: none so wide that
 * the mail of strangers would be one customer's, and none that another account's overlaps.
 */
#include <stdio.h>
#include <string.h>

#include "control/account/accounts_private.h"
#include "control/account/address_state.h"
#include "control/look/json_from.h"
#include "shared/base/json_text.h"
#include "shared/base/net.h"

#define PREFIX_MIN_IPV4 16
#define PREFIX_MIN_IPV6 32
/* Of an entry that no other can be within. */
#define PREFIX_MAX_IPV4 32
#define PREFIX_MAX_IPV6 64

int
address_check(struct fault *fault, const char *field, const char *text, char out[NET_TEXT_MAX])
{
	struct network network;

	if (!text || account_network_text(text, out) < 0 || network_parse(out, &network) < 0)
		return fault_set(fault, 400, field,
			"an IPv4 or IPv6 address, or a network like 192.0.2.0/24, is needed");
	if (network.prefix < (network.family == AF_INET ? PREFIX_MIN_IPV4 : PREFIX_MIN_IPV6))
		return fault_set(fault, 400, field,
			"%.50s is too wide for one account: a network is /%d or longer (IPv6: /%d)",
			out, PREFIX_MIN_IPV4, PREFIX_MIN_IPV6);
	return 0;
}

/* The account of an entry "ip/...", if it is another one than `id`, and active: an address that
 * nobody proved is nobody's. */
static const char *
owner_but(const json_t *entry, const char *id)
{
	const char *owner = json_text(entry, "account");

	return owner && strcmp(owner, id) != 0 && json_is_true(json_object_get(entry, "active"))
		? owner
		: NULL;
}

/* The account that has a network around this one. */
static const char *
owner_around(const struct directory *directory, const char *id, const struct network *network,
	char out[NET_TEXT_MAX])
{
	struct network wider = *network;
	char text[NET_TEXT_MAX];
	const char *owner;

	while (wider.prefix-- > 0) {
		network_format(&wider, text);
		if (account_network_text(text, out) == 0 &&
			(owner = owner_but(directory_get(directory, "ip", out), id)))
			return owner;
	}
	return NULL;
}

/* The account that has an address or a network within this one. */
static const char *
owner_within(const struct directory *directory, const char *id, const struct network *network,
	char out[NET_TEXT_MAX])
{
	struct network other;
	const char *key, *owner;
	json_t *entry;

	json_object_foreach(directory_entries(directory), key, entry)
	{
		if (strncmp(key, "ip/", 3) != 0 || !(owner = owner_but(entry, id)) ||
			network_parse(key + 3, &other) < 0 || !network_overlaps(network, &other))
			continue;
		snprintf(out, NET_TEXT_MAX, "%s", key + 3);
		return owner;
	}
	return NULL;
}

int
address_free(struct edit *edit, const char *id, const char *field, const char *text)
{
	const char *owner = owner_but(directory_get(edit->directory, "ip", text), id);
	char other[NET_TEXT_MAX], what[3 * NET_TEXT_MAX];
	struct network network;

	if (owner)
		return taken(edit, field, text, owner);
	if (network_parse(text, &network) < 0)
		return 0;
	owner = owner_around(edit->directory, id, &network, other);
	if (!owner &&
		network.prefix < (network.family == AF_INET ? PREFIX_MAX_IPV4 : PREFIX_MAX_IPV6))
		owner = owner_within(edit->directory, id, &network, other);
	if (!owner)
		return 0;
	snprintf(what, sizeof what, "%s, which overlaps %s,", other, text);
	return taken(edit, field, what, owner);
}

static uint64_t
lapses_us(const json_t *entry)
{
	const json_int_t us = json_integer_value(json_object_get(entry, "lapses_us"));

	return us > 0 ? (uint64_t)us : 0;
}

const char *
address_state(const json_t *entry)
{
	if (json_is_true(json_object_get(entry, "active")))
		return lapses_us(entry) ? "lapsing" : "active";
	return json_is_true(json_object_get(entry, "lapsed")) ? "lapsed" : "waiting";
}

json_t *
address_shown(const char *network, const json_t *entry)
{
	json_t *shown = json_pack("{s:s, s:O, s:s}", "address", network, "active",
		json_object_get(entry, "active"), "state", address_state(entry));
	const uint64_t lapses = lapses_us(entry);

	if (lapses)
		json_object_set_new(shown, "lapses", json_from_time(lapses));
	return shown;
}

void
address_activate(json_t *entry, uint64_t now_us)
{
	static const char *const over[] = { "asked_us", "lapsed", "lapses_us", "proof" };

	json_object_set_new(entry, "active", json_true());
	json_object_set_new(entry, "used_us", json_integer((json_int_t)now_us));
	for (size_t i = 0; i < sizeof over / sizeof *over; i++)
		json_object_del(entry, over[i]);
}
