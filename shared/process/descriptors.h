/*
 * descriptors.h - divides the files that a process may have open, so that neither delivery nor the
 * operators' pages take descriptors that clients need. Pure but for getrlimit().
 */
#ifndef SHARED_DESCRIPTORS_H
#define SHARED_DESCRIPTORS_H

#include <stdint.h>

struct config;

/* Connections of the operators' pages: of the metrics, and of control's API. */
#define METRICS_CONNECTIONS_MAX 50
#define CONTROL_CONNECTIONS_MAX 100

struct descriptors {
	uint64_t limit;       /* of the process, after it has raised its limit */
	uint64_t needed;      /* with these settings, at most */
	unsigned connections; /* of ingress: connections_max, or what the limit leaves */
};

/* For a process with the role ingress; with the embedded queue the process has all roles. */
struct descriptors descriptors_share(const struct config *config);

#endif
