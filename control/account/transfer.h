/*
 * transfer.h - accounts and relay.config as documents that leave the relay and come back: what is
 * in them, and whether what comes may be taken. Pure but for the clock.
 *
 * They hold verifiers: whoever writes them down keeps them to the owner of the file, and out of
 * logs.
 */
#ifndef CONTROL_TRANSFER_H
#define CONTROL_TRANSFER_H

#include <stdbool.h>

#include <jansson.h>

#include "control/account/accounts.h"

/* {"account":{...},"users":[{"username",...}],"addresses":[{"address",...}]}: the entries of
 * relay.config, without versions. NULL: there is no such account. The caller's. */
json_t *account_export(const struct directory *directory, const char *id);

/*
 * Makes an account what such a document says. The reply is {"account","result","changed":[what],
 * "claims":[keys]}; result: "new"; "same" (then nothing changes); "changed", which is a fault
 * unless `replace`, or `look`, which is for seeing only. A fault names the field of the document.
 */
int account_import(struct edit *edit, const json_t *document, bool replace, bool look);

/* Whether an entry of relay.config is one that this build knows and can use; 0, or -1 and the
 * fault. */
int entry_check(struct fault *fault, const char *key, const json_t *value);
/* Entries of a backup, {key: value}: `changes` gets those that are not here yet, with versions of
 * now, so that they count above what Redis still holds. One that is here and differs is a fault,
 * but for the owner of a relay without accounts. */
int entries_restore(struct edit *edit, json_t *entries);

#endif
