/*
 * person_mail.h - mails to a person: links, and news about the login.
 */
#ifndef CONTROL_PERSON_MAIL_H
#define CONTROL_PERSON_MAIL_H

#include <stdbool.h>

#include <jansson.h>

#include "control/notices/notices.h"
#include "control/people/secret.h"

struct api;

/* Whether people get mails with links: customers get mails, and the panel has a place. */
bool person_mail_possible(const struct api *api);
/* The link to the panel's page for a new password; the caller wipes and frees it. */
char *person_link(const struct api *api, const char *secret);
/* Sends the link of an entry: an invitation by `by`, or a reset. `cb` as notice_send() has it. */
void person_mail_link(struct api *api, const char *login, const json_t *entry, const char *by,
	const char *secret, notice_cb cb, void *arg);

enum person_news {
	NEWS_NETWORK,
	NEWS_PASSWORD,
	NEWS_FACTOR,
	NEWS_NO_FACTOR,
	NEWS_RECOVERY,
	NEWS_TOKEN
};
/* Tells the person, and the owners of the account, what became of the login. Nobody awaits these
 * mails, but the API's end does. */
void
person_mail_news(struct api *api, const char *login, enum person_news news, const char *client);

#endif
