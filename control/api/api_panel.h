/*
 * api_panel.h - the panel's files, for anybody, at every path outside /api/ that is nothing else.
 */
#ifndef CONTROL_API_PANEL_H
#define CONTROL_API_PANEL_H

#include <stdbool.h>

struct api;
struct exchange;

/* Whether the panel answers a request with that method and target, path and query. */
bool api_panel_takes(const struct api *api, const char *method, const char *target);
/* Answers a request for a page or a file of the panel; false: it asks for something else. */
bool api_panel(struct exchange *exchange);

#endif
