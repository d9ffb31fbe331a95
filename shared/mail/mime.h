/*
 * mime.h - header fields and text parts of our own mails (RFC 2045 to 2047). Pure.
 */
#ifndef SHARED_MIME_H
#define SHARED_MIME_H

#include <stddef.h>
#include <stdio.h>

/*
 * Writes Content-Type, Content-Transfer-Encoding when needed, the empty line and the text, in a
 * form that every host takes: ASCII stays; other text becomes quoted-printable, and is labelled
 * UTF-8 when it is. `text` is whole lines that end in CRLF, of at most 998 octets.
 */
void mime_put_text(FILE *out, const char *type, const char *text, size_t length);

/* Writes "Name: text" with its line end, folded; a text beyond ASCII as encoded words (RFC 2047).
 * `text` is UTF-8 without controls. */
void mime_put_field(FILE *out, const char *name, const char *text);
/* Writes "Name: phrase <address>" likewise (RFC 5322 3.4). */
void mime_put_mailbox(FILE *out, const char *name, const char *phrase, const char *address);

#endif
