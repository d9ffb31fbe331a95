/*
 * connection.h - how a customer's servers get in: handlers of the API, and what they share.
 */
#ifndef CONTROL_CONNECTION_H
#define CONTROL_CONNECTION_H

#include <jansson.h>

#include "control/http/api_private.h"

/* Handlers */
void api_account_sessions(struct exchange *exchange);
void api_account_test_start(struct exchange *exchange);
void api_account_test_get(struct exchange *exchange);
void api_account_limits(struct exchange *exchange);
void api_account_connection(struct exchange *exchange);

/* Whether the account is there; else the exchange ends with 404. */
bool connection_account_there(struct exchange *exchange);

/* Reads the records (shared/account/talk.h) that the account may see: its own, and those of
 * strangers at its active addresses and at `browser` (an address that somebody of the account asked
 * from; NULL or "": none). */
typedef void (*records_cb)(void *arg, int err, const json_t *records);
void records_read(struct exchange *exchange, const char *browser, records_cb cb, void *arg);

#endif
