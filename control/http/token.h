/*
 * token.h - the token of the API: whoever knows it may do everything.
 */
#ifndef CONTROL_TOKEN_H
#define CONTROL_TOKEN_H

#define TOKEN_SIZE 65 /* 64 hex digits and a NUL */

/* The token of state_dir/control.token, where that is a file for us alone; a new one otherwise. 0,
 * or -errno after logging why. The caller wipes it. */
int token_get(const char *state_dir, char token[TOKEN_SIZE]);

#endif
