/*
 * person_entry.h - what an entry person/<login> of relay.config may hold. Pure.
 *
 * {"version", "login", "name", "role", "account": of a customer's person, "language", "created_us",
 *  "epoch": sessions of another one are over, "verifier": of the password, argon2id (RFC 9106),
 *  "link": "invite" or "reset", "secret": the link's hash, "link_until_us",
 *  "totp": the second factor's secret, "recovery": hashes of codes that count once}
 */
#ifndef CONTROL_PERSON_ENTRY_H
#define CONTROL_PERSON_ENTRY_H

#include <stdbool.h>

#include <jansson.h>

#include "control/account/fault.h"

#define PERSON_PREFIX "person/"
#define LOGIN_MAX 120 /* bytes */
#define LOGIN_SIZE (LOGIN_MAX + 1)
#define PERSON_NAME_MAX 100 /* characters */

/* Writes the one form of a login, a mail address of ASCII signs: all in lower case. False: the text
 * is none. Takes NULL. */
bool login_canonical(const char *text, char out[LOGIN_SIZE]);
/* Whether the text is a verifier of argon2id whose cost is bounded: who checks a password by it
 * gives so much memory and time. Takes NULL. */
bool person_verifier_valid(const char *verifier);
/* Whether the text is one line of at most PERSON_NAME_MAX characters. Takes NULL. */
bool person_name_valid(const char *name);

#endif
