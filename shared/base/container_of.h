/*
 * container_of.h - from a member of a struct to the struct.
 */
#ifndef SHARED_CONTAINER_OF_H
#define SHARED_CONTAINER_OF_H

#include <stddef.h>

/* The struct `type` whose `member` `pointer` points to. Another type of pointer is a warning. */
#define container_of(pointer, type, member)                                                        \
	((type *)((char *)(1 ? (pointer) : &((type *)0)->member) - offsetof(type, member)))

#endif
