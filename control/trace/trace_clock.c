/*
 * trace_clock.c - tells a clock that was set from time that went by.
 */
#include "control/trace/trace_clock.h"

#include <stdatomic.h>

#include "control/trace/day_name.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"

#define JUMP_US (UINT64_C(600) * 1000000) /* so much further than time went */
#define STEADY_MS 3600000
#define AHEAD_US (2 * DAY_US) /* of the newest day, at the start */

static void
keep_since(struct trace_clock *clock, uint64_t now_us)
{
	atomic_store(&clock->kept_since_us,
		now_us > clock->keep_us ? (now_us - clock->keep_us) / DAY_US * DAY_US : 0);
}

void
trace_clock_look(struct trace_clock *clock)
{
	const uint64_t now_us = clock_us(), now_ms = clock_boot_ms();
	const uint64_t expected_us = clock->clock_us + (now_ms - clock->clock_ms) * 1000;
	const uint64_t off_us = now_us > expected_us ? now_us - expected_us : expected_us - now_us;

	if (off_us > JUMP_US) {
		clock->steady_ms = now_ms;
		LOG_WARN("trace: the clock was set: no day goes for an hour", "by_seconds",
			log_int((int64_t)(off_us / 1000000)));
	}
	clock->clock_us = now_us;
	clock->clock_ms = now_ms;
	if (now_ms - clock->steady_ms >= STEADY_MS)
		keep_since(clock, now_us);
}

void
trace_clock_begin(struct trace_clock *clock, uint64_t keep_us, const char *directory)
{
	json_t *days = days_list(directory);
	const size_t count = json_array_size(days);
	const char *newest = count ? json_string_value(json_array_get(days, count - 1)) : NULL;
	const uint64_t now_us = clock_us();
	const uint64_t until_us = newest ? day_begin_us(newest) + AHEAD_US : now_us;

	clock->keep_us = keep_us;
	clock->clock_us = now_us;
	clock->clock_ms = clock->steady_ms = clock_boot_ms();
	keep_since(clock, until_us < now_us ? until_us : now_us);
	json_decref(days);
}
