/*
 * envelope.h - message ids, and the codec of what travels beside a message (envelope.proto).
 */
#ifndef SHARED_ENVELOPE_H
#define SHARED_ENVELOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/mail/envelope.pb-c.h"

/*
 * Message ids: 128 bits. The first 48 are the time in milliseconds, so that ids sort by time; the
 * others are random. As text 26 characters of Crockford's base 32 in lower case.
 */
#define ID_SIZE 16
#define ID_TEXT_SIZE 27 /* with the NUL */

void id_make(uint8_t id[ID_SIZE]);
/* An id that depends on its inputs alone, for mail that a crash must not make twice (DSNs): the id
 * of the message that the mail is about, and a text that tells mails about that message apart. The
 * new id keeps the time of `about`. */
void id_derive(uint8_t id[ID_SIZE], const uint8_t about[ID_SIZE], const char *what, size_t length);
void id_format(const uint8_t id[ID_SIZE], char text[ID_TEXT_SIZE]);
/* 0, or -EINVAL unless `text` is exactly 26 characters of the alphabet. */
int id_parse(const char *text, uint8_t id[ID_SIZE]);

/* RFC 3461 NOTIFY */
enum notify { NOTIFY_NEVER = 1, NOTIFY_SUCCESS = 2, NOTIFY_FAILURE = 4, NOTIFY_DELAY = 8 };
/* Fields that a message lacked when it came (Envelope.missing) */
enum missing { MISSING_DATE = 1, MISSING_MESSAGE_ID = 2, MISSING_FROM = 4 };

/* The unpacked message is one allocation. NULL when the bytes are no envelope (or row). */
Envelope *envelope_unpack(const void *data, size_t size);
void envelope_free(Envelope *envelope);
Row *row_unpack(const void *data, size_t size);
void row_free(Row *row);

/* The weight of a message where mail in memory is bounded: one, and one more for every 50
 * recipients, since each recipient costs memory. */
unsigned recipients_weight(size_t recipients);
#define ENVELOPE_RECIPIENTS_MAX 1000

/* The header field that the scanner tags mail with: "X-Shout-Alert: unwanted, PUA.Win.Tool.X". */
#define ALERT_FIELD "X-Shout-Alert"
/* "clean", "infected", "unwanted" ...; "none" for an unknown verdict. */
#define VERDICTS 6
const char *envelope_verdict_name(Envelope__Verdict verdict);
/* Whether the scanner wants the message held, and why. */
bool envelope_must_hold(const Envelope *envelope);
const char *envelope_hold_reason(const Envelope *envelope);

/* Deep copies in one allocation, to be freed with envelope_free() or row_free(). */
Envelope *envelope_copy(const Envelope *envelope);
Row *row_copy(const Row *row);

#endif
