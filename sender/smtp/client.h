/*
 * client.h - one SMTP connection to a site, from finding a host that answers to QUIT.
 *
 * The scheduler opens clients, gives each one transaction at a time, and decides when to let it go.
 *
 *   client_open -> on_ready, or on_gone (no host answered)
 *   client_send -> on_done with an outcome for each recipient, then on_ready for the next one (or
 *                  on_gone)
 *   on_gone at any time: the connection ended; a transaction in hand gets its on_done first
 *
 * A message that a host cannot have (its SIZE, no SMTPUTF8) takes the client on to the next hosts
 * of the route, and is its last one then.
 *
 * Callbacks come from the loop, never from inside client_open(), client_send() or client_quit().
 * Inside on_ready the owner may call client_send() or client_quit(); inside on_done it only takes
 * note. A client is never freed inside its own callback: after on_gone it frees itself on the
 * loop's next turn; the owner forgets it in on_gone. A connection that waits for work longer than
 * sender.timeout.idle goes by itself (on_gone with NULL).
 *
 * A connection may be reused for a transaction whose route has the same hosts (route_same()): a
 * provider's site has many routes.
 */
#ifndef SENDER_CLIENT_H
#define SENDER_CLIENT_H

#include "sender/policy/outcome.h"
#include "sender/route/site.h"
#include "shared/mail/envelope.h"

struct client;
struct config;
struct egress_entry;
struct loop;
struct queue;
struct redis;
struct replies;

#define TRANSACTION_RECIPIENTS_MAX 100

/* One message to at most 100 recipients of one site. Owned by the caller until on_done. */
struct transaction {
	const Envelope *envelope; /* the body is found by it */
	Recipient *const *recipients;
	size_t count;
	struct outcome *outcomes; /* count of them, filled before on_done */
	void (*on_done)(void *arg, struct transaction *transaction);
	void *arg;
};

/* What all clients of the sender share: configuration, TLS context, what is known of hosts,
 * metrics. `redis` and `replies` are borrowed, and may be NULL: then replies are judged by their
 * codes. */
struct client_context;
struct client_context *
client_context_new(struct loop *loop, const struct config *config, struct queue *queue,
	struct site_resolver *resolver, struct redis *redis, const struct replies *replies);
/* Its view of this machine (local.h), borrowed. */
struct local *client_context_local(struct client_context *context);
/* Clients that still live are freed without a callback. Free the resolver right after it: neither
 * it nor the queue may call back in between. */
void client_context_free(struct client_context **context);

struct client_events {
	void (*on_ready)(void *arg, struct client *client);
	/* `failure` says why when a host could not be had or the connection broke (kind BOUNCE: no
	 * host of the route can ever be had); NULL after a client_quit() or when an idle connection
	 * was closed by the peer. */
	void (*on_gone)(void *arg, struct client *client, const struct outcome *failure);
	void *arg;
	const char *account; /* whose look-ups they are; NULL: ours. Copied */
	/* What to send from; NULL: as sender.source_address says. Copied. When it cannot be used,
	 * on_gone gets a failure with `egress` set. */
	const struct egress_entry *egress;
};

/* Tries the route's hosts and their addresses in order (5xx or 4xx greeting: the next one). */
struct client *client_open(
	struct client_context *context, struct route *route, const struct client_events *events);
/* Only when ready. */
void client_send(struct client *client, struct transaction *transaction);
/* QUIT when idle, or after the transaction in hand. on_gone follows. */
void client_quit(struct client *client);
/* At once, for shutdown: the transaction in hand ends with a deferral (ambiguous after the dot).
 * on_done and on_gone come before this returns. */
void client_abort(struct client *client);
/* The same to a transaction whose message is not out yet: nobody has failed. Nothing is done to any
 * other. */
void client_break_off(struct client *client);
/* Whether a message is out whole and its reply is awaited: given up now, it may arrive twice. */
bool client_has_sent(const struct client *client);
/* "mx1.example[192.0.2.1]", the host it talks to or tries now; "" before there is one. */
const char *client_host(const struct client *client);

#endif
