/*
 * address_state.c - the states of an account's address: its proof, its end by disuse.
 *
 * api (asked for, link opened) -> [address_state] -> relay.config
 * rounds (logins and mail seen, idle days) ---^
 *
 * An address that was typed in must not turn a stranger into a customer, and neither must one that
 * the customer's line had once. A link is "<account>-<secret>"; only the secret's hash is kept.
 */
#include "control/account/address_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "control/account/accounts_private.h"
#include "control/look/json_from.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/net.h"
#include "shared/base/random.h"
#include "shared/config/config.h"

#define DAY_US (UINT64_C(24) * 3600 * 1000000)
#define SECRET_LENGTH 40 /* 198 bits */
#define SECRET_SIGNS "23456789abcdefghjkmnpqrstuvwxyz"
#define HASH_SIZE 65
#define LINK_US DAY_US
#define WAITING_MAX 20 /* addresses of an account that wait for their proof */

static uint64_t
time_of(const json_t *entry, const char *field)
{
	const json_int_t us = json_integer_value(json_object_get(entry, field));

	return us > 0 ? (uint64_t)us : 0;
}

static void
set_time(json_t *entry, const char *field, uint64_t us)
{
	json_object_set_new(entry, field, json_integer((json_int_t)us));
}

static bool
is_single(const char *network)
{
	struct network parsed;

	return network_parse(network, &parsed) == 0 &&
		parsed.prefix == (network[strspn(network, "0123456789.")] == '\0' ? 32 : 64);
}

/* Asking */

static bool
is_in(const struct network *network, char *const *list, unsigned count)
{
	struct network other;

	for (unsigned i = 0; i < count; i++)
		if (network_parse(list[i], &other) == 0 && network_overlaps(network, &other))
			return true;
	return false;
}

/* Whether the address is the relay's own, or that of a proxy of ours, behind which anybody may
 * be. */
static bool
is_ours(const struct config *config, const struct network *network)
{
	for (unsigned i = 0; i < config->ingress.listen_count; i++)
		if (is_in(network, config->ingress.listen[i].proxies,
			    config->ingress.listen[i].proxies_count))
			return true;
	return is_in(network, config->control.proxies, config->control.proxies_count) ||
		is_in(network, config->service.addresses, config->service.addresses_count) ||
		is_in(network, config->sender.source_address, config->sender.source_address_count);
}

static bool
is_special(const struct network *network)
{
	const struct network *special;

	for (size_t i = 0; (special = net_special(i)); i++)
		if (network_overlaps(network, special))
			return true;
	return false;
}

static int
may_ask(struct edit *edit, const char *id, const char *text)
{
	static const char field[] = "address";
	struct network network;

	if (!is_single(text) || network_parse(text, &network) < 0)
		return fault_set(&edit->fault, 400, field, "one address is needed, no network");
	if (is_special(&network))
		return fault_set(&edit->fault, 400, field,
			"%.50s is no address of the internet: it is inside of your network, or "
			"reserved",
			text);
	if (is_ours(edit->config, &network))
		return fault_set(
			&edit->fault, 400, field, "%.50s is an address of this service", text);
	if (address_free(edit, id, field, text) < 0)
		return fault_set(&edit->fault, 409, field,
			"%.50s is in use by another customer: write to us", text);
	return 0;
}

static bool
has_address(const struct directory *directory, const char *id, const char *network)
{
	const char *owner = json_text(directory_get(directory, "ip", network), "account");

	return owner && strcmp(owner, id) == 0;
}

static unsigned
count_waiting(const struct directory *directory, const char *id)
{
	unsigned count = 0;
	const char *key;
	json_t *value;

	json_object_foreach(directory_members(directory, id), key, value)
	{
		count += strncmp(key, "ip/", 3) == 0 &&
			!json_is_true(json_object_get(directory_entry(directory, key), "active"));
	}
	return count;
}

int
account_ask_address(struct edit *edit, const char *id, const json_t *body)
{
	static const struct field known[] = {
		{ "address", FIELD_TEXT },
		{ "waiting", FIELD_SWITCH },
		{ 0 },
	};
	char text[NET_TEXT_MAX];
	json_t *entry;

	if (!edit_account(edit, id) || fields_check(&edit->fault, body, known, NULL) < 0 ||
		address_check(&edit->fault, "address", json_text(body, "address"), text) < 0 ||
		may_ask(edit, id, text) < 0)
		return -1;
	if (has_address(edit->directory, id, text))
		return fault_set(
			&edit->fault, 409, "address", "the account has %.50s already", text);
	if (count_waiting(edit->directory, id) >= WAITING_MAX)
		return fault_set(&edit->fault, 409, "address",
			"%d addresses wait for their proof: remove some first", WAITING_MAX);
	entry = json_pack("{s:s, s:b}", "account", id, "active", 0);
	set_time(entry, "asked_us", clock_us());
	edit_add(edit, "ip", text, entry);
	json_object_set_new(edit->reply, "addresses", json_pack("[s]", text));
	json_object_set_new(edit->reply, "state", json_string("waiting"));
	return 0;
}

/* Proof */

static void
hash_of(const char *secret, char out[HASH_SIZE])
{
	unsigned char digest[32];

	EVP_Digest(secret, strlen(secret), digest, NULL, EVP_sha256(), NULL);
	for (size_t i = 0; i < sizeof digest; i++)
		snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

int
account_address_link(struct edit *edit, const char *id, const char *network)
{
	char text[NET_TEXT_MAX], secret[SECRET_LENGTH + 1], hash[HASH_SIZE];
	const uint64_t until = clock_us() + LINK_US;
	json_t *entry, *path;

	if (!edit_account(edit, id))
		return -1;
	if (account_network_text(network, text) < 0)
		snprintf(text, sizeof text, "%.60s", network);
	entry = directory_get(edit->directory, "ip", text);
	if (!has_address(edit->directory, id, text))
		return fault_set(
			&edit->fault, 404, "address", "the account has no \"%.60s\"", text);
	if (json_is_true(json_object_get(entry, "active")))
		return fault_set(&edit->fault, 409, "address", "%.50s needs no proof", text);
	json_object_clear(edit->changes);
	random_text(secret, SECRET_LENGTH, SECRET_SIGNS);
	hash_of(secret, hash);
	json_object_set_new(edit_entry(edit, "ip", text), "proof",
		json_pack("{s:s, s:I}", "hash", hash, "until_us", (json_int_t)until));
	path = json_sprintf("/p/%s-%s", id, secret);
	explicit_bzero(secret, sizeof secret);
	json_object_set_new(edit->reply, "path", path);
	json_object_set_new(edit->reply, "until", json_from_time(until));
	return 0;
}

/* The network of the account's link with this hash, or NULL. */
static const char *
link_owner(const struct directory *directory, const char *id, const char hash[HASH_SIZE])
{
	const uint64_t now = clock_us();
	const char *key, *kept;
	const json_t *proof;
	json_t *value;

	json_object_foreach(directory_members(directory, id), key, value)
	{
		proof = json_object_get(directory_entry(directory, key), "proof");
		kept = json_text(proof, "hash");
		if (strncmp(key, "ip/", 3) == 0 && kept && strlen(kept) == HASH_SIZE - 1 &&
			CRYPTO_memcmp(kept, hash, HASH_SIZE - 1) == 0 &&
			time_of(proof, "until_us") > now)
			return key + 3;
	}
	return NULL;
}

int
account_address_open(struct edit *edit, const char *token, const char *client)
{
	char id[16], hash[HASH_SIZE], from[NET_TEXT_MAX];
	const size_t length = strcspn(token, "-");
	const char *network = NULL;

	snprintf(id, sizeof id, "%.*s", (int)(length < sizeof id ? length : 0), token);
	if (account_id_valid(id) && token[length] &&
		!account_is_deleted(directory_get(edit->directory, "account", id))) {
		hash_of(token + length + 1, hash);
		network = link_owner(edit->directory, id, hash);
	}
	if (!network)
		return fault_set(&edit->fault, 404, "",
			"this link has been used, is more than a day old, or never was");
	if (account_network_text(client, from) < 0 || strcmp(from, network) != 0)
		return fault_set(&edit->fault, 403, "",
			"you come from %.50s, and this link is for %.50s: open it on the server",
			client, network);
	edit->changes = json_object();
	edit->reply = json_pack("{s:s, s:s}", "account", id, "address", network);
	address_activate(edit_entry(edit, "ip", network), clock_us());
	return 0;
}

/* What happens by itself */

/* The time in Redis of a use ("ip/") or a login ("from/") of the address. */
static uint64_t
seen_at(const json_t *times, const char *kind, const char *network)
{
	char name[NET_TEXT_MAX + 8];

	snprintf(name, sizeof name, "%s%s", kind, network);
	return time_of(times, name);
}

bool
address_wants_look(const char *network, const json_t *entry, uint64_t now_us)
{
	if (!is_single(network))
		return false;
	if (!json_is_true(json_object_get(entry, "active")))
		return time_of(entry, "asked_us") > 0;
	return time_of(entry, "used_us") + ADDRESS_NOTICE_DAYS * DAY_US <= now_us;
}

static void
lapse(json_t *entry, uint64_t now_us)
{
	json_object_set_new(entry, "active", json_false());
	json_object_set_new(entry, "lapsed", json_true());
	set_time(entry, "asked_us", now_us);
	json_object_del(entry, "lapses_us");
}

/* Moves one address on; false: nothing changes. `copy` makes the entry that may be changed. */
static bool
move_on(struct edit *edit, const char *network, const json_t *times, uint64_t now_us)
{
	const json_t *entry = directory_get(edit->directory, "ip", network);
	const uint64_t used = seen_at(times, "ip/", network);
	const uint64_t login = seen_at(times, "from/", network);
	const uint64_t lapses = time_of(entry, "lapses_us");

	if (!json_is_true(json_object_get(entry, "active"))) {
		if (login <= time_of(entry, "asked_us"))
			return false;
		address_activate(edit_entry(edit, "ip", network), now_us);
	} else if (used + ADDRESS_NOTICE_DAYS * DAY_US > now_us) {
		json_object_del(edit_entry(edit, "ip", network), "lapses_us");
		set_time(edit_entry(edit, "ip", network), "used_us", used);
	} else if (!time_of(entry, "used_us")) { /* of an older build: its days begin now */
		set_time(edit_entry(edit, "ip", network), "used_us", now_us);
	} else if (!lapses) {
		set_time(edit_entry(edit, "ip", network), "lapses_us",
			now_us + (ADDRESS_LAPSE_DAYS - ADDRESS_NOTICE_DAYS) * DAY_US);
	} else if (lapses <= now_us) {
		lapse(edit_entry(edit, "ip", network), now_us);
	} else {
		return false;
	}
	return true;
}

bool
account_addresses_seen(struct edit *edit, const char *id, const json_t *times, uint64_t now_us)
{
	json_t *members = directory_members(edit->directory, id), *value;
	bool changed = false;
	const char *key;

	edit->changes = json_object();
	json_object_foreach(members, key, value)
	{
		if (strncmp(key, "ip/", 3) == 0 &&
			address_wants_look(key + 3, directory_entry(edit->directory, key), now_us))
			changed |= move_on(edit, key + 3, times, now_us);
	}
	return changed;
}

int
address_state_check(struct fault *fault, const json_t *entry)
{
	static const struct field known[] = {
		{ "hash", FIELD_TEXT },
		{ "until_us", FIELD_NUMBER },
		{ 0 },
	};
	static const char *const times[] = { "asked_us", "used_us", "lapses_us" };
	const json_t *proof = json_object_get(entry, "proof");

	for (size_t i = 0; i < sizeof times / sizeof *times; i++)
		if (json_object_get(entry, times[i]) && !time_of(entry, times[i]))
			return fault_set(fault, 400, times[i], "a time in microseconds");
	if (!proof)
		return 0;
	if (fields_check(fault, proof, known, "proof") < 0)
		return -1;
	if (!json_text(proof, "hash") || strlen(json_text(proof, "hash")) != HASH_SIZE - 1)
		return fault_set(fault, 400, "proof.hash", "64 digits of 0-9a-f");
	return 0;
}
