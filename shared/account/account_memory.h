/*
 * account_memory.h - what any loop of this process heard of a key of the auth tables last, for the
 * others: without Redis a customer is known on every thread, or on none.
 *
 * From any thread. The memory goes with the last of those that hold it.
 */
#ifndef SHARED_ACCOUNT_MEMORY_H
#define SHARED_ACCOUNT_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void account_memory_hold(void);
void account_memory_let_go(void);

struct account_copy {
	char *text;        /* NULL: surely not there. Of a list: its members, with line feeds */
	uint64_t heard_ms; /* clock_mono_ms() */
	const char *marker;
};

/* A newer copy than what is there; `text` is copied. That something is not there is kept of what
 * was: names that strangers guess push nobody out. */
void account_memory_put(const char *key, const struct account_copy *copy);
/* The copy, when one is there that was heard after `after_ms`: `text` is the caller's to free with
 * account_copy_free(), `marker` (MARKER_SIZE) is filled. */
bool
account_memory_get(const char *key, uint64_t after_ms, struct account_copy *copy_out, char *marker);
/* Wipes: it may hold a verifier. Takes NULL. */
void account_copy_free(char *text);

#endif
