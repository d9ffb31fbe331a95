/*
 * api_limits.c - the API's answers on an account's limits, and on how its servers connect.
 *
 * api -> [api_limits] -> limits_use.c, use.c -> Redis -> reply
 */
#include <stdlib.h>
#include <string.h>

#include "control/account/account_user.h"
#include "control/account/accounts.h"
#include "control/account/accounts_private.h"
#include "control/config/plan.h"
#include "control/connection/connection.h"
#include "control/look/json_from.h"
#include "shared/account/limits_use.h"
#include "shared/account/use.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/config/config.h"

#define HOUR_US (UINT64_C(3600) * 1000000)
#define DAY_US (24 * HOUR_US)

static const struct {
	const char *key;
	uint64_t period_us;
} rates[4] = {
	{ "messages_hour", HOUR_US },
	{ "messages_day", DAY_US },
	{ "recipients_hour", HOUR_US },
	{ "recipients_day", DAY_US },
};

/* ---- limits ---- */

/* The account's users that have limits of their own. */
static size_t
limited_users(const struct exchange *x, const char **out)
{
	const struct directory *directory = x->api->directory;
	size_t count = 0;
	const char *key;
	json_t *value;

	json_object_foreach(directory_members(directory, x->parameters[0]), key, value)
	{
		if (count < LIMITS_USE_USERS && strncmp(key, "user/", 5) == 0 &&
			json_object_get(directory_entry(directory, key), "limits"))
			out[count++] = key + 5;
	}
	return count;
}

/* `max` 0: there is no limit, and no row. */
static void
add(json_t *list, const char *key, const char *username, uint64_t used, uint64_t max,
	uint64_t frees_us)
{
	json_t *row;

	if (!max)
		return;
	row = json_pack("{s:s, s:I, s:I, s:o}", "key", key, "used", (json_int_t)used, "max",
		(json_int_t)max, "frees", json_from_time(frees_us));
	if (username)
		json_object_set_new(row, "username", json_string(username));
	json_array_append_new(list, row);
}

static void
add_rates(json_t *list, const struct limits_use *use, size_t who, const json_t *limits,
	const char *username)
{
	for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
		const json_int_t max = json_integer_value(json_object_get(limits, rates[i].key));
		uint64_t frees_us, used;

		if (max <= 0)
			continue;
		used = limits_used(use->full_us[who][i], use->now_us, rates[i].period_us,
			(uint64_t)max, &frees_us);
		add(list, rates[i].key, username, used, (uint64_t)max, frees_us);
	}
}

static void
on_use(void *arg, int err, const struct limits_use *use)
{
	struct exchange *x = arg;
	const struct config *config = x->api->config;
	const json_t *account = directory_get(x->api->directory, "account", x->parameters[0]);
	const struct plan_config *plan = plan_find(config, json_text(account, "plan"));
	const char *users[LIMITS_USE_USERS];
	json_t *list, *limits;
	size_t count;

	if (err || !account) {
		reply_error(x, err ? 503 : 404, err ? "" : "account",
			err ? "Redis does not answer: what is used is not known now"
			    : "there is no such account");
		return;
	}
	list = json_array();
	limits = limits_in_force(config, account);
	add_rates(list, use, 0, limits, NULL);
	json_decref(limits);
	add(list, "in_flight", NULL, use->in_flight, config->ingress.in_flight_max, 0);
	add(list, "waiting", NULL, use->waiting, config->ingress.waiting_max, 0);
	if (plan)
		add(list, "mailboxes", NULL, (uint64_t)plan_mailboxes(account), plan->mailboxes_max,
			0);
	count = limited_users(x, users);
	for (size_t i = 0; i < count; i++)
		add_rates(list, use, 1 + i,
			json_object_get(
				directory_get(x->api->directory, "user", users[i]), "limits"),
			users[i]);
	reply_json(x, 200, json_pack("{s:o}", "limits", list));
}

void
api_account_limits(struct exchange *x)
{
	const char *users[LIMITS_USE_USERS];

	if (connection_account_there(x))
		limits_use_read(
			x->api->redis, x->parameters[0], users, limited_users(x, users), on_use, x);
}

/* ---- how servers connect ---- */

struct connecting {
	struct exchange *exchange;
	json_t *seen;
};

static json_t *
ports_shown(const struct config *config)
{
	static const char *const kinds[] = { [LISTEN_PLAIN] = "none",
		[LISTEN_STARTTLS] = "starttls",
		[LISTEN_IMPLICIT] = "implicit" };
	json_t *ports = json_array();

	for (unsigned i = 0; i < config->ingress.listen_count; i++) {
		const struct listen_config *listen = &config->ingress.listen[i];
		const char *colon = strrchr(listen->address, ':');

		json_array_append_new(ports,
			json_pack("{s:i, s:s, s:b, s:b}", "port", colon ? atoi(colon + 1) : 0,
				"tls", kinds[listen->tls], "tls_required",
				listen->tls_required || listen->tls == LISTEN_IMPLICIT, "auth",
				listen->auth));
	}
	return ports;
}

/* Addresses from which the account's users logged in within a day. */
static json_t *
seen_of(const json_t *times)
{
	const uint64_t now = clock_us();
	json_t *seen = json_array(), *value;
	const char *name;

	json_object_foreach((json_t *)times, name, value)
	{
		const json_int_t us = json_integer_value(value);

		if (strncmp(name, "from/", 5) == 0 && us > 0 && (uint64_t)us + DAY_US > now)
			json_array_append_new(seen,
				json_pack("{s:s, s:o}", "address", name + 5, "at",
					json_from_time((uint64_t)us)));
	}
	return seen;
}

static void
on_logins(void *arg, int err, const json_t *logins)
{
	struct connecting connecting = *(struct connecting *)arg;
	struct exchange *x = connecting.exchange;
	static const char *const fields[] = { "host", "host_before", "host_before_until", "mode",
		"switch", "grace", "off", "users", "addresses" };
	json_t *account = account_show(x->api->directory, x->api->config, x->parameters[0]), *reply;

	(void)err;
	free(arg);
	if (!account) {
		json_decref(connecting.seen);
		reply_error(x, 404, "account", "there is no such account");
		return;
	}
	users_show_logins(json_object_get(account, "users"), logins);
	reply = json_pack("{s:o, s:s, s:o}", "ports", ports_shown(x->api->config),
		"browser_address", x->client, "seen", connecting.seen);
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		if (json_object_get(account, fields[i]))
			json_object_set(reply, fields[i], json_object_get(account, fields[i]));
	if (!json_object_get(reply, "host"))
		json_object_set_new(reply, "host", json_string(x->api->config->hostname));
	json_decref(account);
	reply_json(x, 200, reply);
}

static void
on_uses(void *arg, int err, const json_t *times)
{
	struct exchange *x = arg;
	struct connecting *connecting = xmalloc(sizeof *connecting);

	*connecting = (struct connecting){ x, err ? json_null() : seen_of(times) };
	logins_read(x->api->redis, x->parameters[0], on_logins, connecting);
}

void
api_account_connection(struct exchange *x)
{
	if (connection_account_there(x))
		uses_read(x->api->redis, x->parameters[0], on_uses, x);
}
