/*
 * metrics.h - counters, gauges and histograms, and the page that Prometheus reads.
 *
 * One registry a process. Register at start (not in hot paths); metrics live for ever. Any thread
 * adds by one relaxed atomic operation, and the page is written without a lock: neither waits for
 * the other. Names: shout_<role>_<what>_<unit>; counters end in _total. METRICS.md lists them all.
 *
 * A metric has one writer: one place in the code registers a name and its labels, however often
 * that place runs (a module may have several instances, or begin again). A second place is a bug,
 * and so is a name or a label against the rules of the format: the process logs the name and exits.
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

/* `labels`: the text between the braces, like `topic="mail.inbound"`, or NULL; metric_label()
 * writes values that are not constant. A name may have several sets of labels, of a bounded number.
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

/* The registered metric, or NULL. */
struct metric *metric_find(const char *name, const char *labels);

/* Room for two labels of any value. */
#define METRIC_LABELS_MAX 1200
/* Appends name="value" to the labels in `out` (of METRIC_LABELS_MAX bytes, "" at first). The value
 * is cut after 255 bytes, cleaned by text_clean() and escaped. */
void metric_label(char *out, const char *name, const char *value);

/* Each reading of the page calls `read`, on the metrics loop, for the value of a counter or gauge.
 * `read` must not register anything. */
void metric_ask(struct metric *metric, double (*read)(void *arg), void *arg);
void metric_add(struct metric *metric, int64_t n);
/* Sets a gauge, or a counter that is counted elsewhere. */
void metric_set(struct metric *metric, int64_t value);
void metric_observe_us(struct metric *metric, uint64_t us);
/* `n` observations of the same value. */
void metric_observe_many_us(struct metric *metric, uint64_t us, uint64_t n);
/* For a histogram the sum in microseconds. */
int64_t metric_value(const struct metric *metric);

/*
 * A line of /readyz. While any probe has failed, /readyz answers 503, and load balancers send this
 * node nothing. The metrics shout_ready (1 unless a probe has failed) and shout_degraded say the
 * same.
 *
 * HEALTH_FAILED is for what this node lacks and another node may have: its disk, its listeners, a
 * clamd for its scanner. HEALTH_DEGRADED is for what all nodes share, as long as the role goes on
 * without it: one Redis that is away must not take out all nodes at once, while each still serves
 * the clients it knows.
 */
enum health { HEALTH_READY, HEALTH_DEGRADED, HEALTH_FAILED };
struct probe;
/* The same name gives the same probe. A probe has failed ("not started yet") until it is set. The
 * name is a static string. */
struct probe *probe_new(const char *name);
/* From any thread. `why` is copied; NULL: there is nothing to say. */
void probe_set(struct probe *probe, enum health health, const char *why);

/* Registers process_*, the build, and the free room of the disk of `state_dir`. Call it once,
 * before the page is served. */
void metrics_process(const char *backend, const char *state_dir);

/* Serves /metrics, /livez (the loop turns, nothing else) and /readyz on a socket of net_bind(),
 * which the page takes over. 0 or -errno. Call it on the loop's thread, or before the loop runs. */
int metrics_listen(struct loop *loop, int fd);
void metrics_close(void);

#endif
