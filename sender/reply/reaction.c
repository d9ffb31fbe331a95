/*
 * reaction.c - names of reactions, and which of them fit what.
 *
 * rules_file (names) -> [reaction] -> rules -> outcome, schedule
 */
#include "sender/reply/reaction.h"

#include <stdio.h>
#include <string.h>

#include "shared/base/text.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
	enum reaction reaction;
	const char *name;
} names[] = {
	{ REACTION_BOUNCE, "bounce" },
	{ REACTION_RETRY, "retry" },
	{ REACTION_HOLD, "hold" },
	{ REACTION_SLOW, "slow" },
	{ REACTION_SINGLE, "single" },
	{ REACTION_BREAK, "break" },
	{ REACTION_REST_IP, "rest-ip" },
	{ REACTION_TELL, "tell-customer" },
	{ REACTION_PAGE, "page" },
};

/* "30m" in seconds; 0: it is no duration. */
static uint32_t
duration_s(const char *text)
{
	static const struct {
		char unit;
		uint32_t seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };
	uint32_t n = 0;

	while (is_digit(*text) && n < 1000)
		n = n * 10 + (uint32_t)(*text++ - '0');
	for (size_t i = 0; i < COUNT(units); i++)
		if (*text == units[i].unit && !text[1])
			return n * units[i].seconds;
	return 0;
}

bool
reactions_add(struct reactions *reactions, const char *text)
{
	static const char pause[] = "break ";

	if (strncmp(text, pause, sizeof pause - 1) == 0) {
		reactions->break_s = duration_s(text + sizeof pause - 1);
		reactions->set |= REACTION_BREAK;
		return reactions->break_s > 0;
	}
	for (size_t i = 0; i < COUNT(names); i++) {
		if (strcmp(names[i].name, text) != 0)
			continue;
		reactions->set |= names[i].reaction;
		return names[i].reaction != REACTION_BREAK;
	}
	return false;
}

struct reactions
reactions_usual(enum blame blame)
{
	static const unsigned usual[BLAME_COUNT] = {
		[BLAME_TRANSIENT] = REACTION_RETRY,
		[BLAME_RECIPIENT] = REACTION_BOUNCE,
		[BLAME_MESSAGE] = REACTION_BOUNCE,
		[BLAME_ORIGINATOR] = REACTION_BOUNCE,
		[BLAME_CUSTOMER_DOMAIN] = REACTION_BOUNCE | REACTION_TELL,
		[BLAME_ACCOUNT] = REACTION_BOUNCE | REACTION_TELL,
		[BLAME_EGRESS_IP] = REACTION_HOLD | REACTION_SLOW | REACTION_REST_IP |
			REACTION_PAGE,
		[BLAME_NETBLOCK] = REACTION_HOLD | REACTION_SLOW | REACTION_REST_IP | REACTION_PAGE,
		[BLAME_OURS] = REACTION_HOLD | REACTION_PAGE,
	};

	return (struct reactions){ usual[blame], 0 };
}

const char *
reactions_wrong(const struct reactions *reactions, enum blame blame)
{
	const bool bounces = reactions->set & REACTION_BOUNCE;

	if (bounces && (blame_is_ours(blame) || blame == BLAME_TRANSIENT))
		return "what is no fault of the sender or the recipient may not bounce";
	if (!bounces && blame == BLAME_RECIPIENT)
		return "what blames the recipient has to bounce";
	if (bounces && (reactions->set & (REACTION_HOLD | REACTION_RETRY)))
		return "mail cannot both bounce and wait";
	return NULL;
}

struct reactions
reactions_for_code(const struct reactions *reactions, int code)
{
	struct reactions left = *reactions;

	if (code / 100 == 5)
		left.set &= ~(unsigned)(left.set & REACTION_HOLD ? REACTION_SLOW : 0);
	else
		left.set &= ~(unsigned)(REACTION_BOUNCE | REACTION_HOLD | REACTION_REST_IP |
			REACTION_PAGE);
	if (!(left.set & ~(unsigned)(REACTION_TELL | REACTION_PAGE)))
		left.set |= REACTION_RETRY;
	return left;
}

void
reactions_text(const struct reactions *reactions, char out[REACTIONS_TEXT_MAX])
{
	size_t length = 0;

	out[0] = '\0';
	for (size_t i = 0; i < COUNT(names); i++) {
		if (!(reactions->set & names[i].reaction))
			continue;
		length += (size_t)snprintf(out + length, REACTIONS_TEXT_MAX - length, "%s%s",
			length ? ", " : "", names[i].name);
		if (names[i].reaction == REACTION_BREAK)
			length += (size_t)snprintf(out + length, REACTIONS_TEXT_MAX - length,
				" %us", (unsigned)reactions->break_s);
	}
}
