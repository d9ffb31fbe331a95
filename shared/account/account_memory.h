/*
 * account_memory.h - what any loop of this process last heard of a key of the auth tables. Loops
 * share it, so that without Redis a customer is known on every thread, or on none.
 *
 * From any thread. The memory goes when the last of its users lets go.
 */
#ifndef SHARED_ACCOUNT_MEMORY_H
#define SHARED_ACCOUNT_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void account_memory_hold(void);
void account_memory_let_go(void);

struct account_copy {
	char *text;        /* NULL: surely not there; of a list: its members, one a line */
	uint64_t heard_ms; /* clock_mono_ms() */
	const char *marker;
};

/* Stores a copy that is newer than the present one; `text` is copied. An absence is only stored for
 * a key that was there: guessed names push no customer out. */
void account_memory_put(const char *key, const struct account_copy *copy);
/* Finds a copy that was heard after `after_ms`. The caller frees `text` with account_copy_free();
 * `marker` (MARKER_SIZE) is filled. */
bool
account_memory_get(const char *key, uint64_t after_ms, struct account_copy *copy_out, char *marker);
/* Wipes the text, which may be a verifier. Takes NULL. */
void account_copy_free(char *text);

#endif
