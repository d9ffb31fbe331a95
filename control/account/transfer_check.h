/*
 * transfer_check.h - what transfer.c and transfer_check.c share: checks of what comes in a file.
 * Each returns 0, or -1 and the fault.
 */
#ifndef CONTROL_TRANSFER_CHECK_H
#define CONTROL_TRANSFER_CHECK_H

#include <jansson.h>

#include "control/account/fault.h"

/* An account's entry; NULL is none. */
int check_account(struct fault *fault, const json_t *account);
/* Checks a user, and an address, whose fields have the right types. `name` is from the key. */
int check_user(struct fault *fault, const char *name, const json_t *user);
int check_address(struct fault *fault, const char *name, const json_t *address);

/* person_entry.c: the same of a person of an account; and a whole entry of either kind. */
int check_person_of_account(struct fault *fault, const char *login, const json_t *person);
int check_person_entry(struct fault *fault, const char *login, const json_t *person);

#endif
