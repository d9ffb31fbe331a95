/*
 * secret.h - random texts that prove who somebody is, and what is kept of them: a hash. They have
 * 238 bits and more, so that a fast hash is enough.
 */
#ifndef CONTROL_SECRET_H
#define CONTROL_SECRET_H

#define SECRET_SIZE 64      /* with its prefix */
#define SECRET_ID_SIZE 11   /* a name that can be told to anybody */
#define SECRET_HASH_SIZE 65 /* SHA-256 in hex */

/* Makes a secret that begins with `prefix` (at most 8 signs), and an id. */
void secret_new(const char *prefix, char secret[SECRET_SIZE], char id[SECRET_ID_SIZE]);
/* Wipes and frees a text that nobody may read later; NULL is none. */
void secret_free(char *text);
void secret_hash(const char *secret, char out[SECRET_HASH_SIZE]);

#endif
