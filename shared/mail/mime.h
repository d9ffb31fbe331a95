/*
 * mime.h - text parts of our own mails, labelled by their content (RFC 2045, RFC 2046). Pure.
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

#endif
