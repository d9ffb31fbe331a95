/*
 * mime.h - text parts of our own mails, labelled by what they hold (RFC 2045, RFC 2046).
 */
#ifndef SHARED_MIME_H
#define SHARED_MIME_H

#include <stddef.h>
#include <stdio.h>

/*
 * The fields Content-Type and, when needed, Content-Transfer-Encoding, the empty line and the text,
 * in a form that every host takes: ASCII as it is, anything else in quoted-printable, with its
 * charset when it is UTF-8. `text` is whole lines that end in CRLF, of at most 998 octets.
 */
void mime_put_text(FILE *out, const char *type, const char *text, size_t length);

#endif
