/*
 * item.h - mail in memory.
 *
 * A mail is a message in memory, from a record of mail.ready or from a row. Its items are the parts
 * that go to one set of hosts; an item has a target for each recipient. An item that has to wait
 * makes rows of all items of its record; from then on each lives alone.
 */
#ifndef SENDER_ITEM_H
#define SENDER_ITEM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "sender/policy/outcome.h"
#include "sender/policy/retry.h"
#include "sender/route/site.h"
#include "sender/schedule/schedule.h"
#include "sender/waiting/deferral.h"
#include "shared/base/timer.h"
#include "shared/mail/envelope.h"
#include "shared/queue/queue.h"
#include "shared/work/poison.h"

struct lookup;
struct sender;

/* Row.site of mail that waits for an operator; and of mail whose domain has no site, or one whose
 * name is taken by another row of the same mail (with the domain behind it). */
#define SITE_HELD "held"
#define SITE_DOMAIN "domain:"

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

/* One pass over the recipients of an item, which lives for that pass: what has to wait becomes a
 * row, and the row is loaded as a new item. */
struct item_pass {
	bool parked;     /* what is open waits without having been tried */
	bool told;       /* the event "deferred" is out */
	bool counted;    /* the pass counts as an attempt */
	bool looked_at;  /* the row keeps its due time */
	bool unsent;     /* the pass failed before anything of the mail was said */
	bool ours;       /* a fault of this machine, which ends nothing and counts for nothing */
	bool given_up;   /* the queue refuses while we end: what is durable counts */
	bool suspended;  /* the row gets no due time */
	uint64_t lifted; /* of suspensions, when that was decided */
	uint64_t parked_until_us; /* 0: its site says when */
	unsigned stalls;          /* transactions without any progress, one after another */
};

struct item {
	struct schedule_entry entry;
	TAILQ_ENTRY(item) link;
	struct loaded_row loaded; /* of the deferral */
	struct mail *mail;
	struct route *route;   /* NULL: no way to its domain */
	char *site;            /* Row.site; NULL until it is needed */
	enum item_state state; /* item_enter() */
	bool row;              /* the item is a row, durably */
	bool held, released, delay_sent;
	bool meets_rules;   /* a retry or release came meanwhile: the row is to meet the rule */
	struct timer again; /* the queue is asked once more */
	bool marked;        /* counted in its mail's marks */
	unsigned pending;   /* answers awaited: queue, ledger, timer */
	struct item_pass pass;
	uint64_t due_us, first_attempt_us, last_attempt_us;
	uint64_t rule, held_rule; /* as its row has them */
	uint64_t met;             /* the newest rule that was looked at for the item */
	uint32_t attempts, setbacks, crashes;
	char *last_reply, *last_host, *reason;
	char last_class[REPLY_CLASS_MAX]; /* of last_reply; "": not known */
	uint64_t since_us; /* when the item came to wait, or was held; 0: it does neither */
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
	bool is_remainder;      /* other recipients of the record have rows (remainder.c) */
	bool blamed;            /* held for what it did to us */
	bool visited;           /* mail_each() */
	bool lost;              /* its partition is somebody else's; something of it is under way */
	unsigned lookups, busy; /* what keeps it in memory beside its record and items */
	unsigned asked;         /* of `lookups`: those that the resolver has */
	bool asking;            /* answers may come at once */
	bool impatient;         /* what is known begins, whatever is not */
	struct lookup *first_lookup;
	struct poison_work work;
	struct timer again;  /* the queue is asked once more */
	unsigned marks;      /* what of it is under work: its routing, items */
	uint64_t arrived_us; /* clock_mono_us() */
	TAILQ_HEAD(item_list, item) items;
};

struct mail *mail_new(struct sender *sender, Envelope *envelope);
/* Frees a mail that has neither a record nor items, and nothing under way. */
void mail_free_if_done(struct mail *mail);
/* Whether a look-up, an attempt or an answer of the queue is awaited for the mail. */
bool mail_under_way(const struct mail *mail);
/* The recipient's domain in lower case, ours when it has none. */
void recipient_domain(const struct sender *sender, const Recipient *recipient, char out[256]);

/* route NULL: no way is known. */
struct item *item_new(struct mail *mail, struct route *route);
/* The only way to another state. Which states may follow each is a table in item.c. */
void item_enter(struct item *item, enum item_state next);
/* Also frees the mail when this was the last of it. */
void item_free(struct item *item);
/* Adds recipients. With a failure they are decided: deferred, or failed. */
void item_add(struct item *item, Recipient *const *recipients, size_t count,
	const struct outcome *failure);
void target_set(struct target *target, enum target_state state, const struct outcome *outcome);
/* Whether an operator wants somebody bounced who has not come to an end. */
bool item_unwanted(const struct item *item);
/* By which of the retry times the item waits. */
enum retry_wait item_wait(const struct item *item);
/* Fills a row that borrows everything from the item. `recipients` has room for item->count. */
void item_row(const struct item *item, Row *row, Envelope *envelope, Recipient **recipients);
/* The item's row is in memory from now on; not any more (nothing is done when it was not). */
void item_joined(struct item *item);
void item_left(struct item *item);
/* The item of a row in memory; NULL of NULL. */
struct item *item_of_row(struct loaded_row *row);
/* A call begins whose answer comes to the item, and has been answered. Item and role live until
 * then. */
void item_pend(struct item *item);
void item_answered(struct item *item);

#endif
