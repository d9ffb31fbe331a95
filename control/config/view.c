/*
 * view.c - whose accounts Redis holds, and what control may do about it.
 *
 * Redis -> [view] -> applier
 */
#include "control/config/view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
view_take_marker(struct view *view, const char *marker)
{
	char *end;

	view->complete = true;
	view->marked_us = strtoull(marker, &end, 10);
	snprintf(view->marked_by, sizeof view->marked_by, "%s", *end == ' ' ? end + 1 : "");
}

/* An older build marks without an owner, and may have erased the owner a moment ago. */
enum view_verdict
view_judge(const struct view *view, const struct truth *truth)
{
	if (*view->owner && !truth->theirs)
		return VIEW_FOREIGN;
	if (view->accounts && !truth->accounts)
		return VIEW_ORPHAN;
	if (truth->accounts && !*truth->owner)
		return VIEW_UNOWNED;
	if (!view->complete || strcmp(view->marked_by, truth->owner) != 0 ||
		strcmp(view->owner, truth->owner) != 0)
		return VIEW_FILL;
	return VIEW_GOOD;
}

void
view_explain(const struct view *view, const struct truth *truth, char text[VIEW_TEXT_MAX + 1])
{
	snprintf(text, VIEW_TEXT_MAX + 1,
		"Redis holds the accounts of %s%s, relay.config is of %s%s%s: nothing is written; "
		"\"shoutctl rebuild --take-over\" replaces them",
		*view->owner ? "owner " : "no owner", view->owner,
		*truth->owner ? "owner " : "no owner", truth->owner,
		truth->accounts ? "" : " and empty (is state_dir mounted?)");
}
