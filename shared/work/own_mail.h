/*
 * own_mail.h - puts a mail of this relay's own into the queue, for the sender to deliver.
 */
#ifndef SHARED_OWN_MAIL_H
#define SHARED_OWN_MAIL_H

#include "shared/queue/records.h"

/*
 * Puts a notice to one mailbox into mail.ready, with the null sender (RFC 5321 4.5.5). `cb` comes
 * when the mail is durable, or with the queue's error; the body's bytes must live until then.
 * A mail with the same id again is the same mail. `partition`: of the message that the mail is
 * about, or 0.
 */
void own_mail_put(struct queue *queue, uint8_t id[ID_SIZE], const char *to, const struct body *body,
	uint32_t partition, queue_cb cb, void *arg);

#endif
