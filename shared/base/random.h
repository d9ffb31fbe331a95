/*
 * random.h - text that nobody can guess.
 */
#ifndef SHARED_RANDOM_H
#define SHARED_RANDOM_H

#include <stddef.h>

/* `length` signs of the alphabet, each equally likely, and a NUL. */
void random_text(char *out, size_t length, const char *alphabet);

#endif
