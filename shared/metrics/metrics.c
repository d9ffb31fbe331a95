/*
 * metrics.c - the registry: which metrics there are, and counting.
 *
 *     roles --relaxed atomics--> [registry] <-- metrics_page (GET /metrics)
 *
 * Metrics live as long as the process. A lock orders registrations; counting and reading take no
 * lock. A registration against the rules ends the process.
 */
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"
#include "shared/base/text.h"
#include "shared/metrics/metrics_private.h"

#define VALUE_MAX 256

#define SECONDS(n) ((n)*UINT64_C(1000000))
static const uint64_t short_us[] = { 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000,
	500000, SECONDS(1), 2500000, SECONDS(5), SECONDS(10), SECONDS(30), SECONDS(60),
	SECONDS(120), SECONDS(300), SECONDS(600) };
static const uint64_t long_us[] = { 100000, 250000, 500000, SECONDS(1), 2500000, SECONDS(5),
	SECONDS(10), SECONDS(30), SECONDS(60), SECONDS(120), SECONDS(300), SECONDS(600),
	SECONDS(1800), SECONDS(3600), SECONDS(4 * 3600), SECONDS(12 * 3600), SECONDS(86400),
	SECONDS(2 * 86400), SECONDS(5 * 86400) };

static const struct buckets bounds[] = {
	[METRIC_HISTOGRAM] = { sizeof short_us / sizeof *short_us, short_us },
	[METRIC_HISTOGRAM_LONG] = { sizeof long_us / sizeof *long_us, long_us },
};

static pthread_mutex_t registering = PTHREAD_MUTEX_INITIALIZER;
static struct family *_Atomic families;

struct family *
metrics_families(void)
{
	return families;
}

/* The names that the format allows. */

static bool
is_name(const char *name)
{
	const char *p = name;

	while (is_alnum(*p) || *p == '_')
		p++;
	return p > name && !*p && !is_digit(*name);
}

static bool
ends_in_total(const char *name)
{
	size_t length = strlen(name);

	return length > 6 && strcmp(name + length - 6, "_total") == 0;
}

/* The text behind the label at `at`; NULL: there is no label. */
static const char *
label_end(const char *at)
{
	const char *equals = strchr(at, '=');

	if (!equals || equals == at || equals[1] != '"')
		return NULL;
	for (; at < equals; at++)
		if (!is_alnum(*at) && *at != '_')
			return NULL;
	for (at = equals + 2; *at && *at != '"'; at++)
		if (*at == '\n' || (*at == '\\' && (!*++at || !strchr("\\\"n", *at))))
			return NULL;
	return *at ? at + 1 : NULL;
}

static bool
are_labels(const char *labels)
{
	if (!*labels)
		return true;
	for (const char *at = label_end(labels); at; at = label_end(at + 1)) {
		if (!*at)
			return true;
		if (*at != ',')
			return false;
	}
	return false;
}

void
metric_label(char *out, const char *name, const char *value)
{
	char clean[VALUE_MAX] = "";
	size_t at = strlen(out);

	assert(at + strlen(name) + 2 * sizeof clean + 5 <= METRIC_LABELS_MAX);
	text_clean(clean, sizeof clean, 0, value, strlen(value));
	if (at)
		out[at++] = ',';
	memcpy(out + at, name, strlen(name));
	at += strlen(name);
	out[at++] = '=';
	out[at++] = '"';
	for (const char *p = clean; *p; p++) {
		if (*p == '"' || *p == '\\')
			out[at++] = '\\';
		out[at++] = *p;
	}
	out[at++] = '"';
	out[at] = '\0';
}

/* Registering. */

static struct metric *
metric_in(const struct family *family, const char *labels)
{
	struct metric *metric = family->first;

	while (metric && strcmp(metric->labels, labels) != 0)
		metric = metric->next;
	return metric;
}

static struct family *
family_find(const char *name)
{
	struct family *family = families;

	while (family && strcmp(family->name, name) != 0)
		family = family->next;
	return family;
}

static struct family *
family_new(enum metric_kind kind, const char *name, const char *help)
{
	struct family *_Atomic *end = &families;
	struct family *family = xcalloc(1, sizeof *family);

	if (!is_name(name) || ends_in_total(name) != (kind == METRIC_COUNTER))
		die("a metric has a wrong name", name);
	if (!*help)
		die("a metric has no help text", name);
	family->kind = kind;
	family->name = xstrdup(name);
	family->help = xstrdup(help);
	while (*end)
		end = &(*end)->next;
	*end = family;
	return family;
}

static struct metric *
metric_new(struct family *family, const char *labels, const char *place)
{
	struct metric *_Atomic *end = &family->first;
	struct metric *metric = xcalloc(1, sizeof *metric);

	if (!are_labels(labels))
		die("a metric has wrong labels", family->name);
	metric->labels = xstrdup(labels);
	metric->place = xstrdup(place);
	if (family->kind >= METRIC_HISTOGRAM) {
		metric->bounds = &bounds[family->kind];
		metric->buckets = xcalloc(metric->bounds->count + 1, sizeof *metric->buckets);
	}
	while (*end)
		end = &(*end)->next;
	*end = metric;
	return metric;
}

/* Every place gives a name the same kind and help. One place alone registers a name with its
 * labels. */
static void
check_places(const struct family *family, const struct metric *metric, enum metric_kind kind,
	const char *help, const char *place)
{
	if (family->kind != kind || strcmp(family->help, help) != 0)
		die("a metric is registered as two different ones", family->name);
	if (metric && strcmp(metric->place, place) != 0)
		die("a metric is registered twice", family->name);
}

struct metric *
metric_register(enum metric_kind kind, const char *name, const char *help, const char *labels,
	const char *place)
{
	struct family *family;
	struct metric *metric;

	labels = labels ? labels : "";
	pthread_mutex_lock(&registering);
	family = family_find(name);
	if (!family)
		family = family_new(kind, name, help);
	metric = metric_in(family, labels);
	check_places(family, metric, kind, help, place);
	if (!metric)
		metric = metric_new(family, labels, place);
	pthread_mutex_unlock(&registering);
	return metric;
}

struct metric *
metric_find(const char *name, const char *labels)
{
	const struct family *family = family_find(name);

	return family ? metric_in(family, labels ? labels : "") : NULL;
}

/* Counting. */

void
metric_ask(struct metric *metric, double (*read)(void *arg), void *arg)
{
	metric->arg = arg;
	metric->read = read;
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
metric_observe_many_us(struct metric *metric, uint64_t us, uint64_t n)
{
	size_t i = 0;

	while (i < metric->bounds->count && us > metric->bounds->us[i])
		i++;
	atomic_fetch_add_explicit(&metric->buckets[i], n, memory_order_relaxed);
	metric_add(metric, (int64_t)(us * n));
}

void
metric_observe_us(struct metric *metric, uint64_t us)
{
	metric_observe_many_us(metric, us, 1);
}
