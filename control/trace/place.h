/*
 * place.h - how far mail.events was read, and which days that made: a file that is written as a
 * whole or not at all.
 */
#ifndef CONTROL_TRACE_PLACE_H
#define CONTROL_TRACE_PLACE_H

#include <jansson.h>

/* Durable when it returns 0, else -errno. */
int place_save(const char *directory, const char *place, json_t *days);
/* {"place","days"}, which the caller releases; NULL: there is none that can be read. */
json_t *place_load(const char *directory);
void place_remove(const char *directory);

#endif
