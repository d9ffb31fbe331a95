/*
 * reply_class.h - what was said last about mail, in a word: for counts by class, not for decisions
 * (outcome.h). Pure.
 *
 *   4.7.x, 5.1.x ...  a reply, by the subject of its enhanced code (RFC 3463)
 *   4xx, 5xx          a reply without one
 *   dns, connect, tls no host was found; none took a connection; TLS failed where it had to be
 *   lost              a connection that was lost or silent, or made no sense
 *   ours              what this relay decided or could not do
 *   never             nothing was said yet
 *   held              it waits for an operator, whatever was said
 */
#ifndef SHARED_REPLY_CLASS_H
#define SHARED_REPLY_CLASS_H

#include "shared/mail/envelope.h"

#define REPLY_CLASS_MAX 12

/* Of a reply; `enhanced` may be "". */
void class_of_reply(char class[REPLY_CLASS_MAX], int code, const char *enhanced);
/* Of a text that begins with a reply's code; of another one "ours". */
void class_of_text(char class[REPLY_CLASS_MAX], const char *text);
void class_of_row(char class[REPLY_CLASS_MAX], const Row *row);

#endif
