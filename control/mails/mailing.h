/*
 * mailing.h - what mailings.c, mailing_texts.c and tell.c share.
 */
#ifndef CONTROL_MAILING_H
#define CONTROL_MAILING_H

#include <stdint.h>

#include <jansson.h>

#include "control/mails/mailings.h"
#include "control/notices/notice_text.h"
#include "shared/mail/envelope.h"

struct mailings {
	const struct config *config;
	struct directory *directory;
	struct notices *notices;
	struct book *book;
	const struct leader *leader;
	json_t *telling; /* mails under way to the queue (tell.c) */
	void (*on_closed)(void *arg);
	void *closed_arg;
};

struct mailing {
	const struct mailings *mailings;
	const struct config *config;
	const struct directory *directory;
	json_t *account;     /* its entry */
	const char *seed;    /* of the mails' ids; NULL: new ids */
	uint64_t when_us;    /* 0: now */
	const json_t *event; /* the change (audit.h); NULL: the mails are asked for */
	/* "username" and "password", as far as they are known. These three only while the mails are
	 * begun. */
	const json_t *secrets;
	unsigned pending; /* mails, and one while they are begun */
	int err;
	json_t *mails, *failed, *told;
	mailing_cb asked;
	queue_cb cb;
	void *arg;
};

/* The id of a mail: of what it is about, a text, and of a number that tells it from an earlier one
 * about the same. */
void mail_id_make(uint8_t id[ID_SIZE], const char *about, uint64_t number);

/* Begins a mail. `values` may be NULL. The id depends on the seed, the key and the contact. */
void mailing_post(struct mailing *mailing, const char *key, const struct notice_value *values);

struct cause {
	const char *what; /* of a change, or the name of what is asked for */
	void (*send)(struct mailing *mailing);
};
/* What a change causes, or NULL. */
const struct cause *cause_of(const char *what);
/* What can be asked for by this name, or NULL. */
const struct cause *asked_of(const char *name);

#endif
