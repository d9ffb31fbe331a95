/*
 * fixup.h - the fields that a message came without (Date, Message-ID, From), and the field that
 * tags a message. Pure.
 */
#ifndef SCANNER_FIXUP_H
#define SCANNER_FIXUP_H

#include <stddef.h>

#include "shared/mail/envelope.h"

#define FIXUP_MAX 1024
#define FIXUP_ID_MAX 320

/*
 * Writes the fields that envelope->missing names, each ending in CRLF, to go before the body
 * (Envelope.prefix). Date is when the message was accepted, Message-ID <id@hostname>, From the MAIL
 * FROM (MAILER-DAEMON@hostname for the null sender). Returns the length, 0 when nothing is missing.
 */
size_t fixup_build(const Envelope *envelope, const char *hostname, char out[FIXUP_MAX]);

/* The Message-ID that fixup_build() gives to a message without one. */
void fixup_message_id(const Envelope *envelope, const char *hostname, char out[FIXUP_ID_MAX]);

#define FIXUP_ALERT_MAX 512

/* Writes the field that tags a message with its verdict and signature, ending in CRLF. Characters
 * of the signature outside of printable ASCII become "_". Returns the length. */
size_t fixup_alert(const Envelope *envelope, char out[FIXUP_ALERT_MAX]);

#endif
