/*
 * accounts_private.h - checks of what a request says, shared by accounts.c and account_fields.c.
 */
#ifndef CONTROL_ACCOUNTS_PRIVATE_H
#define CONTROL_ACCOUNTS_PRIVATE_H

#include <stdbool.h>

#include <jansson.h>

#include "control/fault.h"

/* Whether `body` is an object (or absent) with no field but those of the NULL-ended list. */
int check_fields(struct fault *fault, const json_t *body, const char *const *known, const char *in);
/* name, contact, policy and limits, from a request into an account; `all`: name and contact must
 * be there. */
int take_profile(struct fault *fault, json_t *account, const json_t *body, bool all);

#endif
