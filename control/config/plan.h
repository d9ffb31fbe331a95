/*
 * plan.h - what a plan (service.plans) gives an account: how many mailboxes, and limits that grow
 * with them. Pure.
 */
#ifndef CONTROL_PLAN_H
#define CONTROL_PLAN_H

#include <jansson.h>

struct config;

/* The plan of that name; NULL: there is none. */
const struct plan_config *plan_find(const struct config *config, const char *name);
/* The mailboxes of all domains of an account (its entry). */
json_int_t plan_mailboxes(const json_t *account);
/* The account's limits, {name: number}: its own ones, then those that its plan gives for its
 * mailboxes. A limit that is not there is the configured one. The caller releases them. */
json_t *plan_limits(const struct config *config, const json_t *account);

#endif
