/*
 * metrics.h - counters, gauges and histograms, and the page that Prometheus reads.
 *
 * One registry a process. Register at start (not in hot paths); metrics live for ever. Adding is
 * one relaxed atomic operation from any thread. Names: shout_<role>_<what>_<unit or total>.
 */
#ifndef SHARED_METRICS_H
#define SHARED_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define METRICS_CONNECTIONS_MAX 50 /* of the page */

struct loop;
struct metric;

/* `labels`: text between the braces, like `topic="mail.inbound"`, or NULL. The same name may be
 * registered with several label sets; the same name and labels gives the same metric. Strings are
 * copied. */
struct metric *metric_counter(const char *name, const char *help, const char *labels);
struct metric *metric_gauge(const char *name, const char *help, const char *labels);
/* A gauge whose value is asked for when the page is read, from the metrics loop. `read` must not
 * register anything. */
void metric_gauge_from(const char *name, const char *help, const char *labels,
	double (*read)(void *arg), void *arg);
/* Seconds, in buckets from 0.5 ms to 600 s. */
struct metric *metric_histogram(const char *name, const char *help, const char *labels);

void metric_add(struct metric *metric, int64_t n);
void metric_set(struct metric *metric, int64_t value);
void metric_observe_us(struct metric *metric, uint64_t us);
int64_t metric_value(const struct metric *metric);

/*
 * A line of /readyz, which answers 503 while any probe has failed: a load balancer then sends this
 * node nothing.
 *
 * HEALTH_FAILED is for what this node lacks and another may have: its disk, its listeners, a clamd
 * for its scanner. What all nodes share makes a node no worse than the others: as long as the role
 * goes on without it, it is HEALTH_DEGRADED, or one Redis that is away would take all nodes out at
 * once, although each still serves the clients it knows.
 */
enum health { HEALTH_READY, HEALTH_DEGRADED, HEALTH_FAILED };
struct probe;
/* The same name gives the same probe; it has failed ("not started yet") until it is set. The name
 * is a static string. */
struct probe *probe_new(const char *name);
/* From any thread. `why` is copied; NULL when there is nothing to say. */
void probe_set(struct probe *probe, enum health health, const char *why);

/* Serves /metrics, /livez (the loop turns, nothing else) and /readyz on a socket of net_bind(),
 * which is taken over. 0 or -errno. Both on the loop's thread, or while it does not run. */
int metrics_listen(struct loop *loop, int fd);
void metrics_close(void);

#endif
