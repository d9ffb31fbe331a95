/*
 * plan.c - the plan of an account, and the limits that follow from it.
 *
 * accounts, documents -> [plan]
 *
 * Limits are computed where they are needed and stored nowhere: a plan that was changed in
 * shout.yaml counts for all its accounts once control has started again, and written Redis anew.
 */
#include "control/config/plan.h"

#include <string.h>

#include "shared/base/json_text.h"
#include "shared/config/config.h"

const struct plan_config *
plan_find(const struct config *config, const char *name)
{
	for (unsigned i = 0; name && i < config->service.plans_count; i++)
		if (strcmp(config->service.plans[i].name, name) == 0)
			return &config->service.plans[i];
	return NULL;
}

json_int_t
plan_mailboxes(const json_t *account)
{
	json_int_t sum = 0;
	json_t *domain;
	size_t i;

	json_array_foreach(json_object_get(account, "domains"), i, domain)
		sum += json_integer_value(json_object_get(domain, "mailboxes"));
	return sum;
}

/* Mailboxes that limits are counted for. An account without any still is a customer, and a limit of
 * 0 would be none. */
static json_int_t
counted(const struct plan_config *plan, const json_t *account)
{
	const json_int_t have = plan_mailboxes(account), least = plan->mailboxes_min;

	if (have >= least && have > 0)
		return have;
	return least > 0 ? least : 1;
}

static void
take_from_plan(json_t *limits, const struct plan_config *plan, json_int_t mailboxes)
{
	const struct {
		const char *name;
		unsigned each;
	} rows[] = {
		{ "messages_hour", plan->messages_hour },
		{ "messages_day", plan->messages_day },
		{ "recipients_hour", plan->recipients_hour },
		{ "recipients_day", plan->recipients_day },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (rows[i].each && !json_object_get(limits, rows[i].name))
			json_object_set_new(
				limits, rows[i].name, json_integer(rows[i].each * mailboxes));
}

json_t *
plan_limits(const struct config *config, const json_t *account)
{
	const struct plan_config *plan = plan_find(config, json_text(account, "plan"));
	json_t *limits = json_copy(json_object_get(account, "limits"));

	if (!limits)
		limits = json_object();
	if (plan)
		take_from_plan(limits, plan, counted(plan, account));
	return limits;
}
