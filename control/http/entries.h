/*
 * entries.h - pages of what relay.config holds below a prefix, by key.
 */
#ifndef CONTROL_ENTRIES_H
#define CONTROL_ENTRIES_H

#include <stdbool.h>

#include "control/http/api_private.h"

/* Whether a list shows an entry. */
typedef bool (*entry_shown)(const char *key, const json_t *entry);
/* Answers with a page; `newest`: the largest key first. `account`: only what is that account's;
 * NULL: all. */
void reply_entries(struct exchange *x, const char *list, const char *account, entry_shown shown,
	bool newest, json_t *(*show)(const json_t *entry));

/* The page itself, for the caller to add to; NULL after a reply. */
json_t *entries_page(struct exchange *x, const char *list, const char *account, entry_shown shown,
	bool newest, json_t *(*show)(const json_t *entry));

#endif
