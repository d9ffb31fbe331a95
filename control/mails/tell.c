/*
 * tell.c - mails about what was observed: one about an object a day.
 *
 * watchers (limits, delays, domains, scores, webhooks) -> [tell] -> notices; book
 *
 * The mail's id is made of when the last one about the object went. So a process that dies between
 * the mail and its line in the book sends the same mail again, not a second one.
 */
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
