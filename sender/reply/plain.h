/*
 * plain.h - one spelling of a reply's text, for rules to match. Pure.
 */
#ifndef SENDER_PLAIN_H
#define SENDER_PLAIN_H

#include <stddef.h>

#define PLAIN_MAX 1024 /* what is longer is cut */

/* "550-5.1.1 No such\n550 5.1.1 user" and "550 5.1.1 No such 5.1.1 user" become "550 5.1.1 No such
 * user": codes that are said again go, and so do double blanks. Of a mail address only "@" stays:
 * its words say nothing of the reply ("<othello@virus.example>: unknown"). `code` stands before a
 * text that does not begin with one; 0: none. Returns the length. */
size_t plain_reply(char out[PLAIN_MAX], const char *text, int code);

/* The code at the beginning of a plain text; 0: it has none. */
int plain_code(const char *plain);

#endif
