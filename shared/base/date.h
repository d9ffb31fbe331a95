/*
 * date.h - dates as text: of a message header (RFC 5322 3.3), and of everything else (ISO 8601).
 * Pure.
 */
#ifndef SHARED_DATE_H
#define SHARED_DATE_H

#include <stdint.h>

#define DATE_SIZE 96

/* Microseconds since 1970, in UTC: "Tue, 24 Nov 2026 03:56:48 +0000". */
void date_format(uint64_t us, char out[DATE_SIZE]);
/* "2026-11-24T03:56:48.123Z". */
void date_iso(uint64_t us, char out[DATE_SIZE]);
/* The same, also with a blank for the T, an offset ("+01:00"), without fraction, seconds, or time
 * of day; or "03:56" and "03:56:48", the last time it was that late. UTC unless it says otherwise.
 * 0 or -EINVAL. */
int date_read(const char *text, uint64_t now_us, uint64_t *us_out);

#endif
