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

#include <uthash.h>

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

/* Row.site of held mail. DOMAIN, with the domain behind it, names a row whose domain has no site,
 * or whose site names another row of the same mail. */
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

/* Why a target is FAILED. Expired: not refused, but no time or no ambiguous retry is left. */
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

/* One pass over the recipients of an item, which lives for one pass: recipients that wait become a
 * row, and the row is loaded as a new item. */
struct item_pass {
	bool parked;     /* the open recipients wait untried */
	bool told;       /* the event "deferred" is out */
	bool counted;    /* the pass counts as an attempt */
	bool looked_at;  /* the row keeps its due time */
	bool unsent;     /* the pass failed before the host heard of the mail */
	bool ours;       /* failed by a fault of this machine: nothing ends, nothing counts */
	bool given_up;   /* canceled, or refused while the role stops: no further step */
	bool suspended;  /* the row gets no due time */
	uint64_t lifted; /* the suspensions' count of ends when `suspended` was set */
	uint64_t parked_until_us; /* 0: when the site may be tried */
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
	bool row;              /* the item's row is durable */
	bool held, released, delay_sent;
	bool meets_rules;   /* a retry or release came meanwhile: the row has to meet that rule */
	struct timer again; /* the queue is asked once more */
	bool marked;        /* counted in its mail's marks */
	unsigned pending;   /* answers awaited: queue, ledger, timer */
	struct item_pass pass;
	uint64_t due_us, first_attempt_us, last_attempt_us;
	uint64_t rule, held_rule; /* as its row has them */
	uint64_t met;             /* the newest rule that was looked at for the item */
	uint32_t attempts, setbacks, crashes;
	char *last_reply, *last_host, *reason;
	char *egress;                     /* the egress IP (lane.h); NULL: none is chosen */
	char *lane;                       /* the scheduler's name for its lane; NULL: the site's */
	char last_class[REPLY_CLASS_MAX]; /* of last_reply; "": not known */
	uint64_t since_us; /* when the item came to wait, or was held; 0: it does neither */
	struct target *targets;
	size_t count;
};

enum mail_state { MAIL_ROUTING, MAIL_TRYING, MAIL_DEFERRING };

struct mail {
	TAILQ_ENTRY(mail) link; /* records in hand, oldest first */
	UT_hash_handle hh;      /* the same, by the message's id */
	struct sender *sender;
	struct record *record; /* NULL: the mail came from a row, or has become rows */
	Envelope *envelope;    /* own copy, or inside `row` */
	Row *row;
	enum mail_state state;
	bool redelivered, aged;
	bool is_remainder; /* other recipients of the record have rows (remainder.c) */
	bool blamed;       /* being held, because it crashed the process */
	bool visited;      /* mail_each() */
	bool lost; /* another process has the partition; something of the mail is under way */
	unsigned lookups, busy; /* calls that keep the mail in memory beside its record */
	unsigned asked;         /* of `lookups`: asked of the resolver */
	bool asking;            /* answers may come at once */
	bool impatient;         /* known domains begin without the unknown ones */
	struct lookup *first_lookup;
	struct poison_work work;
	struct timer again;  /* the queue is asked once more */
	unsigned marks;      /* parts under work */
	uint64_t arrived_us; /* clock_mono_us() */
	TAILQ_HEAD(item_list, item) items;
};

/* Whether the mail is one of the service's own to a customer. The ledger knows these as long as
 * mail lives, since a crash of who made one may make it again. */
static inline bool
mail_is_notice(const struct mail *mail)
{
	return mail->envelope->kind == ENVELOPE__KIND__NOTICE;
}

struct mail *mail_new(struct sender *sender, Envelope *envelope);
/* Frees a mail that has neither a record nor items, and nothing under way. */
void mail_free_if_done(struct mail *mail);
/* A mail is under work (poison.h) while the mail, or one of its items, is marked. Mail that only
 * waits in the scheduler is not: there may be thousands. */
void mail_mark(struct mail *mail);
void mail_unmark(struct mail *mail);
void item_mark(struct item *item);
void item_unmark(struct item *item);
/* Whether a look-up, an attempt or an answer of the queue is awaited for the mail. */
bool mail_under_way(const struct mail *mail);
/* Writes the recipient's domain in lower case; the relay's own when the address has none. */
void recipient_domain(const struct sender *sender, const Recipient *recipient, char out[256]);

/* route NULL: no way is known. */
struct item *item_new(struct mail *mail, struct route *route);
/* The only way to another state. Which states may follow each is a table in item.c. */
void item_enter(struct item *item, enum item_state next);
/* Frees the item, and with the last item its mail (mail_free_if_done()). */
void item_free(struct item *item);
/* Adds recipients. `failure`, if any, decides them: deferred, or failed. */
void item_add(struct item *item, Recipient *const *recipients, size_t count,
	const struct outcome *failure);
void target_set(struct target *target, enum target_state state, const struct outcome *outcome);
/* Whether an operator wants a recipient bounced who has not come to an end. */
bool item_unwanted(const struct item *item);
/* Which of the retry times count for the item. */
enum retry_wait item_wait(const struct item *item);
/* Fills a row that borrows everything from the item. `recipients` has room for item->count. */
void item_row(const struct item *item, Row *row, Envelope *envelope, Recipient **recipients);
/* Tells the deferral store that the item's row is in memory, or (left) no longer. item_left() does
 * nothing when the row was not. */
void item_joined(struct item *item);
void item_left(struct item *item);
/* The item whose row is loaded; NULL for NULL. */
struct item *item_of_row(struct loaded_row *row);
/* Counts a call whose answer comes to the item, or (answered) its answer. Item and role live until
 * all answers came. */
void item_pend(struct item *item);
void item_answered(struct item *item);

#endif
