/*
 * sender_private.h - what the files of the sender share: its parts, and how mail moves.
 *
 *   record ─▶ mail ─┬─ item (one site) ─▶ schedule ─▶ attempt ─▶ settle ─▶ closed, or a row
 *   row ────▶ mail ─┘
 *
 * Everything runs on the sender's one loop.
 */
#ifndef SENDER_PRIVATE_H
#define SENDER_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "sender/mail/item.h"
#include "sender/mail/ledger.h"
#include "sender/policy/outcome.h"
#include "sender/policy/retry.h"
#include "sender/policy/window.h"
#include "sender/route/site.h"
#include "sender/schedule/schedule.h"
#include "sender/smtp/client.h"
#include "sender/waiting/deferral.h"
#include "shared/mail/envelope.h"
#include "shared/queue/event.h"
#include "shared/queue/queue.h"
#include "shared/work/poison.h"

struct hold;
struct inflight_reporter;
struct json;
struct limits;
struct local;
struct metric;
struct providers;
struct redis;
struct rule;
struct rules;
struct sender;
struct suspensions;
struct trust;

#define SENDER_WINDOW 2000 /* records in hand, by weight */

struct sender_metrics {
	struct metric *ambiguous, *attempt_seconds, *first_seconds, *later_seconds;
	struct metric *in_hand, *attempting, *sites, *resting, *waiting, *rows, *held;
	struct metric *loaded, *timers, *oldest_due;
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
	struct ledger *ledger;
	struct trust *trust;
	struct site_resolver *resolver;
	struct client_context *clients;
	struct local *local; /* of the clients; NULL knows of no fault */
	struct schedule *schedule;
	struct deferral *deferral;
	struct poison *poison;
	struct hold *hold;      /* NULL until it is needed */
	struct rule *decisions; /* operators', by number (rule_list.h) */
	struct rules *rules;
	/* Has the rows of a message meet the rules: one came while the message was under way. */
	void (*meet_rules)(struct sender *sender, const uint8_t id[ID_SIZE]);
	struct suspensions *suspensions;
	struct inflight_reporter *reporter;
	struct retry_times times;
	struct mail_event event;
	struct sender_metrics metrics;
	struct providers *providers;
	struct event *pump, *age_timer, *lease_timer;
	TAILQ_HEAD(mail_list, mail) arrivals;
	TAILQ_HEAD(, connection) connections;
	TAILQ_HEAD(, peer) peers;
	unsigned in_hand, attempting, settling;
	struct window *window;
	unsigned rewriting; /* rows that got another due time */
	bool draining;
	bool ending; /* no step of what is being settled begins any more */
};

/* pump.c: runs the scheduler on the loop's next turn; in a second. */
void sender_wake(struct sender *sender);
void sender_wake_later(struct sender *sender);

/* mail.c */
void mail_on_record(void *arg, struct record *record);
/* ROW_LATE: its time is up, or its originator is to be told that it is late. */
enum row_use { ROW_ATTEMPT, ROW_LATE, ROW_SUSPEND, ROW_BOUNCE };
/* Takes a row (also the memory) into work. When an operator wants some of its recipients bounced,
 * that is done first, and the others wait as they did. */
void mail_from_row(struct sender *sender, Row *row, enum row_use use);
/* Records that have been in hand for long (window.h) become rows; returns when to look again, 0:
 * never. */
uint64_t mail_age(struct sender *sender, uint64_t now_us);
/* Calls `fn` for each item of the records in hand; it may settle the item. */
void mail_each_item(struct sender *sender, void (*fn)(void *arg, struct item *item), void *arg);

/* mail_end.c */
/* What is to be done with a record's mail now that one of its items has settled. */
void mail_check(struct mail *mail);
/* A record comes again, a row is stored anyway. */
void mail_abandon(struct mail *mail);
/* Gives up everything at shutdown: records come again, rows are stored anyway. */
void mail_drop_all(struct sender *sender);

/* mail_partition.c */
/* The partition's mail is somebody else's: gives up what is not under way. And it is ours again. */
void mail_lost(struct sender *sender, uint32_t partition);
void mail_gained(struct sender *sender, uint32_t partition);

/* rest.c: the envelope (own memory) of a redelivered record with those recipients that its rows do
 * not account for; NULL: nobody is left. */
Envelope *rest_of(const struct sender *sender, const Envelope *envelope);
/* Whether the mail has a row of that name already. */
bool rest_has_row(const struct mail *mail, const char *site);

/* blame.c */
/* Whether the mail, whose turn has come, may be worked on: it has not ended the process too often.
 */
bool blame_allows(struct mail *mail);
/* Somebody works on it, or on the item; nobody does at the moment. For poison.h. */
void mail_mark(struct mail *mail);
void mail_unmark(struct mail *mail);
void item_mark(struct item *item);
void item_unmark(struct item *item);

/* routing.c: finds the sites of the mail's domains, then begins its items. */
void routing_start(struct mail *mail);
/* Some answers are there, or have been waited for long enough. */
void routing_go_on(struct mail *mail);

/* pass.c */
/* A routed item waits for its turn, is parked, or has come to its end. */
void pass_begin(struct item *item);
/* The pass is over, or goes on with what is still open. */
void pass_go_on(struct item *item);
/* A connection could not be had, or ended before the message went out. */
void pass_fail(struct item *item, const struct outcome *failure);
/* The scheduler has no room for it, or its site rests. */
void pass_put_off(struct item *item);
/* This pass counts as an attempt. */
void pass_count_attempt(struct item *item);

/* attempt.c */
void attempt_pump(struct sender *sender);
/* Ends the attempt at the item before its message is out, if there is one. */
void attempt_break_off(const struct item *item);
/* `but_sent`: not those that only await the reply to a message that is out. */
void attempt_abort_all(struct sender *sender, bool but_sent);
void attempt_free_all(struct sender *sender);
/* A connection; without an item it is idle, or is being opened for whoever is next at the site. */
struct attempt_seen {
	const struct item *item;
	const char *site, *host; /* host: "" before there is one */
	bool opening;
	uint64_t since_us; /* that it has had the item, or that it is being opened */
};
void attempt_each(struct sender *sender,
	void (*on_attempt)(void *arg, const struct attempt_seen *seen), void *arg);

/* told.c: for inflight_reporter_new(). */
void told_fill(void *arg, struct json *json);

/* settle.c */
/* The pass over the item's recipients has ended, or an answer came: do what is next. */
void settle_advance(struct item *item);
/* What is open waits without having been tried: until `until_us`, or (0) as long as its site cannot
 * be tried. */
void settle_park(struct item *item, uint64_t until_us);
void settle_delivered(
	struct item *item, const size_t *indices, size_t count, const struct outcome *outcome);
/* Likewise those of the targets that the ledger has: `found` has `count` entries. */
void settle_known(
	struct item *item, const size_t *indices, size_t count, const enum ledger_entry *found);
/* Asks the ledger for the item's open recipients: those that have the mail are not to wait. */
void settle_ask(struct item *item);
/* Whom an operator wants bounced is, unless a crash hid that they have the mail. What else is open
 * waits until `until_us`. */
void settle_unwanted(struct item *item, uint64_t until_us);
/* bounce.c: tells the sender of the mail what became of the targets that failed, or wait. `cb` with
 * 0 also when nobody is to be told; it may come before the call returns. */
enum bounce_kind { BOUNCE_FAILURE, BOUNCE_DELAY, BOUNCE_RELAYED };
void bounce_send(struct item *item, enum bounce_kind kind, queue_cb cb, void *arg);
/* Likewise that these targets were taken by a host that tells nobody. What is given lives until
 * `cb`. */
void bounce_send_relayed(struct item *item, const size_t *indices, size_t count,
	const struct outcome *outcome, queue_cb cb, void *arg);

#endif
