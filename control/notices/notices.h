/*
 * notices.h - mails of the service to its customers.
 */
#ifndef CONTROL_NOTICES_H
#define CONTROL_NOTICES_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "control/notices/notice_text.h"
#include "shared/base/date.h"

struct config;
struct notices;
struct queue;

/* Reads the provider's own texts (service.notices) into the place of ours. NULL, with every error
 * on `errors` (NULL: the log), one a line: a text cannot be read, is none of ours, or is wrong. */
struct notices *notices_new(const struct config *config, struct queue *queue, FILE *errors);
/* Takes NULL. Call it once the queue owes no answer. */
void notices_free(struct notices **notices);

/* Whether customers get mails: service.name is set. */
bool notices_wanted(const struct notices *notices);
/* Whether there is such a mail. */
bool notice_known(const char *key);

/* A time as mails tell it: "2026-11-24 03:56 UTC". */
void notice_when(uint64_t us, char out[DATE_SIZE]);

/* 0 once the mail is durable; -EDESTADDRREQ: the account has no contact; else the queue's error. */
typedef void (*notice_cb)(void *arg, int err);

/*
 * Sends the mail `key` (notice_known()) to the contact of an account (its entry in relay.config),
 * in the account's language, or in both. `values` ends with a name NULL; the frame's own (PROVIDER,
 * ACCOUNT, HOST, PANEL, SUPPORT, WHEN: now) need not be among them. On control's loop; all may go
 * after the call.
 */
void notice_send(struct notices *notices, const char *key, const json_t *account,
	const struct notice_value *values, notice_cb cb, void *arg);

#endif
