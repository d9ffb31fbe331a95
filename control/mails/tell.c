/*
 * tell.c - mails about what was observed: one about an object a day.
 *
 * watchers (limits, delays, domains, scores, webhooks) -> [tell] -> notices; book
 *
 * The mail's id is made of when the last one about the object went. So a process that dies between
 * the mail and its line in the book sends the same mail again, not a second one.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "control/account/account_alerts.h"
#include "control/config/directory.h"
#include "control/leader/leader.h"
#include "control/mails/book.h"
#include "control/mails/mailing.h"
#include "control/notices/notices.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"

#define DAY_US (UINT64_C(24) * 3600 * 1000000)
#define A_DAY_MAX 30 /* mails about objects, of an account */

struct tell {
	struct mailings *mailings;
	const char *key;
	char *account, *object, *to;
	char *mark; /* in mailings.telling */
};

static void
tell_free(struct tell *tell)
{
	free(tell->account);
	free(tell->object);
	free(tell->to);
	free(tell->mark);
	free(tell);
}

static void
on_told(void *arg, int err)
{
	struct tell *tell = arg;
	struct mailings *mailings = tell->mailings;

	json_object_del(mailings->telling, tell->mark);
	if (!err)
		book_note(mailings->book, tell->account, tell->key, tell->object, tell->to);
	tell_free(tell);
	if (mailings->on_closed && json_object_size(mailings->telling) == 0)
		mailings->on_closed(mailings->closed_arg);
}

void
mailings_close(struct mailings *mailings, void (*on_closed)(void *arg), void *arg)
{
	mailings->on_closed = on_closed;
	mailings->closed_arg = arg;
	if (json_object_size(mailings->telling) == 0)
		on_closed(arg);
}

static struct tell *
tell_new(struct mailings *mailings, const char *key, const char *account, const char *object,
	const char *to)
{
	struct tell *tell = xcalloc(1, sizeof *tell);

	tell->mailings = mailings;
	tell->key = notice_key(key);
	tell->account = xstrdup(account);
	tell->object = xstrdup(object);
	tell->to = xstrdup(to);
	tell->mark = xasprintf("%s %s %s %s", account, key, to, object);
	return tell;
}

/* To one mailbox. */
static void
tell_one(struct mailings *mailings, const char *key, const json_t *account, const char *object,
	const struct notice_value *values, const char *to)
{
	const char *id = json_text(account, "id");
	const uint64_t last = book_last(mailings->book, id, key, object);
	struct tell *tell = tell_new(mailings, key, id, object, to);
	uint8_t mail_id[ID_SIZE];

	if (json_object_get(mailings->telling, tell->mark)) {
		tell_free(tell);
		return;
	}
	json_object_set_new(mailings->telling, tell->mark, json_true());
	mail_id_make(mail_id, tell->mark, last);
	notice_send(mailings->notices,
		&(struct notice){
			.key = key, .account = account, .values = values, .to = to, .id = mail_id },
		on_told, tell);
}

/* Whether the mail's time has come. */
static bool
is_due(const struct mailings *mailings, const char *key, const char *account, const char *object)
{
	const uint64_t now = clock_us(), last = book_last(mailings->book, account, key, object);

	if (last + DAY_US > now && last <= now)
		return false;
	if (book_count(mailings->book, account, now - DAY_US) < A_DAY_MAX)
		return true;
	LOG_DEBUG("an account has had its mails of this day: one is not sent", "account", account,
		"mail", key, "about", object);
	return false;
}

void
mailings_tell(struct mailings *mailings, const char *key, const char *account, const char *object,
	const struct notice_value *values)
{
	const json_t *entry = directory_get(mailings->directory, "account", account), *list;
	json_t *to;
	size_t i;

	if (mailings->on_closed || !mailings_wanted(mailings) || !leader_leads(mailings->leader) ||
		!entry || account_is_deleted(entry) || !is_due(mailings, key, account, object))
		return;
	list = account_alert_mailboxes(entry, key);
	if (!list)
		tell_one(mailings, key, entry, object, values, json_text_or(entry, "contact", ""));
	json_array_foreach(list, i, to)
		tell_one(mailings, key, entry, object, values, json_string_value(to));
}

bool
mailings_told_today(
	const struct mailings *mailings, const char *key, const char *account, const char *object)
{
	return book_last(mailings->book, account, key, object) + DAY_US > clock_us();
}

/* A mail to several mailboxes. */
struct copies {
	struct mailings *mailings;
	const char *key;
	char *account;
	unsigned pending;
	int err;
	queue_cb cb;
	void *arg;
};

struct copy {
	struct copies *all;
	char *to;
};

static void
all_done(struct copies *all)
{
	if (--all->pending > 0)
		return;
	all->cb(all->arg, all->err);
	free(all->account);
	free(all);
}

static void
on_copy(void *arg, int err)
{
	struct copy copy = *(struct copy *)arg;

	free(arg);
	if (!err)
		book_note(copy.all->mailings->book, copy.all->account, copy.all->key, "", copy.to);
	else if (err != -EDESTADDRREQ)
		copy.all->err = err;
	free(copy.to);
	all_done(copy.all);
}

static void
send_copy(struct copies *all, const json_t *account, const char *seed,
	const struct notice_value *values, const char *to)
{
	struct copy *copy = xmalloc(sizeof *copy);
	char *about = xasprintf("%s %s %s", seed, all->key, to);
	uint8_t id[ID_SIZE];

	*copy = (struct copy){ all, xstrdup(to) };
	mail_id_make(id, about, 0);
	free(about);
	all->pending++;
	notice_send(all->mailings->notices,
		&(struct notice){
			.key = all->key, .account = account, .values = values, .to = to, .id = id },
		on_copy, copy);
}

void
mailings_send_once(struct mailings *mailings, const char *key, const char *account,
	const char *seed, const struct notice_value *values, queue_cb cb, void *arg)
{
	const json_t *entry = directory_get(mailings->directory, "account", account), *list;
	struct copies *all = xcalloc(1, sizeof *all);
	json_t *to;
	size_t i;

	*all = (struct copies){ mailings, notice_key(key), xstrdup(account), 1, 0, cb, arg };
	if (entry && mailings_wanted(mailings) && !account_is_deleted(entry)) {
		list = account_alert_mailboxes(entry, key);
		if (!list)
			send_copy(all, entry, seed, values, json_text_or(entry, "contact", ""));
		json_array_foreach(list, i, to)
			send_copy(all, entry, seed, values, json_string_value(to));
	}
	all_done(all);
}
