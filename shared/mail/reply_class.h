/*
 * reply_class.h - the last word about mail, as one of a few classes: for counts, not for decisions
 * (outcome.h). Pure.
 *
 *   4.7.x, 5.1.x ...  a reply, by the subject of its enhanced code (RFC 3463)
 *   4xx, 5xx          a reply without an enhanced code
 *   dns, connect, tls no host was found; none took a connection; TLS failed where it was required
 *   lost              a connection broke, fell silent, or made no sense
 *   ours              what this relay decided or could not do
 *   never             nothing was said yet
 *   held              the mail waits for an operator, whatever was said
 */
#ifndef SHARED_REPLY_CLASS_H
#define SHARED_REPLY_CLASS_H

#include "shared/mail/envelope.h"

#define REPLY_CLASS_MAX 12

/* The class of a reply; `enhanced` may be "". */
void class_of_reply(char class[REPLY_CLASS_MAX], int code, const char *enhanced);
/* The class of a text that begins with a reply's code; of any other text "ours". */
void class_of_text(char class[REPLY_CLASS_MAX], const char *text);
void class_of_row(char class[REPLY_CLASS_MAX], const Row *row);

#endif
