/*
 * redis_private.h - what redis.c (commands and replies) and redis_link.c (the connection) share.
 */
#ifndef SHARED_REDIS_PRIVATE_H
#define SHARED_REDIS_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <event2/bufferevent.h>
#include <hiredis/hiredis.h>

#undef REDIS_ERR /* hiredis's status code has the name of a kind of reply */
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/net.h"
#include "shared/base/resolve.h"
#include "shared/base/said.h"
#include "shared/base/timer.h"
#include "shared/base/tls.h"
#include "shared/redis/redis.h"

#define BACKOFF_MIN_MS 100
#define SCRIPTS_MAX 16

enum state { ST_DOWN, ST_SEARCHING, ST_CONNECTING, ST_HELLO, ST_UP };

struct command {
	struct command *next;
	redis_cb cb;
	void *arg;
	uint64_t deadline_ms, given_us;
	struct redis_script *script;
	char *text; /* formatted; kept while unsent, and for scripts */
	size_t length;
	int argc;
	int err; /* in the list of ended ones */
	bool sent, expired;
};

struct list {
	struct command *first, **last;
};

struct redis {
	struct loop *loop;
	struct net_address to; /* the address, unless `named` */
	bool named;
	struct resolve *resolve; /* the look-up under way, while connecting */
	unsigned tries;
	char *address; /* with sentinels the one that they named last; NULL: none yet */
	char *host, *password;
	struct tls_client *tls;          /* borrowed when `aside` */
	bool aside;                      /* asks a sentinel: no part of /readyz, metrics and log */
	struct sentinels *sentinels;     /* NULL: the address is fixed */
	LIST_HEAD(, question) questions; /* to sentinels, under way */
	char *master;                    /* the sentinels' name for it */
	char *sentinel_password;
	char *served;    /* the last master that the client was up with */
	char doubt[160]; /* why this connection's server is not the master; "": it is */
	char label[256]; /* what the log and /readyz call this Redis */
	enum state state;
	struct bufferevent *bev;
	struct evbuffer *pending; /* commands of this turn */
	redisReader *reader;
	struct timer turn, deadline, retry, pulse;
	struct list commands, ended;
	uint64_t deadline_ms;   /* when the timer fires; 0: not armed */
	uint64_t heard_ms;      /* when bytes last came */
	unsigned hello_replies; /* answers to hello that are still to come */
	unsigned backoff_ms;
	const struct redis_script *scripts[SCRIPTS_MAX]; /* known to this connection's server */
	unsigned scripts_count;
	unsigned busy; /* frames on the stack that may call back */
	bool dead;
	struct said said;
	char why[512];   /* why the last connection failed */
	bool well;       /* counted as up in the line of /readyz */
	bool refused;    /* the last answers were refusals; counted in the line of /readyz */
	bool hurried;    /* the pulse is every second */
	bool must_write; /* the connection is up only after a write was taken */
};

static inline void
list_init(struct list *list)
{
	list->first = NULL;
	list->last = &list->first;
}

static inline void
list_add(struct list *list, struct command *command)
{
	command->next = NULL;
	*list->last = command;
	list->last = &command->next;
}

static inline struct command *
list_pop(struct list *list)
{
	struct command *command = list->first;

	if (command && !(list->first = command->next))
		list->last = &list->first;
	return command;
}

/* redis.c */
/* Ends a command. Its callback comes on the loop's next turn, so never inside the caller. */
void redis_end(struct redis *redis, struct command *command, int err);
void redis_send(struct redis *redis, struct command *command);
void redis_flush(struct redis *redis);
void redis_deliver(struct redis *redis);
/* Ends a frame that called back: redis_free() may have been called inside it. */
void redis_leave(struct redis *redis);
void redis_on_read(struct bufferevent *bev, void *arg);
void redis_on_turn(void *arg);
void redis_on_deadline(void *arg);

/* redis_link.c */
/* The connection failed, or the attempt at one. */
void redis_give_up(struct redis *redis, const char *why);
void redis_disconnect(struct redis *redis);
void redis_destroy(struct redis *redis);
/* Connects to `redis->address`. */
void redis_connect(struct redis *redis);
void redis_set_address(struct redis *redis, const char *address);
/* One word of hello; its answer is awaited. */
void redis_hello_ask(struct redis *redis, int count, const char *const *words);
/* A client that asks a sentinel. `tls` is borrowed; NULL: none. */
struct redis *redis_new_aside(
	struct loop *loop, const char *address, const char *password, struct tls_client *tls);

/* redis_master.c, which does nothing when the address is fixed */
void redis_master_init(struct redis *redis, const struct redis_options *options);
void redis_master_free(struct redis *redis);
/* Asks the sentinels, then connects to whom they name. */
void redis_master_search(struct redis *redis);
/* Part of hello: asks for the role. */
void redis_master_ask(struct redis *redis);
/* Takes an answer of hello, which may be the role. */
void redis_master_take(struct redis *redis, const redisReply *reply);
/* Why the server may not be used; NULL: it may. */
const char *redis_master_doubt(const struct redis *redis);
/* The connection is up: the sentinels are asked from now on, until the next search. */
void redis_master_up(struct redis *redis);
/* The connection is lost or could not be made, which is seen before the state is ST_DOWN. */
void redis_master_lost(struct redis *redis);
/* Asks for the role again. */
void redis_master_pulse(struct redis *redis);

/* redis_health.c */
/* What to do about an error: it is no refusal; the next command may be taken; or connect anew. */
enum redis_remedy { REDIS_NONE, REDIS_WAIT, REDIS_CONNECT };
/* Judges an error that Redis answered. A refusal that is about Redis itself is told. */
enum redis_remedy redis_refused(struct redis *redis, const char *text);
/* Counts a refusal on a connection that is about to be given up. */
void redis_count_refusal(const struct redis *redis, const char *text);
/* Measures how long an answered command took. */
void redis_measure(const struct redis *redis, uint64_t us);
/* The connection goes to another master than before. */
void redis_count_move(void);
/* A connection is new or was lost (`why`); is up; ends. */
void redis_probe_down(struct redis *redis, bool is_new, const char *why);
void redis_probe_up(struct redis *redis);
void redis_probe_leave(struct redis *redis);
/* Logs each reason once until all is well again. */
void redis_complain(struct redis *redis, const char *message, const char *why);
/* The command for a write that harms nobody. */
const char *const *redis_pulse(int *count_out);
void redis_on_pulse(void *arg);

#endif
