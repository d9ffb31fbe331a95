/*
 * api_egress.c - egress IPs in the API: each sender follows what they become in relay.config.
 *
 * shoutctl -> api -> [api_egress] -> egress_edit -> relay.config -> senders
 */
#include "control/egress/api_egress.h"

#include <string.h>

#include "control/egress/egress_edit.h"
#include "control/http/api_private.h"
#include "control/http/entries.h"
#include "shared/base/loop.h"
#include "shared/egress/egress_entry.h"

static bool
is_egress(const char *key, const json_t *entry)
{
	(void)entry;
	return strncmp(key, EGRESS_PREFIX, sizeof EGRESS_PREFIX - 1) == 0;
}

static json_t *
show(const json_t *entry)
{
	return egress_show(entry, clock_us());
}

void
api_egress_add(struct exchange *x)
{
	struct edit edit = { .directory = x->api->directory };

	edit_end(x, "egress.add", &edit, egress_add(&edit, x->body, clock_us()), 201);
}

void
api_egress_list(struct exchange *x)
{
	reply_entries(x, "egress_ips", NULL, is_egress, false, show);
}

void
api_egress_get(struct exchange *x)
{
	const json_t *entry = egress_entry_of(x->api->directory, x->parameters[0]);

	if (entry)
		reply_json(x, 200, show(entry));
	else
		reply_error(x, 404, "ip", "there is no such egress IP");
}

void
api_egress_change(struct exchange *x)
{
	struct edit edit = { .directory = x->api->directory };

	edit_end(x, "egress.change", &edit,
		egress_change(&edit, x->parameters[0], x->body, clock_us()), 200);
}

void
api_egress_remove(struct exchange *x)
{
	struct edit edit = { .directory = x->api->directory };

	edit_end(x, "egress.remove", &edit, egress_remove(&edit, x->parameters[0]), 200);
}
