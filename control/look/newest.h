/*
 * newest.h - the newest so many of what a search finds, bounded in bytes, too.
 */
#ifndef CONTROL_NEWEST_H
#define CONTROL_NEWEST_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#define NEWEST_BYTES_MAX (8u << 20)

struct newest;

struct newest *newest_new(size_t limit);
void newest_free(struct newest **newest);
/* Takes `value` over; `length` of its text. The oldest go. */
void newest_add(struct newest *newest, json_t *value, size_t length);
/* How many were added. */
size_t newest_seen(const struct newest *newest);
/* Whether one more could push another out, or already has. */
bool newest_full(const struct newest *newest);
/* In the order in which they were added; empties it. */
json_t *newest_take(struct newest *newest);

#endif
