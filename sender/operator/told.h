/*
 * told.h - tells operators which mail the sender has in hand.
 */
#ifndef SENDER_TOLD_H
#define SENDER_TOLD_H

struct json;

/* Fills a report; a callback for inflight_reporter_new(). */
void told_fill(void *arg, struct json *json);

#endif
