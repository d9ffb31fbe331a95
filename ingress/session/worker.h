/*
 * worker.h - what the files of ingress share: the role's settings, and a worker, which is one event
 * loop with its listeners, sessions and helpers. A worker's fields belong to its loop's thread.
 */
#ifndef INGRESS_WORKER_H
#define INGRESS_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ingress/door/door.h"
#include "ingress/session/wire.h"
#include "shared/account/account.h"
#include "shared/account/limits.h"
#include "shared/account/talk.h"
#include "shared/account/use.h"
#include "shared/base/loop.h"
#include "shared/base/net.h"
#include "shared/base/timer.h"
#include "shared/base/tls.h"
#include "shared/config/config.h"
#include "shared/queue/event.h"
#include "shared/queue/queue.h"
#include "shared/redis/redis.h"

#define SCRATCH_SIZE (64u * 1024)

struct familiar;
struct passwords;
struct password_cache;
struct session;
struct session_verbs;
struct tally;
struct tally_case;
struct worker;

struct listener {
	const struct listen_config *config;
	struct net_address address;
	struct tls_server *tls; /* NULL without; the role's */
	struct network *proxies;
	size_t proxies_count;
	int *fds; /* one for each worker */
};

struct acceptor {
	struct worker *worker;
	const struct listener *listener;
	int fd;
	struct event *event;
	struct timer again; /* accepts again after descriptors ran out */
};

struct ingress {
	const struct config *config;
	const struct session_verbs *verbs;
	struct queue *queue;
	struct tls_server *tls[2]; /* by enum tls_profile */
	uint64_t keys_ms;          /* when the ticket keys were last changed */
	struct listener *listeners;
	unsigned listeners_count;
	struct worker *workers;
	unsigned workers_count;
	struct door *door;
	struct familiar *familiar;
	struct passwords *passwords;
	atomic_uint busy; /* sessions, and messages that the queue has not acknowledged */
};

struct worker {
	struct ingress *ingress;
	struct loop *loop;
	struct redis *redis;
	struct account_store *accounts;
	struct limits *limits;
	struct uses *uses;
	struct talks *talks;
	struct acceptor *acceptors;
	struct session **sessions; /* by the slot in their id */
	unsigned sessions_space;
	uint64_t sessions_made;
	struct wire_list wires;
	char *scratch;                     /* input of the session whose turn it is; SCRATCH_SIZE */
	struct session *dead;              /* freed on the loop's next turn */
	struct timer reaper, minute, news; /* news: soon after a new kind of event */
	struct tally *tally;
	struct mail_event event; /* the buffer of its events */
	struct password_cache *cache;
	bool draining;
	struct task drain, drop;
	struct task_again reload;
	bool drain_posted; /* the main thread's */
};

/* Adds the case to the tally: an event tells of it soon. */
void worker_tell(struct worker *worker, const struct tally_case *told);

/* The worker whose thread this is, from worker_enter() on. */
struct worker *worker_here(void);
void worker_enter(struct worker *worker);

#endif
