/*
 * token.h - the API's token: whoever knows the token may do everything.
 */
#ifndef CONTROL_TOKEN_H
#define CONTROL_TOKEN_H

#define TOKEN_SIZE 65 /* 64 hex digits and a NUL */

/* Reads the token of state_dir/control.token if that file is ours alone, else makes a new token. 0,
 * or -errno after logging why. The caller wipes the token. */
int token_get(const char *state_dir, char token[TOKEN_SIZE]);

#endif
