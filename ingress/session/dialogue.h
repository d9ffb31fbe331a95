/*
 * dialogue.h - what a client and we said to each other, in at most DIALOGUE_MAX bytes, for people
 * who look for what is wrong. Pure.
 *
 * No secret and no message gets in: what follows AUTH, lines of an exchange of AUTH, our challenges
 * and whatever is no command (it may be a password that came too late) are told by their kind
 * alone. When it is full, the middle is left out.
 */
#ifndef INGRESS_DIALOGUE_H
#define INGRESS_DIALOGUE_H

#include <stdbool.h>
#include <stddef.h>

#include "ingress/session/command.h"

#define DIALOGUE_MAX 4096

struct dialogue {
	char *text; /* lines "C: ...", "S: ...", "(...)"; NULL: nothing yet */
	size_t length;
};

/* A line of the client, without its end. `secret`: it belongs to an exchange of AUTH. */
void dialogue_client(struct dialogue *dialogue, const char *line, size_t length, bool secret);
/* Our reply, without its last CRLF. */
void dialogue_server(struct dialogue *dialogue, const char *text, size_t length);
/* What happened beside, like a handshake: at most 200 bytes of it. */
void dialogue_note(struct dialogue *dialogue, const char *text);
void dialogue_free(struct dialogue *dialogue);

#endif
