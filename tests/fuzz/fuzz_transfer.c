/*
 * fuzz_transfer.c - whatever a file holds, an import or a restore takes it as entries that the rest
 * of the program can use, or refuses it with a field.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "control/account/transfer.h"
#include "control/config/directory.h"
#include "shared/base/text.h"
#include "shared/config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char host[] = "shout01.relay.example", plan[] = "base";
static char *hosts[] = { host };
static struct plan_config plans[] = { { .name = plan, .mailboxes_max = 9, .messages_day = 400 } };
static const struct config config = {
	.service = { .hosts = hosts, .hosts_count = 1, .plans = plans, .plans_count = 1 },
};

/* What is taken stands in the directory, is checked like an entry, and comes out as it came. */
static void
take(struct directory *directory, json_t *changes)
{
	struct fault fault;
	const char *key;
	json_t *value;

	json_object_foreach(changes, key, value)
	{
		assert(json_is_null(value) || entry_check(&fault, key, value) == 0);
		directory_set(directory, key, json_is_null(value) ? NULL : json_incref(value));
	}
}

static void
edit_end(struct edit *edit, int err)
{
	assert(!err || (edit->fault.status >= 400 && *edit->fault.error));
	json_decref(edit->changes);
	json_decref(edit->reply);
}

/* A second time it is the same. */
static void
import(struct directory *directory, const json_t *document)
{
	for (int i = 0; i < 2; i++) {
		struct edit edit = { .config = &config, .directory = directory };
		const int err = account_import(&edit, document, true, false);
		const json_t *result = json_object_get(edit.reply, "result");

		assert(err || i == 0 || strcmp(json_string_value(result), "same") == 0);
		if (!err)
			take(directory, edit.changes);
		edit_end(&edit, err);
		if (err)
			break;
	}
}

static void
restore(struct directory *directory, json_t *entries)
{
	struct edit edit = { .config = &config, .directory = directory };
	const int err = entries_restore(&edit, entries);

	if (!err)
		take(directory, edit.changes);
	edit_end(&edit, err);
}

static void
show_all(const struct directory *directory)
{
	json_t *ids = directory_accounts(directory), *id;
	size_t i;

	json_array_foreach(ids, i, id)
	{
		json_decref(account_show(directory, &config, json_string_value(id)));
		json_decref(account_export(directory, json_string_value(id)));
	}
	json_decref(ids);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *object = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
	struct directory *directory = directory_new();

	if (json_is_object(object)) {
		import(directory, object);
		restore(directory, object);
		show_all(directory);
	}
	json_decref(object);
	directory_free(&directory);
	return 0;
}
