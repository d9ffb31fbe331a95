/*
 * metrics.c - the registry, the page that Prometheus reads (text format 0.0.4), and the probes.
 *
 *     roles --relaxed atomics--> registry --metrics loop--> GET /metrics, /livez, /readyz
 *
 * Metrics and probes live as long as the process. A lock guards the two lists only, for
 * registration and reading; counting takes no lock. /livez answers as long as the loop turns.
 */
#include "shared/base/metrics.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>

#include "shared/base/http_door.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/net.h"
#include "shared/base/text.h"

#define WHY_SIZE 256
#define DEADLINE_S 10

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_GAUGE_FROM, METRIC_HISTOGRAM };

static const uint64_t bucket_us[] = { 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000,
	500000, 1000000, 2500000, 5000000, 10000000, 30000000, 60000000, 120000000, 300000000,
	600000000 };
#define BUCKETS (sizeof bucket_us / sizeof bucket_us[0])

struct metric {
	struct metric *next;
	enum metric_kind kind;
	char *name, *help, *labels;     /* labels "" for none */
	atomic_int_least64_t value;     /* of a histogram: the sum in microseconds */
	atomic_uint_least64_t *buckets; /* BUCKETS + 1 counts, not cumulated; histograms only */
	double (*read)(void *arg);
	void *arg;
};

struct probe {
	struct probe *next;
	const char *name;
	pthread_mutex_t lock;
	enum health health; /* under lock, as why */
	char why[WHY_SIZE];
};

static pthread_mutex_t registry = PTHREAD_MUTEX_INITIALIZER;
static struct metric *metrics;
static struct probe *probes;
static struct http_door *door;

/* The place in the list for `name`: metrics of one name stand together, as the format asks. */
static struct metric **
place_for(const char *name, const char *labels, struct metric **found_out)
{
	struct metric **at = &metrics, **after = NULL;

	*found_out = NULL;
	for (; *at; at = &(*at)->next) {
		if (strcmp((*at)->name, name) != 0)
			continue;
		if (strcmp((*at)->labels, labels) == 0)
			*found_out = *at;
		after = &(*at)->next;
	}
	return after ? after : at;
}

static struct metric *
metric_register(enum metric_kind kind, const char *name, const char *help, const char *labels)
{
	struct metric **at, *metric;

	pthread_mutex_lock(&registry);
	at = place_for(name, labels ? labels : "", &metric);
	if (!metric) {
		metric = xcalloc(1, sizeof *metric);
		metric->kind = kind;
		metric->name = xstrdup(name);
		metric->help = xstrdup(help);
		metric->labels = xstrdup(labels ? labels : "");
		if (kind == METRIC_HISTOGRAM)
			metric->buckets = xcalloc(BUCKETS + 1, sizeof *metric->buckets);
		metric->next = *at;
		*at = metric;
	}
	pthread_mutex_unlock(&registry);
	return metric;
}

struct metric *
metric_counter(const char *name, const char *help, const char *labels)
{
	return metric_register(METRIC_COUNTER, name, help, labels);
}

struct metric *
metric_gauge(const char *name, const char *help, const char *labels)
{
	return metric_register(METRIC_GAUGE, name, help, labels);
}

struct metric *
metric_histogram(const char *name, const char *help, const char *labels)
{
	return metric_register(METRIC_HISTOGRAM, name, help, labels);
}

void
metric_gauge_from(const char *name, const char *help, const char *labels,
	double (*read_value)(void *arg), void *arg)
{
	struct metric *metric = metric_register(METRIC_GAUGE_FROM, name, help, labels);

	pthread_mutex_lock(&registry);
	metric->read = read_value;
	metric->arg = arg;
	pthread_mutex_unlock(&registry);
}

void
metric_add(struct metric *metric, int64_t n)
{
	atomic_fetch_add_explicit(&metric->value, n, memory_order_relaxed);
}

void
metric_set(struct metric *metric, int64_t value)
{
	atomic_store_explicit(&metric->value, value, memory_order_relaxed);
}

int64_t
metric_value(const struct metric *metric)
{
	return atomic_load_explicit(&metric->value, memory_order_relaxed);
}

void
metric_observe_us(struct metric *metric, uint64_t us)
{
	size_t i = 0;

	while (i < BUCKETS && us > bucket_us[i])
		i++;
	atomic_fetch_add_explicit(&metric->buckets[i], 1, memory_order_relaxed);
	metric_add(metric, (int64_t)us);
}

/* Under the lock of the registry: the place of `name` in the list, or its end. */
static struct probe **
probe_place(const char *name)
{
	struct probe **at = &probes;

	while (*at && strcmp((*at)->name, name) != 0)
		at = &(*at)->next;
	return at;
}

struct probe *
probe_new(const char *name)
{
	struct probe **at, *probe;

	pthread_mutex_lock(&registry);
	at = probe_place(name);
	if (!*at) {
		probe = xcalloc(1, sizeof *probe);
		probe->name = name;
		probe->health = HEALTH_FAILED;
		snprintf(probe->why, sizeof probe->why, "not started yet");
		pthread_mutex_init(&probe->lock, NULL);
		*at = probe;
	}
	probe = *at;
	pthread_mutex_unlock(&registry);
	return probe;
}

void
probe_set(struct probe *probe, enum health health, const char *why)
{
	pthread_mutex_lock(&probe->lock);
	probe->health = health;
	text_clean(probe->why, sizeof probe->why, 0, why, why ? strlen(why) : 0);
	pthread_mutex_unlock(&probe->lock);
}

static enum health
probe_ask(struct probe *probe, char why[WHY_SIZE])
{
	enum health health;

	pthread_mutex_lock(&probe->lock);
	health = probe->health;
	memcpy(why, probe->why, WHY_SIZE);
	pthread_mutex_unlock(&probe->lock);
	return health;
}

static void
print_help(struct evbuffer *page, const struct metric *metric)
{
	static const char *const types[] = { "counter", "gauge", "gauge", "histogram" };

	evbuffer_add_printf(page, "# HELP %s ", metric->name);
	for (const char *p = metric->help; *p; p++) {
		if (*p == '\\' || *p == '\n')
			evbuffer_add(page, *p == '\\' ? "\\\\" : "\\n", 2);
		else
			evbuffer_add(page, p, 1);
	}
	evbuffer_add_printf(page, "\n# TYPE %s %s\n", metric->name, types[metric->kind]);
}

static void
print_histogram(struct evbuffer *page, const struct metric *metric)
{
	const char *labels = metric->labels, *comma = *labels ? "," : "";
	const char *open = *labels ? "{" : "", *close = *labels ? "}" : "";
	uint64_t count = 0;

	for (size_t i = 0; i < BUCKETS; i++) {
		count += atomic_load_explicit(&metric->buckets[i], memory_order_relaxed);
		evbuffer_add_printf(page, "%s_bucket{%s%sle=\"%g\"} %llu\n", metric->name, labels,
			comma, (double)bucket_us[i] / 1e6, (unsigned long long)count);
	}
	count += atomic_load_explicit(&metric->buckets[BUCKETS], memory_order_relaxed);
	evbuffer_add_printf(page, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", metric->name, labels, comma,
		(unsigned long long)count);
	evbuffer_add_printf(page, "%s_sum%s%s%s %.6f\n", metric->name, open, labels, close,
		(double)metric_value(metric) / 1e6);
	evbuffer_add_printf(page, "%s_count%s%s%s %llu\n", metric->name, open, labels, close,
		(unsigned long long)count);
}

static void
print_metric(struct evbuffer *page, const struct metric *metric)
{
	const char *labels = metric->labels;

	if (metric->kind == METRIC_HISTOGRAM) {
		print_histogram(page, metric);
		return;
	}
	evbuffer_add_printf(
		page, "%s%s%s%s ", metric->name, *labels ? "{" : "", labels, *labels ? "}" : "");
	if (metric->kind == METRIC_GAUGE_FROM)
		evbuffer_add_printf(page, "%.17g\n", metric->read(metric->arg));
	else
		evbuffer_add_printf(page, "%lld\n", (long long)metric_value(metric));
}

static void
reply(struct evhttp_request *request, int code, const char *type, struct evbuffer *page)
{
	evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type", type);
	http_door_take(door, request);
	http_door_reply(door, request, code, page);
	evbuffer_free(page);
}

static void
on_metrics(struct evhttp_request *request, void *arg)
{
	struct evbuffer *page = evbuffer_new();
	const struct metric *before = NULL;

	(void)arg;
	pthread_mutex_lock(&registry);
	for (const struct metric *metric = metrics; metric;
		before = metric, metric = metric->next) {
		if (!before || strcmp(before->name, metric->name) != 0)
			print_help(page, metric);
		print_metric(page, metric);
	}
	pthread_mutex_unlock(&registry);
	reply(request, HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", page);
}

static void
on_livez(struct evhttp_request *request, void *arg)
{
	struct evbuffer *page = evbuffer_new();

	(void)arg;
	evbuffer_add_printf(page, "ok\n");
	reply(request, HTTP_OK, "text/plain", page);
}

/* All probes, a line each, the verdict on all of them first. */
static enum health
print_probes(struct evbuffer *page)
{
	static const char *const words[] = { "ready", "degraded", "failed" };
	enum health worst = HEALTH_READY, health;
	char why[WHY_SIZE];

	pthread_mutex_lock(&registry);
	for (struct probe *probe = probes; probe; probe = probe->next) {
		health = probe_ask(probe, why);
		if (health > worst)
			worst = health;
		evbuffer_add_printf(
			page, "%s: %s%s%s\n", probe->name, words[health], why[0] ? ": " : "", why);
	}
	pthread_mutex_unlock(&registry);
	evbuffer_prepend(page, "\n", 1);
	evbuffer_prepend(page, words[worst], strlen(words[worst]));
	return worst;
}

static void
on_readyz(struct evhttp_request *request, void *arg)
{
	struct evbuffer *page = evbuffer_new();
	enum health worst = print_probes(page);

	(void)arg;
	reply(request, worst == HEALTH_FAILED ? HTTP_SERVUNAVAIL : HTTP_OK, "text/plain", page);
}

int
metrics_listen(struct loop *loop, int fd)
{
	static const struct http_door_options options = {
		.connections_max = METRICS_CONNECTIONS_MAX,
		.per_address_max = METRICS_CONNECTIONS_MAX / 2,
		.deadline_s = DEADLINE_S,
		.head_max = 16384
	};
	struct evhttp *server;
	int err = net_listen_on(fd);

	if (err < 0) {
		close(fd);
		return err;
	}
	door = http_door_new(loop, &options);
	server = http_door_server(door);
	evhttp_set_allowed_methods(server, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
	evhttp_set_cb(server, "/metrics", on_metrics, NULL);
	evhttp_set_cb(server, "/livez", on_livez, NULL);
	evhttp_set_cb(server, "/readyz", on_readyz, NULL);
	if (evhttp_accept_socket(server, fd) < 0) {
		close(fd);
		metrics_close();
		return -EINVAL;
	}
	return 0;
}

void
metrics_close(void)
{
	http_door_free(&door);
}
