/*
 * prune.c - removes old entries from relay.config.
 *
 * directory -> [prune] -> commit -> relay.config
 *
 * Several control processes may prune at once: an entry goes once, though each process may tell of
 * it. When the queue refuses, the entry is tried again an hour later.
 */
#include "control/rounds/prune.h"

#include <stdlib.h>
#include <string.h>

#include "control/account/accounts.h"
#include "control/config/commit.h"
#include "control/config/directory.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/timer.h"
#include "shared/queue/stats.h"

#define RULES_KEPT_US (UINT64_C(6) * 24 * 3600 * 1000000)
#define EVERY_MS 3600000

struct prune {
	struct queue *queue;
	struct directory *directory;
	struct commits *commits;
	struct timer timer;
};

/* When the oldest mail was accepted that is not a row yet; UINT64_MAX: there is none. */
static uint64_t
oldest_us(struct queue *queue)
{
	struct queue_stats stats;
	uint64_t oldest = UINT64_MAX;

	queue_stats(queue, &stats);
	for (enum topic topic = 0; topic < TOPIC_COUNT; topic++)
		if (stats.oldest_us[topic] && stats.oldest_us[topic] < oldest)
			oldest = stats.oldest_us[topic];
	return oldest;
}

static bool
rule_is_over(const struct prune *prune, const json_t *rule, uint64_t now)
{
	const uint64_t before = (uint64_t)json_integer_value(
		json_object_get(rule, "accepted_before_us"));

	return before + RULES_KEPT_US < now && oldest_us(prune->queue) >= before;
}

static bool
suspension_is_over(const struct prune *prune, const json_t *suspension, uint64_t now)
{
	const json_t *until = json_object_get(suspension, "until_us");

	(void)prune;
	return json_integer_value(until) && (uint64_t)json_integer_value(until) < now;
}

static bool
account_is_over(const struct prune *prune, const json_t *account, uint64_t now)
{
	(void)prune;
	return account_is_deleted(account) && account_kept_until(account) < now;
}

static const struct kind {
	const char *prefix, *what;
	bool (*is_over)(const struct prune *prune, const json_t *entry, uint64_t now);
} kinds[] = {
	{ "rule/", "rule.end", rule_is_over },
	{ "suspension/", "suspension.end", suspension_is_over },
	{ "account/", "account.purge", account_is_over },
};

static void
remove_all(struct prune *prune, const char *what, json_t *entries)
{
	const struct change change = {
		.what = what, .author = { .by = "housekeeping" }, .entries = entries
	};

	commit_begin(prune->commits, &change, NULL, NULL);
}

/* Removes an account with its users and addresses. */
static void
end(struct prune *prune, const struct kind *kind, const char *key)
{
	struct edit edit = { .directory = prune->directory };

	if (kind->is_over == account_is_over)
		account_purge(&edit, key + strlen(kind->prefix));
	else
		edit.changes = json_pack("{s:n}", key);
	remove_all(prune, kind->what, edit.changes);
	json_decref(edit.reply);
}

/* Collects the keys first, because removing an entry changes the directory. */
static json_t *
keys_of(const struct prune *prune, const struct kind *kind, uint64_t now)
{
	const char *key;
	json_t *keys = json_array(), *entry;

	json_object_foreach(directory_entries(prune->directory), key,
		entry) if (strncmp(key, kind->prefix, strlen(kind->prefix)) == 0 &&
		kind->is_over(prune, entry, now)) json_array_append_new(keys, json_string(key));
	return keys;
}

static void
on_timer(void *arg)
{
	const uint64_t now = clock_us();
	struct prune *prune = arg;
	json_t *keys, *key;
	size_t at;

	timer_set(&prune->timer, EVERY_MS);
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		keys = keys_of(prune, &kinds[i], now);
		json_array_foreach(keys, at, key) end(prune, &kinds[i], json_string_value(key));
		json_decref(keys);
	}
}

struct prune *
prune_new(struct loop *loop, struct queue *queue, struct directory *directory,
	struct commits *commits)
{
	struct prune *prune = xmalloc(sizeof *prune);

	*prune = (struct prune){ .queue = queue, .directory = directory, .commits = commits };
	timer_init(&prune->timer, loop, on_timer, prune);
	return prune;
}

void
prune_start(struct prune *prune)
{
	on_timer(prune);
}

void
prune_free(struct prune **prune)
{
	if (!*prune)
		return;
	timer_cancel(&(*prune)->timer);
	free(*prune);
	*prune = NULL;
}
