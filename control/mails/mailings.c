/*
 * mailings.c - which mails a change of an account causes, and the mails that an operator asks for.
 *
 * commit (a change is durable) -> [mailings] -> mailing_texts -> notices -> mail.ready
 *
 * The change's note stays until its mails are durable; so they go although control dies in between.
 * Their ids are made of the note's, or of what the change is about when two processes may have made
 * it: a mail that is sent twice is one mail. A password is in no note. When the process that knew
 * it dies before its mail is durable, no mail with a username or a password goes, and the change's
 * event says "unsent": an operator makes a new password (`account password --mail`).
 */
#include "control/mails/mailings.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "control/config/directory.h"
#include "control/mails/book.h"
#include "control/mails/mailing.h"
#include "control/notices/notices.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/mail/envelope.h"

#define RETRIED_US (UINT64_C(24) * 3600 * 1000000) /* a mail that cannot be sent is given up */

struct mailings *
mailings_new(const struct config *config, struct queue *queue, struct directory *directory,
	const struct leader *leader)
{
	struct notices *notices = notices_new(config, queue, NULL);
	struct mailings *mailings;

	if (!notices)
		return NULL;
	mailings = xmalloc(sizeof *mailings);
	*mailings = (struct mailings){ .config = config,
		.directory = directory,
		.notices = notices,
		.book = book_new(queue, directory),
		.leader = leader,
		.telling = json_object() };
	return mailings;
}

void
mailings_free(struct mailings **mailings)
{
	if (!*mailings)
		return;
	notices_free(&(*mailings)->notices);
	book_free(&(*mailings)->book);
	json_decref((*mailings)->telling);
	free(*mailings);
	*mailings = NULL;
}

void
mailings_reload(struct mailings *mailings)
{
	notices_reload(mailings->notices);
}

bool
mailings_wanted(const struct mailings *mailings)
{
	return notices_wanted(mailings->notices);
}

struct notices *
mailings_notices(const struct mailings *mailings)
{
	return mailings->notices;
}

json_t *
mailings_sent(const struct mailings *mailings, const char *account)
{
	return book_show(mailings->book, account);
}

void
mail_id_make(uint8_t id[ID_SIZE], const char *about, uint64_t number)
{
	static const uint8_t nothing[ID_SIZE];
	char *text = xasprintf("mail %s %" PRIu64, about, number);

	id_derive(id, nothing, text, strlen(text));
	free(text);
}

/* The mails of one cause */

static struct mailing *
mailing_new(const struct mailings *mailings, json_t *account)
{
	struct mailing *mailing = xcalloc(1, sizeof *mailing);

	mailing->mailings = mailings;
	mailing->config = mailings->config;
	mailing->directory = mailings->directory;
	mailing->account = json_incref(account);
	mailing->pending = 1;
	mailing->mails = json_array();
	mailing->failed = json_array();
	return mailing;
}

static void
put_result(const struct mailing *mailing, json_t *into)
{
	if (json_array_size(mailing->failed) > 0)
		json_object_set(into, "mails_failed", mailing->failed);
	json_object_set(into, "mails", mailing->mails);
}

static void
mailing_done(struct mailing *mailing)
{
	if (--mailing->pending > 0)
		return;
	if (mailing->told)
		put_result(mailing, mailing->told);
	if (mailing->asked)
		mailing->asked(mailing->arg, mailing->told);
	else
		mailing->cb(mailing->arg, mailing->err);
	if (!mailing->asked)
		json_decref(mailing->told);
	json_decref(mailing->mails);
	json_decref(mailing->failed);
	json_decref(mailing->account);
	free(mailing);
}

struct letter {
	struct mailing *mailing;
	const char *key;
	char *to;
};

static void
on_sent(void *arg, int err)
{
	const struct letter letter = *(struct letter *)arg;
	struct mailing *mailing = letter.mailing;

	free(arg);
	if (!err)
		book_note(mailing->mailings->book, json_text(mailing->account, "id"), letter.key,
			"", letter.to);
	free(letter.to);
	json_array_append_new(err ? mailing->failed : mailing->mails, json_string(letter.key));
	if (err && err != -EDESTADDRREQ)
		mailing->err = err;
	mailing_done(mailing);
}

void
mailing_post(struct mailing *mailing, const char *key, const struct notice_value *values)
{
	const char *to = json_text_or(mailing->account, "contact", "");
	struct letter *letter = xmalloc(sizeof *letter);
	char *about = xasprintf("%s %s %s", mailing->seed ? mailing->seed : "", key, to);
	uint8_t id[ID_SIZE];

	*letter = (struct letter){ mailing, key, xstrdup(to) };
	mailing->pending++;
	mail_id_make(id, about, 0);
	free(about);
	notice_send(mailing->mailings->notices,
		&(struct notice){ .key = key,
			.account = mailing->account,
			.values = values,
			.id = mailing->seed ? id : NULL,
			.when_us = mailing->when_us },
		on_sent, letter);
}

/* What changes cause */

/* Mails with a secret that went: operators hear of them. */
static void
tell_unsent(const struct commit_told *told, const char *account)
{
	json_object_set_new(told->event, "unsent", json_pack("[s, s]", "username", "password"));
	LOG_WARN("control ended before a password was mailed: make a new one "
		 "(shoutctl account password ACCOUNT --mail)",
		"account", account);
}

static uint64_t
changed_us(const json_t *event)
{
	return (uint64_t)json_integer_value(json_object_get(event, "changed_us"));
}

bool
mailings_on_change(void *arg, const struct commit_told *told, queue_cb cb, void *cb_arg)
{
	const struct mailings *mailings = arg;
	const char *id = json_text(told->event, "account");
	json_t *account = id ? directory_get(mailings->directory, "account", id) : NULL;
	const struct cause *cause = cause_of(json_text_or(told->event, "what", ""));
	struct mailing *mailing;

	if (!mailings_wanted(mailings) || !cause)
		return false;
	if (told->mailed)
		json_object_set_new(told->mailed, "mails", json_array());
	if (told->lost)
		tell_unsent(told, id);
	if (!account || changed_us(told->event) + RETRIED_US < clock_us())
		return false;
	mailing = mailing_new(mailings, account);
	mailing->event = told->event;
	mailing->secrets = told->secrets;
	mailing->seed = told->id;
	mailing->when_us = changed_us(told->event);
	mailing->told = json_incref(told->mailed);
	mailing->cb = cb;
	mailing->arg = cb_arg;
	cause->send(mailing);
	mailing->event = mailing->secrets = NULL;
	mailing->seed = NULL;
	mailing_done(mailing);
	return true;
}

/* What is asked for */

bool
mailing_can_be_asked(const char *key)
{
	return asked_of(key) != NULL;
}

void
mailing_ask(struct mailings *mailings, const char *key, json_t *reply, mailing_cb cb, void *arg)
{
	const char *id = json_text(reply, "account");
	struct mailing *mailing = mailing_new(
		mailings, directory_get(mailings->directory, "account", id));

	mailing->secrets = reply;
	mailing->told = reply;
	mailing->asked = cb;
	mailing->arg = arg;
	asked_of(key)->send(mailing);
	mailing->secrets = NULL;
	mailing_done(mailing);
}
