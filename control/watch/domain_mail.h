/*
 * domain_mail.h - the mail about a domain whose DNS records are to be mended.
 */
#ifndef CONTROL_WATCH_DOMAIN_MAIL_H
#define CONTROL_WATCH_DOMAIN_MAIL_H

#include <jansson.h>

struct notices;

/* Sends the mail "dns" to the contact of an account (its entry in relay.config); `report` is as
 * domain_result_take() leaves it. A failure is in the log. */
void domain_mail_send(struct notices *notices, const json_t *account, const json_t *report);

#endif
