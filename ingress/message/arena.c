/*
 * arena.c - the small pieces of one mail transaction, forgotten together.
 */
#include "ingress/message/arena.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"

#define BLOCK_SIZE 4096u

struct arena_block {
	struct arena_block *next;
	size_t used, size;
	_Alignas(16) char bytes[];
};

static struct arena_block *
block_new(size_t size)
{
	struct arena_block *block = xmalloc(sizeof *block + size);

	block->next = NULL;
	block->used = 0;
	block->size = size;
	return block;
}

/* A new block goes behind the first one, which stays for the next transaction. */
static struct arena_block *
block_with_room(struct arena *arena, size_t size)
{
	struct arena_block *block, *first = arena->first;

	if (!first)
		first = arena->first = block_new(BLOCK_SIZE);
	if (first->size - first->used >= size)
		return first;
	block = first->next;
	if (block && block->size - block->used >= size)
		return block;
	block = block_new(size > BLOCK_SIZE ? size : BLOCK_SIZE);
	block->next = first->next;
	first->next = block;
	return block;
}

void *
arena_get(struct arena *arena, size_t size)
{
	struct arena_block *block;
	void *piece;

	size = (size + 15) & ~(size_t)15;
	block = block_with_room(arena, size);
	piece = block->bytes + block->used;
	block->used += size;
	return piece;
}

char *
arena_text(struct arena *arena, const char *text, size_t length)
{
	char *copy = arena_get(arena, length + 1);

	memcpy(copy, text, length);
	copy[length] = '\0';
	return copy;
}

void
arena_reset(struct arena *arena)
{
	struct arena_block *next;

	if (!arena->first)
		return;
	for (struct arena_block *block = arena->first->next; block; block = next) {
		next = block->next;
		free(block);
	}
	arena->first->next = NULL;
	arena->first->used = 0;
}

void
arena_free(struct arena *arena)
{
	arena_reset(arena);
	free(arena->first);
	arena->first = NULL;
}
