/*
 * route.h - finds the API's route for a path, and the methods that the path takes. Pure.
 */
#ifndef CONTROL_ROUTE_H
#define CONTROL_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

#include <event2/http.h>

#define PARAMETERS_MAX 2
#define ALLOW_SIZE 64

#include "control/people/rights.h"

struct exchange;

/* A star stands for one segment of the path, which is not empty. */
struct route {
	enum evhttp_cmd_type method;
	const char *path;
	void (*handle)(struct exchange *exchange);
	bool body;         /* a body may be sent */
	const char *query; /* the names of the route's parameters */
	enum right right;  /* what the caller must have; 0: nobody may */
};

struct route_match {
	const struct route *route;        /* NULL: no such path, or not with this method */
	char *parameters[PARAMETERS_MAX]; /* what the stars stand for, decoded; the caller frees
					     them */
	char allow[ALLOW_SIZE];           /* "GET, HEAD, OPTIONS"; "": there is no such path */
};

/* Finds the route. `path` is as it came, without the prefix of all routes. HEAD is answered by
 * GET's route. */
void route_find(const struct route *routes, size_t count, const char *path,
	enum evhttp_cmd_type method, struct route_match *match_out);

#endif
