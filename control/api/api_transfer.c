/*
 * api_transfer.c - the API's calls about files: export, import, backup and restore.
 *
 * shoutctl -> api -> [api_transfer] -> transfer (what changes) -> commit -> relay.config
 *
 * A backup is the beginning of a subscription to relay.config: all entries of one moment, durable,
 * on either queue. A backup has no mail: after a restore that mail would go out twice.
 */
#include <stdlib.h>
#include <string.h>

#include "control/account/transfer.h"
#include "control/config/audit.h"
#include "control/http/api_private.h"
#include "shared/account/owner.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/timer.h"

#define EXPORT_DEFAULT 100
#define EXPORT_MAX 500

/* Export */

void
api_account_export(struct exchange *x)
{
	json_t *document = account_export(x->api->directory, x->parameters[0]);

	if (document)
		reply_json(x, 200, document);
	else
		reply_error(x, 404, "account", "there is no account \"%.40s\"", x->parameters[0]);
}

void
api_export(struct exchange *x)
{
	const char *last = NULL, *id;
	json_t *ids, *accounts, *item;
	struct page page;
	size_t i;

	if (!page_take_of(x, "accounts", EXPORT_DEFAULT, EXPORT_MAX, &page))
		return;
	ids = account_ids(x->api->directory, false);
	accounts = json_array();
	json_array_foreach(ids, i, item)
	{
		id = json_string_value(item);
		if (page.after && strcmp(id, page.after) <= 0)
			continue;
		if (json_array_size(accounts) == page.limit)
			break;
		json_array_append_new(accounts, account_export(x->api->directory, id));
		last = id;
	}
	reply_json(x, 200,
		json_pack("{s:o, s:o, s:I}", "accounts", accounts, "next",
			page_next(x, "accounts", i < json_array_size(ids) ? last : NULL), "total",
			(json_int_t)json_array_size(ids)));
	json_decref(ids);
}

/* Import */

static void
import_end(struct exchange *x, struct edit *edit, int err, bool look)
{
	if (err || look || json_object_size(edit->changes) == 0) {
		json_decref(edit->changes);
		if (!err) {
			reply_json(x, 200, edit->reply);
			return;
		}
		json_decref(edit->reply);
		reply_fault(x, &edit->fault);
		return;
	}
	edit_end(x, "account.import", edit, 0, 200);
}

void
api_import(struct exchange *x)
{
	static const struct field known[] = {
		{ "document", FIELD_OBJECT },
		{ "replace", FIELD_SWITCH },
		{ "dry_run", FIELD_SWITCH },
		{ 0 },
	};
	const bool replace = json_is_true(json_object_get(x->body, "replace"));
	const bool look = json_is_true(json_object_get(x->body, "dry_run"));
	struct edit edit = edit_of(x);
	struct fault fault;
	int err;

	if (fields_check(&fault, x->body, known, NULL) < 0) {
		reply_fault(x, &fault);
		return;
	}
	err = account_import(&edit, json_object_get(x->body, "document"), replace, look);
	import_end(x, &edit, err, look);
}

/* Backup */

struct backup {
	struct exchange *exchange;
	struct config_subscriber *subscriber;
	struct timer late;
	json_t *entries;
	bool unreadable;
};

static void
backup_end(struct backup *backup, int err)
{
	struct exchange *x = backup->exchange;

	queue_config_unsubscribe(&backup->subscriber);
	timer_cancel(&backup->late);
	if (err || backup->unreadable) {
		json_decref(backup->entries);
		reply_error(x, 503, "", "relay.config cannot be read: %s",
			err ? strerror(-err) : "an entry is no JSON");
	} else {
		reply_json(x, 200,
			json_pack("{s:s, s:o}", "owner", directory_owner(x->api->directory),
				"entries", backup->entries));
	}
	free(backup);
}

static void
on_entry(void *arg, const char *key, const char *text)
{
	struct backup *backup = arg;
	json_t *value;

	if (!key) {
		backup_end(backup, 0);
		return;
	}
	if (strncmp(key, AUDIT_PREFIX, strlen(AUDIT_PREFIX)) == 0)
		return; /* an entry about events, which stay here */
	value = json_loads(text, 0, NULL);
	if (value)
		json_array_append_new(
			backup->entries, json_pack("{s:s, s:o}", "key", key, "value", value));
	else
		backup->unreadable = true;
}

static void
on_late(void *arg)
{
	backup_end(arg, -ETIMEDOUT);
}

void
api_backup(struct exchange *x)
{
	struct backup *backup = xcalloc(1, sizeof *backup);

	backup->exchange = x;
	backup->entries = json_array();
	timer_init(&backup->late, x->api->loop, on_late, backup);
	timer_set(&backup->late, QUEUE_LATE_MS);
	backup->subscriber = queue_config_subscribe(x->api->queue, x->api->loop, on_entry, backup);
}

/* Restore */

/* Whether the entries may be restored here: a relay with accounts takes only entries of its own
 * owner. */
static int
check_target(struct exchange *x, struct fault *fault, bool look)
{
	const struct directory *directory = x->api->directory;
	const char *owner = json_text(x->body, "owner");
	const json_t *entry = json_object_get(json_object_get(x->body, "entries"), OWNER_KEY);
	const char *named = json_text(entry, "id");

	if (!applier_loaded(x->api->applier))
		return fault_set(fault, 503, "", "%s", applier_doubt(x->api->applier));
	if (owner && strcmp(directory_owner(directory), owner) == 0)
		return 0;
	if (directory_has_accounts(directory))
		return fault_set(fault, 409, "owner",
			"this relay has accounts, and another owner: account import adds some to it");
	if (look && !entry)
		return 0; /* the owner is restored before the other entries */
	if (!owner || !named || strcmp(owner, named) != 0)
		return fault_set(fault, 400, "owner", "the first entry is that of the owner");
	return 0;
}

static json_t *
restored(const struct edit *edit)
{
	return json_pack("[{s:s, s:n, s:{s:O}}]", "object", "relay.config", "before", "after",
		"entries", json_object_get(edit->reply, "entries"));
}

void
api_restore(struct exchange *x)
{
	static const struct field known[] = {
		{ "owner", FIELD_TEXT },
		{ "entries", FIELD_OBJECT },
		{ "dry_run", FIELD_SWITCH },
		{ 0 },
	};
	const bool look = json_is_true(json_object_get(x->body, "dry_run"));
	struct edit edit = edit_of(x);
	int err = fields_check(&edit.fault, x->body, known, NULL);

	if (!err)
		err = check_target(x, &edit.fault, look);
	if (!err)
		err = entries_restore(&edit, json_object_get(x->body, "entries"));
	if (!err && !look && json_object_size(edit.changes) > 0) {
		commit_shown(x, "restore", 200, edit.changes, edit.reply, restored(&edit));
		return;
	}
	json_decref(edit.changes);
	if (!err) {
		reply_json(x, 200, edit.reply);
		return;
	}
	json_decref(edit.reply);
	reply_fault(x, &edit.fault);
}
