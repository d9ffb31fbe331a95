/*
 * score_private.h - keys and calls of score.lua, for score.c and score_look.c.
 */
#ifndef SHARED_SCORE_PRIVATE_H
#define SHARED_SCORE_PRIVATE_H

#include "shared/redis/redis.h"
#include "shared/score/score.h"

#define SCORE_ID_MAX 384
#define SCORE_ACCOUNT_MAX 128

/* Whose counts: compared as bytes, so unused ones are 0. */
struct score_keys {
	char account[SCORE_ACCOUNT_MAX], credential[SCORE_ID_MAX], originator[SCORE_ID_MAX];
};
/* A longer name is cut. Names are as credentials and originators are looked up: in lower case. */
void score_keys_make(struct score_keys *keys, const char *account, const char *credential,
	const char *originator);
const char *score_keys_id(const struct score_keys *keys, enum rung rung);

/* A call of the script while it is put together. */
#define SCORE_ARGS_MAX (ENVELOPE_RECIPIENTS_MAX + 32)
struct score_call {
	char keys[RUNGS][SCORE_ACCOUNT_MAX + SCORE_ID_MAX + 16], thresholds[512];
	char numbers[SCORE_ARGS_MAX][21];
	const char *argv[SCORE_ARGS_MAX];
	int argc;
};
bool score_enabled(const struct config *config);
void score_call_begin(struct score_call *call, const struct score_keys *keys,
	const struct config *config, const char *operation);
void score_call_number(struct score_call *call, uint64_t n);
void score_call_text(struct score_call *call, const char *text); /* borrowed until the run */
void score_call_run(struct score_call *call, struct redis *redis, redis_cb cb, void *arg);

#endif
