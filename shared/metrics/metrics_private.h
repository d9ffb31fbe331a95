/*
 * metrics_private.h - what metrics.c (the registry), metrics_probe.c and metrics_page.c share.
 */
#ifndef SHARED_METRICS_PRIVATE_H
#define SHARED_METRICS_PRIVATE_H

#include <stdatomic.h>

#include "shared/metrics/metrics.h"

struct evbuffer;

struct buckets {
	size_t count;
	const uint64_t *us; /* upper bounds */
};

/* Both lists only grow at their ends, so readers need no lock. */
struct metric {
	struct metric *_Atomic next; /* the next metric of the same name */
	const struct buckets *bounds;
	char *labels; /* "" for none */
	char *place;
	atomic_int_least64_t value;     /* for a histogram the sum in microseconds */
	atomic_uint_least64_t *buckets; /* bounds->count + 1 counts, not cumulated */
	double (*_Atomic read)(void *arg);
	void *arg; /* set before `read` */
};

struct family {
	struct family *_Atomic next;
	enum metric_kind kind;
	char *name, *help;
	struct metric *_Atomic first;
};

/* The first family of the registry. */
struct family *metrics_families(void);

/* What the pages show: metrics_page.c (shared/http/) prints the metrics; metrics_probe.c prints the
 * verdict on all probes, then a line for each. */
void metrics_print(struct evbuffer *page);
enum health probes_print(struct evbuffer *page);

#endif
