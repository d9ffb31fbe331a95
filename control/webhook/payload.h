/*
 * payload.h - what a webhook is sent of an event, and how it is signed. Pure.
 */
#ifndef CONTROL_PAYLOAD_H
#define CONTROL_PAYLOAD_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#define SIGNATURE_SIZE 96 /* "t=1764547200,v1=" and 64 hexadecimal digits */

/* The body of an event's post: {"id","event","time","account","message","originator",
 * "recipients":[],...}. The same event has the same "id" however often it comes. The caller frees
 * it; `id` (borrowed from nothing, the caller frees it) gets the id. */
char *payload_new(const json_t *event, char **id);

/* "t=<seconds since 1970>,v1=<HMAC-SHA256 of "seconds.body" in hex>" */
void payload_sign(const char *secret, uint64_t seconds, const char *body, size_t length,
	char out[SIGNATURE_SIZE]);

#endif
