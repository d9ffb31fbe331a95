/*
 * lane_limits.c - keys of a shaping file's limits, and which of two entries counts.
 *
 * rules_file -> [lane_limits] -> replies
 */
#include "sender/reply/lane_limits.h"

#include <stddef.h>
#include <string.h>

#include "shared/base/text.h"

#define NUMBER_MAX 1000000u

static const struct {
	const char *key;
	size_t offset;
} numbers[] = {
	{ "connections", offsetof(struct lane_limits, connections) },
	{ "site_connections", offsetof(struct lane_limits, site_connections) },
	{ "messages", offsetof(struct lane_limits, messages) },
	{ "recipients", offsetof(struct lane_limits, recipients) },
};

#define NUMBERS (sizeof numbers / sizeof *numbers)

static unsigned *
number_at(struct lane_limits *limits, size_t i)
{
	return (unsigned *)((char *)limits + numbers[i].offset);
}

/* The number at the beginning of the text, which *end is behind; 0: there is none, or too large. */
static unsigned
number_of(const char *text, const char **end)
{
	unsigned n = 0;

	for (*end = text; is_digit(**end) && n <= NUMBER_MAX; (*end)++)
		n = n * 10 + (unsigned)(**end - '0');
	return n <= NUMBER_MAX ? n : 0;
}

static const char *
take_rate(struct lane_limits *limits, const char *value)
{
	static const struct {
		const char *unit;
		unsigned seconds;
	} units[] = { { "/s", 1 }, { "/m", 60 }, { "/h", 3600 } };
	const char *end;
	const unsigned n = number_of(value, &end);

	for (size_t i = 0; n && i < sizeof units / sizeof *units; i++)
		if (strcmp(end, units[i].unit) == 0) {
			limits->rate_milli = ((uint64_t)n * 1000 + units[i].seconds - 1) /
				units[i].seconds;
			return NULL;
		}
	return "it has to be a number of messages and a time, like 10/s, 300/m or 1000/h";
}

bool
lane_limits_has(const char *key)
{
	for (size_t i = 0; i < NUMBERS; i++)
		if (strcmp(key, numbers[i].key) == 0)
			return true;
	return strcmp(key, "rate") == 0 || strcmp(key, "mix_domains") == 0;
}

const char *
lane_limits_take(struct lane_limits *limits, const char *key, const char *value)
{
	const char *end;

	if (strcmp(key, "rate") == 0)
		return take_rate(limits, value);
	if (strcmp(key, "mix_domains") == 0) {
		limits->mix_domains = strcmp(value, "true") == 0 ? MIX_YES
			: strcmp(value, "false") == 0            ? MIX_NO
								 : MIX_UNSAID;
		return limits->mix_domains == MIX_UNSAID ? "it has to be true or false" : NULL;
	}
	for (size_t i = 0; i < NUMBERS; i++)
		if (strcmp(key, numbers[i].key) == 0) {
			*number_at(limits, i) = number_of(value, &end);
			return *number_at(limits, i) && !*end
				? NULL
				: "it has to be a number from 1 to 1000000";
		}
	return "there is no such limit";
}

void
lane_limits_fill(struct lane_limits *limits, const struct lane_limits *other)
{
	struct lane_limits from = *other;

	for (size_t i = 0; i < NUMBERS; i++)
		if (!*number_at(limits, i))
			*number_at(limits, i) = *number_at(&from, i);
	if (!limits->rate_milli)
		limits->rate_milli = from.rate_milli;
	if (limits->mix_domains == MIX_UNSAID)
		limits->mix_domains = from.mix_domains;
}
