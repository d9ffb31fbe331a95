/*
 * accounts.c - create and change accounts.
 *
 * api -> [accounts] -> relay.config -> applier -> Redis
 *
 * A domain belongs to one account, verified or not, and so does an address. The version of an entry
 * is the time of its change, so that the newest entry wins wherever two arrive out of order.
 */
#include "control/account/accounts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/account/accounts_private.h"
#include "control/account/address_state.h"
#include "shared/account/account.h"
#include "shared/account/owner.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/random.h"
#include "shared/config/config.h"

/* Addresses and domains */

/* Makes the address the account's, and active. Another account's that is not active gives way. */
static void
add_active(struct edit *edit, const char *id, const char *network)
{
	const json_t *old = directory_get(edit->directory, "ip", network);
	const char *owner = json_text(old, "account");
	json_t *entry;

	if (owner && strcmp(owner, id) == 0) {
		if (!json_is_true(json_object_get(old, "active")))
			address_activate(edit_entry(edit, "ip", network), clock_us());
		return;
	}
	entry = json_pack("{s:s}", "account", id);
	address_activate(entry, clock_us());
	edit_add(edit, "ip", network, entry);
}

int
edit_add_address(struct edit *edit, const char *id, const char *text, const char *field)
{
	char network[NET_TEXT_MAX];
	json_t *list;

	if (address_check(&edit->fault, field, text, network) < 0 ||
		address_free(edit, id, field, network) < 0)
		return -1;
	add_active(edit, id, network);
	list = json_object_get(edit->reply, "addresses");
	if (!list) {
		list = json_array();
		json_object_set_new(edit->reply, "addresses", list);
	}
	json_array_append_new(list, json_string(network));
	return 0;
}

int
edit_add_addresses(struct edit *edit, const char *id, const json_t *list)
{
	char field[32];
	json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		snprintf(field, sizeof field, "addresses[%zu]", i);
		if (edit_add_address(edit, id, json_string_value(item), field) < 0)
			return -1;
	}
	return 0;
}

#define ACCOUNT_ID_LENGTH 10

/* The edits */

static int
take_mode(struct fault *fault, const json_t *body, bool *ip_out)
{
	const char *mode = json_text(body, "mode");

	*ip_out = mode && strcmp(mode, "ip") == 0;
	if (json_object_get(body, "mode") && !*ip_out &&
		(!mode || strcmp(mode, "credentials") != 0))
		return fault_set(fault, 400, "mode", "one of: credentials, ip");
	if (*ip_out && json_array_size(json_object_get(body, "addresses")) == 0)
		return fault_set(fault, 400, "addresses", "mode ip needs at least one address");
	return 0;
}

static int
create(struct edit *edit, const char *id, json_t *account, const json_t *body)
{
	const bool verified = json_is_true(json_object_get(body, "verified"));
	bool ip;

	if (take_mode(&edit->fault, body, &ip) < 0 ||
		take_profile(&edit->fault, account, body, true) < 0 ||
		edit_add_domains(edit, account, json_object_get(body, "domains"), verified) < 0 ||
		edit_add_addresses(edit, id, json_object_get(body, "addresses")) < 0 ||
		plan_known(edit, body) < 0 || plan_fits(edit, account) < 0 ||
		take_owner(edit, account, body) < 0)
		return -1;
	host_assign(edit, account);
	json_object_set_new(account, "mode",
		json_string(access_mode_text(ip ? ACCESS_IP : ACCESS_CREDENTIALS)));
	if (!ip) {
		json_object_del(edit->reply, "addresses");
		edit_add_user(edit, id, json_text(body, "name"), NULL);
	}
	return 0;
}

int
account_create(struct edit *edit, const json_t *body)
{
	static const struct field known[] = {
		{ "name", FIELD_TEXT },
		{ "contact", FIELD_TEXT },
		{ "language", FIELD_TEXT },
		{ "plan", FIELD_TEXT },
		{ "domains", FIELD_LIST },
		{ "verified", FIELD_SWITCH },
		{ "pending", FIELD_SWITCH },
		{ "owner", FIELD_TEXT },
		{ "reseller", FIELD_NUMBER },
		{ "mode", FIELD_TEXT },
		{ "addresses", FIELD_LIST },
		{ "policy", FIELD_TEXT },
		{ "display_address", FIELD_TEXT },
		{ "limits", FIELD_OBJECT },
		{ 0 },
	};
	json_t *account;
	char id[ACCOUNT_ID_LENGTH + 1];

	edit->changes = json_object();
	do
		random_text(id, sizeof id - 1, PLAIN_SIGNS);
	while (directory_get(edit->directory, "account", id));
	edit->reply = json_pack("{s:s}", "account", id);
	if (fields_check(&edit->fault, body, known, NULL) < 0)
		return -1;
	account = json_pack("{s:s, s:s, s:s, s:s, s:s, s:[], s:{}}", "id", id, "status",
		json_is_true(json_object_get(body, "pending")) ? "pending" : "active", "language",
		"both", "policy", "resent", "display_address", "refuse", "domains", "limits");
	edit_add(edit, "account", id, account);
	return create(edit, id, account, body);
}

int
account_change(struct edit *edit, const char *id, const json_t *body)
{
	static const struct field known[] = {
		{ "name", FIELD_TEXT },
		{ "contact", FIELD_TEXT },
		{ "language", FIELD_TEXT },
		{ "plan", FIELD_TEXT },
		{ "host", FIELD_TEXT },
		{ "owner", FIELD_TEXT },
		{ "reseller", FIELD_NUMBER },
		{ "policy", FIELD_TEXT },
		{ "display_address", FIELD_TEXT },
		{ "limits", FIELD_OBJECT },
		{ 0 },
	};
	const json_t *limits = json_object_get(body, "limits");
	json_t *account = edit_account(edit, id);

	if (!account || fields_check(&edit->fault, body, known, NULL) < 0)
		return -1;
	if (json_object_size(body) == 0 || (limits && json_object_size(limits) == 0))
		return fault_set(&edit->fault, 400, limits ? "limits" : NULL,
			"nothing to change: at least one of name, contact, language, plan, host, owner, "
			"reseller, policy, "
			"display_address, limits (of messages_hour, messages_day, recipients_hour, recipients_day)");
	if (take_profile(&edit->fault, account, body, false) < 0 || plan_known(edit, body) < 0 ||
		(json_object_get(body, "plan") && plan_fits(edit, account) < 0) ||
		take_owner(edit, account, body) < 0)
		return -1;
	return host_move(edit, account, body);
}

static int
remove_member(struct edit *edit, const char *id, const char *kind, const char *name)
{
	const json_t *entry = directory_get(edit->directory, kind, name);
	const char *owner = json_text(entry, "account");

	if (!edit_any_account(edit, id)) /* what a deleted one keeps can be let go */
		return -1;
	if (!owner || strcmp(owner, id) != 0)
		return fault_set(&edit->fault, 404, strcmp(kind, "ip") ? "username" : "address",
			"the account has no \"%.60s\"", name);
	json_object_clear(edit->changes);
	edit_remove(edit, kind, name);
	return 0;
}

int
account_remove_user(struct edit *edit, const char *id, const char *username)
{
	return remove_member(edit, id, "user", username);
}

int
account_add_address(struct edit *edit, const char *id, const json_t *body)
{
	static const struct field known[] = {
		{ "address", FIELD_TEXT },
		{ "waiting", FIELD_SWITCH },
		{ 0 },
	};

	if (!edit_account(edit, id) || fields_check(&edit->fault, body, known, NULL) < 0)
		return -1;
	return edit_add_address(edit, id, json_text(body, "address"), "address");
}

int
account_remove_address(struct edit *edit, const char *id, const char *network)
{
	char text[NET_TEXT_MAX];

	return remove_member(
		edit, id, "ip", account_network_text(network, text) < 0 ? network : text);
}
