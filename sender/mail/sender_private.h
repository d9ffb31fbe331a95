/*
 * sender_private.h - what the files of the sender share: mail in memory and how it moves.
 *
 *   record ─▶ mail ─┬─ item (one site) ─▶ schedule ─▶ attempt ─▶ settle ─▶ closed, or a row
 *   row ────▶ mail ─┘
 *
 * A mail is a message in memory, from a record of mail.ready or from a row. Its items are the parts
 * that go to one set of hosts; an item has a target for each recipient. An item that has to wait
 * makes rows of all items of its record; from then on each lives alone.
 *
 * Everything runs on the sender's one loop.
 */
#ifndef SENDER_PRIVATE_H
#define SENDER_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "sender/mail/ledger.h"
#include "sender/mail/window.h"
#include "sender/policy/outcome.h"
#include "sender/policy/retry.h"
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

/* Row.site of mail that waits for an operator; and of mail whose domain has no site, or one whose
 * name is taken by another row of the same mail (with the domain behind it). */
#define SITE_HELD "held"
#define SITE_DOMAIN "domain:"

#define SENDER_WINDOW 2000 /* records in hand, by weight */

enum target_state {
	TARGET_OPEN,      /* to be tried in this pass */
	TARGET_DEFERRED,  /* tried, has to wait */
	TARGET_RECORDING, /* delivered; the ledger, a DSN and the event are under way */
	TARGET_FAILED,    /* DSN and event are still to come */
	TARGET_ENDING,    /* the DSN is durable, the event under way */
	TARGET_CLOSED
};

/* Why it FAILED. Expired: without a refusal, since no time is left, or no more ambiguous retry. */
enum target_end { END_REFUSED, END_EXPIRED, END_OPERATOR };

struct target {
	Recipient *recipient; /* in the mail's envelope */
	enum target_state state;
	enum target_end end;
	bool unwanted;           /* an operator wants it bounced */
	struct outcome *outcome; /* FAILED, DEFERRED */
};

enum item_state {
	ITEM_NEW,
	ITEM_WAITING,    /* in the scheduler */
	ITEM_ATTEMPTING, /* in the hands of a connection */
	ITEM_SETTLING,   /* its results are being made durable */
	ITEM_PARKED,     /* settled, and has to become a row together with its mail */
	ITEM_ENDED       /* settled while its mail was becoming rows */
};

struct item {
	struct schedule_entry entry;
	TAILQ_ENTRY(item) link;
	struct loaded_row loaded; /* of the deferral */
	struct mail *mail;
	struct route *route; /* NULL: no way to its domain */
	char *site;          /* Row.site; NULL until it is needed */
	enum item_state state;
	bool row;       /* it is one, durably */
	bool parked;    /* what is open waits without having been tried */
	bool told;      /* the deferred event of this pass is out */
	bool counted;   /* this pass counts as an attempt */
	bool looked_at; /* its row keeps its due time */
	bool unsent;    /* it failed before anything of the mail was said */
	bool ours; /* a fault of this machine kept it, which ends nothing and counts for nothing */
	bool given_up; /* the queue refuses while we end: what is durable counts */
	bool held, released, delay_sent;
	bool meets_rules; /* a retry or release came meanwhile: its row is to meet it */
	bool marked;      /* counted in its mail's marks */
	bool suspended;   /* its row gets no due time */
	uint64_t lifted;  /* of suspensions, when that was decided */
	unsigned pending; /* answers awaited: queue, ledger, timer */
	unsigned stalls;
	uint64_t parked_until_us; /* 0: its site says when */
	uint64_t due_us, first_attempt_us, last_attempt_us;
	uint64_t rule, held_rule; /* as its row has them */
	uint64_t met;             /* the newest rule that was looked at for it */
	uint32_t attempts, setbacks, crashes;
	char *last_reply, *last_host, *reason;
	char last_class[REPLY_CLASS_MAX]; /* of last_reply; "": not known */
	uint64_t since_us;                /* when it came to wait, or was held; 0: it does not */
	struct target *targets;
	size_t count;
};

enum mail_state { MAIL_ROUTING, MAIL_TRYING, MAIL_DEFERRING };

struct mail {
	TAILQ_ENTRY(mail) link; /* records in hand, oldest first */
	struct sender *sender;
	struct record *record; /* NULL: a row's, or it has become rows */
	Envelope *envelope;    /* own copy, or inside `row` */
	Row *row;
	enum mail_state state;
	bool redelivered, aged;
	bool rest;              /* of its recipients: others have rows (rest.c) */
	bool blamed;            /* held for what it did to us */
	bool visited;           /* mail_each() */
	bool lost;              /* its partition is somebody else's; something of it is under way */
	unsigned lookups, busy; /* what keeps it in memory beside its record and items */
	unsigned asked;         /* of `lookups`: those that the resolver has */
	bool asking;            /* answers may come at once */
	bool impatient;         /* what is known begins, whatever is not */
	struct lookup *first_lookup;
	struct poison_work work;
	unsigned marks;      /* what of it is under work: its routing, items */
	uint64_t arrived_us; /* clock_mono_us() */
	TAILQ_HEAD(item_list, item) items;
};

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
/* What is to be done with a record's mail now that one of its items has settled. */
void mail_check(struct mail *mail);
/* Calls `fn` for each item of the records in hand; it may settle the item. */
void mail_each_item(struct sender *sender, void (*fn)(void *arg, struct item *item), void *arg);
/* Its row is in memory from now on; not any more. */
void item_joined(struct item *item);
void item_left(struct item *item);
/* The item of a row in memory; NULL of NULL. */
struct item *item_of_row(struct loaded_row *row);
/* Fills a row that borrows everything from the item. `recipients` has room for item->count. */
void item_row(const struct item *item, Row *row, Envelope *envelope, Recipient **recipients);
/* Which time it has. */
enum retry_wait item_wait(const struct item *item);
/* Whether an operator wants somebody bounced who has not come to an end. */
bool item_unwanted(const struct item *item);
void item_free(struct item *item);
struct item *item_new(struct mail *mail, struct route *route);
void item_add(struct item *item, Recipient *const *recipients, size_t count,
	const struct outcome *failure);
void mail_free_if_done(struct mail *mail);
/* It waits for an operator, and for one who could have seen it: a release that was told before lets
 * nothing go that a scan found after. */
void item_hold(struct item *item, const char *reason);
/* The same for a record: one row of all its recipients. */
void mail_hold(struct mail *mail, const char *reason);
/* A record comes again, a row is stored anyway. */
void mail_abandon(struct mail *mail);
/* Gives up everything at shutdown: records come again, rows are stored anyway. */
void mail_drop_all(struct sender *sender);

/* mail_partition.c: whether somebody waits for anything of it. */
bool mail_under_way(const struct mail *mail);
/* The partition's mail is somebody else's: gives up what is not under way. And it is ours again. */
void mail_lost(struct sender *sender, uint32_t partition);
void mail_gained(struct sender *sender, uint32_t partition);

/* rest.c: the envelope (own memory) of a redelivered record with those recipients that its rows do
 * not account for; NULL: nobody is left. */
Envelope *rest_of(const struct sender *sender, const Envelope *envelope);
/* Whether the mail has a row of that name already. */
bool rest_has_row(const struct mail *mail, const char *site);

/* blame.c */
/* The mail's turn has come. */
void poison_record_begin(struct poison_work *work);
void poison_row_begin(struct poison_work *work);
/* Somebody works on it, or on the item; nobody does at the moment. For poison.h. */
void mail_mark(struct mail *mail);
void mail_unmark(struct mail *mail);
void item_mark(struct item *item);
void item_unmark(struct item *item);

/* routing.c: finds the sites of the mail's domains, then begins its items. */
void routing_start(struct mail *mail);
/* Some answers are there, or have been waited for long enough. */
void routing_go_on(struct mail *mail);
/* The record is to become rows, with what is not known yet as rows of its own. */
void routing_give_up(struct mail *mail);
/* Drops the look-ups under way, once the resolver is gone. */
void routing_forget(struct mail *mail);
/* Equal for routes with the same hosts. */
uint64_t route_affinity(const struct route *route);
/* The recipient's domain in lower case, ours when it has none. */
void routing_domain(const struct sender *sender, const Recipient *recipient, char out[256]);

/* attempt.c */
void attempt_pump(struct sender *sender);
void attempt_begin(struct item *item);
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
/* A call whose answer comes to the item: it lives, and the role, until then. */
void item_pend(struct item *item);
void item_answered(struct item *item);
void target_set(struct target *target, enum target_state state, const struct outcome *outcome);

/* bounce.c: tells the sender of the mail what became of the targets that failed, or wait. `cb` with
 * 0 also when nobody is to be told; it may come before the call returns. */
enum bounce_kind { BOUNCE_FAILURE, BOUNCE_DELAY, BOUNCE_RELAYED };
void bounce_send(struct item *item, enum bounce_kind kind, queue_cb cb, void *arg);
/* Likewise that these targets were taken by a host that tells nobody. What is given lives until
 * `cb`. */
void bounce_send_relayed(struct item *item, const size_t *indices, size_t count,
	const struct outcome *outcome, queue_cb cb, void *arg);

#endif
