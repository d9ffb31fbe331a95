/*
 * fixup.h - the fields a message came without: Date, Message-ID and From; and the one that tags it.
 * Pure.
 */
#ifndef SCANNER_FIXUP_H
#define SCANNER_FIXUP_H

#include <stddef.h>

#include "shared/mail/envelope.h"

#define FIXUP_MAX 1024

/*
 * Writes the fields that envelope->missing names, each ending in CRLF, to go before the body
 * (Envelope.prefix). Date is when the message was accepted, Message-ID <id@hostname>, From the MAIL
 * FROM (MAILER-DAEMON@hostname for the null sender). Returns the length, 0 when nothing is missing.
 */
size_t fixup_build(const Envelope *envelope, const char *hostname, char out[FIXUP_MAX]);

#define FIXUP_ALERT_MAX 512

/* The field that tags a message, by its verdict and signature; ends in CRLF. What is not printable
 * ASCII in the signature becomes "_". Returns the length. */
size_t fixup_alert(const Envelope *envelope, char out[FIXUP_ALERT_MAX]);

#endif
