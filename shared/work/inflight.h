/*
 * inflight.h - which mail is in hand, and with whom: told in Redis by senders and scanners, read by
 * control, which may run in another process or on another machine.
 *
 * People look at it; no decision depends on it. A process that died is forgotten after some
 * seconds, and without Redis nothing is known. The queue is the truth about which mail there is.
 */
#ifndef SHARED_INFLIGHT_H
#define SHARED_INFLIGHT_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "shared/mail/envelope.h"

struct json;
struct loop;
struct redis;
struct inflight_report;
struct inflight_reporter;

/* Work that takes less is not told. */
#define INFLIGHT_SLOW_US 1000000
/* One process tells at most so many messages. */
#define INFLIGHT_MAIL_MAX 2000
#define INFLIGHT_SITES_MAX 1000

/*
 * Tells every second, when it changed, and every five seconds anyway. `fill` adds to an object:
 *   "mail":  [{"id", "stage": "scanning|routing|scheduled|attempting", "site", "host", "since"}]
 *   "sites": [{"site", "reply", "host", "class", "said", "next", "rests_for", "opening",
 * "opened"}]: what was said last by a site that failed and when, when it is tried next (the mail of
 *            the account "rests_for", or of all), and the host that a connection is being opened
 *            to, since when
 *   "untold": how much mail beside it
 * Times in microseconds since 1970; what is not known is left out. `node` and `role` say who tells.
 */
struct inflight_reporter *inflight_reporter_new(struct loop *loop, struct redis *redis,
	const char *role, const char *node, void (*fill)(void *arg, struct json *json), void *arg);
/* Call it before redis_free(). Takes NULL. */
void inflight_reporter_free(struct inflight_reporter **reporter);

/* What all processes told. The members are NULL until inflight_parse(), which belongs on a worker:
 * the text may be megabytes. */
struct inflight {
	json_t *nodes; /* [{"role", "node", "told": ms ago, "untold": n}] */
	json_t *mail;  /* id: [entry as above, and "node"] */
	json_t *sites; /* site: as above */
	struct inflight_report *reports;
	size_t count;
};
/* `seen` NULL: Redis does not answer. Otherwise the callee frees it. The callback may come before
 * the call returns. */
typedef void (*inflight_cb)(void *arg, struct inflight *seen);
void inflight_read(struct redis *redis, inflight_cb cb, void *arg);
/* Parses once, whoever calls it again. Takes NULL. */
void inflight_parse(struct inflight *seen);
/* Takes NULL. */
void inflight_free(struct inflight **seen);

/* The message's entry at the site (NULL: any site) in the stage; NULL: there is none. These
 * functions take `seen` NULL. */
const json_t *inflight_find(const struct inflight *seen, const uint8_t id[ID_SIZE],
	const char *site, const char *stage);
const json_t *inflight_site(const struct inflight *seen, const char *site);

/* Pure: builds what inflight_read() builds of Redis's answers. The text is copied. */
struct inflight *inflight_new(void);
void inflight_add(struct inflight *seen, const char *text, size_t length, uint64_t age_ms);

#endif
