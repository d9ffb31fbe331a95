/*
 * api_sessions.c - the API's list of an account's last sessions.
 *
 * api -> [api_sessions] -> talk.c -> Redis -> sessions -> reply
 */
#include <stdlib.h>
#include <string.h>

#include "control/connection/connection.h"
#include "control/connection/sessions.h"
#include "shared/account/talk.h"
#include "shared/base/log.h"

bool
connection_account_there(struct exchange *x)
{
	if (directory_get(x->api->directory, "account", x->parameters[0]))
		return true;
	reply_error(x, 404, "account", "there is no account \"%.40s\"", x->parameters[0]);
	return false;
}

struct reading {
	records_cb cb;
	void *arg;
};

static void
on_records(void *arg, int err, const json_t *records)
{
	struct reading reading = *(struct reading *)arg;

	free(arg);
	reading.cb(reading.arg, err, records);
}

/* The account's addresses that count, without networks: these may be shared. */
static size_t
own_addresses(const struct exchange *x, const char **out, size_t most)
{
	const struct directory *directory = x->api->directory;
	size_t count = 0;
	const char *key;
	json_t *value;

	json_object_foreach(directory_members(directory, x->parameters[0]), key, value)
	{
		const json_t *entry = directory_entry(directory, key);

		if (count < most && strncmp(key, "ip/", 3) == 0 &&
			(!strchr(key + 3, '/') || strstr(key, "::/64")) &&
			json_is_true(json_object_get(entry, "active")))
			out[count++] = key + 3;
	}
	return count;
}

/* Whether the address is another account's, whose strangers are none of ours. */
static bool
is_anothers(const struct exchange *x, const char *network)
{
	const char *owner = json_string_value(
		json_object_get(directory_get(x->api->directory, "ip", network), "account"));

	return owner && strcmp(owner, x->parameters[0]) != 0;
}

void
records_read(struct exchange *x, const char *browser, records_cb cb, void *arg)
{
	const char *addresses[TALK_READ_ADDRESSES];
	size_t count = own_addresses(x, addresses, TALK_READ_ADDRESSES - 1);
	struct reading *reading = xmalloc(sizeof *reading);
	char network[NET_TEXT_MAX];

	*reading = (struct reading){ cb, arg };
	if (browser && account_network_text(browser, network) == 0 && !is_anothers(x, network))
		addresses[count++] = network;
	talks_read(x->api->redis, x->parameters[0], addresses, count, on_records, reading);
}

static void
on_sessions(void *arg, int err, const json_t *records)
{
	struct exchange *x = arg;
	json_t *sorted;

	if (err) {
		reply_error(x, 503, "", "Redis does not answer: sessions are not known now");
		return;
	}
	sorted = sessions_sort(records);
	reply_json(x, 200, json_pack("{s:o}", "sessions", sessions_shown(sorted)));
	json_decref(sorted);
}

void
api_account_sessions(struct exchange *x)
{
	if (connection_account_there(x))
		records_read(x, caller_is_operator(&x->caller) ? NULL : x->client, on_sessions, x);
}
