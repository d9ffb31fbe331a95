/*
 * egress.h - the egress IPs of relay.config, and which one a message leaves from. Pure: every call
 * is told the time.
 *
 * Without any egress IP mail leaves as sender.source_address says, and nothing here has a say.
 */
#ifndef SENDER_EGRESS_H
#define SENDER_EGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/egress/egress_entry.h"
#include "shared/mail/envelope.h"

struct egress;

struct egress *egress_new(void);
/* Wipes the proxies' secrets. Takes NULL. */
void egress_free(struct egress **egress);

/* Takes an entry of relay.config as it is now; json NULL: removed. Of accounts only those are
 * remembered that are young at `now_us`. False: an egress IP that cannot be read; it is not used.
 * Other keys are passed over. */
bool egress_set(struct egress *egress, const char *key, const char *json, uint64_t now_us);
/* Whether there is any egress IP. */
bool egress_any(const struct egress *egress);
size_t egress_count(const struct egress *egress);
/* NULL: there is no such IP. Borrowed until the next egress_set(). */
const struct egress_entry *egress_find(const struct egress *egress, const char *ip);
void egress_each(const struct egress *egress,
	void (*on_ip)(void *arg, const struct egress_entry *entry), void *arg);

/* The pool of a message: bounce for the null sender and our own mail, suspect where the sender's
 * score asks for it, new for a young account, else good. A pool without any IP is not used: good
 * takes its place, and for that any. */
const char *egress_pool(const struct egress *egress, const Envelope *envelope, uint64_t now_us);

struct egress_wish {
	const char *account, *site;
	const char *kept; /* the IP of an earlier attempt; NULL: none */
	const char *pool;
	/* Whether the lane to the site may be used; NULL: any may. */
	bool (*lane_usable)(void *arg, const char *ip);
	void *arg;
};
/* The IP to send from: the kept one as long as it can be used, else of the pool by rendezvous
 * hashing. IPv6 is used only by a pool that has no IPv4: not every host has an IPv6 address. NULL:
 * none of the pool can be used now. */
const struct egress_entry *
egress_choose(const struct egress *egress, const struct egress_wish *wish, uint64_t now_us);
/* Whether the IP may be used for some site: it neither rests nor has a fault. */
bool egress_usable(const struct egress *egress, const char *ip, uint64_t now_us);
/* When one of the pool can be used again, as far as it is known here; 0: one can now. */
uint64_t egress_usable_at(const struct egress *egress, const char *pool, uint64_t now_us);

/* This process cannot send from the IP: the address cannot be bound, or its proxy fails. The IP is
 * left alone for EGRESS_FAULT_US, then tried again. True: it is a new fault. */
#define EGRESS_FAULT_US 10000000u
#define EGRESS_WHY_MAX 256
bool egress_fault(struct egress *egress, const char *ip, const char *why, uint64_t now_us);
/* A connection was had from the IP. True: that ends a fault. */
bool egress_works(struct egress *egress, const char *ip);
/* Why this process cannot send from the IP; NULL: it can, or has not tried. */
const char *egress_why(const struct egress *egress, const char *ip);
/* How many IPs have a fault. */
size_t egress_faulty(const struct egress *egress);

#endif
