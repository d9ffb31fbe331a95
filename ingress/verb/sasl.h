/*
 * sasl.h - what a client says in AUTH (RFC 4954 4): base 64, names, passwords, the messages of
 * PLAIN (RFC 4616) and SCRAM (RFC 5802). Pure.
 *
 * Results are written when the whole text is right, and left alone otherwise. Functions that read
 * messages return 0; -EINVAL: no such message; -EPERM: the client wants to act for another user.
 */
#ifndef INGRESS_SASL_H
#define INGRESS_SASL_H

#include <stdbool.h>
#include <stddef.h>

#define SASL_NAME_MAX 255
#define SASL_PASSWORD_MAX 1024

/* Decodes into `out` (at least `length` bytes); the size, or -EINVAL. No blanks, padding needed. */
long base64_read(const char *text, size_t length, char *out);

/* A username, in lower case: not empty, without control characters. */
bool sasl_name_read(const char *text, size_t length, char out[SASL_NAME_MAX + 1]);
/* Any text without NUL; it may be empty. */
bool sasl_password_read(const char *text, size_t length, char out[SASL_PASSWORD_MAX + 1]);

/* [authzid] NUL authcid NUL password. The username is also written with -EPERM. */
int sasl_plain_read(const char *text, size_t length, char username[SASL_NAME_MAX + 1],
	char password[SASL_PASSWORD_MAX + 1]);

/* The client's first message, as far as its username: "n,,n=user,r=nonce", "y,a=user,n=user,...".
 * The username is also written with -EPERM. */
int sasl_scram_read(const char *text, size_t length, char username[SASL_NAME_MAX + 1]);

#endif
