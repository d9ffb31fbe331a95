/*
 * api_dkim.c - keys of domains: shown, made, rotated and switched off.
 *
 * api -> [api_dkim] -> (worker: dkim_entry makes keys) -> relay.config -> reply
 *
 * To make a key takes a tenth of a second, so the worker does it, from a copy of the entry. Where
 * the entry has changed meanwhile, the request is refused and nothing has happened.
 */
#include "control/dkim/api_dkim.h"

#include <stdlib.h>
#include <string.h>

#include "control/dkim/dkim_entry.h"
#include "control/http/api_private.h"
#include "control/http/entries.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/config/config.h"
#include "shared/dkim/keyring.h"
#include "shared/dkim/secret.h"

enum action { ENABLE, ROTATE, DISABLE };
static const char *const whats[] = { "dkim.enable", "dkim.rotate", "dkim.disable" };

struct keys_job {
	struct job job; /* first */
	enum action action;
	char domain[256], *account, *zone;
	uint8_t secret[DKIM_SECRET_SIZE];
	unsigned algorithms;
	bool now;
	json_t *before, *entry; /* `before` is a copy, NULL: there is no entry */
	const char *done;
};

static struct dkim_subject
subject_of(const struct keys_job *keys)
{
	return (struct dkim_subject){ keys->domain, keys->account, keys->secret, keys->zone,
		clock_us() };
}

static void
release(struct job *job)
{
	struct keys_job *keys = (struct keys_job *)job;

	explicit_bzero(keys->secret, sizeof keys->secret);
	json_decref(keys->before);
	json_decref(keys->entry);
	free(keys->account);
	free(keys->zone);
	free(keys);
}

/* On the worker. */
static void
run(struct job *job)
{
	struct keys_job *keys = (struct keys_job *)job;
	const struct dkim_subject subject = subject_of(keys);

	if (keys->action == ENABLE)
		keys->entry = dkim_entry_enable(&subject, keys->before, keys->algorithms);
	else if (keys->action == ROTATE)
		keys->entry = dkim_entry_rotate(
			&subject, keys->before, keys->now, &keys->done, &job->fault);
	else
		keys->entry = dkim_entry_disable(&subject, keys->before);
	if (keys->entry)
		job->result = dkim_entry_show(&subject, keys->entry);
}

static json_t *
audit_of(const struct keys_job *keys, const char *key)
{
	return json_pack("[{s:s, s:o, s:o}]", "object", key, "before",
		dkim_entry_audit(keys->before), "after", dkim_entry_audit(keys->entry));
}

static void
then(struct job *job)
{
	struct keys_job *keys = (struct keys_job *)job;
	struct exchange *x = job->exchange;
	char *key = xasprintf(DKIM_PREFIX "%s", keys->domain);

	if (!keys->entry)
		reply_fault(x, &job->fault);
	else if (directory_version(directory_entry(x->api->directory, key)) !=
		directory_version(keys->before))
		reply_error(x, 409, "", "somebody else has changed these keys: look again");
	else {
		if (keys->done)
			json_object_set_new(job->result, "done", json_string(keys->done));
		commit_shown(x, whats[keys->action], 200, json_pack("{s:O}", key, keys->entry),
			json_incref(job->result), audit_of(keys, key));
	}
	free(key);
}

/* The entry of the domain, if it is the account's; NULL: none. */
static const json_t *
entry_of(const struct exchange *x, const char *domain, const char *account)
{
	const json_t *entry = directory_get(x->api->directory, "dkim", domain);
	const char *of = json_text(entry, "account");

	return of && strcmp(of, account) == 0 ? entry : NULL;
}

/* What the body asks for. */
struct asked {
	unsigned algorithms;
	bool now;
};

/* False after a reply. */
static bool
take_body(struct exchange *x, enum action action, struct asked *asked)
{
	static const struct field known[] = { { "now", FIELD_SWITCH }, { 0 } };
	struct fault fault = { 0 };

	if (action == ENABLE)
		asked->algorithms = dkim_algorithms_take(&fault, x->body);
	else if (fields_check(&fault, x->body, known, NULL) == 0)
		asked->now = json_is_true(json_object_get(x->body, "now"));
	if (fault.status)
		reply_fault(x, &fault);
	return !fault.status;
}

static struct keys_job *
job_new(struct exchange *x, enum action action, const char *account, const char *domain)
{
	const char *zone = x->api->config->dkim.zone;
	struct keys_job *keys = xcalloc(1, sizeof *keys);

	keys->job.exchange = x;
	keys->job.api = x->api;
	keys->job.run = run;
	keys->job.then = then;
	keys->job.release = release;
	keys->action = action;
	memcpy(keys->domain, domain, strlen(domain) + 1);
	keys->account = xstrdup(account);
	keys->zone = zone ? xstrdup(zone) : NULL;
	return keys;
}

static void
change(struct exchange *x, enum action action, const struct asked *asked, const char *account,
	const char *domain)
{
	struct keys_job *keys = job_new(x, action, account, domain);
	const json_t *there = directory_get(x->api->directory, "dkim", domain);
	const char *doubt = applier_doubt(x->api->applier);

	keys->algorithms = asked->algorithms;
	keys->now = asked->now;
	keys->before = there ? json_deep_copy(there) : NULL;
	if (doubt)
		reply_error(x, 503, "", "%s", doubt);
	else if (action != ENABLE && !entry_of(x, domain, account))
		reply_error(x, 404, "domain", "%s has no DKIM keys", domain);
	else if (!dkim_secret_get(x->api->config, keys->secret))
		reply_error(x, 409, "dkim.secret_file",
			"is not set, or cannot be used: keys cannot be kept without it");
	else {
		job_start(&keys->job);
		return;
	}
	release(&keys->job);
}

static void
show(struct exchange *x, const char *account, const char *domain)
{
	const struct dkim_subject subject = {
		.domain = domain, .account = account, .zone = x->api->config->dkim.zone
	};

	reply_json(x, 200, dkim_entry_show(&subject, entry_of(x, domain, account)));
}

/* By account and domain */

/* The domain in the account, or NULL. */
static const json_t *
domain_in(const struct exchange *x, const char *account, const char *domain)
{
	const json_t *entry = directory_get(x->api->directory, "account", account);
	json_t *one;
	size_t i;

	json_array_foreach(json_object_get(entry, "domains"), i, one)
	{
		if (strcmp(json_text(one, "name"), domain) == 0)
			return one;
	}
	return NULL;
}

/* Mail of a domain that is not verified is refused: a key would sign nothing. False after a reply.
 */
static bool
may_sign(struct exchange *x, const char *account, const char *domain)
{
	if (!*account || json_is_true(json_object_get(domain_in(x, account, domain), "verified")))
		return true;
	reply_error(x, 409, "domain", "%s is not verified", domain);
	return false;
}

/* The domain in its one form, which is the account's; false after a reply. */
static bool
take_domain(struct exchange *x, char domain[256])
{
	const char *account = x->parameters[0];
	const json_t *entry = directory_get(x->api->directory, "account", account);

	if (!entry || account_is_deleted(entry))
		reply_error(x, 404, "account", "there is no account \"%.40s\"", account);
	else if (canonical_domain(x->parameters[1], domain) < 0 || !domain_in(x, account, domain))
		reply_error(x, 404, "domain", "account %s has no domain \"%.100s\"", account,
			x->parameters[1]);
	else
		return true;
	return false;
}

static void
of_account(struct exchange *x, enum action action)
{
	struct asked asked = { 0 };
	char domain[256];

	if (take_body(x, action, &asked) && take_domain(x, domain) &&
		may_sign(x, x->parameters[0], domain))
		change(x, action, &asked, x->parameters[0], domain);
}

void
api_account_dkim_show(struct exchange *x)
{
	char domain[256];

	if (take_domain(x, domain))
		show(x, x->parameters[0], domain);
}

void
api_account_dkim_enable(struct exchange *x)
{
	of_account(x, ENABLE);
}

void
api_account_dkim_rotate(struct exchange *x)
{
	of_account(x, ROTATE);
}

void
api_account_dkim_disable(struct exchange *x)
{
	of_account(x, DISABLE);
}

/* By domain alone */

/* The account that has the domain, "" for the relay's own; NULL after a reply. */
static const char *
take_owner(struct exchange *x, char domain[256])
{
	const char *own = x->api->config->dkim.domain, *account = NULL;
	char canonical[256];

	if (canonical_domain(x->parameters[0], domain) == 0) {
		account = directory_domain_owner(x->api->directory, domain);
		if (!account && own && canonical_domain(own, canonical) == 0 &&
			strcmp(canonical, domain) == 0)
			account = "";
	}
	if (!account)
		reply_error(x, 404, "domain",
			"no account has the domain \"%.100s\", and it is not dkim.domain",
			x->parameters[0]);
	return account;
}

static void
of_domain(struct exchange *x, enum action action)
{
	struct asked asked = { 0 };
	char domain[256];
	const char *account = take_body(x, action, &asked) ? take_owner(x, domain) : NULL;

	if (account && may_sign(x, account, domain))
		change(x, action, &asked, account, domain);
}

static bool
is_entry(const char *key, const json_t *entry)
{
	(void)entry;
	return strncmp(key, DKIM_PREFIX, sizeof DKIM_PREFIX - 1) == 0;
}

void
api_dkim_list(struct exchange *x)
{
	reply_entries(x, "domains", NULL, is_entry, false, dkim_entry_line);
}

void
api_dkim_show(struct exchange *x)
{
	char domain[256];
	const char *account = take_owner(x, domain);

	if (account)
		show(x, account, domain);
}

void
api_dkim_enable(struct exchange *x)
{
	of_domain(x, ENABLE);
}

void
api_dkim_rotate(struct exchange *x)
{
	of_domain(x, ROTATE);
}

void
api_dkim_disable(struct exchange *x)
{
	of_domain(x, DISABLE);
}
