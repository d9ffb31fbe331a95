/*
 * session_private.h - the inside of a session, for session.c and the command files.
 *
 * A session has at most one command in hand. A handler answers with exactly one reply(), refuse()
 * or session_end(), at once or from a callback that finds the session again by its id; until then
 * the input behind the command stays unread. So replies leave in order, and a client that pipelines
 * is slowed down by its own window.
 */
#ifndef INGRESS_SESSION_PRIVATE_H
#define INGRESS_SESSION_PRIVATE_H

#include "ingress/door/stats.h"
#include "ingress/door/tally.h"
#include "ingress/message/arena.h"
#include "ingress/message/body.h"
#include "ingress/message/dot.h"
#include "ingress/session/command.h"
#include "ingress/session/record.h"
#include "ingress/session/session.h"
#include "ingress/session/worker.h"

#define CLIENT_TEXT_MAX 64
#define HELO_MAX 255
#define REPLY_MAX 1024
#define SHAKE_MS 30000 /* for a TLS handshake */

enum session_state {
	ST_PROXY,   /* waits for a PROXY header */
	ST_SHAKE,   /* a TLS handshake */
	ST_COMMAND, /* a command line */
	ST_LINE,    /* a line that belongs to the command before it (AUTH) */
	ST_DATA,    /* the message */
	ST_CLOSED
};

enum known {
	KNOWN_UNASKED,
	KNOWN_YES, /* session->account */
	KNOWN_NO,
	KNOWN_UNSURE /* Redis does not answer */
};

/* A mail transaction. It outlives its session while the queue has it. */
struct transaction {
	uint64_t session; /* id; 0: the session has gone */
	struct worker *worker;
	struct arena arena;
	bool open;               /* MAIL was accepted */
	bool taken;              /* the limits count it */
	bool sandbox;            /* it is accepted, and goes nowhere */
	struct limits_user user; /* the username, if it has limits of its own */
	bool queued;             /* queue_put() has it */
	enum access_mode mode;   /* by what the account is known */
	struct account *account;
	Envelope envelope;
	uint8_t id[ID_SIZE];
	char id_text[ID_TEXT_SIZE];
	const char **mailboxes; /* of the envelope's recipients, by address_canonical() */
	size_t recipients_space;
	unsigned refused_recipients;
	uint64_t announced; /* SIZE= */
	struct dot dot;
	struct draft draft;
	struct body body;  /* what the queue gets */
	uint64_t received; /* bytes of the message so far */
	bool too_big;
	size_t judged; /* see authorize_header() */
	uint64_t started_ms, dot_us;
};

struct auth;

struct session {
	uint64_t id;
	struct worker *worker;
	const struct listener *listener;
	struct wire *wire;
	struct session *next_dead;
	enum session_state state;
	bool busy;     /* a command is in hand */
	bool in_turn;  /* input is being worked on further up the stack */
	bool answered; /* a reply was given since the timeout was set */
	bool quit;     /* the client said so */
	bool started;  /* the banner was sent */
	bool working;  /* the door knows that it is in a transaction */
	struct guest *guest;
	struct net_address client;
	char client_text[CLIENT_TEXT_MAX];

	const char *in; /* the worker's scratch, during a turn */
	size_t in_size;
	char *left; /* input kept between turns */
	size_t left_size;
	bool skip_line; /* inside a line that is too long */

	char helo[HELO_MAX + 1];
	bool greeted, esmtp;
	char tls[80];
	struct account *account;
	char *credential;                      /* username; NULL in IP mode */
	struct credential *grant;              /* what the username may do; NULL in IP mode */
	enum known known;                      /* by its address */
	void (*then)(struct session *session); /* called when the answer from elsewhere comes */

	enum verb verb;   /* of the command in hand, or the last */
	bool in_message;  /* the command in hand is DATA, after its 354 */
	const char *said; /* behind MAIL FROM: or RCPT TO:, while that line is read; or NULL */
	size_t said_length;

	unsigned errors, idle_commands;
	unsigned doubts;   /* how often AUTH was answered with 454 */
	struct auth *auth; /* the exchange in hand */
	struct transaction *mail;
	struct record_state record;
};

/* The session whose id travelled as a callback's argument; NULL: it has gone. */
struct session *session_find(void *arg);
void *session_arg(const struct session *session);

/* The answer to the command in hand. The text is without CRLF; lines inside are separated by CRLF.
 */
void reply(struct session *session, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* refuse.c. Answers with a refusal: counts it by reason, tells it by an event, and limits it if it
 * is the client's fault. Ends an exchange of AUTH. */
void refuse(struct session *session, enum refusal why, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Refuses, and ends the transaction. */
void refuse_message(struct session *session, enum refusal why, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Refuses a name or password; the event is "auth-failed". `text` is the whole reply. */
void refuse_login(struct session *session, const char *reason, const char *text);
/* Refuses, and ends the session. */
void refuse_end(struct session *session, enum refusal why, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Refuses by the error of mail_parameters_read() and its like. */
void
refuse_parameter(struct session *session, int err, const char *verb, const struct parameter *bad);
/* Sends the event alone, about the command in hand. `reply`: the error of a handshake; NULL:
 * none. */
void session_tell(
	const struct session *session, enum tally_kind kind, const char *reason, const char *reply);

/* Sends a last reply and ends the session. */
void
session_end(struct session *session, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Ends the session without a reply. */
void session_close(struct session *session);

/* The command must be the last of its group (RFC 2920 3.1): false after ending the session. */
bool session_alone(struct session *session, const char *verb);
/* Forgets what the client said before TLS (RFC 3207 4.2). */
void session_forget(struct session *session);
void session_discard_input(struct session *session);

/* admit.c. Sets the client's address. */
void session_set_client(struct session *session, const struct net_address *client);
/* The door has let the client in: the banner, or TLS. */
void session_admit(struct session *session);
/* A PROXY header has named the client: asks the door. */
void session_admit_named(struct session *session, const struct net_address *client);
/* The client came further than a command that leads nowhere. */
void session_step(struct session *session);
/* The session speaks for a customer. */
void session_known(struct session *session);
/* Calls on_timeout after this long, or sooner when a stranger's time is up. */
void session_set_timeout(struct session *session, uint64_t ms);
/* Whether the client's address may have another handshake; false after ending the session. */
bool session_may_shake(struct session *session);
/* Whether the client's address may have another command that leads nowhere; false after ending the
 * session. */
bool session_may_try(struct session *session);
/* The session's username may do what `grant` says; NULL: it has none. */
void session_set_grant(struct session *session, struct credential *grant);
/* Calls `then`, at once or later, with session->account or session->known up to date.
 */
void session_identify(struct session *session, void (*then)(struct session *session));
bool session_may_auth(const struct session *session);

void session_banner(struct session *session);
void on_session_tls(void *arg, const char *error);

/* The functions that a session hands its client's input to (dispatch.c). */
struct session_verbs {
	/* A whole line, without its end. */
	void (*line)(struct session *session, const char *line, size_t length);
	/* Input in ST_DATA; how much of it was taken. */
	size_t (*data)(struct session *session, const char *data, size_t size);
	/* The user whom the exchange of AUTH in hand names; NULL: none. */
	const char *(*auth_name)(const struct session *session);
	/* Ends that exchange. */
	void (*auth_free)(struct session *session);
};

/* transaction.c */
struct transaction *transaction_new(struct session *session);
/* Ready for the next MAIL. The limits get back what was not accepted. */
void transaction_reset(struct transaction *mail);
/* The session gives its transaction up: freed, now or when the queue has answered. */
void transaction_leave(struct transaction **mail);
const char *transaction_text(struct transaction *mail, const char *text, size_t length);
/* `mailbox` is by address_canonical(). Finds its recipient, NULL: there is none. Adds a recipient,
 * still without an address. */
Recipient *transaction_find_recipient(const struct transaction *mail, const char *mailbox);
Recipient *transaction_add_recipient(struct transaction *mail, const char *mailbox);
/* How long, in ms, the next bytes of the message may take: `timeout`, less when the message falls
 * behind its pace, 0 when its time is up. */
uint64_t transaction_time_left(const struct transaction *mail, uint64_t timeout);

#endif
