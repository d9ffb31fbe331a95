/*
 * client_private.h - what the files of the SMTP client share: client.c (life and states),
 * client_connect.c (hosts, connection, greeting, TLS), client_mail.c (transactions),
 * client_envelope.c (what MAIL and RCPT say).
 */
#ifndef SENDER_CLIENT_PRIVATE_H
#define SENDER_CLIENT_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "sender/egress/socks.h"
#include "sender/policy/reply.h"
#include "sender/route/local.h"
#include "sender/smtp/client.h"
#include "sender/smtp/conn.h"
#include "sender/smtp/stuff.h"
#include "shared/base/loop.h"
#include "shared/base/net.h"
#include "shared/base/timer.h"
#include "shared/queue/event.h"

#define CLIENT_ADDRESSES_MAX 8 /* of a host */
#define CLIENT_TRIES_MAX 10    /* addresses of all hosts together */

enum client_state {
	ST_START,
	ST_RESOLVE,
	ST_CONNECT,
	ST_PROXY, /* the SOCKS5 proxy connects us */
	ST_BANNER,
	ST_EHLO,
	ST_HELO,
	ST_STARTTLS,
	ST_TLS,
	ST_DOUBT, /* no TLS: may it be clear text? */
	ST_READY,
	ST_REFUSE, /* we refuse the transaction ourselves */
	ST_MAIL,
	ST_RCPT,
	ST_DATA,
	ST_BODY,
	ST_DOT,
	ST_ABANDON, /* the dot after a 354 that nobody wanted */
	ST_RSET,
	ST_QUIT,
	ST_CLOSE, /* gone on the next turn */
	ST_GONE,
	ST_COUNT
};

/* Keywords of EHLO */
enum {
	OFFER_PIPELINING = 1,
	OFFER_8BITMIME = 2,
	OFFER_SMTPUTF8 = 4,
	OFFER_DSN = 8,
	OFFER_STARTTLS = 16,
	OFFER_SIZE = 32
};

/* ASIDE: the host is not told of the recipient, since it cannot have the mail. */
enum fate { FATE_OPEN, FATE_ACCEPTED, FATE_SETTLED, FATE_ASIDE };

/* How a connection is secured, for the metrics. */
enum tls_result {
	TLS_RESULT_1_3,
	TLS_RESULT_1_2,
	TLS_RESULT_1_1,
	TLS_RESULT_1_0,
	TLS_RESULT_NONE,
	TLS_RESULT_FAILED,
	TLS_RESULTS
};

struct client_context {
	struct loop *loop;
	const struct config *config;
	struct queue *queue;
	struct site_resolver *resolver;
	struct tls_client *tls;
	struct host_memory *memory;
	struct tls_memory *tls_memory;
	const struct replies *replies; /* NULL: replies are judged by their codes */
	struct mail_event event;
	struct net_address sources[2]; /* one of a family */
	size_t sources_count;          /* 0: the system's choice */
	struct local *local;           /* what this machine lacks */
	struct metric *open, *greeted, *failed, *lost_tls, *tls_results[TLS_RESULTS];
	LIST_HEAD(client_list, client) clients;
};

struct client {
	struct client_context *context;
	LIST_ENTRY(client) entry;
	struct client_events events;
	struct egress_entry *egress; /* NULL: as sender.source_address says */
	struct socks socks;          /* in ST_PROXY */
	char *account;
	enum client_state state;
	struct timer timer; /* fires at timer_ms, the state's time is up at deadline_ms */
	uint64_t timer_ms, deadline_ms;
	struct conn conn;
	struct reply reply;
	struct task freeing;
	unsigned references; /* answers under way: they keep the client in memory */
	bool quitting;

	/* which host */
	struct route *route;
	unsigned char order[ROUTE_HOSTS_MAX];
	size_t host_at, address_at, address_count;
	struct net_address addresses[CLIENT_ADDRESSES_MAX];
	unsigned tries;
	bool never;  /* so far every host failed for good, or cannot have the transaction */
	bool failed; /* a host failed by itself */
	struct outcome failure; /* of the last host */
	struct outcome fault;   /* a fault of this machine, while `faulty` */
	bool faulty;
	char host[OUTCOME_HOST_MAX];

	/* this connection */
	bool plain; /* TLS was tried in vain at this address, and clear text is allowed */
	char lack[OUTCOME_TEXT_MAX]; /* what was wrong with TLS */
	bool tls_fresh;              /* TLS came up, and nothing was read through it yet */
	unsigned offers;
	uint64_t size_limit;
	char tls[64];
	unsigned finished; /* transactions */

	/* the transaction in hand */
	struct transaction *transaction;
	bool pipelined;
	bool body_waits, pumping;
	size_t recipient_at, accepted;
	uint8_t fates[TRANSACTION_RECIPIENTS_MAX];
	uint64_t body_at, body_deadline_ms;
	struct stuff stuff;
};

/* client.c */
void client_enter(struct client *client, enum client_state next);
/* The connection, or the host, cannot be used; `failure` says why. */
void client_fail(struct client *client, const struct outcome *failure);
void client_fail_error(struct client *client, const char *text);
/* The replies are not to our commands: the whole transaction is deferred. */
void client_out_of_step(struct client *client, const struct outcome *failure);
/* The same, because the reply in hand is not to our command. */
void client_odd_reply(struct client *client);
/* The same, because input is left where there can be none. */
void client_more_than_asked(struct client *client);
/* The host gets its commands one by one for an hour. */
void client_avoid_pipelining(struct client *client);
/* Ends the client; `failure` NULL: without a failure. */
void client_gone(struct client *client, const struct outcome *failure);
/* Sets when the state's time is up: in `ms`. */
void client_arm(struct client *client, uint64_t ms);
enum outcome_step client_step(const struct client *client);
void client_unref(struct client *client);

/* client_context.c */
/* The source address for that family; NULL: the system's choice. */
const struct net_address *client_context_source(const struct client_context *context, int family);
/* Whether the family may be used. If source addresses are set, only their families may. */
bool client_context_uses(const struct client_context *context, int family);

/* client_egress.c: the same by the client's egress IP, or without one, by the context. */
const struct net_address *client_source(const struct client *client, int family);
bool client_uses(const struct client *client, int family);
/* Copies the egress IP; NULL: none. */
void client_egress_take(struct client *client, const struct egress_entry *egress);
void client_egress_free(struct client *client);
bool client_has_proxy(const struct client *client);
/* Whether what fails now is the proxy. */
bool client_proxy_is_at_fault(const struct client *client);
/* The host's address, or the proxy's. */
const struct net_address *client_connects_to(const struct client *client);
const char *client_hello_name(const struct client *client);

/* Fills an outcome from the reply in hand. */
void
client_take_reply(const struct client *client, enum outcome_step step, struct outcome *outcome_out);

/* client_connect.c */
/* No host may be tried any more: the client is gone. */
void client_no_host_left(struct client *client);
void client_host_failed(struct client *client, const struct outcome *failure);
/* The connection under way failed with that errno, by a fault of this machine or of the host.
 * `later`: not at once, but by what this machine said afterwards. */
void client_connect_failed(struct client *client, int err, enum net_refusal later);
/* Leaves for the route's next host with the transaction in hand; false when there is none. */
bool client_next_host(struct client *client);
/* The egress IP cannot be used: the client is gone. */
void client_egress_failed(struct client *client, const char *why);
void enter_proxy(struct client *client);
void client_proxy_input(struct client *client);
void enter_resolve(struct client *client);
void enter_connect(struct client *client);
/* The connection stands, to the host or to its proxy. */
void client_connected(struct client *client);
void enter_ehlo(struct client *client);
void enter_helo(struct client *client);
void enter_starttls(struct client *client);
void enter_tls(struct client *client);
void banner_reply(struct client *client);
void ehlo_reply(struct client *client);
void helo_reply(struct client *client);
void starttls_reply(struct client *client);
void ehlo_line(void *arg, const char *text, size_t length);
void client_secured(struct client *client);
/* The connection broke in or right after the handshake. */
void client_tls_broken(struct client *client, const char *why);
/* The host refuses mail in clear text that it may take in TLS. Open recipients are tried again in
 * TLS, at once when the host offers TLS. */
void client_tls_demanded(struct client *client);

/* client_envelope.c */
uint64_t client_message_size(const struct transaction *transaction);
/* Whether the message may be sent to that recipient through this host. */
bool client_may_have(const struct client *client, size_t recipient);
void client_add_mail(struct client *client);
void client_add_rcpt(struct client *client, size_t recipient);

/* client_mail.c */
void enter_mail(struct client *client);
void enter_rcpt(struct client *client);
void enter_data(struct client *client);
void enter_body(struct client *client);
void enter_abandon(struct client *client);
void enter_rset(struct client *client);
void mail_reply(struct client *client);
void rcpt_reply(struct client *client);
void data_reply(struct client *client);
void body_reply(struct client *client);
void dot_reply(struct client *client);
void abandon_reply(struct client *client);
void rset_reply(struct client *client);
/* Puts more of the body into the output, up to the high-water mark. */
void client_pump(struct client *client);
/* The connection is lost: open recipients end with `failure`. The owner is told. */
void client_transaction_lost(struct client *client, const struct outcome *failure);
/* Refusals in hand no longer count: they may have been meant for other recipients. The host gets no
 * pipelined envelope for a while, so that its next refusals count. */
void client_forget_refusals(struct client *client);
/* The reply was cut off, but counts. */
void client_settle_cut(struct client *client);
/* Begins the transaction in hand, at a host that is ready. */
void client_begin(struct client *client);
/* This host cannot have the transaction (ST_REFUSE), which goes to another host, or to its end. */
void client_refuse(struct client *client);

#endif
