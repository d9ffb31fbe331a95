/*
 * transfer.h - accounts and relay.config as documents that leave the relay and come back: what the
 * documents have, and whether one may be taken. Pure but for the clock.
 *
 * The documents have verifiers: whoever writes one down gives the file to its owner alone, and
 * keeps the document out of logs.
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
 * Makes an account what a document says. The reply is {"account","result","changed":[fields],
 * "claims":[keys]}. Result: "new"; "same" (nothing changes); "changed", which is a fault unless
 * `replace`, or `look` (only to see what would change). A fault names the field of the document.
 */
int account_import(struct edit *edit, const json_t *document, bool replace, bool look);

/* Whether this build knows an entry of relay.config and can use it; 0, or -1 and the fault. */
int entry_check(struct fault *fault, const char *key, const json_t *value);
/* Restores entries of a backup, {key: value}: `changes` gets the entries that are not here yet.
 * Their versions are new, so that they count above what Redis still has. An entry that is here and
 * differs is a fault, but for the owner of a relay without accounts. */
int entries_restore(struct edit *edit, json_t *entries);

#endif
