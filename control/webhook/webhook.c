/*
 * webhook.c - changes of webhooks.
 *
 * api_webhooks.c -> [webhook] -> commit -> relay.config
 */
#include "control/webhook/webhook.h"

#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "control/people/secret.h"
#include "control/webhook/target.h"
#include "shared/base/date.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/net.h"

static const char *const events[] = { "accepted", "held", "alerted", "released", "deferred",
	"delayed", "delivered", "bounced", "expired" };
#define EVENTS_LISTED                                                                              \
	"accepted, held, alerted, released, deferred, delayed, delivered, bounced, expired"

bool
webhook_event_known(const char *name)
{
	for (size_t i = 0; i < sizeof events / sizeof *events; i++)
		if (strcmp(name, events[i]) == 0)
			return true;
	return false;
}

/* ---- what a request gives ---- */

/* A part of the URL; "" when there is none. The caller frees it. */
static char *
part_of(CURLU *url, CURLUPart part)
{
	char *found = NULL, *text;

	if (curl_url_get(url, part, &found, 0))
		found = NULL;
	text = xstrdup(found ? found : "");
	curl_free(found);
	return text;
}

/* "[2001:db8::1]" without its brackets, as an address. */
static bool
is_refused_address(const struct config *config, const char *host)
{
	const size_t length = strlen(host);
	char *bare = *host == '[' ? xstrndup(host + 1, length > 2 ? length - 2 : 0) : xstrdup(host);
	struct net_address address;
	const bool refused = net_parse_ip(bare, 443, &address) == 0 &&
		!target_allowed(config, (const struct sockaddr *)&address.sa, address.length);

	free(bare);
	return refused;
}

static int
check_parts(struct edit *edit, CURLU *url)
{
	char *scheme = part_of(url, CURLUPART_SCHEME), *host = part_of(url, CURLUPART_HOST);
	char *user = part_of(url, CURLUPART_USER), *password = part_of(url, CURLUPART_PASSWORD);
	char *fragment = part_of(url, CURLUPART_FRAGMENT);
	int err = 0;

	if (strcmp(scheme, "https") != 0 && strcmp(scheme, "http") != 0)
		err = fault_set(&edit->fault, 400, "url", "it begins with https:// or http://");
	else if (*user || *password)
		err = fault_set(&edit->fault, 400, "url",
			"a username or a password is not sent: the signature proves who posts");
	else if (*fragment)
		err = fault_set(&edit->fault, 400, "url", "what follows a # is never sent");
	else if (is_refused_address(edit->config, host))
		err = fault_set(&edit->fault, 400, "url",
			"the address is not on the internet: posts would go to a private network");
	explicit_bzero(password, strlen(password));
	free(scheme);
	free(host);
	free(user);
	free(password);
	free(fragment);
	return err;
}

static int
take_url(struct edit *edit, const json_t *body, json_t *entry)
{
	const char *text = json_text(body, "url");
	CURLU *url;
	int err;

	if (!text)
		return 0;
	for (const char *at = text; *at; at++)
		if (*at <= ' ' || *at > '~')
			return fault_set(&edit->fault, 400, "url",
				"an URL has no spaces, and nothing but ASCII: encode the rest");
	if (strlen(text) > WEBHOOK_URL_MAX)
		return fault_set(&edit->fault, 400, "url", "at most %d signs", WEBHOOK_URL_MAX);
	url = curl_url();
	if (!url)
		die("no memory", "libcurl");
	err = curl_url_set(url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME)
		? fault_set(&edit->fault, 400, "url", "an URL like https://example.net/hook")
		: check_parts(edit, url);
	curl_url_cleanup(url);
	if (!err)
		json_object_set_new(entry, "url", json_string(text));
	return err;
}

static bool
lists(const json_t *list, const char *text)
{
	const json_t *one;
	size_t i;

	json_array_foreach(list, i, one) if (strcmp(json_string_value(one), text) == 0) return true;
	return false;
}

static int
take_events(struct edit *edit, const json_t *body, json_t *entry)
{
	const json_t *given = json_object_get(body, "events");
	json_t *names, *one;
	size_t i, count = 0;

	if (!given)
		return 0;
	json_array_foreach(given, i, one)
	{
		const char *name = json_string_value(one);

		if (!name || !webhook_event_known(name))
			return fault_set(
				&edit->fault, 400, "events", "each is one of: " EVENTS_LISTED);
		count++;
	}
	if (!count)
		return fault_set(&edit->fault, 400, "events", "at least one of: " EVENTS_LISTED);
	names = json_array();
	for (i = 0; i < sizeof events / sizeof *events; i++)
		if (lists(given, events[i]))
			json_array_append_new(names, json_string(events[i]));
	json_object_set_new(entry, "events", names);
	return 0;
}

/* ---- edits ---- */

static void
begin(struct edit *edit)
{
	edit->changes = json_object();
	edit->reply = json_object();
}

/* Takes the entry over. */
static void
put(struct edit *edit, const char *id, json_t *entry)
{
	char *key = xasprintf(WEBHOOK "%s", id);

	json_decref(edit->reply);
	edit->reply = webhook_show(entry);
	json_object_set_new(edit->changes, key, entry);
	free(key);
}

static int
account_takes_one(struct edit *edit, const char *account)
{
	const json_t *entry = directory_get(edit->directory, "account", account);
	const char *key;
	json_t *value;
	unsigned count = 0;

	if (!entry || account_is_deleted(entry))
		return fault_set(
			&edit->fault, 404, "account", "there is no account \"%.40s\"", account);
	json_object_foreach(directory_members(edit->directory, account), key, value)
		count += strncmp(key, WEBHOOK, strlen(WEBHOOK)) == 0;
	if (count >= WEBHOOKS_MAX)
		return fault_set(&edit->fault, 409, "account",
			"it has %d webhooks already, and may not have more", WEBHOOKS_MAX);
	return 0;
}

int
webhook_add(struct edit *edit, const char *account, const json_t *body, uint64_t now_us)
{
	static const struct field known[] = { { "url", FIELD_TEXT }, { "events", FIELD_LIST },
		{ 0 } };
	char secret[SECRET_SIZE], id[SECRET_ID_SIZE];
	json_t *entry = json_object();
	int err;

	begin(edit);
	err = account_takes_one(edit, account);
	if (!err)
		err = fields_check(&edit->fault, body, known, NULL);
	if (!err)
		err = take_url(edit, body, entry);
	if (!err)
		err = take_events(edit, body, entry);
	if (!err && !json_object_get(entry, "url"))
		err = fault_set(&edit->fault, 400, "url", "an URL like https://example.net/hook");
	if (!err && !json_object_get(entry, "events"))
		err = fault_set(&edit->fault, 400, "events", "at least one of: " EVENTS_LISTED);
	if (err) {
		json_decref(entry);
		return err;
	}
	secret_new("whsec_", secret, id);
	json_object_set_new(entry, "version", json_integer((json_int_t)now_us));
	json_object_set_new(entry, "id", json_string(id));
	json_object_set_new(entry, "account", json_string(account));
	json_object_set_new(entry, "enabled", json_true());
	json_object_set_new(entry, "created_us", json_integer((json_int_t)now_us));
	json_object_set_new(entry, "since_us", json_integer((json_int_t)now_us));
	json_object_set_new(entry, "secret", json_string(secret)); /* the audit never shows it */
	put(edit, id, entry);
	json_object_set_new(edit->reply, "secret", json_string(secret));
	explicit_bzero(secret, sizeof secret);
	return 0;
}

const json_t *
webhook_find(const struct directory *directory, const char *account, const char *id)
{
	const json_t *entry = directory_get(directory, "webhook", id);
	const char *owner = json_text(entry, "account");

	return owner && (!account || strcmp(owner, account) == 0) ? entry : NULL;
}

bool
webhook_is_of(const char *key, const json_t *entry, const char *account)
{
	const char *owner = json_text(entry, "account");

	return strncmp(key, WEBHOOK, strlen(WEBHOOK)) == 0 && owner && strcmp(owner, account) == 0;
}

/* A copy of the entry with a new version, or NULL and a fault. */
static json_t *
changed(struct edit *edit, const char *account, const char *id)
{
	const json_t *old = webhook_find(edit->directory, account, id);
	const json_int_t now = (json_int_t)clock_us(), before = directory_version(old);
	json_t *entry = old ? json_copy((json_t *)old) : NULL;

	if (entry)
		json_object_set_new(
			entry, "version", json_integer(now > before ? now : before + 1));
	else
		fault_set(&edit->fault, 404, "id", "there is no such webhook");
	return entry;
}

int
webhook_change(struct edit *edit, const char *account, const char *id, const json_t *body)
{
	static const struct field known[] = { { "url", FIELD_TEXT }, { "events", FIELD_LIST },
		{ "enabled", FIELD_SWITCH }, { 0 } };
	json_t *entry, *enabled = json_object_get(body, "enabled");
	int err;

	begin(edit);
	entry = changed(edit, account, id);
	if (!entry)
		return -1;
	err = fields_check(&edit->fault, body, known, NULL);
	if (!err && !json_object_size(body))
		err = fault_set(
			&edit->fault, 400, "", "at least one of url, events, enabled is needed");
	if (!err)
		err = take_url(edit, body, entry);
	if (!err)
		err = take_events(edit, body, entry);
	if (err) {
		json_decref(entry);
		return err;
	}
	if (enabled) {
		if (json_is_true(enabled) && !json_is_true(json_object_get(entry, "enabled")))
			json_object_set(entry, "since_us", json_object_get(entry, "version"));
		json_object_set(entry, "enabled", enabled);
		json_object_del(entry, "off_us");
		json_object_del(entry, "off_why");
	}
	put(edit, id, entry);
	return 0;
}

int
webhook_remove(struct edit *edit, const char *account, const char *id)
{
	char *key;

	begin(edit);
	if (!webhook_find(edit->directory, account, id))
		return fault_set(&edit->fault, 404, "id", "there is no such webhook");
	key = xasprintf(WEBHOOK "%s", id);
	json_object_set_new(edit->changes, key, json_null());
	json_object_set_new(edit->reply, "id", json_string(id));
	free(key);
	return 0;
}

int
webhook_off(struct edit *edit, const char *id, const char *why, uint64_t now_us)
{
	json_t *entry;

	begin(edit);
	entry = changed(edit, NULL, id);
	if (!entry || !json_is_true(json_object_get(entry, "enabled"))) {
		json_decref(entry);
		return -1;
	}
	json_object_set_new(entry, "enabled", json_false());
	json_object_set_new(entry, "off_us", json_integer((json_int_t)now_us));
	json_object_set_new(entry, "off_why", json_stringn(why, strnlen(why, 200)));
	put(edit, id, entry);
	return 0;
}

/* ---- as the API shows it ---- */

static json_t *
time_of(const json_t *entry, const char *name)
{
	const json_int_t us = json_integer_value(json_object_get(entry, name));
	char text[DATE_SIZE];

	if (us <= 0)
		return json_null();
	date_iso((uint64_t)us, text);
	return json_string(text);
}

json_t *
webhook_show(const json_t *entry)
{
	static const char *const copied[] = { "id", "account", "url", "events", "enabled" };
	const char *why = json_text(entry, "off_why");
	json_t *shown = json_object();

	for (size_t i = 0; i < sizeof copied / sizeof *copied; i++)
		json_object_set(shown, copied[i], json_object_get(entry, copied[i]));
	json_object_set_new(shown, "created", time_of(entry, "created_us"));
	json_object_set_new(shown, "off_since", time_of(entry, "off_us"));
	json_object_set_new(shown, "off_reason", why ? json_string(why) : json_null());
	return shown;
}
