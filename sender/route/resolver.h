/*
 * resolver.h - finds out after a failed look-up whether the resolver fails, or the names do.
 *
 * Each forwarder (without forwarders, some root servers) is asked directly for the root, and for
 * the name that was found last. When one server answers, the names are to blame. When none does,
 * the resolver is dead until a server answers again, which is tried every second. One loop.
 */
#ifndef SENDER_RESOLVER_H
#define SENDER_RESOLVER_H

#include <stddef.h>
#include <stdint.h>

#define RESOLVER_QUERY_MAX 300
/* A question (class IN) with recursion desired; `name` "" for the root. Returns its length. */
size_t resolver_query(uint8_t out[RESOLVER_QUERY_MAX], uint16_t id, const char *name, uint8_t type);
/* The servers that are asked without forwarders; NULL after the last. */
const char *resolver_root(size_t i);

struct config;
struct loop;
struct resolver_health;

struct resolver_health *resolver_health_new(struct loop *loop, const struct config *config);
/* Drops the questions under way. Takes NULL. */
void resolver_health_free(struct resolver_health **health);
/* Called when the resolver dies (`why`), and when it answers again (NULL). */
void resolver_on_change(
	struct resolver_health *health, void (*tell)(void *arg, const char *why), void *arg);

/* Asks whether the resolver answers; `why` NULL: it does. The callback comes once for each call,
 * maybe at once, within a few seconds. `since_ms` (clock_mono_ms()) is when the failed look-up
 * began: when the resolver was dead at any time since, the resolver is to blame. */
typedef void (*resolver_cb)(void *arg, const char *why);
void resolver_doubt(struct resolver_health *health, uint64_t since_ms, resolver_cb cb, void *arg);
/* Tells that a look-up began: when none is answered for a while, the resolver is doubted, too. */
void resolver_asked(struct resolver_health *health);
/* Tells of a name that was found. */
void resolver_found(struct resolver_health *health, const char *name);

#endif
