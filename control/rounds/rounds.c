/*
 * rounds.c - what happens to accounts by itself.
 *
 * timer -> Redis (its clock, last uses) -> [rounds] -> account_mode -> commit -> relay.config
 */
#include "control/rounds/rounds.h"

#include <stdlib.h>
#include <string.h>

#include "control/account/account_mode.h"
#include "control/account/account_user.h"
#include "control/account/address_state.h"
#include "control/config/applier.h"
#include "control/config/commit.h"
#include "control/config/directory.h"
#include "control/leader/leader.h"
#include "shared/account/use.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/timer.h"
#include "shared/redis/redis.h"

#define EVERY_MS 3000
#define IDLE_EVERY 200 /* rounds: addresses that are idle are looked at */
#define TIMEOUT_MS 2000
#define SKEW_US (UINT64_C(60) * 1000000)

struct rounds {
	struct redis *redis;
	struct directory *directory;
	struct applier *applier;
	struct commits *commits;
	const struct leader *leader;
	struct timer timer;
	unsigned number;
	bool closed;
};

static void
commit(struct rounds *rounds, const char *what, struct edit *edit, bool done)
{
	const struct change change = {
		.what = what, .author = { .by = "housekeeping" }, .entries = edit->changes
	};

	if (done)
		commit_begin(rounds->commits, &change, NULL, NULL);
	else
		json_decref(edit->changes);
	json_decref(edit->reply);
}

/* A question about an account, on its way. */
struct look {
	struct rounds *rounds;
	void (*then)(struct rounds *rounds, const char *id, const json_t *times);
	char id[];
};

static void
on_uses(void *arg, int err, const json_t *times)
{
	struct look *look = arg;
	struct rounds *rounds = look->rounds;

	if (!err && !rounds->closed && leader_leads(rounds->leader))
		look->then(rounds, look->id, times);
	free(look);
}

static void
look_at(struct rounds *rounds, const char *id,
	void (*then)(struct rounds *rounds, const char *id, const json_t *times))
{
	const size_t size = strlen(id) + 1;
	struct look *look = xmalloc(sizeof *look + size);

	*look = (struct look){ rounds, then };
	memcpy(look->id, id, size);
	uses_read(rounds->redis, id, on_uses, look);
}

static void
switch_seen(struct rounds *rounds, const char *id, const json_t *times)
{
	struct edit edit = { .directory = rounds->directory };

	commit(rounds, "account.mode.in-force", &edit,
		account_mode_seen(&edit, id, times, clock_us()));
}

static void
grace_ending(struct rounds *rounds, const char *id, const json_t *times)
{
	struct edit edit = { .directory = rounds->directory };

	commit(rounds, "account.mode.grace-ending", &edit,
		account_grace_notice(&edit, id, times, clock_us()));
}

static void
addresses_seen(struct rounds *rounds, const char *id, const json_t *times)
{
	struct edit edit = { .directory = rounds->directory };

	commit(rounds, "address.state", &edit,
		account_addresses_seen(&edit, id, times, clock_us()));
}

/* Collects ids first, because a change changes the directory. */
static json_t *
ids_of(const struct rounds *rounds, bool (*wanted)(const json_t *account, uint64_t now_us))
{
	const uint64_t now = clock_us();
	json_t *ids = json_array(), *entry;
	const char *key;

	json_object_foreach(directory_entries(rounds->directory), key, entry)
	{
		if (strncmp(key, "account/", 8) == 0 && wanted(entry, now))
			json_array_append_new(ids, json_string(key + 8));
	}
	return ids;
}

static bool
is_switching(const json_t *account, uint64_t now_us)
{
	(void)now_us;
	return account_switch_since(account) > 0 && !account_is_deleted(account);
}

static void
look_at_all(struct rounds *rounds, bool (*wanted)(const json_t *account, uint64_t now_us),
	void (*then)(struct rounds *rounds, const char *id, const json_t *times))
{
	json_t *ids = ids_of(rounds, wanted), *id;
	size_t i;

	json_array_foreach(ids, i, id) look_at(rounds, json_string_value(id), then);
	json_decref(ids);
}

/* Accounts with an address that awaits its proof; `idle`: or that is idle. */
static void
look_at_addresses(struct rounds *rounds, bool idle)
{
	const uint64_t now = clock_us();
	json_t *ids = json_object(), *entry;
	const char *key, *id;

	json_object_foreach(directory_entries(rounds->directory), key, entry)
	{
		id = json_text(entry, "account");
		if (strncmp(key, "ip/", 3) == 0 && id &&
			(idle || !json_is_true(json_object_get(entry, "active"))) &&
			address_wants_look(key + 3, entry, now))
			json_object_set_new(ids, id, json_true());
	}
	json_object_foreach(ids, key, entry) look_at(rounds, key, addresses_seen);
	json_decref(ids);
}

static void
end_graces(struct rounds *rounds)
{
	json_t *ids = ids_of(rounds, account_grace_is_over), *id;
	size_t i;

	json_array_foreach(ids, i, id)
	{
		struct edit edit = { .directory = rounds->directory };
		const int err = account_grace_end(&edit, json_string_value(id));

		commit(rounds, "account.mode.grace-end", &edit, !err);
	}
	json_decref(ids);
}

static void
end_suspensions(struct rounds *rounds)
{
	json_t *ids = ids_of(rounds, account_is_due), *id;
	size_t i;

	json_array_foreach(ids, i, id)
	{
		struct edit edit = { .directory = rounds->directory };
		const int err = account_enable(&edit, json_string_value(id));

		commit(rounds, "account.enable", &edit, !err);
	}
	json_decref(ids);
}

/* Former passwords end by this clock; ingress's own has ended them before. */
static void
end_former_passwords(struct rounds *rounds)
{
	const uint64_t now = clock_us();
	json_t *names = json_array(), *entry;
	const char *key;
	size_t i;

	json_object_foreach(directory_entries(rounds->directory), key, entry)
	{
		if (strncmp(key, "user/", 5) == 0 && user_former_is_over(entry, now))
			json_array_append_new(names, json_string(key + 5));
	}
	json_array_foreach(names, i, entry)
	{
		struct edit edit = { .directory = rounds->directory };

		commit(rounds, "user.grace-end", &edit,
			account_former_end(&edit, json_string_value(entry), now));
	}
	json_decref(names);
}

/* Whether Redis's clock says what ours does. */
static bool
clocks_agree(const struct redis_reply *reply)
{
	const char *text = redis_reply_str(redis_reply_at(reply, 0), NULL);
	const uint64_t theirs = text ? strtoull(text, NULL, 10) * 1000000 : 0, ours = clock_us();

	return (theirs > ours ? theirs - ours : ours - theirs) < SKEW_US;
}

static void
on_time(void *arg, int err, const struct redis_reply *reply)
{
	struct rounds *rounds = arg;

	if (err || rounds->closed || redis_reply_kind(reply) != REDIS_LIST ||
		redis_reply_count(reply) == 0)
		return;
	if (!clocks_agree(reply)) {
		LOG_WARN("control: our clock and Redis's differ: no time of grace ends",
			"differ_by", "more than 60 s");
		return;
	}
	end_graces(rounds);
	end_suspensions(rounds);
	end_former_passwords(rounds);
	look_at_all(rounds, is_switching, switch_seen);
	look_at_all(rounds, account_grace_is_ending, grace_ending);
	look_at_addresses(rounds, rounds->number++ % IDLE_EVERY == 0);
}

static void
on_timer(void *arg)
{
	static const char *const argv[] = { "TIME" };
	struct rounds *rounds = arg;

	if (leader_leads(rounds->leader) && !applier_doubt(rounds->applier))
		redis_command(rounds->redis, TIMEOUT_MS, on_time, rounds, 1, argv, NULL);
}

struct rounds *
rounds_new(struct loop *loop, struct redis *redis, struct directory *directory,
	struct applier *applier, struct commits *commits, const struct leader *leader)
{
	struct rounds *rounds = xcalloc(1, sizeof *rounds);

	*rounds = (struct rounds){
		.redis = redis,
		.directory = directory,
		.applier = applier,
		.commits = commits,
		.leader = leader,
	};
	timer_init(&rounds->timer, loop, on_timer, rounds);
	return rounds;
}

void
rounds_start(struct rounds *rounds)
{
	timer_repeat(&rounds->timer, EVERY_MS);
}

void
rounds_close(struct rounds *rounds)
{
	rounds->closed = true;
	timer_cancel(&rounds->timer);
}

void
rounds_free(struct rounds **rounds)
{
	if (!*rounds)
		return;
	timer_cancel(&(*rounds)->timer);
	free(*rounds);
	*rounds = NULL;
}
