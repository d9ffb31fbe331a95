/*
 * json_from.h - values of the queue and of relay.config, as the API shows them.
 */
#ifndef CONTROL_JSON_FROM_H
#define CONTROL_JSON_FROM_H

#include <stdint.h>

#include <jansson.h>

/* "2026-11-24T03:56:48.123Z"; null for 0. */
json_t *json_from_time(uint64_t us);
/* A text from a remote, which need not be UTF-8. */
json_t *json_from_text(const char *text);

#endif
