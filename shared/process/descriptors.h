/*
 * descriptors.h - how the files that a process may have open are shared out, so that neither
 * delivery nor the pages of operators take those that clients need.
 */
#ifndef SHARED_DESCRIPTORS_H
#define SHARED_DESCRIPTORS_H

#include <stdint.h>

struct config;

/* Of the pages: metrics, and control's API. */
#define METRICS_CONNECTIONS_MAX 50
#define CONTROL_CONNECTIONS_MAX 100

struct descriptors {
	uint64_t limit;       /* of the process, once it has raised it */
	uint64_t needed;      /* by these settings at most */
	unsigned connections; /* that ingress may take: connections_max, or what the limit leaves */
};

/* For a process with the role ingress: of all roles with the embedded queue. */
struct descriptors descriptors_share(const struct config *config);

#endif
