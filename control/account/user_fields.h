/*
 * user_fields.h - the fields of a username: read from a request, checked in a file, shown.
 */
#ifndef CONTROL_USER_FIELDS_H
#define CONTROL_USER_FIELDS_H

#include <stdint.h>

#include <jansson.h>

#include "control/account/fault.h"

enum user_request { USER_NEW, USER_CHANGE };

/* Copies the fields that a request has into an entry; account_user.h says which. 0, or -1 and a
 * fault. */
int user_take(struct fault *fault, json_t *user, const json_t *body, enum user_request request);
/* {"reason"}: why the operator suspends the user. */
int user_take_reason(struct fault *fault, json_t *user, const json_t *body);

#endif
