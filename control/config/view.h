/*
 * view.h - whose accounts Redis holds, and what control may do about it. Pure.
 *
 * An empty relay.config must not empty Redis, and neither must the relay.config of another relay:
 * state_dir may not be mounted, or two relays may have one Redis. So Redis stays as it is until its
 * owner comes, or an operator decides.
 */
#ifndef CONTROL_VIEW_H
#define CONTROL_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/account/owner.h"

/* What Redis says (shared/account/account.h). */
struct view {
	char owner[OWNER_ID_SIZE]; /* "config:owner"; "": none */
	bool accounts;             /* Redis has documents */
	bool complete;             /* "config:applied" is there */
	uint64_t marked_us;        /* the time in "config:applied" */
	char marked_by[OWNER_ID_SIZE];
};

/* What relay.config says. */
struct truth {
	char owner[OWNER_ID_SIZE]; /* "": none */
	bool accounts;
	bool theirs; /* Redis names an owner that relay.config has, or had */
};

enum view_verdict {
	VIEW_GOOD, /* complete, and ours */
	VIEW_FILL, /* to be written anew: flushed, of an older build, or marked by someone else */
	VIEW_UNOWNED, /* to be written anew once relay.config has an owner */
	VIEW_FOREIGN, /* of another owner: nothing is written */
	VIEW_ORPHAN,  /* relay.config is empty, Redis is not: nothing is written */
};

void view_take_marker(struct view *view, const char *marker);
enum view_verdict view_judge(const struct view *view, const struct truth *truth);

static inline bool
view_is_doubted(enum view_verdict verdict)
{
	return verdict == VIEW_FOREIGN || verdict == VIEW_ORPHAN;
}

#define VIEW_TEXT_MAX 250
/* Why Redis is doubted, and the one command that ends the doubt. */
void view_explain(const struct view *view, const struct truth *truth, char text[VIEW_TEXT_MAX + 1]);

#endif
