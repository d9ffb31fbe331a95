/*
 * metrics.h - counters, gauges and histograms, and the page that Prometheus reads.
 *
 * One registry a process. Register at start (not in hot paths); metrics live for ever. Adding is
 * one relaxed atomic operation from any thread, and the page is written without a lock: neither
 * ever waits for the other. Names: shout_<role>_<what>_<unit>, counters end in _total. METRICS.md
 * lists them all.
 *
 * A metric has one writer: one place in the code registers a name and its labels, however often
 * that runs (a module may have several instances, or begin again). A second place is a bug, as is a
 * name or a label against the rules of the format: the process logs the name and exits.
 */
#ifndef SHARED_METRICS_H
#define SHARED_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct metric;

enum metric_kind {
	METRIC_COUNTER,
	METRIC_GAUGE,         /* never below 0 */
	METRIC_HISTOGRAM,     /* seconds, in buckets from 0.5 ms to 600 s */
	METRIC_HISTOGRAM_LONG /* seconds, in buckets from 0.1 s to 5 days */
};

/* `labels`: text between the braces, like `topic="mail.inbound"` (metric_label() writes what is not
 * constant), or NULL. The same name may be registered with several label sets, of a bounded number.
 * Strings are copied. */
#define metric_counter(name, help, labels)                                                         \
	metric_register(METRIC_COUNTER, name, help, labels, METRIC_PLACE)
#define metric_gauge(name, help, labels)                                                           \
	metric_register(METRIC_GAUGE, name, help, labels, METRIC_PLACE)
#define metric_histogram(name, help, labels)                                                       \
	metric_register(METRIC_HISTOGRAM, name, help, labels, METRIC_PLACE)
#define metric_histogram_long(name, help, labels)                                                  \
	metric_register(METRIC_HISTOGRAM_LONG, name, help, labels, METRIC_PLACE)
struct metric *metric_register(enum metric_kind kind, const char *name, const char *help,
	const char *labels, const char *place);
#define METRIC_PLACE __FILE__ ":" METRIC_TEXT(__LINE__)
#define METRIC_TEXT(line) METRIC_TEXT_OF(line)
#define METRIC_TEXT_OF(line) #line

/* What is registered, or NULL. */
struct metric *metric_find(const char *name, const char *labels);

/* Room for two labels of any value. */
#define METRIC_LABELS_MAX 1200
/* Appends name="value" to the labels in `out` (of METRIC_LABELS_MAX bytes, "" at first): escaped,
 * cleaned by text_clean(), and cut after 255 bytes. */
void metric_label(char *out, const char *name, const char *value);

/* The value of a counter or gauge is asked for whenever the page is read, on the metrics loop.
 * `read` must not register anything. */
void metric_ask(struct metric *metric, double (*read)(void *arg), void *arg);
void metric_add(struct metric *metric, int64_t n);
/* A gauge; or a counter that is counted elsewhere. */
void metric_set(struct metric *metric, int64_t value);
void metric_observe_us(struct metric *metric, uint64_t us);
/* `n` of the same. */
void metric_observe_many_us(struct metric *metric, uint64_t us, uint64_t n);
/* Of a histogram: the sum in microseconds. */
int64_t metric_value(const struct metric *metric);

/*
 * A line of /readyz, which answers 503 while any probe has failed: a load balancer then sends this
 * node nothing. On the page shout_ready (1 unless it has failed) and shout_degraded say the same.
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

/* Adds process_*, which build this is, and how much room the disk of `state_dir` has. Once, before
 * the page is served. */
void metrics_process(const char *backend, const char *state_dir);

/* Serves /metrics, /livez (the loop turns, nothing else) and /readyz on a socket of net_bind(),
 * which is taken over. 0 or -errno. Both on the loop's thread, or while it does not run. */
int metrics_listen(struct loop *loop, int fd);
void metrics_close(void);

#endif
