/*
 * sender.h - the parts of the sender role, and what is counted of it.
 *
 *   record ─▶ mail ─┬─ item (one site) ─▶ schedule ─▶ attempt ─▶ settle ─▶ closed, or a row
 *   row ────▶ mail ─┘
 *
 * Everything runs on the sender's one loop.
 */
#ifndef SENDER_SENDER_H
#define SENDER_SENDER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "sender/policy/retry.h"
#include "shared/base/timer.h"
#include "shared/mail/envelope.h"
#include "shared/queue/event.h"

struct config;
struct connection;
struct client_context;
struct consumer;
struct deferral;
struct egress;
struct hold;
struct inflight_reporter;
struct ledger;
struct limiter;
struct limits;
struct local;
struct loop;
struct mail;
struct metric;
struct peer;
struct poison;
struct providers;
struct queue;
struct redis;
struct replies;
struct reply_counts;
struct rows;
struct rule;
struct rules;
struct schedule;
struct scores;
struct standing;
struct site_resolver;
struct suspensions;
struct trust;
struct window;

#define SENDER_WINDOW 2000 /* records in hand, by weight */

struct sender_metrics {
	struct metric *ambiguous, *attempt_seconds, *first_seconds, *later_seconds;
	struct metric *in_hand, *attempting, *sites, *resting, *waiting, *rows, *held;
	struct metric *loaded, *timers, *oldest_due, *egress_ips, *egress_unusable;
};

struct sender {
	const struct config *config;
	struct loop *loop;
	struct queue *queue;
	struct rows *rows;
	struct consumer *consumer;
	struct redis *redis;
	struct limits *limits;
	struct scores *scores;
	struct standing *standing;
	struct ledger *ledger;
	struct trust *trust;
	struct site_resolver *resolver;
	struct replies *replies; /* response rules */
	struct reply_counts *reply_counts;
	struct client_context *clients;
	struct local *local; /* faults of this machine, owned by the clients; NULL: none is known */
	struct limiter *limiter; /* what lanes may do; NULL: before it is there */
	struct egress *egress;   /* egress IPs; none: as sender.source_address says */
	struct schedule *schedule;
	struct deferral *deferral;
	struct poison *poison;
	struct hold *hold;      /* NULL until it is needed */
	struct rule *decisions; /* operators', by number (rule_list.h) */
	struct rules *rules;
	/* Lets the rows of a message meet the rules: a rule came while the message was under
	 * way. */
	void (*meet_rules)(struct sender *sender, const uint8_t id[ID_SIZE]);
	/* The egress IPs have changed: mail in a lane that cannot be used takes another one. */
	void (*lanes_changed)(struct sender *sender);
	struct suspensions *suspensions;
	struct inflight_reporter *reporter;
	struct retry_times times;
	struct mail_event event;
	struct sender_metrics metrics;
	struct providers *providers;
	struct timer pump, age_timer, lease_timer;
	TAILQ_HEAD(mail_list, mail) arrivals;
	struct mail *by_id; /* the arrivals, by the message's id */
	TAILQ_HEAD(, connection) connections;
	TAILQ_HEAD(, peer) peers;
	unsigned in_hand, attempting, settling;
	struct window *window;
	unsigned rewriting; /* rows whose new due time is being written */
	bool draining;
	bool ending; /* no further step of settling begins */
};

/* Runs the scheduler on the loop's next turn, or (later) in a second. */
static inline void
sender_wake(struct sender *sender)
{
	timer_soon(&sender->pump);
}

static inline void
sender_wake_later(struct sender *sender)
{
	if (!timer_is_set(&sender->lease_timer))
		timer_set(&sender->lease_timer, 1000);
}

#endif
