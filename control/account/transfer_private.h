/*
 * transfer_private.h - what transfer.c and transfer_check.c share: checks of what comes in a file.
 * Each returns 0, or -1 and the fault.
 */
#ifndef CONTROL_TRANSFER_PRIVATE_H
#define CONTROL_TRANSFER_PRIVATE_H

#include <jansson.h>

#include "control/account/fault.h"

/* An account's entry; NULL is none. */
int check_account(struct fault *fault, const json_t *account);
/* A user, and an address, whose fields are known to be of their types. `name`: in their keys. */
int check_user(struct fault *fault, const char *name, const json_t *user);
int check_address(struct fault *fault, const char *name, const json_t *address);
/* Always -1: the field of the fault is one inside `in`. */
int fault_in(struct fault *fault, const char *in);

#endif
