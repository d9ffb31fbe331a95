/*
 * score_call.c - keys and arguments of score.lua.
 */
#include <stdio.h>
#include <string.h>

#include "shared/base/hash.h"
#include "shared/base/text.h"
#include "shared/config/config.h"
#include "shared/mail/address.h"
#include "shared/score/score_private.h"

#define TIMEOUT_MS 2000
#define PLACE_BITS 51

const char *const score_names[SCORES] = { "sent", "strangers", "recipients", "hard_bounces",
	"unknown_users", "complaints", "viruses", "alerts", "spam" };
const char *const score_windows[SCORE_WINDOWS] = { "5m", "1h", "24h", "7d" };
const char *const rung_names[RUNGS] = { "account", "credential", "originator" };
const char *const step_names[STEPS] = { "none", "notify", "throttle", "suspect", "hold", "block" };

static struct redis_script script = { .text =
#include "shared/score/ladder.lua.h"
#include "shared/score/score.lua.h"
};

/* A mailbox in its one form and in lower case, whatever else in lower case. */
static void
canonical(const char *text, char *out, size_t size)
{
	char form[ADDRESS_CANONICAL_MAX];
	struct address address;

	if (*text && address_parse(text, strlen(text), &address) == 0) {
		address_canonical(&address, form);
		text = form;
	}
	text_copy(out, size, text);
	for (char *at = out; *at; at++)
		*at = to_lower(*at);
}

void
score_keys_make(struct score_keys *keys, const char *account, const char *credential,
	const char *originator)
{
	memset(keys, 0, sizeof *keys);
	text_copy(keys->account, sizeof keys->account, account);
	canonical(credential, keys->credential, sizeof keys->credential);
	canonical(originator, keys->originator, sizeof keys->originator);
}

const char *
score_keys_id(const struct score_keys *keys, enum rung rung)
{
	return rung == RUNG_ORIGINATOR    ? keys->originator
		: rung == RUNG_CREDENTIAL ? keys->credential
					  : "";
}

/* The bits of the hash are spread, since a place takes the lower ones (MurmurHash3's finish). */
uint64_t
score_place(const char *recipient)
{
	char form[ADDRESS_CANONICAL_MAX];
	uint64_t hash;

	canonical(recipient, form, sizeof form);
	hash = hash_text(HASH_START, form);
	hash = (hash ^ hash >> 33) * UINT64_C(0xff51afd7ed558ccd);
	hash = (hash ^ hash >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
	return (hash ^ hash >> 33) & ((UINT64_C(1) << PLACE_BITS) - 1);
}

bool
score_enabled(const struct config *config)
{
	return config->score.enabled;
}

#define NEVER 1000000000U

/* Switched off, mail is counted still, but no count reaches a threshold. */
static void
set_thresholds(struct score_call *call, const struct config *config)
{
	const bool on = score_enabled(config);

	snprintf(call->thresholds, sizeof call->thresholds,
		"{\"minimum\":%u,\"unknown_notify\":%u,\"unknown_hold\":%u,"
		"\"complaints_notify\":%u,\"complaints_hold\":%u,\"viruses\":%u,\"spam\":%u,"
		"\"throttle\":%u,\"hold\":%u,\"learning\":%llu,\"floor\":[%u,%u,%u]}",
		on ? config->score.minimum : NEVER, config->score.unknown_notify,
		config->score.unknown_hold, config->score.complaints_notify,
		config->score.complaints_hold, on ? config->score.viruses : NEVER,
		on ? config->score.spam : NEVER, config->score.throttle, config->score.hold,
		(unsigned long long)(config->score.learning / 1000), config->score.floor.account,
		config->score.floor.credential, config->score.floor.originator);
}

void
score_call_begin(struct score_call *call, const struct score_keys *keys,
	const struct config *config, const char *operation)
{
	static const char *const marks[RUNGS] = { "a", "c:", "o:" };

	call->argc = 0;
	for (int i = 0; i < RUNGS; i++) {
		snprintf(call->keys[i], sizeof call->keys[i], "score:{%s}:%s%s", keys->account,
			marks[i], score_keys_id(keys, (enum rung)i));
		call->argv[call->argc++] = call->keys[i];
	}
	set_thresholds(call, config);
	call->argv[call->argc++] = operation;
	call->argv[call->argc++] = call->thresholds;
	call->argv[call->argc++] = "";
}

void
score_call_text(struct score_call *call, const char *text)
{
	if (call->argc < SCORE_ARGS_MAX)
		call->argv[call->argc++] = text;
}

void
score_call_number(struct score_call *call, uint64_t n)
{
	char *text = call->numbers[call->argc < SCORE_ARGS_MAX ? call->argc : 0];

	snprintf(text, sizeof call->numbers[0], "%llu", (unsigned long long)n);
	score_call_text(call, text);
}

void
score_call_run(struct score_call *call, struct redis *redis, redis_cb cb, void *arg)
{
	redis_run(redis, &script, TIMEOUT_MS, cb, arg, RUNGS, call->argc, call->argv);
}
