/*
 * told.h - what operators are told that the sender has in hand.
 */
#ifndef SENDER_TOLD_H
#define SENDER_TOLD_H

struct json;

/* For inflight_reporter_new(). */
void told_fill(void *arg, struct json *json);

#endif
