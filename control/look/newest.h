/*
 * newest.h - keeps the newest results of a search, bounded in number and bytes.
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
/* Adds `value`, and takes it over; `length` is that of its text. The oldest results go. */
void newest_add(struct newest *newest, json_t *value, size_t length);
/* How many were added. */
size_t newest_seen(const struct newest *newest);
/* Whether another result would push one out, or one was pushed out already. */
bool newest_full(const struct newest *newest);
/* Returns the results in the order in which they were added, and empties the list. */
json_t *newest_take(struct newest *newest);

#endif
