/*
 * record.h - what is told of a session, for shared/account/talk.h: from where, how far it came, and
 * what was said when something was refused.
 *
 * A customer's session is told while it lasts, at most once a second, and at its end; a stranger's
 * at its end. A record is {"at","seen" (microseconds since 1970),"open","address","port","tls",
 * "username","helo","mail" (MAIL was taken),"accepted","refused" (how many),"id" (of the last
 * message), "command","result" (what was refused last),"dialogue" (only with a refusal)}.
 */
#ifndef INGRESS_RECORD_H
#define INGRESS_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "ingress/session/dialogue.h"
#include "shared/mail/envelope.h"

#define RECORD_REFUSAL_MAX 200

struct session;
struct worker;

struct record_state {
	struct dialogue dialogue;
	uint64_t began_us;
	unsigned accepted, refused;
	bool mail; /* MAIL was taken */
	bool news; /* something was not told yet */
	char id[ID_TEXT_SIZE];
	char result[RECORD_REFUSAL_MAX + 1];
	const char *command;
	char *tried, *tried_user; /* the account and the user that a login failed as; NULL: none */
};

/* Something was refused. `text` is the reply, `command` a static text. */
void record_refusal(struct session *session, const char *command, const char *text);
/* A login as a user of that account failed. */
void record_tried(struct session *session, const char *account, const char *username);
void record_accepted(struct session *session, const char *id);
/* MAIL was taken. */
void record_mail(struct session *session);
/* The session ends. Frees what the state has. */
void record_end(struct session *session);
/* Tells what is new of the sessions that go on; `worker` is a struct worker. */
void record_flush(void *worker);

#endif
