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
/* Reads the provider's own texts again. What is wrong in them is logged, and all texts stay as they
 * were. On control's loop. */
void notices_reload(struct notices *notices);
/* Takes NULL. Call it once the queue owes no answer. */
void notices_free(struct notices **notices);

/* Whether customers get mails: service.name is set. */
bool notices_wanted(const struct notices *notices);
/* Whether there is such a mail. */
bool notice_known(const char *key);
/* The same text, which lives as long as the program; NULL: there is no such mail. */
const char *notice_key(const char *key);

/* A time as mails tell it: "2026-11-24 03:56 UTC". */
void notice_when(uint64_t us, char out[DATE_SIZE]);

/* 0 once the mail is durable; -EDESTADDRREQ: the account has no contact; else the queue's error. */
typedef void (*notice_cb)(void *arg, int err);

struct notice {
	const char *key;                   /* notice_known() */
	const json_t *account;             /* its entry in relay.config */
	const struct notice_value *values; /* NULL: none; else it ends with a name NULL */
	const char *to;                    /* a mailbox; NULL: the account's contact */
	const uint8_t *id;                 /* ID_SIZE bytes; NULL: a new one */
	uint64_t when_us;                  /* {WHEN}; 0: now */
};
/*
 * Sends a mail about an account, in the account's language, or in both. The frame's own values
 * (PROVIDER, ACCOUNT, HOST, PANEL, SUPPORT, WHEN) need not be among `values`. A mail with the same
 * id again is the same mail: it has the same Message-ID, and is delivered once as long as the
 * sender's ledger knows it. On control's loop; all may go after the call.
 */
void notice_send(struct notices *notices, const struct notice *notice, notice_cb cb, void *arg);

#endif
