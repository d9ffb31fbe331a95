/*
 * bounces.h - why an account's mail did not arrive: its bounced and expired recipients, by the
 * class of the last reply.
 */
#ifndef CONTROL_BOUNCES_H
#define CONTROL_BOUNCES_H

#include <stdint.h>

#include <jansson.h>

/* Adds the recipients of messages that were accepted on the day `name`, in [since, until), to
 * `classes`: {class: {"class","recipients","last_us"}}. 0 or -errno, as day.h. */
int bounces_count(const char *directory, const char *name, const char *account, uint64_t since_us,
	uint64_t until_us, json_t *classes);

#endif
