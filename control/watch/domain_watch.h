/*
 * domain_watch.h - each domain is looked at in the DNS once a day, by one of the control processes:
 * the queue of what is due is in Redis, and who takes a domain from it has it for ten minutes.
 *
 * Redis may forget the queue: each process puts all domains back into it, spread over a day.
 * Nothing is judged while Redis's clock and ours differ by more than a minute.
 */
#ifndef CONTROL_WATCH_DOMAIN_WATCH_H
#define CONTROL_WATCH_DOMAIN_WATCH_H

#include <stdbool.h>

#include <jansson.h>

struct applier;
struct commits;
struct directory;
struct domain_checks;
struct domain_watch;
struct loop;
struct redis;

#define DOMAIN_WATCH_MAX 4 /* checks at once; DOMAIN_CHECKS_MAX counts them, too */

struct domain_watch_options {
	struct loop *loop;
	struct redis *redis;
	struct directory *directory;
	struct applier *applier;
	struct commits *commits;
	struct domain_checks *checks;
	/* Something is to be mended in the DNS of a verified or lost domain; told once for each
	 * trouble, and once a day at most. `report`: as the API shows it. */
	void (*trouble)(void *arg, const char *account, const json_t *report);
	void *arg;
};

/* Begins at once. All on the loop. */
struct domain_watch *domain_watch_new(const struct domain_watch_options *options);
/* No check begins after this call; those under way are domain_checks_hurry()'s. */
void domain_watch_close(struct domain_watch *watch);
/* Call it once no check is under way, after redis_free(). Takes NULL. */
void domain_watch_free(struct domain_watch **watch);

#endif
