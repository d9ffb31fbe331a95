/*
 * arena.h - the small pieces of one mail transaction, forgotten together. The first block is kept,
 * so that a usual transaction allocates nothing.
 */
#ifndef INGRESS_ARENA_H
#define INGRESS_ARENA_H

#include <stddef.h>

struct arena_block;
struct arena {
	struct arena_block *first; /* zero-initialise */
};

void *arena_get(struct arena *arena, size_t size);
char *arena_text(struct arena *arena, const char *text, size_t length); /* NUL-terminated copy */
/* Forgets all pieces; the first block stays allocated. */
void arena_reset(struct arena *arena);
void arena_free(struct arena *arena);

#endif
