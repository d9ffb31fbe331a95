/*
 * own_mail.c - an envelope for a mail of this relay's own.
 *
 * hold, notices -> [own_mail] -> mail.ready
 */
#include "shared/work/own_mail.h"

#include "shared/base/loop.h"
#include "shared/base/text.h"
#include "shared/mail/address.h"

void
own_mail_put(struct queue *queue, uint8_t id[ID_SIZE], const char *to, const struct body *body,
	uint32_t partition, queue_cb cb, void *arg)
{
	Recipient recipient = RECIPIENT__INIT, *recipients[] = { &recipient };
	Envelope envelope = ENVELOPE__INIT;
	char ascii[ADDRESS_ASCII_MAX];

	recipient.address = (char *)(uintptr_t)to;
	envelope.id = (ProtobufCBinaryData){ ID_SIZE, id };
	envelope.kind = ENVELOPE__KIND__NOTICE;
	envelope.accepted_us = clock_us();
	envelope.size = body->size;
	envelope.n_recipients = 1;
	envelope.recipients = recipients;
	envelope.mime_8bit = !text_is_ascii(body->data, body->size);
	envelope.smtputf8 = !address_to_ascii(to, ascii);
	envelope.partition = partition;
	queue_put(queue, TOPIC_READY, &envelope, body, cb, arg);
}
