/*
 * api_mails.c - which mails a change of an account causes, and the mails that an operator asks for.
 *
 * api_accounts (a change is durable) -> [api_mails] -> notices -> reply, which names the mails
 *
 * The reply waits until the mails are durable. When control dies before that, the client has no
 * reply, and the mails can be asked for; a password is made anew.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/account/account_mode.h"
#include "control/config/plan.h"
#include "control/http/api_private.h"
#include "control/notices/notices.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/config/config.h"

#define RECORDS_MAX 20

struct mailing {
	struct exchange *exchange;
	json_t *reply, *account;
	int status;
	unsigned pending; /* mails, and one while they are begun */
	json_t *mails, *failed;
};

struct letter {
	struct mailing *mailing;
	const char *key;
};

static void
mailing_end(struct mailing *mailing)
{
	if (json_array_size(mailing->failed) > 0)
		json_object_set(mailing->reply, "mails_failed", mailing->failed);
	json_object_set(mailing->reply, "mails", mailing->mails);
	json_decref(mailing->mails);
	json_decref(mailing->failed);
	json_decref(mailing->account);
	reply_json(mailing->exchange, mailing->status, mailing->reply);
	free(mailing);
}

static void
mailing_done(struct mailing *mailing)
{
	if (--mailing->pending == 0)
		mailing_end(mailing);
}

static void
on_sent(void *arg, int err)
{
	const struct letter letter = *(struct letter *)arg;

	free(arg);
	json_array_append_new(
		err ? letter.mailing->failed : letter.mailing->mails, json_string(letter.key));
	mailing_done(letter.mailing);
}

/* `values` without the last one's NULL name may be NULL. */
static void
post(struct mailing *mailing, const char *key, const struct notice_value *values)
{
	static const struct notice_value none = { 0 };
	struct letter *letter = xmalloc(sizeof *letter);

	*letter = (struct letter){ mailing, key };
	mailing->pending++;
	notice_send(mailing->exchange->api->notices, key, mailing->account, values ? values : &none,
		on_sent, letter);
}

/* What the mails tell of an account */

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

/* The TXT record of each domain, a line each; "" without service.spf. */
static char *
records_of(const struct api *api, const json_t *account)
{
	const json_t *domains = json_object_get(account, "domains");
	char *text = NULL;
	size_t length, i;
	json_t *domain;
	FILE *out = xopen_memstream(&text, &length);

	json_array_foreach(domains, i, domain) if (api->config->service.spf && i < RECORDS_MAX)
		fprintf(out, "  %s  TXT  \"v=spf1 include:%s ~all\"\n", json_text(domain, "name"),
			api->config->service.spf);
	if (api->config->service.spf && json_array_size(domains) > RECORDS_MAX)
		fprintf(out, "  + %zu\n", json_array_size(domains) - RECORDS_MAX);
	xclose_memstream(out);
	return text;
}

static bool
is_by_address(const struct mailing *mailing)
{
	return account_mode(mailing->exchange->api->directory, json_text(mailing->account, "id")) ==
		ACCESS_IP;
}

static json_t *
addresses_of(const struct mailing *mailing)
{
	json_t *list = json_array(), *value;
	const char *key;

	json_object_foreach(directory_members(mailing->exchange->api->directory,
				    json_text(mailing->account, "id")),
		key, value) if (strncmp(key, "ip/", 3) == 0)
		json_array_append_new(list, json_string(key + 3));
	return list;
}

/* The mails */

static void
send_activation(struct mailing *mailing)
{
	static const char *const modes[][NOTICE_LANGUAGES] = {
		{ "credenziali", "credentials" },
		{ "IP pubblico", "public IP" },
	};
	static const char *const next[][NOTICE_LANGUAGES] = {
		{ "nome utente, password e configurazione",
			"username, password and configuration" },
		{ "la configurazione", "the configuration" },
	};
	const bool ip = is_by_address(mailing);
	const json_int_t mailboxes = plan_mailboxes(mailing->account);
	char *domains = joined(json_object_get(mailing->account, "domains")), number[24] = "";

	if (mailboxes)
		snprintf(number, sizeof number, "%lld", (long long)mailboxes);
	post(mailing, "activation",
		(struct notice_value[]){ { "MODE", { modes[ip][0], modes[ip][1] }, false },
			{ "NEXT", { next[ip][0], next[ip][1] }, false },
			{ "DOMAINS", { domains }, false }, { "N", { number }, false }, { 0 } });
	free(domains);
}

static void
send_config(struct mailing *mailing)
{
	json_t *list = addresses_of(mailing);
	char *addresses = joined(list);
	char *records = records_of(mailing->exchange->api, mailing->account);

	post(mailing, is_by_address(mailing) ? "config-ip" : "config-credentials",
		(struct notice_value[]){ { "ADDRESSES", { addresses }, false },
			{ "RECORDS", { records }, true }, { 0 } });
	json_decref(list);
	free(addresses);
	free(records);
}

static void
send_username(struct mailing *mailing)
{
	post(mailing, "username",
		(struct notice_value[]){
			{ "USERNAME", { json_text(mailing->reply, "username") }, false }, { 0 } });
}

/* Two mails: nobody who reads one of them can log in. */
static void
send_credential(struct mailing *mailing)
{
	if (!json_object_get(mailing->reply, "password"))
		return;
	send_username(mailing);
	post(mailing, "password",
		(struct notice_value[]){
			{ "PASSWORD", { json_text(mailing->reply, "password") }, false }, { 0 } });
}

static void
send_subscription(struct mailing *mailing)
{
	send_activation(mailing);
	send_credential(mailing);
	send_config(mailing);
}

static void
send_asked(struct mailing *mailing)
{
	if (json_is_true(json_object_get(mailing->exchange->body, "mail")))
		send_credential(mailing);
}

static void
send_suspended(struct mailing *mailing)
{
	post(mailing, "suspended", NULL);
}

static void
send_resumed(struct mailing *mailing)
{
	post(mailing, "resumed", NULL);
}

static void
send_closed(struct mailing *mailing)
{
	char until[DATE_SIZE];

	notice_when(account_kept_until(mailing->account), until);
	post(mailing, "closed", (struct notice_value[]){ { "UNTIL", { until }, false }, { 0 } });
}

static const struct {
	const char *what;
	void (*send)(struct mailing *mailing);
} causes[] = {
	{ "account.create", send_subscription },
	{ "user.add", send_asked },
	{ "user.password", send_asked },
	{ "account.disable", send_suspended },
	{ "account.enable", send_resumed },
	{ "account.restore", send_resumed },
	{ "account.delete", send_closed },
};

static void
mail(struct exchange *x, int status, json_t *reply, void (*send_all)(struct mailing *mailing))
{
	struct mailing *mailing = xmalloc(sizeof *mailing);
	const char *id = json_text(reply, "account");

	*mailing = (struct mailing){ .exchange = x,
		.reply = reply,
		.account = json_incref(directory_get(x->api->directory, "account", id)),
		.status = status,
		.pending = 1,
		.mails = json_array(),
		.failed = json_array() };
	send_all(mailing);
	mailing_done(mailing);
}

void
reply_with_mails(struct exchange *x, const char *what, int status, json_t *reply)
{
	for (size_t i = 0; i < sizeof causes / sizeof *causes; i++) {
		if (strcmp(causes[i].what, what) == 0 && notices_wanted(x->api->notices)) {
			mail(x, status, reply, causes[i].send);
			return;
		}
	}
	reply_json(x, status, reply);
}

bool
mails_possible(struct exchange *x)
{
	if (notices_wanted(x->api->notices))
		return true;
	reply_error(x, 409, "", "customers get no mails: service.name is not set");
	return false;
}

/* The mails that may be sent again. */
static const struct {
	const char *key;
	void (*send)(struct mailing *mailing);
} again[] = {
	{ "activation", send_activation },
	{ "username", send_username },
	{ "config", send_config },
};

void
api_account_mail(struct exchange *x)
{
	struct edit edit = edit_of(x);
	void (*send_all)(struct mailing * mailing) = NULL;

	for (size_t i = 0; i < sizeof again / sizeof *again; i++)
		if (strcmp(again[i].key, x->parameters[1]) == 0)
			send_all = again[i].send;
	if (!send_all) {
		reply_error(x, 404, "mail", "one of: activation, username, config");
		return;
	}
	if (account_named(&edit, x->parameters[0], send_all == send_username, x->body) < 0)
		reply_fault(x, &edit.fault);
	else if (mails_possible(x)) {
		mail(x, 200, edit.reply, send_all);
		return;
	}
	json_decref(edit.reply);
}
