/*
 * log.h - JSON lines on standard error: {"time":"2026-11-24T03:56:48.123Z","level":"info",
 * "role":"ingress","message":"...", fields...}. Secrets never go in. One write(2) a line.
 *
 *     LOG_INFO("listening", "address", addr);
 *     LOG_WARN("clamd does not answer", "host", host, "error", strerror(-err));
 *     LOG_INFO("queued", "id", id, "size", log_int(size));
 */
#ifndef SHARED_LOG_H
#define SHARED_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

void log_set_level(enum log_level level);
/* The role that the log lines of this thread name; a static string. */
void log_set_role(const char *role);

/* `message`, then pairs of const char * (key, value), then NULL. A NULL value ends the list, too.
 * Values are cut at 2,000 bytes and escaped (json.h); invalid UTF-8 becomes U+FFFD. */
void log_line(enum log_level level, const char *message, ...) __attribute__((sentinel));

#define LOG_DEBUG(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__, (char *)0)
#define LOG_INFO(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__, (char *)0)
#define LOG_WARN(...) log_line(LOG_LEVEL_WARN, __VA_ARGS__, (char *)0)
#define LOG_ERROR(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__, (char *)0)

/* A number as text for log_line(). The text stays valid for 8 further calls on this thread. */
const char *log_int(int64_t number);

/* Logs and exits with status 1: there is no memory, or no way to go on. The supervisor starts the
 * process again. */
void die(const char *message, const char *why) __attribute__((noreturn));

/* malloc, calloc, realloc and strdup that die() instead of returning NULL. */
void *xmalloc(unsigned long size);
void *xcalloc(unsigned long count, unsigned long size);
void *xrealloc(void *old, unsigned long size);
char *xstrdup(const char *text);
char *xstrndup(const char *text, unsigned long length);
char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A stream into memory. Once the stream is closed, *text and *length are valid and belong to the
 * caller. */
FILE *xopen_memstream(char **text, size_t *length);
void xclose_memstream(FILE *stream);

#endif
