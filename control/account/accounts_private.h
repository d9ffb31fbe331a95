/*
 * accounts_private.h - what accounts.c and account_fields.c share.
 */
#ifndef CONTROL_ACCOUNTS_PRIVATE_H
#define CONTROL_ACCOUNTS_PRIVATE_H

#include <stdbool.h>

#include <jansson.h>

#include "control/account/fault.h"

/* name, contact, policies and limits, from a request into an account; `all`: name and contact must
 * be there. */
int take_profile(struct fault *fault, json_t *account, const json_t *body, bool all);

#endif
