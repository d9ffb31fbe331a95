/*
 * metrics_page.c - the pages that Prometheus (text format 0.0.4), operators and load balancers
 * read.
 *
 *     registry, probes --> [metrics loop] --> GET /metrics, /livez, /readyz
 *
 * /livez answers as long as the metrics loop turns; it looks at nothing else.
 */
#include <errno.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>

#include "shared/base/loop.h"
#include "shared/base/net.h"
#include "shared/http/http_door.h"
#include "shared/metrics/metrics_private.h"
#include "shared/process/descriptors.h"

#define DEADLINE_S 10

static struct http_door *door;

static void
print_help(struct evbuffer *page, const struct family *family)
{
	static const char *const types[] = { [METRIC_COUNTER] = "counter",
		[METRIC_GAUGE] = "gauge",
		[METRIC_HISTOGRAM] = "histogram",
		[METRIC_HISTOGRAM_LONG] = "histogram" };

	evbuffer_add_printf(page, "# HELP %s ", family->name);
	for (const char *p = family->help; *p; p++) {
		if (*p == '\\' || *p == '\n')
			evbuffer_add(page, *p == '\\' ? "\\\\" : "\\n", 2);
		else
			evbuffer_add(page, p, 1);
	}
	evbuffer_add_printf(page, "\n# TYPE %s %s\n", family->name, types[family->kind]);
}

static void
print_histogram(struct evbuffer *page, const char *name, const struct metric *metric)
{
	const char *labels = metric->labels, *comma = *labels ? "," : "";
	const char *open = *labels ? "{" : "", *close = *labels ? "}" : "";
	const struct buckets *bounds = metric->bounds;
	uint64_t count = 0;

	for (size_t i = 0; i < bounds->count; i++) {
		count += atomic_load_explicit(&metric->buckets[i], memory_order_relaxed);
		evbuffer_add_printf(page, "%s_bucket{%s%sle=\"%g\"} %llu\n", name, labels, comma,
			(double)bounds->us[i] / 1e6, (unsigned long long)count);
	}
	count += atomic_load_explicit(&metric->buckets[bounds->count], memory_order_relaxed);
	evbuffer_add_printf(page, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", name, labels, comma,
		(unsigned long long)count);
	evbuffer_add_printf(page, "%s_sum%s%s%s %.6f\n", name, open, labels, close,
		(double)metric_value(metric) / 1e6);
	evbuffer_add_printf(page, "%s_count%s%s%s %llu\n", name, open, labels, close,
		(unsigned long long)count);
}

static void
print_value(struct evbuffer *page, const char *name, const struct metric *metric)
{
	double (*read_value)(void *arg) = metric->read;
	const char *labels = metric->labels;

	evbuffer_add_printf(
		page, "%s%s%s%s ", name, *labels ? "{" : "", labels, *labels ? "}" : "");
	if (read_value)
		evbuffer_add_printf(page, "%.15g\n", read_value(metric->arg));
	else
		evbuffer_add_printf(page, "%lld\n", (long long)metric_value(metric));
}

void
metrics_print(struct evbuffer *page)
{
	for (const struct family *family = metrics_families(); family; family = family->next) {
		print_help(page, family);
		for (const struct metric *metric = family->first; metric; metric = metric->next)
			if (metric->buckets)
				print_histogram(page, family->name, metric);
			else
				print_value(page, family->name, metric);
	}
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

	(void)arg;
	metrics_print(page);
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

static void
on_readyz(struct evhttp_request *request, void *arg)
{
	struct evbuffer *page = evbuffer_new();
	enum health worst = probes_print(page);

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
