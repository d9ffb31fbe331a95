/*
 * trace.h - keeps what happened to each message, for searches: a file a day (day.h), fed from
 * mail.events by a thread of its own.
 *
 * All of it can be made anew: without the directory, or without one of its files, the thread reads
 * the events from the oldest on. A full disk or a broken file stops neither control nor the relay:
 * /readyz, the log and a metric tell, and the thread goes on once it can.
 */
#ifndef CONTROL_TRACE_TRACE_H
#define CONTROL_TRACE_TRACE_H

#include <stdint.h>

struct config;
struct queue;
struct trace;

/* Starts the thread, which makes state_dir/trace. */
struct trace *trace_start(const struct config *config, struct queue *queue);
/* Waits for the thread, and frees. Takes NULL. */
void trace_stop(struct trace **trace);

/* From any thread: the directory of the files; messages accepted before that time may have gone. */
const char *trace_directory(const struct trace *trace);
uint64_t trace_kept_since_us(const struct trace *trace);
/* From any thread: a reader found the day's file broken. */
void trace_suspect(struct trace *trace, const char *day);

#endif
