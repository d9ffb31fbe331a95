/*
 * problem.c - what a refusal is called.
 */
#include "shared/http/problem.h"

#include <stddef.h>

static const struct problem problems[] = {
	{ 400, "/problems/wrong-field", "Bad Request" },
	{ 401, "/problems/no-session", "Unauthorized" },
	{ 403, "/problems/no-right", "Forbidden" },
	{ 404, "/problems/not-found", "Not Found" },
	{ 405, "/problems/method", "Method Not Allowed" },
	{ 409, "/problems/taken", "Conflict" },
	{ 410, "/problems/gone", "Gone" },
	{ 412, "/problems/changed-meanwhile", "Precondition Failed" },
	{ 413, "/problems/too-large", "Content Too Large" },
	{ 414, "/problems/too-large", "URI Too Long" },
	{ 415, "/problems/wrong-type", "Unsupported Media Type" },
	{ 417, "/problems/wrong-field", "Expectation Failed" },
	{ 421, "/problems/misdirected", "Misdirected Request" },
	{ 429, "/problems/slow-down", "Too Many Requests" },
	{ 431, "/problems/too-large", "Request Header Fields Too Large" },
	{ 503, "/problems/not-taken", "Service Unavailable" },
	{ 505, "/problems/version", "HTTP Version Not Supported" },
};

const struct problem *
problem_of(int status)
{
	static const struct problem other = { 500, "about:blank", "Internal Server Error" };

	for (size_t i = 0; i < sizeof problems / sizeof *problems; i++)
		if (problems[i].status == status)
			return &problems[i];
	return &other;
}
