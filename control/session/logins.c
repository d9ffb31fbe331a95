/*
 * logins.c - sessions of people in Redis.
 *
 * gate, api_session, api_me -> [logins] -> Redis
 *
 * A cookie is random and never stored: Redis has its hash, so that who reads Redis is nobody. A
 * session cannot be given to somebody (fixation): each login makes a new secret and ends the
 * session that the client came with.
 */
#include "control/session/logins.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/look/json_from.h"
#include "shared/base/log.h"
#include "shared/base/random.h"
#include "shared/base/text.h"
#include "shared/redis/redis.h"

#define TIMEOUT_MS 3000
#define SIGNS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
#define KEY_SIZE (LOGIN_SIZE + SECRET_HASH_SIZE + 16)
#define S_US UINT64_C(1000000)

#define NOW "local now = tonumber(redis.call('TIME')[1])\n"

/* A session that waits for its second factor is not among the person's: who knows the password
 * alone must not end those that are. KEYS: session, sessions, the old session. ARGV: login, csrf,
 * epoch, code, client, agent, id, old id, seconds until it is idle, the longest life, the most
 * sessions. */
static struct redis_script create_script = {
	.text = NOW
	"if ARGV[8] ~= '' then redis.call('DEL', KEYS[3]) redis.call('SREM', KEYS[2], ARGV[8]) end\n"
	"redis.call('HSET', KEYS[1], 'login', ARGV[1], 'csrf', ARGV[2], 'epoch', ARGV[3],\n"
	"  'code', ARGV[4], 'client', ARGV[5], 'agent', ARGV[6], 'created', now, 'used', now)\n"
	"redis.call('EXPIRE', KEYS[1], ARGV[9])\n"
	"if ARGV[4] == '1' then return now end\n"
	"redis.call('SADD', KEYS[2], ARGV[7])\n"
	"redis.call('EXPIRE', KEYS[2], ARGV[10])\n"
	"local alive, oldest, age = 0, nil, now + 1\n"
	"for _, id in ipairs(redis.call('SMEMBERS', KEYS[2])) do\n"
	"  local created = redis.call('HGET', 'session:{' .. id .. '}', 'created')\n"
	"  if not created then redis.call('SREM', KEYS[2], id)\n"
	"  else\n"
	"    alive = alive + 1\n"
	"    if id ~= ARGV[7] and tonumber(created) < age then oldest = id age = tonumber(created) end\n"
	"  end\n"
	"end\n"
	"if alive > tonumber(ARGV[11]) and oldest then\n"
	"  redis.call('DEL', 'session:{' .. oldest .. '}') redis.call('SREM', KEYS[2], oldest)\n"
	"end\n"
	"return now\n",
};

/* KEYS: session. ARGV: idle, longest life, whether it is used. A session without its second factor
 * lives no longer by its use. */
static struct redis_script look_script = {
	.text = NOW
	"local s = redis.call('HMGET', KEYS[1], 'login', 'csrf', 'epoch', 'code', 'created', 'used',\n"
	"  'sudo', 'client', 'agent')\n"
	"if not s[1] or not s[2] or not s[5] then return false end\n"
	"local left = tonumber(s[5]) + tonumber(ARGV[2]) - now\n"
	"if left <= 0 then redis.call('DEL', KEYS[1]) return false end\n"
	"if s[4] ~= '1' and ARGV[3] == '1' then\n"
	"  left = math.min(left, tonumber(ARGV[1]))\n"
	"  redis.call('HSET', KEYS[1], 'used', now)\n"
	"  redis.call('EXPIRE', KEYS[1], left)\n"
	"else left = redis.call('TTL', KEYS[1]) end\n"
	"return {s[1], s[2], s[3] or '0', s[4] or '', s[5], s[6] or '0', s[7] or '0', s[8] or '',\n"
	"  s[9] or '', tostring(now), tostring(now + left)}\n",
};

/* KEYS: session, sessions. ARGV: id. */
static struct redis_script end_script = {
	.text = "redis.call('DEL', KEYS[1]) redis.call('SREM', KEYS[2], ARGV[1]) return 1\n",
};

/* KEYS: session. ARGV: seconds. */
static struct redis_script sudo_script = {
	.text = NOW "if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end\n"
		    "redis.call('HSET', KEYS[1], 'sudo', now + ARGV[1]) return 1\n",
};

/* KEYS: session, sessions. ARGV: id, tries. */
static struct redis_script wrong_script = {
	.text = "if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end\n"
		"if redis.call('HINCRBY', KEYS[1], 'tries', 1) >= tonumber(ARGV[2]) then\n"
		"  redis.call('DEL', KEYS[1]) redis.call('SREM', KEYS[2], ARGV[1])\n"
		"end\n"
		"return 1\n",
};

/* KEYS: session. ARGV: the factor's secret. */
static struct redis_script keep_script = {
	.text = "if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end\n"
		"redis.call('HSET', KEYS[1], 'factor', ARGV[1]) return 1\n",
};
static struct redis_script take_script = {
	.text = "local factor = redis.call('HGET', KEYS[1], 'factor')\n"
		"return factor\n",
};

/* KEYS: sessions. */
static struct redis_script list_script = {
	.text = "local all = {}\n"
		"for _, id in ipairs(redis.call('SMEMBERS', KEYS[1])) do\n"
		"  local s = redis.call('HMGET', 'session:{' .. id .. '}', 'created', 'used',\n"
		"    'client', 'agent', 'epoch')\n"
		"  if s[1] then all[#all + 1] = {id, s[1], s[2], s[3], s[4], s[5]}\n"
		"  else redis.call('SREM', KEYS[1], id) end\n"
		"end\n"
		"return all\n",
};

/* KEYS: sessions. ARGV: own id, the beginning of the only one to end, or ''. */
static struct redis_script end_of_script = {
	.text = "local ended = 0\n"
		"for _, id in ipairs(redis.call('SMEMBERS', KEYS[1])) do\n"
		"  local meant = ARGV[2] == '' and id ~= ARGV[1] or\n"
		"    ARGV[2] ~= '' and string.sub(id, 1, #ARGV[2]) == ARGV[2]\n"
		"  if meant then\n"
		"    redis.call('DEL', 'session:{' .. id .. '}') redis.call('SREM', KEYS[1], id)\n"
		"    ended = ended + 1\n"
		"  end\n"
		"end\n"
		"return ended\n",
};

static void
session_key(const char *id, char out[KEY_SIZE])
{
	snprintf(out, KEY_SIZE, "session:{%s}", id);
}

static void
person_key(const char *login, char out[KEY_SIZE])
{
	snprintf(out, KEY_SIZE, "sessions:{%s}", login);
}

/* The error of an answer: that of the call, or that Redis refuses. */
static int
error_of(int err, const struct redis_reply *reply)
{
	if (!err && redis_reply_kind(reply) == REDIS_ERR) {
		LOG_WARN("sessions: Redis refuses", "error", redis_reply_str(reply, NULL));
		return -EIO;
	}
	return err;
}

/* A new session */

struct creation {
	struct login_session session;
	logins_cb cb;
	void *arg;
};

static void
on_created(void *arg, int err, const struct redis_reply *reply)
{
	struct creation *creation = arg;
	struct login_session *session = &creation->session;

	err = error_of(err, reply);
	if (!err) {
		session->created_s = session->used_s = (uint64_t)redis_reply_int(reply);
		session->until_s = session->created_s +
			(session->code ? SESSION_CODE_S : SESSION_IDLE_S);
	}
	creation->cb(creation->arg, err, err ? NULL : session);
	explicit_bzero(creation, sizeof *creation);
	free(creation);
}

void
logins_create(struct redis *redis, const struct login_session *want, const char *old,
	char secret[SESSION_SECRET_SIZE], logins_cb cb, void *arg)
{
	struct creation *creation = xcalloc(1, sizeof *creation);
	struct login_session *session = &creation->session;
	char key[KEY_SIZE], person[KEY_SIZE], old_key[KEY_SIZE], epoch[24];
	char idle[24], life[24], most[24];
	const char *argv[] = { key, person, old_key, session->login, session->csrf, epoch,
		want->code ? "1" : "", session->client, session->agent, session->id, old ? old : "",
		idle, life, most };

	*creation = (struct creation){ .session = *want, .cb = cb, .arg = arg };
	random_text(secret, SESSION_SECRET_SIZE - 1, SIGNS);
	secret_hash(secret, session->id);
	random_text(session->csrf, SESSION_CSRF_SIZE - 1, SIGNS);
	session->sudo_s = 0;
	session_key(session->id, key);
	session_key(old ? old : "", old_key);
	person_key(session->login, person);
	snprintf(epoch, sizeof epoch, "%" PRId64, session->epoch);
	snprintf(idle, sizeof idle, "%d", session->code ? SESSION_CODE_S : SESSION_IDLE_S);
	snprintf(life, sizeof life, "%d", SESSION_MAX_S);
	snprintf(most, sizeof most, "%d", SESSIONS_MAX);
	redis_run(redis, &create_script, TIMEOUT_MS, on_created, creation, 3,
		sizeof argv / sizeof *argv, argv);
}

/* Looking */

struct looking {
	struct login_session session;
	logins_cb cb;
	void *arg;
};

static const char *
field(const struct redis_reply *reply, size_t i)
{
	const char *text = redis_reply_str(redis_reply_at(reply, i), NULL);

	return text ? text : "";
}

static uint64_t
number(const struct redis_reply *reply, size_t i)
{
	return strtoull(field(reply, i), NULL, 10);
}

static void
take(struct login_session *session, const struct redis_reply *reply)
{
	const uint64_t now = number(reply, 9), sudo = number(reply, 6);

	text_copy(session->login, sizeof session->login, field(reply, 0));
	text_copy(session->csrf, sizeof session->csrf, field(reply, 1));
	session->epoch = strtoll(field(reply, 2), NULL, 10);
	session->code = strcmp(field(reply, 3), "1") == 0;
	session->created_s = number(reply, 4);
	session->used_s = number(reply, 5);
	session->sudo_s = sudo > now ? (unsigned)(sudo - now) : 0;
	text_copy(session->client, sizeof session->client, field(reply, 7));
	text_copy(session->agent, sizeof session->agent, field(reply, 8));
	session->until_s = number(reply, 10);
}

static void
on_look(void *arg, int err, const struct redis_reply *reply)
{
	struct looking *looking = arg;
	bool found;

	err = error_of(err, reply);
	found = !err && redis_reply_kind(reply) == REDIS_LIST && redis_reply_count(reply) == 11;
	if (found)
		take(&looking->session, reply);
	looking->cb(looking->arg, err, found ? &looking->session : NULL);
	explicit_bzero(looking, sizeof *looking);
	free(looking);
}

void
logins_look(struct redis *redis, const char *secret, bool used, logins_cb cb, void *arg)
{
	struct looking *looking = xcalloc(1, sizeof *looking);
	char key[KEY_SIZE], idle[24], life[24];
	const char *argv[] = { key, idle, life, used ? "1" : "" };

	*looking = (struct looking){ .cb = cb, .arg = arg };
	secret_hash(secret, looking->session.id);
	session_key(looking->session.id, key);
	snprintf(idle, sizeof idle, "%d", SESSION_IDLE_S);
	snprintf(life, sizeof life, "%d", SESSION_MAX_S);
	redis_run(redis, &look_script, TIMEOUT_MS, on_look, looking, 1, 4, argv);
}

/* Changes */

struct doing {
	logins_done_cb cb;
	logins_factor_cb factor_cb;
	int none; /* the error when Redis answers 0 */
	void *arg;
};

static struct doing *
doing_new(logins_done_cb cb, void *arg, int none)
{
	struct doing *doing = xmalloc(sizeof *doing);

	*doing = (struct doing){ .cb = cb, .arg = arg, .none = none };
	return doing;
}

static void
on_done(void *arg, int err, const struct redis_reply *reply)
{
	struct doing doing = *(struct doing *)arg;

	free(arg);
	err = error_of(err, reply);
	if (!err && redis_reply_kind(reply) == REDIS_INT && redis_reply_int(reply) == 0)
		err = doing.none;
	else if (!err && redis_reply_kind(reply) == REDIS_NIL)
		err = doing.none;
	if (doing.cb)
		doing.cb(doing.arg, err);
}

void
logins_end(struct redis *redis, const char *id, const char *login, logins_done_cb cb, void *arg)
{
	char key[KEY_SIZE], person[KEY_SIZE];
	const char *argv[] = { key, person, id };

	session_key(id, key);
	person_key(login, person);
	redis_run(redis, &end_script, TIMEOUT_MS, on_done, doing_new(cb, arg, 0), 2, 3, argv);
}

void
logins_sudo(struct redis *redis, const char *id, logins_done_cb cb, void *arg)
{
	char key[KEY_SIZE], seconds[24];
	const char *argv[] = { key, seconds };

	session_key(id, key);
	snprintf(seconds, sizeof seconds, "%d", SESSION_SUDO_S);
	redis_run(
		redis, &sudo_script, TIMEOUT_MS, on_done, doing_new(cb, arg, -ENOENT), 1, 2, argv);
}

void
logins_wrong_code(
	struct redis *redis, const char *id, const char *login, logins_done_cb cb, void *arg)
{
	char key[KEY_SIZE], person[KEY_SIZE], tries[24];
	const char *argv[] = { key, person, id, tries };

	session_key(id, key);
	person_key(login, person);
	snprintf(tries, sizeof tries, "%d", SESSION_TRIES);
	redis_run(redis, &wrong_script, TIMEOUT_MS, on_done, doing_new(cb, arg, 0), 2, 4, argv);
}

void
logins_keep_factor(
	struct redis *redis, const char *id, const char *secret, logins_done_cb cb, void *arg)
{
	char key[KEY_SIZE];
	const char *argv[] = { key, secret };

	session_key(id, key);
	redis_run(
		redis, &keep_script, TIMEOUT_MS, on_done, doing_new(cb, arg, -ENOENT), 1, 2, argv);
}

static void
on_factor(void *arg, int err, const struct redis_reply *reply)
{
	struct doing doing = *(struct doing *)arg;

	free(arg);
	err = error_of(err, reply);
	doing.factor_cb(doing.arg, err,
		!err && redis_reply_kind(reply) == REDIS_STR ? redis_reply_str(reply, NULL) : NULL);
}

void
logins_take_factor(struct redis *redis, const char *id, logins_factor_cb cb, void *arg)
{
	struct doing *doing = doing_new(NULL, arg, 0);
	char key[KEY_SIZE];
	const char *argv[] = { key };

	doing->factor_cb = cb;
	session_key(id, key);
	redis_run(redis, &take_script, TIMEOUT_MS, on_factor, doing, 1, 1, argv);
}

void
logins_use_step(struct redis *redis, const char *login, uint64_t step, logins_done_cb cb, void *arg)
{
	char key[KEY_SIZE];
	const char *argv[] = { "SET", key, "1", "NX", "EX", "180" };

	snprintf(key, sizeof key, "totp:{%s}:%" PRIu64, login, step);
	redis_command(redis, TIMEOUT_MS, on_done, doing_new(cb, arg, -EALREADY), 6, argv, NULL);
}

/* Lists */

struct listing_sessions {
	logins_list_cb cb;
	void *arg;
	char own[SECRET_HASH_SIZE];
	int64_t epoch;
};

static json_t *
show(const struct redis_reply *one, const char *own)
{
	char shown[SESSION_SHORT + 1];
	json_t *session;

	snprintf(shown, sizeof shown, "%.*s", SESSION_SHORT, field(one, 0));
	session = json_pack("{s:s, s:b, s:s, s:s}", "id", shown, "current",
		strcmp(field(one, 0), own) == 0, "client", field(one, 3), "agent", field(one, 4));
	json_object_set_new(session, "created", json_from_time(number(one, 1) * S_US));
	json_object_set_new(session, "used", json_from_time(number(one, 2) * S_US));
	return session;
}

static void
on_list(void *arg, int err, const struct redis_reply *reply)
{
	struct listing_sessions *listing = arg;
	json_t *sessions = json_array();

	err = error_of(err, reply);
	for (size_t i = 0; !err && i < redis_reply_count(reply); i++) {
		const struct redis_reply *one = redis_reply_at(reply, i);

		if (strtoll(field(one, 5), NULL, 10) == listing->epoch)
			json_array_append_new(sessions, show(one, listing->own));
	}
	listing->cb(listing->arg, err, sessions);
	free(listing);
}

void
logins_list(struct redis *redis, const char *login, const char *own, int64_t epoch,
	logins_list_cb cb, void *arg)
{
	struct listing_sessions *listing = xcalloc(1, sizeof *listing);
	char person[KEY_SIZE];
	const char *argv[] = { person };

	*listing = (struct listing_sessions){ .cb = cb, .arg = arg, .epoch = epoch };
	text_copy(listing->own, sizeof listing->own, own);
	person_key(login, person);
	redis_run(redis, &list_script, TIMEOUT_MS, on_list, listing, 1, 1, argv);
}

void
logins_end_of(struct redis *redis, const char *login, const char *own, const char *short_id,
	logins_done_cb cb, void *arg)
{
	char person[KEY_SIZE];
	const char *argv[] = { person, own, short_id ? short_id : "" };

	person_key(login, person);
	redis_run(redis, &end_of_script, TIMEOUT_MS, on_done,
		doing_new(cb, arg, short_id ? -ENOENT : 0), 1, 3, argv);
}
