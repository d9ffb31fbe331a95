/*
 * resolver.h - whether it is the resolver that fails, or the names: asked when a look-up failed.
 *
 * Each forwarder (without any, some root servers) is asked directly for the root, and for the name
 * that was found last. When one answers, the names are to blame. When none does, the resolver is
 * dead until one does, which is tried every second. One loop.
 */
#ifndef SENDER_RESOLVER_H
#define SENDER_RESOLVER_H

#include <stddef.h>
#include <stdint.h>

#define RESOLVER_QUERY_MAX 300
/* A question (class IN) with recursion desired; `name` "" for the root. Returns its length. */
size_t resolver_query(uint8_t out[RESOLVER_QUERY_MAX], uint16_t id, const char *name, uint8_t type);
/* Who is asked without forwarders; NULL after the last. */
const char *resolver_root(size_t i);

struct config;
struct loop;
struct resolver_watch;

struct resolver_watch *resolver_watch_new(struct loop *loop, const struct config *config);
/* What is asked is forgotten. Takes NULL. */
void resolver_watch_free(struct resolver_watch **watch);
/* Told when it dies (`why`), and when it answers again (NULL). */
void resolver_on_change(
	struct resolver_watch *watch, void (*tell)(void *arg, const char *why), void *arg);

/* `why` NULL: it answers. Once for each call, maybe at once; within a few seconds. A look-up that
 * began at `since_ms` (clock_mono_ms()) failed with a resolver that was dead meanwhile, too. */
typedef void (*resolver_cb)(void *arg, const char *why);
void resolver_doubt(struct resolver_watch *watch, uint64_t since_ms, resolver_cb cb, void *arg);
/* A look-up began; where none is answered for a while, that is a doubt of its own. */
void resolver_asked(struct resolver_watch *watch);
/* A name that was found. */
void resolver_found(struct resolver_watch *watch, const char *name);

#endif
