/*
 * mailing_texts.c - what the mails about an account tell.
 *
 * mailings -> [mailing_texts] -> mailing_post()
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/account/account_mode.h"
#include "control/account/address_state.h"
#include "control/config/directory.h"
#include "control/config/plan.h"
#include "control/domain/domain_check.h"
#include "control/mails/mailing.h"
#include "control/notices/notices.h"
#include "control/watch/domain_result.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/config/config.h"

#define RECORDS_MAX 20

static const char *const modes[][NOTICE_LANGUAGES] = {
	[ACCESS_NONE] = { "", "" },
	[ACCESS_CREDENTIALS] = { "credenziali", "credentials" },
	[ACCESS_IP] = { "IP pubblico", "public IP" },
};
#define MODE_VALUE(name, mode)                                                                     \
	{                                                                                          \
		name, { modes[mode][0], modes[mode][1] }, false                                    \
	}

/* The texts of a list, or of its objects' "name", with commas between; the caller frees it. */
static char *
joined(const json_t *list)
{
	char *text = NULL;
	size_t length, i;
	json_t *item;
	FILE *out = xopen_memstream(&text, &length);

	json_array_foreach(list, i, item) fprintf(out, "%s%s", i ? ", " : "",
		json_is_string(item) ? json_string_value(item) : json_text(item, "name"));
	xclose_memstream(out);
	return text;
}

/* The records of a domain: what proves it, unless it is verified, and SPF with service.spf. */
static void
put_records(FILE *out, const struct mailing *mailing, const json_t *domain)
{
	const char *name = json_text(domain, "name"), *spf = mailing->config->service.spf;
	char token[DOMAIN_TOKEN_SIZE];
	struct domain_asked asked;

	if (!json_is_true(json_object_get(domain, "verified")) &&
		domain_asked_of(
			mailing->directory, json_text(mailing->account, "id"), domain, &asked)) {
		domain_token(&asked, token);
		fprintf(out, "  _shout.%s  TXT  \"shout=%s\"\n", name, token);
	}
	if (spf)
		fprintf(out, "  %s  TXT  \"v=spf1 include:%s ~all\"\n", name, spf);
}

/* The TXT records of each domain, a line each. */
static char *
records_of(const struct mailing *mailing)
{
	const json_t *domains = json_object_get(mailing->account, "domains");
	char *text = NULL;
	size_t length, i;
	json_t *domain;
	FILE *out = xopen_memstream(&text, &length);

	json_array_foreach(domains, i, domain)
	{
		if (i < RECORDS_MAX)
			put_records(out, mailing, domain);
	}
	if (ftell(out) > 0 && json_array_size(domains) > RECORDS_MAX)
		fprintf(out, "  + %zu\n", json_array_size(domains) - RECORDS_MAX);
	xclose_memstream(out);
	return text;
}

static enum access_mode
mode_of(const struct mailing *mailing)
{
	return account_mode(mailing->directory, json_text(mailing->account, "id"));
}

static enum access_mode
other_than(enum access_mode mode)
{
	return mode == ACCESS_IP ? ACCESS_CREDENTIALS : ACCESS_IP;
}

static json_t *
addresses_of(const struct mailing *mailing)
{
	json_t *members = directory_members(mailing->directory, json_text(mailing->account, "id"));
	json_t *list = json_array(), *value;
	const char *key;

	json_object_foreach(members, key, value)
	{
		if (strncmp(key, "ip/", 3) == 0)
			json_array_append_new(list, json_string(key + 3));
	}
	return list;
}

static uint64_t
time_of(const json_t *object, const char *field)
{
	const json_int_t us = json_integer_value(json_object_get(object, field));

	return us > 0 ? (uint64_t)us : 0;
}

/* As mails tell a time; "" for 0. */
static void
when(uint64_t us, char out[DATE_SIZE])
{
	*out = '\0';
	if (us)
		notice_when(us, out);
}

/* Activation, credentials, configuration */

static bool
is_pending(const json_t *account)
{
	return strcmp(json_text_or(account, "status", ""), "pending") == 0;
}

static void
send_activation(struct mailing *mailing)
{
	static const char *const next[][NOTICE_LANGUAGES] = {
		[ACCESS_CREDENTIALS] = { "nome utente, password e configurazione",
			"username, password and configuration" },
		[ACCESS_IP] = { "la configurazione", "the configuration" },
	};
	const enum access_mode mode = mode_of(mailing);
	const json_int_t mailboxes = plan_mailboxes(mailing->account);
	char *domains = joined(json_object_get(mailing->account, "domains")), number[24] = "";

	if (mailboxes)
		snprintf(number, sizeof number, "%lld", (long long)mailboxes);
	mailing_post(mailing, "activation",
		(struct notice_value[]){ MODE_VALUE("MODE", mode),
			{ "NEXT", { next[mode][0], next[mode][1] }, false },
			{ "DOMAINS", { domains }, false }, { "N", { number }, false }, { 0 } });
	free(domains);
}

static void
post_config(struct mailing *mailing, enum access_mode mode)
{
	json_t *list = addresses_of(mailing);
	char *addresses = joined(list), *records = records_of(mailing);

	mailing_post(mailing, mode == ACCESS_IP ? "config-ip" : "config-credentials",
		(struct notice_value[]){ { "ADDRESSES", { addresses }, false },
			{ "RECORDS", { records }, true }, { 0 } });
	json_decref(list);
	free(addresses);
	free(records);
}

static void
send_config(struct mailing *mailing)
{
	post_config(mailing, mode_of(mailing));
}

static void
send_username(struct mailing *mailing)
{
	mailing_post(mailing, "username",
		(struct notice_value[]){
			{ "USERNAME", { json_text(mailing->secrets, "username") }, false },
			{ 0 } });
}

/* Two mails: nobody who reads one of them can log in. */
static void
send_credential(struct mailing *mailing)
{
	if (!json_object_get(mailing->secrets, "password"))
		return;
	send_username(mailing);
	mailing_post(mailing, "password",
		(struct notice_value[]){
			{ "PASSWORD", { json_text(mailing->secrets, "password") }, false },
			{ 0 } });
}

static void
send_subscription(struct mailing *mailing)
{
	if (!is_pending(mailing->account))
		send_activation(mailing);
	send_credential(mailing);
	send_config(mailing);
}

/* The state of the service */

/* A side ("before", "after") of the change of an object, or NULL. */
static const json_t *
side_of(const struct mailing *mailing, const char *side)
{
	json_t *changes = json_object_get(mailing->event, "changes"), *change;
	size_t i;

	json_array_foreach(changes, i, change)
	{
		if (strncmp(json_text_or(change, "object", ""), "account/", 8) == 0)
			return json_object_get(change, side);
	}
	return NULL;
}

/* Whether an account that was pending became active. */
static bool
has_begun(const struct mailing *mailing)
{
	return is_pending(side_of(mailing, "before")) && !is_pending(side_of(mailing, "after"));
}

/* By a verified domain. */
static void
send_began(struct mailing *mailing)
{
	if (has_begun(mailing))
		send_activation(mailing);
}

static void
send_resumed(struct mailing *mailing)
{
	if (has_begun(mailing))
		send_activation(mailing);
	else
		mailing_post(mailing, "resumed", NULL);
}

static void
send_suspended(struct mailing *mailing)
{
	char until[DATE_SIZE];

	when(time_of(mailing->account, "until_us"), until);
	mailing_post(mailing, "suspended",
		(struct notice_value[]){
			{ "REASON", { json_text(mailing->account, "reason") }, false },
			{ "UNTIL", { until }, false }, { 0 } });
}

static void
send_closed(struct mailing *mailing)
{
	char until[DATE_SIZE];

	notice_when(account_kept_until(mailing->account), until);
	mailing_post(
		mailing, "closed", (struct notice_value[]){ { "UNTIL", { until }, false }, { 0 } });
}

/* A switch of mode */

/* Two processes may see the same, and each make the change. So the mails' ids are made of what was
 * seen. */
static void
post_seen(struct mailing *mailing, const char *key, const char *about, uint64_t since_us,
	const struct notice_value *values)
{
	char *seed = xasprintf(
		"%s %s %" PRIu64, json_text(mailing->account, "id"), about, since_us);

	mailing->seed = seed;
	mailing_post(mailing, key, values);
	mailing->seed = NULL;
	free(seed);
}

static void
send_switch(struct mailing *mailing)
{
	const json_t *under_way = json_object_get(mailing->account, "switch");
	const enum access_mode to = access_mode_read(json_text(under_way, "to"));

	send_credential(mailing);
	if (to != ACCESS_NONE)
		post_config(mailing, to);
}

static void
send_in_force(struct mailing *mailing)
{
	const json_t *grace = json_object_get(mailing->account, "grace");
	const json_t *was = json_object_get(side_of(mailing, "before"), "switch");
	const enum access_mode mode = mode_of(mailing);
	char until[DATE_SIZE];

	when(time_of(grace, "length_us") ? time_of(grace, "until_us") : 0, until);
	post_seen(mailing, "in-force", "", time_of(was, "since_us"),
		(struct notice_value[]){ MODE_VALUE("MODE", mode),
			MODE_VALUE("OLD", other_than(mode)), { "GRACE", { until }, false },
			{ 0 } });
}

static void
send_grace_ending(struct mailing *mailing)
{
	const json_t *grace = json_object_get(mailing->account, "grace");
	char until[DATE_SIZE], used[DATE_SIZE];

	if (!grace)
		return;
	when(time_of(grace, "until_us"), until);
	when(time_of(grace, "used_us"), used);
	post_seen(mailing, "grace-ending", "", time_of(grace, "until_us"),
		(struct notice_value[]){ MODE_VALUE("OLD", other_than(mode_of(mailing))),
			{ "GRACE", { until }, false }, { "USED", { used }, false }, { 0 } });
}

/* Addresses */

static void
post_lapse(struct mailing *mailing, const char *network, bool lapsed, uint64_t used_us,
	uint64_t until_us)
{
	char *about = xasprintf("%s %s", network, lapsed ? "lapsed" : "lapsing");
	char until[DATE_SIZE], days[8], *italian, *english;

	when(until_us, until);
	snprintf(days, sizeof days, "%d", lapsed ? ADDRESS_LAPSE_DAYS : ADDRESS_NOTICE_DAYS);
	italian = lapsed ? xstrdup("scaduto") : xasprintf("scade il %s", until);
	english = lapsed ? xstrdup("lapsed") : xasprintf("lapses on %s", until);
	post_seen(mailing, "address-lapse", about, used_us,
		(struct notice_value[]){ { "IP", { network }, false },
			{ "STATE", { italian, english }, false }, { "UNTIL", { until }, false },
			{ "N", { days }, false }, { 0 } });
	free(about);
	free(italian);
	free(english);
}

/* Of each address that the change has made lapsing or lapsed. */
static void
send_lapses(struct mailing *mailing)
{
	json_t *changes = json_object_get(mailing->event, "changes"), *change;
	size_t i;

	json_array_foreach(changes, i, change)
	{
		const char *key = json_text_or(change, "object", "");
		const json_t *after = json_object_get(change, "after");
		const json_t *entry = directory_entry(mailing->directory, key);
		const uint64_t lapses = time_of(after, "lapses_us");
		const bool lapsed = json_is_true(json_object_get(after, "lapsed"));

		if (strncmp(key, "ip/", 3) == 0 && entry && (lapses || lapsed))
			post_lapse(mailing, key + 3, lapsed, time_of(entry, "used_us"),
				lapsed ? time_of(entry, "asked_us") : lapses);
	}
}

/* Webhooks */

static void
send_webhook_off(struct mailing *mailing)
{
	json_t *changes = json_object_get(mailing->event, "changes"), *change;
	size_t i;

	json_array_foreach(changes, i, change)
	{
		const char *key = json_text_or(change, "object", "");
		const json_t *entry = directory_entry(mailing->directory, key);

		if (strncmp(key, "webhook/", 8) == 0 && time_of(entry, "off_us"))
			post_seen(mailing, "webhook-off", key, time_of(entry, "off_us"),
				(struct notice_value[]){
					{ "URL", { json_text(entry, "url") }, false }, { 0 } });
	}
}

static const struct cause causes[] = {
	{ "account.create", send_subscription },
	{ "user.add", send_credential },
	{ "user.password", send_credential },
	{ "account.mode.switch", send_switch },
	{ "account.mode.in-force", send_in_force },
	{ "account.mode.grace-ending", send_grace_ending },
	{ "address.state", send_lapses },
	{ "webhook.off", send_webhook_off },
	{ "account.disable", send_suspended },
	{ "account.enable", send_resumed },
	{ "domain.add", send_began },
	{ "domain.check", send_began },
	{ "account.restore", send_resumed },
	{ "account.delete", send_closed },
};

static const struct cause asked[] = {
	{ "activation", send_activation },
	{ "username", send_username },
	{ "config", send_config },
};

static const struct cause *
find(const struct cause *table, size_t count, const char *what)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(table[i].what, what) == 0)
			return &table[i];
	return NULL;
}

const struct cause *
cause_of(const char *what)
{
	return find(causes, sizeof causes / sizeof *causes, what);
}

const struct cause *
asked_of(const char *name)
{
	return find(asked, sizeof asked / sizeof *asked, name);
}
