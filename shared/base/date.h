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
/* Reads what date_iso() writes. The T may be a blank; fraction, seconds and time of day may be
 * missing; an offset ("+01:00") may follow, else the time is UTC. "03:56" and "03:56:48" alone are
 * the last moment with that time of day. 0 or -EINVAL. */
int date_read(const char *text, uint64_t now_us, uint64_t *us_out);

#endif
