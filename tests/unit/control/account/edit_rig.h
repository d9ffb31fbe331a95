/*
 * edit_rig.h - the accounts of a test, and one edit of them at a time.
 */
#ifndef TESTS_UNIT_EDIT_RIG_H
#define TESTS_UNIT_EDIT_RIG_H

#include <string.h>

#include <jansson.h>

#include "control/account/accounts.h"
#include "control/config/directory.h"
#include "shared/config/config.h"

static struct directory *directory;
static struct config config;
static struct edit edit;

/* Makes room for the next edit. */
static inline void
forget(void)
{
	json_decref(edit.changes);
	json_decref(edit.reply);
	memset(&edit, 0, sizeof edit);
	edit.config = &config;
	edit.directory = directory;
}

/* What the API does once the changes are durable. */
static inline void
apply(void)
{
	const char *key;
	json_t *value;

	json_object_foreach(edit.changes, key, value)
		directory_set(directory, key, json_is_null(value) ? NULL : json_incref(value));
}

static inline json_t *
parsed(const char *text)
{
	json_t *value = json_loads(text, 0, NULL);

	assert_non_null(value);
	return value;
}

#endif
