/*
 * event_key.h - the key of an event among those of its message. Pure.
 */
#ifndef CONTROL_EVENT_KEY_H
#define CONTROL_EVENT_KEY_H

#include <jansson.h>

/* The same event, sent again by a sender after its crash, has the same key. The caller frees it. */
char *event_key(const json_t *event, const char *name);

#endif
