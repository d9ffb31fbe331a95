/*
 * named.h - entries of a uthash table that are found by their name, which they end with.
 *
 * The entry's struct ends with `char member[]`, the name. An entry ends with HASH_DEL() and free().
 */
#ifndef SHARED_NAMED_H
#define SHARED_NAMED_H

#include <string.h>

#include <uthash.h>

#include "shared/base/log.h"

/* Sets `entry` to a new one with that name, all else zero. It is in no table yet. */
#define NAMED_NEW(member, text, entry)                                                             \
	do {                                                                                       \
		(entry) = xcalloc(1, sizeof *(entry) + strlen(text) + 1);                          \
		memcpy((entry)->member, (text), strlen(text) + 1);                                 \
	} while (0)

/* Sets `entry` to the one with that name. When there is none, a new one is added first. */
#define NAMED_GET(head, member, text, entry)                                                       \
	do {                                                                                       \
		HASH_FIND_STR(head, text, entry);                                                  \
		if (!(entry)) {                                                                    \
			NAMED_NEW(member, text, entry);                                            \
			HASH_ADD_STR(head, member, entry);                                         \
		}                                                                                  \
	} while (0)

#endif
