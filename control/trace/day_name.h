/*
 * day_name.h - the days of the trace, by name: which one a message belongs to, which ones there
 * are.
 */
#ifndef CONTROL_TRACE_DAY_NAME_H
#define CONTROL_TRACE_DAY_NAME_H

#include <stdint.h>

#include <jansson.h>

#include "shared/mail/envelope.h"

#define DAY_US (UINT64_C(24) * 3600 * 1000000)
#define DAY_NAME_SIZE 9 /* YYYYMMDD */

/* The name of the day that holds the message: when the message was accepted is in its id. */
void day_name(const uint8_t id[ID_SIZE], char name[DAY_NAME_SIZE]);
void day_name_at(uint64_t us, char name[DAY_NAME_SIZE]);
/* The moment at which the day of that name begins; 0: it is no name of a day. */
uint64_t day_begin_us(const char *name);
/* When the message was accepted, in microseconds. */
uint64_t id_time_us(const uint8_t id[ID_SIZE]);
/* The smallest id of that time. */
void id_at(uint64_t us, uint8_t id[ID_SIZE]);
/* The names of the days in the directory, the oldest first: an array of strings. */
json_t *days_list(const char *directory);
/* Removes the files of a day that is not open. */
void day_unlink(const char *directory, const char *name);
/* Renames the file of such a day to .db.broken. */
void day_set_aside(const char *directory, const char *name);

#endif
