/*
 * changed.c - notes of changes, gathered into mails.
 *
 * commit (notes that were told) -> [changed] -> change_lines, mailings -> mail.ready
 */
#include "control/mails/changed.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/config/commit.h"
#include "control/config/directory.h"
#include "control/leader/leader.h"
#include "control/mails/change_lines.h"
#include "control/mails/mailings.h"
#include "control/notices/notices.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/text.h"
#include "shared/base/timer.h"

#define EVERY_MS 2000
#define LINES_MAX 60
#define WHO_MAX 80

struct changed {
	struct directory *directory;
	struct commits *commits;
	struct mailings *mailings;
	const struct leader *leader;
	struct timer timer;
	json_t *sending; /* accounts whose mail is under way */
	void (*on_closed)(void *arg);
	void *closed_arg;
};

/* What customers hear of otherwise, or need not hear of, is not here. */
static const char *const told[] = { "account.change", "account.mailboxes", "account.alerts",
	"account.mode.undo", "account.mode.grace-extend", "account.mode.grace-end", "domain.add",
	"domain.remove", "address.add", "address.remove", "address.proof", "user.add",
	"user.change", "user.password", "user.remove", "token.add", "token.remove", "webhook.add",
	"webhook.change", "webhook.remove" };

bool
changed_gathers(const json_t *event)
{
	const char *what = json_text_or(event, "what", "");

	if (!json_text(event, "account") ||
		strcmp(json_text_or(event, "by", ""), "housekeeping") == 0)
		return false;
	for (size_t i = 0; i < sizeof told / sizeof *told; i++)
		if (strcmp(told[i], what) == 0)
			return true;
	return false;
}

/* The mail */

/* One account's notes, in the order of time, on their way. */
struct gathered {
	struct changed *changed;
	char *account;
	json_t *keys;
};

static uint64_t
changed_us(const json_t *event)
{
	return (uint64_t)json_integer_value(json_object_get(event, "changed_us"));
}

/* "2026-12-01 07:55 UTC, control.token:", and the lines; after `before`. */
static unsigned
put_change(FILE *out, enum notice_language language, const json_t *event, const char *before)
{
	char *lines = NULL, when[DATE_SIZE], who[WHO_MAX + 1] = "";
	const char *by = json_text_or(event, "by", "");
	unsigned count;
	size_t length;
	FILE *to = xopen_memstream(&lines, &length);

	count = change_lines(to, language, event);
	xclose_memstream(to);
	if (count) {
		notice_when(changed_us(event), when);
		text_clean(who, sizeof who, 0, by, strlen(by));
		fprintf(out, "%s%s, %s:\n%s", before, when, who, lines);
	}
	free(lines);
	return count;
}

/* The text of all changes; "" when there is nothing to tell. The caller frees it. */
static char *
changes_text(const struct gathered *gathered, enum notice_language language)
{
	char *text = NULL;
	unsigned lines = 0;
	size_t length, i;
	json_t *key;
	FILE *out = xopen_memstream(&text, &length);

	json_array_foreach(gathered->keys, i, key)
	{
		const json_t *note = directory_entry(
			gathered->changed->directory, json_string_value(key));

		if (lines >= LINES_MAX) {
			fputs("...\n", out);
			break;
		}
		lines += put_change(
			out, language, json_object_get(note, "event"), lines ? "\n" : "");
	}
	xclose_memstream(out);
	return text;
}

static void
gathered_free(struct gathered *gathered)
{
	json_decref(gathered->keys);
	free(gathered->account);
	free(gathered);
}

/* The oldest note, of which the mail's id is made, goes last. */
static void
drop_notes(const struct gathered *gathered)
{
	for (size_t i = json_array_size(gathered->keys); i-- > 0;)
		commits_drop_note(gathered->changed->commits,
			json_string_value(json_array_get(gathered->keys, i)));
}

static void
on_sent(void *arg, int err)
{
	struct gathered *gathered = arg;
	struct changed *changed = gathered->changed;

	json_object_del(changed->sending, gathered->account);
	if (!err)
		drop_notes(gathered);
	gathered_free(gathered);
	if (changed->on_closed && json_object_size(changed->sending) == 0)
		changed->on_closed(changed->closed_arg);
}

/* Takes `keys` over. */
static void
send_gathered(struct changed *changed, const char *account, json_t *keys)
{
	struct gathered *gathered = xmalloc(sizeof *gathered);
	char *italian, *english;

	*gathered = (struct gathered){ changed, xstrdup(account), keys };
	json_object_set_new(changed->sending, account, json_true());
	italian = changes_text(gathered, NOTICE_ITALIAN);
	english = changes_text(gathered, NOTICE_ENGLISH);
	if (*italian)
		mailings_send_once(changed->mailings, "changed", account,
			json_string_value(json_array_get(keys, 0)),
			(struct notice_value[]){ { "CHANGES", { italian, english }, true }, { 0 } },
			on_sent, gathered);
	else
		on_sent(gathered, 0);
	free(italian);
	free(english);
}

/* Gathering */

/* The keys of the notes that wait, by account: {account: [keys]}. */
static json_t *
waiting(const struct changed *changed)
{
	json_t *accounts = json_object(), *note, *keys;
	const char *key, *account;

	json_object_foreach(directory_notes(changed->directory), key, note)
	{
		const json_t *event = json_object_get(note, "event");

		account = json_text(event, "account");
		if (!account || !json_is_true(json_object_get(note, "told")))
			continue;
		keys = json_object_get(accounts, account);
		if (!keys) {
			keys = json_array();
			json_object_set_new(accounts, account, keys);
		}
		json_array_append_new(keys, json_string(key));
	}
	return accounts;
}

static int
compare(const void *a, const void *b)
{
	return strcmp(
		json_string_value(*(json_t *const *)a), json_string_value(*(json_t *const *)b));
}

/* A sorted copy: keys begin with the time of the change. */
static json_t *
sorted(const json_t *keys)
{
	const size_t count = json_array_size(keys);
	json_t **all = xcalloc(count, sizeof *all), *copy = json_array();

	for (size_t i = 0; i < count; i++)
		all[i] = json_array_get(keys, i);
	qsort(all, count, sizeof *all, compare);
	for (size_t i = 0; i < count; i++)
		json_array_append(copy, all[i]);
	free(all);
	return copy;
}

static bool
is_due(const struct changed *changed, const char *first)
{
	const json_t *note = directory_entry(changed->directory, first);

	return changed_us(json_object_get(note, "event")) + CHANGED_GATHER_MS * UINT64_C(1000) <=
		clock_us();
}

static void
on_timer(void *arg)
{
	struct changed *changed = arg;
	json_t *accounts, *keys;
	const char *account;

	if (!leader_leads(changed->leader))
		return;
	accounts = waiting(changed);
	json_object_foreach(accounts, account, keys)
	{
		json_t *order = sorted(keys);

		if (!json_object_get(changed->sending, account) &&
			is_due(changed, json_string_value(json_array_get(order, 0))))
			send_gathered(changed, account, order);
		else
			json_decref(order);
	}
	json_decref(accounts);
}

struct changed *
changed_new(struct loop *loop, struct directory *directory, struct commits *commits,
	struct mailings *mailings, const struct leader *leader)
{
	struct changed *changed = xcalloc(1, sizeof *changed);

	*changed = (struct changed){ .directory = directory,
		.commits = commits,
		.mailings = mailings,
		.leader = leader,
		.sending = json_object() };
	timer_init(&changed->timer, loop, on_timer, changed);
	return changed;
}

void
changed_start(struct changed *changed)
{
	timer_repeat(&changed->timer, EVERY_MS);
}

void
changed_close(struct changed *changed, void (*on_closed)(void *arg), void *arg)
{
	timer_cancel(&changed->timer);
	changed->on_closed = on_closed;
	changed->closed_arg = arg;
	if (json_object_size(changed->sending) == 0)
		on_closed(arg);
}

void
changed_free(struct changed **changed)
{
	if (!*changed)
		return;
	timer_cancel(&(*changed)->timer);
	json_decref((*changed)->sending);
	free(*changed);
	*changed = NULL;
}
