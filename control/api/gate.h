/*
 * gate.h - who may send a request, and which account it may be about.
 */
#ifndef CONTROL_GATE_H
#define CONTROL_GATE_H

#include <stdbool.h>

#include "control/http/api_private.h"
#include "shared/http/http_scan.h"

/* For the door: how much the request may send (http_scan.h). `arg` is the API. */
long gate_admit(void *arg, const struct http_head *head);
/* Finds out who asks, as exchange->caller, and then calls `then`, at once or later. Not called
 * after a reply: nobody that is known. exchange->route NULL: there is no such route. */
typedef void (*gate_cb)(struct exchange *exchange);
void gate_identify(struct exchange *exchange, gate_cb then);
/* Whether the caller may do what the route does. False after a reply; an account that is not the
 * caller's is not there. */
bool gate_allow(struct exchange *exchange, const struct route *route);

#endif
