/*
 * dnsbl_watch.h - looks the relay's addresses up in DNS block lists (dnsbl.lists), on the process
 * that leads. An egress IP that is listed, by two checks, rests; when it is listed no more, by two
 * checks, it comes back, warming up.
 */
#ifndef CONTROL_WATCH_DNSBL_WATCH_H
#define CONTROL_WATCH_DNSBL_WATCH_H

struct commits;
struct config;
struct directory;
struct dnsbl_watch;
struct leader;
struct loop;
struct queue;
struct redis;

struct dnsbl_watch_options {
	const struct config *config;
	struct loop *loop;
	struct redis *redis;
	struct queue *queue;
	struct directory *directory;
	struct commits *commits;
	const struct leader *leader;
};

/* Where each address stands on each list: a hash of Redis, "<ip> <list>": {"state","listed",
 * "since_us","checked_us"}. */
#define DNSBL_KEY "dnsbl:standing"

/* NULL where dnsbl.lists is empty, or after logging why. All on the loop. */
struct dnsbl_watch *dnsbl_watch_new(const struct dnsbl_watch_options *options);
/* The directory is whole: the checks begin. */
void dnsbl_watch_start(struct dnsbl_watch *watch);
/* Nothing begins after this call. */
void dnsbl_watch_close(struct dnsbl_watch *watch);
/* After redis_free(). Takes NULL. */
void dnsbl_watch_free(struct dnsbl_watch **watch);

#endif
