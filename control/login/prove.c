/*
 * prove.c - passwords and codes of people, checked.
 *
 * api_session, api_me -> [prove] -> attempt, hasher, totp
 */
#include "control/login/prove.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/http/api_private.h"
#include "control/login/person_mail.h"
#include "control/people/hasher.h"
#include "control/people/person.h"
#include "control/people/secret.h"
#include "control/people/totp.h"
#include "control/session/attempt.h"
#include "control/session/logins.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/text.h"
#include "shared/metrics/metrics.h"

static struct metric *good_count, *wrong_count, *wait_count;

void
prove_open(void)
{
	static const char name[] = "shout_control_proofs_total";
	static const char help[] = "Passwords and codes of people that were checked";

	good_count = metric_counter(name, help, "result=\"good\"");
	wrong_count = metric_counter(name, help, "result=\"wrong\"");
	wait_count = metric_counter(name, help, "result=\"wait\"");
}

struct proving {
	struct exchange *exchange;
	struct attempt attempt;
	char *secret;   /* what was typed */
	char *verifier; /* NULL: the person has none */
	enum proof proof;
	prove_password_cb password_cb;
	prove_code_cb code_cb;
};

static struct proving *
proving_new(struct exchange *x, const char *login, const char *secret)
{
	struct proving *proving = xcalloc(1, sizeof *proving);

	proving->exchange = x;
	proving->secret = xstrdup(secret);
	attempt_init(&proving->attempt, login, x->client);
	return proving;
}

static void
proving_free(struct proving *proving)
{
	secret_free(proving->secret);
	secret_free(proving->verifier);
	free(proving);
}

static void
reply_wait(struct exchange *x, unsigned wait_s)
{
	char text[16];

	metric_add(wait_count, 1);
	snprintf(text, sizeof text, "%u", wait_s);
	reply_header(x, "Retry-After", text);
	reply_error(x, 429, "", "too many attempts: try again in %u seconds", wait_s);
}

/* False after a reply, and the end of the proving: the attempt may not be made. */
static bool
may_try(struct proving *proving, int err, unsigned wait_s)
{
	if (!err && wait_s == 0)
		return true;
	if (err)
		reply_error(proving->exchange, 503, "", NO_SESSIONS);
	else
		reply_wait(proving->exchange, wait_s);
	proving_free(proving);
	return false;
}

/* Passwords */

/* The person may have changed while the password was being checked. */
static bool
is_still(const struct proving *proving)
{
	const json_t *entry = person_find(
		proving->exchange->api->directory, proving->attempt.login);
	const char *now = json_text(entry, "verifier");

	return now && proving->verifier && strcmp(now, proving->verifier) == 0;
}

static void
on_checked(void *arg, bool good, const char *verifier)
{
	struct proving *proving = arg;

	(void)verifier;
	good = good && is_still(proving);
	metric_add(good ? good_count : wrong_count, 1);
	proving->password_cb(proving->exchange, proving->attempt.login, good);
	proving_free(proving);
}

static void
on_password_allowed(void *arg, int err, unsigned wait_s)
{
	struct proving *proving = arg;
	struct exchange *x = proving->exchange;
	const char *verifier;

	if (!may_try(proving, err, wait_s))
		return;
	verifier = json_text(person_find(x->api->directory, proving->attempt.login), "verifier");
	proving->verifier = verifier ? xstrdup(verifier) : NULL;
	if (hasher_check(x->api->hasher, proving->attempt.wide, proving->secret, proving->verifier,
		    on_checked, proving))
		return;
	reply_wait(x, 1);
	proving_free(proving);
}

void
prove_password(struct exchange *x, const char *login, const char *password, prove_password_cb cb)
{
	struct proving *proving = proving_new(x, login, password);

	proving->password_cb = cb;
	attempt_begin(x->api->redis, &proving->attempt, on_password_allowed, proving);
}

/* Codes */

static void
code_end(struct proving *proving, enum proof proof)
{
	metric_add(proof == PROOF_NONE ? wrong_count : good_count, 1);
	proving->code_cb(proving->exchange, proving->attempt.login, proof);
	proving_free(proving);
}

static void
on_recovery_used(void *arg, int err, int applied_err)
{
	struct proving *proving = arg;

	(void)applied_err;
	if (err) {
		reply_not_taken(proving->exchange, err);
		proving_free(proving);
	} else {
		code_end(proving, PROOF_RECOVERY);
	}
}

static void
use_recovery(struct proving *proving)
{
	struct exchange *x = proving->exchange;
	const json_t *entry = person_find(x->api->directory, proving->attempt.login);
	const int place = recovery_find(json_object_get(entry, "recovery"), proving->secret);
	struct edit edit = edit_of(x);
	int err;

	if (place < 0) {
		code_end(proving, PROOF_NONE);
		return;
	}
	text_copy(x->caller.name, sizeof x->caller.name, proving->attempt.login);
	err = person_use_recovery(&edit, proving->attempt.login, place);
	if (!err) {
		json_decref(edit.reply);
		edit.reply = NULL;
	}
	if (edit_commit(x, "person.recovery", &edit, err, on_recovery_used, proving))
		return;
	reply_fault(x, &edit.fault);
	proving_free(proving);
}

static void
on_step_used(void *arg, int err)
{
	struct proving *proving = arg;

	if (err == -EALREADY) {
		code_end(proving, PROOF_NONE);
	} else if (err) {
		reply_error(proving->exchange, 503, "", NO_SESSIONS);
		proving_free(proving);
	} else if (proving->proof == PROOF_RECOVERY) {
		use_recovery(proving);
	} else {
		code_end(proving, PROOF_CODE);
	}
}

/* A number for a recovery code, which no step of a factor is. */
static uint64_t
number_of(const json_t *hashes, int place)
{
	char digits[16];

	snprintf(digits, sizeof digits, "%s",
		json_string_value(json_array_get(hashes, (size_t)place)));
	return strtoull(digits, NULL, 16) | UINT64_C(1) << 63;
}

static void
on_code_allowed(void *arg, int err, unsigned wait_s)
{
	struct proving *proving = arg;
	struct exchange *x = proving->exchange;
	const json_t *entry, *codes;
	const char *totp;
	uint64_t step;
	int place;

	if (!may_try(proving, err, wait_s))
		return;
	entry = person_find(x->api->directory, proving->attempt.login);
	totp = json_text(entry, "totp");
	codes = json_object_get(entry, "recovery");
	if (totp && totp_check(totp, proving->secret, clock_us() / 1000000, &step)) {
		proving->proof = PROOF_CODE;
	} else if (totp && (place = recovery_find(codes, proving->secret)) >= 0) {
		proving->proof = PROOF_RECOVERY;
		step = number_of(codes, place);
	} else {
		code_end(proving, PROOF_NONE);
		return;
	}
	logins_use_step(x->api->redis, proving->attempt.login, step, on_step_used, proving);
}

void
prove_code(struct exchange *x, const char *login, const char *code, prove_code_cb cb)
{
	struct proving *proving = proving_new(x, login, code);

	proving->code_cb = cb;
	attempt_begin(x->api->redis, &proving->attempt, on_code_allowed, proving);
}

/* The end */

struct network_news {
	struct api *api;
	char login[LOGIN_SIZE], client[NET_TEXT_MAX];
};

static void
on_good(void *arg, int err, bool is_new)
{
	struct network_news *news = arg;
	struct api *api = news->api;

	if (!err && is_new && !api->on_closed)
		person_mail_news(api, news->login, NEWS_NETWORK, news->client);
	free(news);
	if (--api->open == 0 && api->on_closed)
		api->on_closed(api->closed_arg);
}

void
prove_done(struct exchange *x, const char *login)
{
	struct network_news *news = xcalloc(1, sizeof *news);
	struct attempt attempt;

	news->api = x->api;
	text_copy(news->login, sizeof news->login, login);
	text_copy(news->client, sizeof news->client, x->client);
	x->api->open++;
	attempt_init(&attempt, login, x->client);
	attempt_good(x->api->redis, &attempt, on_good, news);
}
