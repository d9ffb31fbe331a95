/*
 * limits_auth.c - how often a password may be wrong.
 *
 * ingress's AUTH -> [limits_auth] -> Redis
 *
 * Failures count per (address, user), so that one misconfigured printer behind an office's NAT does
 * not lock out its mail server. Failures from addresses where the user has not succeeded for 30
 * days slow such addresses down for the user, whichever they are.
 *
 * A pair that has just succeeded here is let through for a minute without asking. Without Redis
 * nobody is refused here: the password is still checked, at the cost of a slow hash each time.
 */
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/limits_private.h"
#include "shared/log.h"
#include "shared/loop.h"

#define SUCCESS_MS 60000
#define SUCCESSES_MAX 10000
#define KEY_MAX 400

struct success {
	char *pair; /* first: the tree compares by it */
	uint64_t at_ms;
};

struct auth_limits {
	void *tree;
	size_t count;
};

struct check {
	limits_cb cb;
	void *arg;
};

struct auth_limits *
auth_limits_new(void)
{
	return xcalloc(1, sizeof(struct auth_limits));
}

static void
success_free(void *arg)
{
	struct success *success = arg;

	free(success->pair);
	free(success);
}

static void
forget_all(struct auth_limits *auth)
{
	tdestroy(auth->tree, success_free);
	auth->tree = NULL;
	auth->count = 0;
}

void
auth_limits_free(struct auth_limits **auth)
{
	forget_all(*auth);
	free(*auth);
	*auth = NULL;
}

static int
compare(const void *a, const void *b)
{
	return strcmp(((const struct success *)a)->pair, ((const struct success *)b)->pair);
}

/* Guessing must not start afresh with "Name" after "name". */
static void
lower(char *text)
{
	for (; *text; text++)
		if (*text >= 'A' && *text <= 'Z')
			*text = (char)(*text + 32);
}

static struct success *
success_of(struct auth_limits *auth, const char *address, const char *username, bool make)
{
	char pair[KEY_MAX];
	struct success probe = { .pair = pair }, *success, **found;

	snprintf(pair, sizeof pair, "%s %s", address, username);
	lower(pair);
	found = tfind(&probe, &auth->tree, compare);
	if (found || !make)
		return found ? *found : NULL;
	if (auth->count >= SUCCESSES_MAX)
		forget_all(auth); /* each costs one question to Redis */
	success = xmalloc(sizeof *success);
	*success = (struct success){ .pair = xstrdup(pair) };
	if (!tsearch(success, &auth->tree, compare))
		die("out of memory", "tsearch");
	auth->count++;
	return success;
}

static bool
just_succeeded(struct limits *limits, const char *address, const char *username)
{
	const struct success *success = success_of(limits->auth, address, username, false);

	return success && success->at_ms && clock_mono_ms() - success->at_ms < SUCCESS_MS;
}

static void
run(struct limits *limits, const char *operation, const char *address, const char *username,
	redis_cb cb, void *arg)
{
	char keys[3][KEY_MAX];
	const char *argv[] = { keys[0], keys[1], keys[2], operation, address };

	/* One tag for all keys of a decision: the user's. */
	snprintf(keys[0], KEY_MAX, "fail:{%s}:%s", username, address);
	snprintf(keys[1], KEY_MAX, "fail:{%s}", username);
	snprintf(keys[2], KEY_MAX, "known:{%s}", username);
	for (int i = 0; i < 3; i++)
		lower(keys[i]);
	redis_run(limits->redis, &limits_script, LIMITS_TIMEOUT_MS, cb, arg, 3, 5, argv);
}

static void
on_checked(void *arg, int err, const struct redis_reply *reply)
{
	struct check *check = arg;
	const int64_t wait_s = err ? 0 : redis_reply_int(reply);

	check->cb(check->arg, wait_s > 0 ? (unsigned)wait_s : 0,
		wait_s > 0 ? "authentication failures" : NULL);
	free(check);
}

void
limits_auth_allowed(
	struct limits *limits, const char *address, const char *username, limits_cb cb, void *arg)
{
	struct check *check;

	if (just_succeeded(limits, address, username) || !redis_up(limits->redis)) {
		cb(arg, 0, NULL);
		return;
	}
	check = xmalloc(sizeof *check);
	*check = (struct check){ cb, arg };
	run(limits, "auth_allowed", address, username, on_checked, check);
}

void
limits_auth_failed(struct limits *limits, const char *address, const char *username)
{
	struct success *success = success_of(limits->auth, address, username, false);

	if (success)
		success->at_ms = 0;
	run(limits, "auth_failed", address, username, limits_on_told, NULL);
}

void
limits_auth_succeeded(struct limits *limits, const char *address, const char *username)
{
	if (just_succeeded(limits, address, username))
		return;
	success_of(limits->auth, address, username, true)->at_ms = clock_mono_ms();
	run(limits, "auth_succeeded", address, username, limits_on_told, NULL);
}
