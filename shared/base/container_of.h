/*
 * container_of.h - from a pointer to a struct's member to the struct itself.
 */
#ifndef SHARED_CONTAINER_OF_H
#define SHARED_CONTAINER_OF_H

#include <stddef.h>

/* The struct `type` whose `member` is at `pointer`. A pointer of another type is a warning. */
#define container_of(pointer, type, member)                                                        \
	((type *)((char *)(1 ? (pointer) : &((type *)0)->member) - offsetof(type, member)))

#endif
