/*
 * egress_edit.c - what an operator says of an egress IP becomes its entry in relay.config.
 *
 * api_egress -> [egress_edit] -> commit
 */
#include "control/egress/egress_edit.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/date.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/net.h"
#include "shared/egress/egress_entry.h"

static char *
key_of(const char *ip)
{
	return xasprintf(EGRESS_PREFIX "%s", ip);
}

const json_t *
egress_entry_of(const struct directory *directory, const char *ip)
{
	char canonical[NET_TEXT_MAX], *key;
	const json_t *entry;

	if (egress_ip_canonical(ip, canonical) < 0)
		return NULL;
	key = key_of(canonical);
	entry = directory_entry(directory, key);
	free(key);
	return entry;
}

static int
take_helo(struct fault *fault, const json_t *body, json_t *entry)
{
	const char *text = json_text(body, "helo");
	char helo[256];

	if (!text)
		return 0;
	if (canonical_domain(text, helo) < 0 || !strchr(helo, '.'))
		return fault_set(fault, 400, "helo",
			"the name that the IP's PTR record leads to, like out1.example.com");
	return json_object_set_new(entry, "helo", json_string(helo));
}

static int
take_pool(struct fault *fault, const json_t *body, json_t *entry)
{
	const char *pool = json_text(body, "pool");

	if (pool && !egress_pool_valid(pool))
		return fault_set(fault, 400, "pool",
			"one of: good, new, suspect, bounce, dedicated:NAME (letters a to z, "
			"digits, hyphens)");
	return pool ? json_object_set_new(entry, "pool", json_string(pool)) : 0;
}

static int
take_weight(struct fault *fault, const json_t *body, json_t *entry)
{
	const json_t *weight = json_object_get(body, "weight");
	const json_int_t n = json_integer_value(weight);

	if (weight && (n < 1 || n > EGRESS_WEIGHT_MAX))
		return fault_set(fault, 400, "weight", "a number from 1 to %d", EGRESS_WEIGHT_MAX);
	return weight ? json_object_set_new(entry, "weight", json_integer(n)) : 0;
}

/* The part before the @ is kept apart: it is never shown. */
static int
take_via(struct fault *fault, const json_t *body, json_t *entry)
{
	const char *url = json_text(body, "via"), *why, *at, *rest;
	struct egress_proxy proxy;
	char via[EGRESS_VIA_MAX];

	if (!url)
		return 0;
	json_object_del(entry, "via");
	json_object_del(entry, "proxy_secret");
	if (!*url)
		return 0;
	why = egress_proxy_parse(&proxy, url);
	if (why)
		return fault_set(fault, 400, "via", "%s", why);
	egress_proxy_format(&proxy, via);
	explicit_bzero(&proxy, sizeof proxy);
	json_object_set_new(entry, "via", json_string(via));
	at = strrchr(url, '@');
	rest = strstr(url, "://") + 3;
	if (at)
		json_object_set_new(entry, "proxy_secret", json_stringn(rest, (size_t)(at - rest)));
	return 0;
}

static int
take_rest(struct fault *fault, const json_t *body, json_t *entry, uint64_t now_us)
{
	const char *text = json_text(body, "rest_until");
	uint64_t until_us;

	if (!text)
		return 0;
	json_object_del(entry, "rest_until_us");
	if (!*text)
		return 0;
	if (date_read(text, now_us, &until_us) < 0)
		return fault_set(
			fault, 400, "rest_until", "a time like 2027-01-31T12:00:00Z is needed");
	if (until_us <= now_us)
		return fault_set(fault, 400, "rest_until", "it is over already");
	return json_object_set_new(entry, "rest_until_us", json_integer((json_int_t)until_us));
}

static void
take_times(const json_t *body, json_t *entry, uint64_t now_us)
{
	const json_t *warm = json_object_get(body, "warm");

	if (json_is_true(warm))
		json_object_set_new(entry, "warm_us", json_integer((json_int_t)now_us));
	else if (warm)
		json_object_del(entry, "warm_us");
	if (json_is_true(json_object_get(body, "lifted")))
		json_object_set_new(entry, "lifted_us", json_integer((json_int_t)now_us));
	json_object_set_new(entry, "version", json_integer((json_int_t)now_us));
}

/* Takes the fields that the body has. */
static int
take(struct fault *fault, const json_t *body, json_t *entry, uint64_t now_us)
{
	if (take_helo(fault, body, entry) < 0 || take_pool(fault, body, entry) < 0 ||
		take_weight(fault, body, entry) < 0 || take_via(fault, body, entry) < 0 ||
		take_rest(fault, body, entry, now_us) < 0)
		return -1;
	take_times(body, entry, now_us);
	return 0;
}

/* Ends an edit: the entry (taken over) is what the IP becomes. */
static int
end(struct edit *edit, int err, json_t *entry, uint64_t now_us)
{
	char *key;

	edit->changes = json_object();
	edit->reply = err ? json_object() : egress_show(entry, now_us);
	if (err) {
		json_decref(entry);
		return -1;
	}
	key = key_of(json_text(entry, "ip"));
	json_object_set_new(edit->changes, key, entry);
	free(key);
	return 0;
}

static int
take_ip(struct edit *edit, const json_t *body, json_t *entry)
{
	const char *text = json_text(body, "ip");
	char ip[NET_TEXT_MAX];

	if (!text || egress_ip_canonical(text, ip) < 0)
		return fault_set(
			&edit->fault, 400, "ip", "an address like 192.0.2.7 or 2001:db8::7");
	return json_object_set_new(entry, "ip", json_string(ip));
}

static int
is_complete(struct fault *fault, const json_t *entry)
{
	static const char *const needed[] = { "helo", "pool" };

	for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
		if (!json_object_get(entry, needed[i]))
			return fault_set(fault, 400, needed[i], "it has to be given");
	return 0;
}

int
egress_add(struct edit *edit, const json_t *body, uint64_t now_us)
{
	static const struct field known[] = { { "ip", FIELD_TEXT }, { "helo", FIELD_TEXT },
		{ "pool", FIELD_TEXT }, { "weight", FIELD_NUMBER }, { "via", FIELD_TEXT },
		{ "warm", FIELD_SWITCH }, { 0 } };
	json_t *entry = json_pack("{s:i, s:I}", "weight", 1, "created_us", (json_int_t)now_us);
	const char *via = json_text(body, "via");
	int err = fields_check(&edit->fault, body, known, NULL);

	if (!err)
		err = take_ip(edit, body, entry);
	if (!err && via && !*via)
		err = fault_set(&edit->fault, 400, "via", "it is empty");
	if (!err)
		err = take(&edit->fault, body, entry, now_us);
	if (!err)
		err = is_complete(&edit->fault, entry);
	if (!err && egress_entry_of(edit->directory, json_text(entry, "ip")))
		err = fault_set(&edit->fault, 409, "ip", "it is an egress IP already");
	return end(edit, err, entry, now_us);
}

int
egress_change(struct edit *edit, const char *ip, const json_t *body, uint64_t now_us)
{
	static const struct field known[] = { { "helo", FIELD_TEXT }, { "pool", FIELD_TEXT },
		{ "weight", FIELD_NUMBER }, { "via", FIELD_TEXT }, { "warm", FIELD_SWITCH },
		{ "rest_until", FIELD_TEXT }, { "lifted", FIELD_SWITCH }, { 0 } };
	const json_t *old = egress_entry_of(edit->directory, ip);
	json_t *entry = old ? json_copy((json_t *)old) : json_object();
	int err = fields_check(&edit->fault, body, known, NULL);

	if (!err && !json_object_size(body))
		err = fault_set(&edit->fault, 400, "",
			"at least one of: helo, pool, weight, via, warm, rest_until, lifted");
	if (!err)
		err = take(&edit->fault, body, entry, now_us);
	if (!err && !old)
		err = fault_set(&edit->fault, 404, "ip", "there is no such egress IP");
	return end(edit, err, entry, now_us);
}

int
egress_remove(struct edit *edit, const char *ip)
{
	const json_t *entry = egress_entry_of(edit->directory, ip);
	char *key;

	edit->changes = json_object();
	edit->reply = json_pack("{s:s}", "id", ip);
	if (!entry)
		return fault_set(&edit->fault, 404, "ip", "there is no such egress IP");
	key = key_of(json_text(entry, "ip"));
	json_object_set_new(edit->changes, key, json_null());
	free(key);
	return 0;
}

static void
show_time(json_t *shown, const json_t *entry, const char *from, const char *to, uint64_t after_us)
{
	const json_int_t us = json_integer_value(json_object_get(entry, from));
	const bool counts = us > 0 && (uint64_t)us > after_us;
	char text[DATE_SIZE];

	if (counts)
		date_iso((uint64_t)us, text);
	json_object_set_new(shown, to, counts ? json_string(text) : json_null());
}

json_t *
egress_show(const json_t *entry, uint64_t now_us)
{
	static const char *const copied[] = { "ip", "helo", "pool", "weight" };
	const char *via = json_text(entry, "via");
	const json_int_t rest = json_integer_value(json_object_get(entry, "rest_until_us"));
	json_t *shown = json_object();

	for (size_t i = 0; i < sizeof copied / sizeof *copied; i++)
		json_object_set(shown, copied[i], json_object_get(entry, copied[i]));
	json_object_set_new(shown, "via", via ? json_string(via) : json_null());
	show_time(shown, entry, "rest_until_us", "rest_until", now_us);
	show_time(shown, entry, "warm_us", "warming_since", 0);
	show_time(shown, entry, "lifted_us", "lifted", 0);
	show_time(shown, entry, "created_us", "created", 0);
	json_object_set_new(shown, "state",
		json_string(rest > 0 && (uint64_t)rest > now_us     ? "resting"
				: json_object_get(entry, "warm_us") ? "warming"
								    : "active"));
	return shown;
}
