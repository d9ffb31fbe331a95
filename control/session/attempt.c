/*
 * attempt.c - counts attempts at passwords and codes.
 *
 * api_session, api_password -> [attempt] -> Redis
 */
#include "control/session/attempt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/people/secret.h"
#include "shared/account/account.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/text.h"
#include "shared/redis/redis.h"

#define TIMEOUT_MS 3000
#define IPV6_WIDE 48
#define KEY_SIZE (LOGIN_SIZE + 32)

/* KEYS: pair, network, login, known networks. ARGV: network, failures without a wait. Answers the
 * wait in s. */
static struct redis_script begin_script = {
	.text = "local t = redis.call('TIME')\n"
		"local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"
		"local rows = {{KEYS[1], 300}, {KEYS[2], 60}, {KEYS[3], 30}}\n"
		"if redis.call('HEXISTS', KEYS[4], ARGV[1]) == 1 then rows = {rows[1]} end\n"
		"local wait = 0\n"
		"for _, row in ipairs(rows) do\n"
		"  local till = tonumber(redis.call('HGET', row[1], 'until') or 0)\n"
		"  if till - now > wait then wait = till - now end\n"
		"end\n"
		"if wait > 0 then return math.ceil(wait / 1000) end\n"
		"for _, row in ipairs(rows) do\n"
		"  local n = redis.call('HINCRBY', row[1], 'n', 1)\n"
		"  local over = n - tonumber(ARGV[2])\n"
		"  if over >= 0 then\n"
		"    local s = math.min(2 ^ math.min(over, 20), row[2])\n"
		"    redis.call('HSET', row[1], 'until', string.format('%.0f', now + s * 1000))\n"
		"  end\n"
		"  redis.call('EXPIRE', row[1], 3600)\n"
		"end\n"
		"return 0\n",
};

/* The same keys and network. What this attempt had counted is taken back; the pair begins anew. */
static struct redis_script good_script = {
	.text = "local now = redis.call('TIME')[1]\n"
		"local known = redis.call('HEXISTS', KEYS[4], ARGV[1])\n"
		"local any = redis.call('EXISTS', KEYS[4])\n"
		"redis.call('DEL', KEYS[1])\n"
		"if known == 0 then\n"
		"  for i = 2, 3 do\n"
		"    if redis.call('HINCRBY', KEYS[i], 'n', -1) <= 0 then redis.call('DEL', KEYS[i])\n"
		"    else redis.call('HDEL', KEYS[i], 'until') redis.call('EXPIRE', KEYS[i], 3600) end\n"
		"  end\n"
		"end\n"
		"redis.call('HSET', KEYS[4], ARGV[1], now)\n"
		"redis.call('EXPIRE', KEYS[4], 180 * 86400)\n"
		"if redis.call('HLEN', KEYS[4]) > 50 then\n"
		"  local all, oldest, age = redis.call('HGETALL', KEYS[4]), nil, now + 1\n"
		"  for i = 1, #all, 2 do\n"
		"    if tonumber(all[i + 1]) < age then oldest = all[i] age = tonumber(all[i + 1]) end\n"
		"  end\n"
		"  if oldest then redis.call('HDEL', KEYS[4], oldest) end\n"
		"end\n"
		"if any == 1 and known == 0 then return 1 end\n"
		"return 0\n",
};

/* KEYS: login, network. ARGV: the most of each. Answers the wait in s. */
static struct redis_script reset_script = {
	.text = "if tonumber(redis.call('GET', KEYS[1]) or 0) >= tonumber(ARGV[1]) then\n"
		"  return redis.call('TTL', KEYS[1]) end\n"
		"if tonumber(redis.call('GET', KEYS[2]) or 0) >= tonumber(ARGV[2]) then\n"
		"  return redis.call('TTL', KEYS[2]) end\n"
		"if redis.call('INCR', KEYS[1]) == 1 then redis.call('EXPIRE', KEYS[1], 86400) end\n"
		"if redis.call('INCR', KEYS[2]) == 1 then redis.call('EXPIRE', KEYS[2], 3600) end\n"
		"return 0\n",
};

/* KEYS: known networks of each. */
static struct redis_script last_script = {
	.text = "local all = {}\n"
		"for i, key in ipairs(KEYS) do\n"
		"  local last = 0\n"
		"  for _, at in ipairs(redis.call('HVALS', key)) do\n"
		"    last = math.max(last, tonumber(at))\n"
		"  end\n"
		"  all[i] = last\n"
		"end\n"
		"return all\n",
};

/* Whoever has one network of IPv6 mostly has a /48 of them. */
static void
widen(struct attempt *attempt)
{
	struct network network;

	text_copy(attempt->wide, sizeof attempt->wide, attempt->network);
	if (network_parse(attempt->network, &network) < 0 || network.family != AF_INET6)
		return;
	memset(network.bytes + IPV6_WIDE / 8, 0, sizeof network.bytes - IPV6_WIDE / 8);
	network.prefix = IPV6_WIDE;
	network_format(&network, attempt->wide);
}

void
attempt_init(struct attempt *attempt, const char *login, const char *client)
{
	char form[LOGIN_SIZE];

	*attempt = (struct attempt){ .login = "" };
	text_copy(attempt->login, sizeof attempt->login, login_canonical(login, form) ? form : "-");
	if (account_network_text(client, attempt->network) < 0)
		text_copy(attempt->network, sizeof attempt->network, client);
	widen(attempt);
}

/* One of 65,536 places for a text. */
static void
place_key(const char *kind, const char *text, char out[KEY_SIZE])
{
	char hash[SECRET_HASH_SIZE];

	secret_hash(text, hash);
	snprintf(out, KEY_SIZE, "login:%s:%.4s", kind, hash);
}

static void
known_key(const char *login, char out[KEY_SIZE])
{
	snprintf(out, KEY_SIZE, "login:known:{%s}", login);
}

struct keys {
	char pair[KEY_SIZE], network[KEY_SIZE], login[KEY_SIZE], known[KEY_SIZE];
};

static void
keys_of(const struct attempt *attempt, struct keys *keys)
{
	char *both = xasprintf("%s %s", attempt->login, attempt->network);

	place_key("pair", both, keys->pair);
	place_key("network", attempt->wide, keys->network);
	place_key("name", attempt->login, keys->login);
	known_key(attempt->login, keys->known);
	free(both);
}

struct asking {
	attempt_cb cb;
	attempt_good_cb good_cb;
	void *arg;
};

static void
on_answer(void *arg, int err, const struct redis_reply *reply)
{
	struct asking asking = *(struct asking *)arg;
	int64_t number = 0;

	free(arg);
	if (!err && redis_reply_kind(reply) != REDIS_INT) {
		LOG_WARN("attempts: Redis refuses", "error", redis_reply_str(reply, NULL));
		err = -EIO;
	}
	if (!err)
		number = redis_reply_int(reply);
	if (asking.cb)
		asking.cb(asking.arg, err, number > 0 ? (unsigned)number : 0);
	else if (asking.good_cb)
		asking.good_cb(asking.arg, err, number == 1);
}

static struct asking *
asking_new(attempt_cb cb, attempt_good_cb good_cb, void *arg)
{
	struct asking *asking = xmalloc(sizeof *asking);

	*asking = (struct asking){ cb, good_cb, arg };
	return asking;
}

void
attempt_begin(struct redis *redis, const struct attempt *attempt, attempt_cb cb, void *arg)
{
	struct keys keys;
	char least[16];
	const char *argv[] = { keys.pair, keys.network, keys.login, keys.known, attempt->network,
		least };

	keys_of(attempt, &keys);
	snprintf(least, sizeof least, "%d", ATTEMPT_FREE);
	redis_run(
		redis, &begin_script, TIMEOUT_MS, on_answer, asking_new(cb, NULL, arg), 4, 6, argv);
}

void
attempt_good(struct redis *redis, const struct attempt *attempt, attempt_good_cb cb, void *arg)
{
	struct keys keys;
	const char *argv[] = { keys.pair, keys.network, keys.login, keys.known, attempt->network };

	keys_of(attempt, &keys);
	redis_run(
		redis, &good_script, TIMEOUT_MS, on_answer, asking_new(NULL, cb, arg), 4, 5, argv);
}

void
attempt_reset(struct redis *redis, const struct attempt *attempt, attempt_cb cb, void *arg)
{
	char login[KEY_SIZE], network[KEY_SIZE], logins[16], networks[16];
	const char *argv[] = { login, network, logins, networks };

	place_key("reset", attempt->login, login);
	place_key("reset-network", attempt->wide, network);
	snprintf(logins, sizeof logins, "%d", RESETS_LOGIN);
	snprintf(networks, sizeof networks, "%d", RESETS_CLIENT);
	redis_run(
		redis, &reset_script, TIMEOUT_MS, on_answer, asking_new(cb, NULL, arg), 2, 4, argv);
}

/* The last logins */

struct asking_last {
	attempt_last_cb cb;
	void *arg;
};

static void
on_last(void *arg, int err, const struct redis_reply *reply)
{
	const struct asking_last asking = *(struct asking_last *)arg;
	json_t *times = NULL;

	free(arg);
	if (!err && redis_reply_kind(reply) == REDIS_LIST) {
		times = json_array();
		for (size_t i = 0; i < redis_reply_count(reply); i++)
			json_array_append_new(
				times, json_integer(redis_reply_int(redis_reply_at(reply, i))));
	}
	asking.cb(asking.arg, times);
	json_decref(times);
}

void
attempt_last(struct redis *redis, const json_t *people, attempt_last_cb cb, void *arg)
{
	const size_t count = json_array_size(people);
	struct asking_last *asking = xmalloc(sizeof *asking);
	const char **argv = xcalloc(count + 1, sizeof *argv);
	char(*keys)[KEY_SIZE] = xcalloc(count + 1, sizeof *keys);
	json_t *person;
	size_t i;

	*asking = (struct asking_last){ cb, arg };
	json_array_foreach(people, i, person)
	{
		known_key(json_text(person, "login"), keys[i]);
		argv[i] = keys[i];
	}
	redis_run(redis, &last_script, TIMEOUT_MS, on_last, asking, (int)count, (int)count, argv);
	free(argv);
	free(keys);
}
