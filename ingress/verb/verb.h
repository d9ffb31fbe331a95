/*
 * verb.h - what the verbs' files offer each other.
 */
#ifndef INGRESS_VERB_H
#define INGRESS_VERB_H

#include "ingress/session/session_private.h"

/* dispatch.c: the functions that every session of the role is made with. */
extern const struct session_verbs smtp_verbs;

/* One file per verb. */
void cmd_helo(struct session *session, const struct command *command);
void cmd_ehlo(struct session *session, const struct command *command);
void cmd_starttls(struct session *session, const struct command *command);
void cmd_auth(struct session *session, const struct command *command);
void cmd_mail(struct session *session, const struct command *command);
void cmd_rcpt(struct session *session, const struct command *command);
void cmd_data(struct session *session, const struct command *command);
void cmd_rset(struct session *session, const struct command *command);
void cmd_noop(struct session *session, const struct command *command);
void cmd_quit(struct session *session, const struct command *command);
void cmd_vrfy(struct session *session, const struct command *command);
void cmd_help(struct session *session, const struct command *command);
void cmd_unknown(struct session *session, const struct command *command);

/* cmd_auth.c: a line of the exchange, and its end. */
void auth_line(struct session *session, const char *line, size_t length);
void auth_free(struct session *session);
const char *auth_name(const struct session *session);

/* cmd_data.c: struct session_verbs. */
size_t data_input(struct session *session, const char *data, size_t size);

/* accept.c: the message is complete: judge it, hand it to the queue, answer. */
void accept_message(struct session *session);
/* Our Received field, for the front of the message. */
size_t accept_trace(struct session *session, char *out, size_t size);

#endif
