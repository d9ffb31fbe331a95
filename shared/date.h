/*
 * date.h - the date of a message header (RFC 5322 3.3). Pure.
 */
#ifndef SHARED_DATE_H
#define SHARED_DATE_H

#include <stdint.h>

#define DATE_SIZE 40

/* Microseconds since 1970, in UTC: "Tue, 24 Nov 2026 03:56:48 +0000". */
void date_format(uint64_t us, char out[DATE_SIZE]);

#endif
