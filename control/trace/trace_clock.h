/*
 * trace_clock.h - until when days are kept, by a clock that may be wrong. On the trace's thread,
 * but for kept_since_us.
 *
 * A clock that has just been set, or that a process finds at its start, may be wrong, and a day
 * that is gone is gone: days go by a clock that was steady for an hour.
 */
#ifndef CONTROL_TRACE_CLOCK_H
#define CONTROL_TRACE_CLOCK_H

#include <stdint.h>

struct trace_clock {
	uint64_t keep_us;                       /* how long days are kept */
	uint64_t clock_us, clock_ms, steady_ms; /* at the last look; since when it was steady */
	_Atomic uint64_t kept_since_us;         /* a day's begin; from any thread */
};

/* At the start the days of the directory are kept by their own age. */
void trace_clock_begin(struct trace_clock *clock, uint64_t keep_us, const char *directory);
void trace_clock_look(struct trace_clock *clock);

#endif
