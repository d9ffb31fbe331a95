/*
 * api_public.h - pages for anybody, without a token, beside /api/v1: GET /ip and GET /p/TOKEN.
 */
#ifndef CONTROL_API_PUBLIC_H
#define CONTROL_API_PUBLIC_H

#include <stdbool.h>

struct exchange;

/* Whether the target of a request, path and query, is of such a page. */
bool api_is_public(const char *target);
/* Answers a request for such a page; false: it asks for something else. */
bool api_public(struct exchange *exchange);

#endif
