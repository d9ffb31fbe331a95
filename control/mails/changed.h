/*
 * changed.h - tells an account's people what was changed: who, when, from what to what. What is
 * changed within five minutes goes in one mail.
 *
 * The notes of such changes (commit.h) stay in relay.config until their mail is durable. So a mail
 * is neither lost nor sent twice by a process that dies: its id is that of the oldest note, which
 * goes last.
 */
#ifndef CONTROL_CHANGED_H
#define CONTROL_CHANGED_H

#include <stdbool.h>

#include <jansson.h>

struct changed;
struct commits;
struct directory;
struct leader;
struct loop;
struct mailings;

#define CHANGED_GATHER_MS 300000

struct changed *changed_new(struct loop *loop, struct directory *directory, struct commits *commits,
	struct mailings *mailings, const struct leader *leader);
/* Once the directory is whole. On the loop. */
void changed_start(struct changed *changed);
/* No mail begins after this call; those under way end with the queue's answers. On the loop. */
void changed_close(struct changed *changed, void (*on_closed)(void *arg), void *arg);
/* Takes NULL. */
void changed_free(struct changed **changed);

/* Whether customers are told of such a change (an event of audit.h). Pure. */
bool changed_gathers(const json_t *event);

#endif
