/*
 * log.c - JSON lines on standard error, and the allocations that cannot fail.
 */
#include "shared/base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/json.h"
#include "shared/base/loop.h"

#define VALUE_MAX 2000

static atomic_int lowest = LOG_LEVEL_INFO;
static _Thread_local const char *role = "shout";
static const char *const level_names[] = { "debug", "info", "warn", "error" };

void
log_set_level(enum log_level level)
{
	atomic_store(&lowest, level);
}

void
log_set_role(const char *name)
{
	role = name;
}

void
log_line(enum log_level level, const char *message, ...)
{
	struct json json = { 0 };
	const char *key, *value;
	va_list args;

	if ((int)level < atomic_load_explicit(&lowest, memory_order_relaxed))
		return;
	json_begin(&json);
	json_time(&json, "time", clock_us());
	json_str(&json, "level", level_names[level]);
	json_str(&json, "role", role);
	json_str(&json, "message", message);
	va_start(args, message);
	while ((key = va_arg(args, const char *)) && (value = va_arg(args, const char *)))
		json_strn(&json, key, value, strnlen(value, VALUE_MAX));
	va_end(args);
	json_end(&json);
	json.text[json.length] = '\n';
	if (write(STDERR_FILENO, json.text, json.length + 1) < 0) {
		/* standard error fails: there is nowhere left to report that */
	}
	json_free(&json);
}

const char *
log_int(int64_t number)
{
	static _Thread_local char ring[8][24];
	static _Thread_local unsigned at;
	char *text = ring[at++ % 8];

	snprintf(text, sizeof ring[0], "%lld", (long long)number);
	return text;
}

void
die(const char *message, const char *why)
{
	LOG_ERROR(message, "error", why);
	_exit(1);
}

void *
xmalloc(unsigned long size)
{
	void *p = malloc(size ? size : 1);

	if (!p)
		die("out of memory", "malloc");
	return p;
}

void *
xcalloc(unsigned long count, unsigned long size)
{
	void *p = calloc(count ? count : 1, size ? size : 1);

	if (!p)
		die("out of memory", "calloc");
	return p;
}

void *
xrealloc(void *old, unsigned long size)
{
	void *p = realloc(old, size ? size : 1);

	if (!p)
		die("out of memory", "realloc");
	return p;
}

char *
xstrdup(const char *text)
{
	return xstrndup(text, strlen(text));
}

char *
xstrndup(const char *text, unsigned long length)
{
	char *copy = xmalloc(length + 1);

	memcpy(copy, text, length);
	copy[length] = '\0';
	return copy;
}

char *
xasprintf(const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		die("out of memory", "vasprintf");
	va_end(args);
	return text;
}

FILE *
xopen_memstream(char **text, size_t *length)
{
	FILE *stream = open_memstream(text, length);

	if (!stream)
		die("out of memory", "open_memstream");
	return stream;
}

void
xclose_memstream(FILE *stream)
{
	if (fclose(stream))
		die("out of memory", "open_memstream");
}
