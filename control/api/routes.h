/*
 * routes.h - what the API can be asked.
 */
#ifndef CONTROL_ROUTES_H
#define CONTROL_ROUTES_H

#include "control/http/route.h"

/* Finds the route of a request's path, as it came; the caller frees match_out->parameters
 * (route.h). A path that is not below /api/v1/ has none. */
void routes_find(const char *path, enum evhttp_cmd_type method, struct route_match *match_out);

/* Whether a person must have proved anew who he is: for secrets, people, tokens, and the end of an
 * account. */
bool route_needs_sudo(const struct route *route);

#endif
