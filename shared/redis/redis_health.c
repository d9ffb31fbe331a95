/*
 * redis_health.c - whether Redis does its work: the process's line in /readyz, and refusals that
 * are about Redis itself (full, read-only, loading ...), not about the command.
 *
 * A busy connection sees refusals in its answers. An idle one asks every PULSE_MS for a write that
 * harms nobody. While Redis refuses, it is asked every second, so that its recovery is seen. Where
 * another Redis may be better (a replica after a failover), or this one wants to know again who we
 * are, the connection is made anew; it is up only after that write was taken.
 */
#include "shared/redis/redis.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "shared/base/date.h"
#include "shared/base/timer.h"
#include "shared/metrics/metrics.h"
#include "shared/redis/redis_private.h"

#define PULSE_MS 5000
#define PULSE_REFUSED_MS 1000
#define PULSE_TIMEOUT_MS 2000

static const char *const pulse[] = { "SET", "shout:pulse", "1", "PX", "60000" };

const char *const *
redis_pulse(int *count_out)
{
	*count_out = sizeof pulse / sizeof *pulse;
	return pulse;
}

/* How the refusal begins. Before Redis 7, the refusal of a script's command stands behind " -". */
static const struct refusal {
	const char *word;
	enum redis_remedy remedy;
	const char *cure; /* an operator's */
} refusals[] = {
	{ "OOM", REDIS_WAIT, "it is full: raise its maxmemory" },
	{ "MISCONF", REDIS_WAIT, "it cannot save: look at its disk and its log" },
	{ "NOREPLICAS", REDIS_WAIT, "it misses its replicas (min-replicas-to-write)" },
	{ "BUSY", REDIS_WAIT, "a script keeps it busy (SCRIPT KILL)" },
	{ "NOPERM", REDIS_WAIT, "its ACL forbids our user a command" },
	{ "READONLY", REDIS_CONNECT,
		"it is a replica: redis.address must be the master's, or redis.sentinels find it" },
	{ "LOADING", REDIS_CONNECT, "it loads its data: wait" },
	{ "MASTERDOWN", REDIS_CONNECT, "it is a replica without a master" },
	{ "NOAUTH", REDIS_CONNECT, "it wants a password: redis.password" },
	{ "CLUSTERDOWN", REDIS_CONNECT, "its cluster is down" },
};
#define REFUSALS (sizeof refusals / sizeof *refusals)

static bool
begins_with(const char *text, const char *word)
{
	const size_t length = strlen(word);

	return strncmp(text, word, length) == 0 && text[length] == ' ';
}

static int
refusal_of(const char *text)
{
	const char *inner = begins_with(text, "ERR") ? strstr(text, " -") : NULL;

	for (size_t i = 0; i < REFUSALS; i++)
		if (begins_with(text, refusals[i].word) ||
			(inner && begins_with(inner + 2, refusals[i].word)))
			return (int)i;
	return -1;
}

/* What Redis said, without the place in a script, and what can be done. */
static void
explain(const char *text, char *out, size_t size)
{
	const int refusal = refusal_of(text);
	const char *script = refusal < 0 ? NULL : strstr(text, " script: ");
	size_t length = script ? (size_t)(script - text) : strlen(text);

	if (length && text[length - 1] == '.')
		length--;

	snprintf(out, size, "%.*s%s%s", (int)length, text, refusal < 0 ? "" : "; ",
		refusal < 0 ? "" : refusals[refusal].cure);
}

/* The process's line in /readyz, for all of its connections. */
static struct {
	pthread_mutex_t lock;
	struct probe *probe;
	struct metric *up, *seconds, *moves, *refused[REFUSALS];
	unsigned links, down, refusing;
	uint64_t since_us; /* since when a connection is down; 0: none is */
	bool was_up;       /* any connection, at any time */
	char why[512], refusal[256], address[256];
} readiness = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* At the first connection. Under readiness.lock. */
static void
readiness_start(void)
{
	char labels[64];

	if (readiness.probe)
		return;
	readiness.probe = probe_new("redis");
	readiness.up = metric_gauge("shout_redis_up",
		"Whether all connections to Redis are up, and it does what it is asked", NULL);
	readiness.seconds = metric_histogram("shout_redis_seconds",
		"From giving Redis a command to its answer, however late", NULL);
	readiness.moves = metric_counter("shout_redis_master_changes_total",
		"Connections that went to another master than before, which sentinels named", NULL);
	for (size_t i = 0; i < REFUSALS; i++) {
		snprintf(labels, sizeof labels, "reason=\"%s\"", refusals[i].word);
		readiness.refused[i] = metric_counter("shout_redis_refused_total",
			"Commands that Redis refused for its own sake", labels);
	}
}

/* A process that never reached Redis has failed: it knows no client, while other processes do.
 * Under readiness.lock. */
static void
probe_tell(void)
{
	const char *why = readiness.down ? readiness.why : readiness.refusal;
	char text[1024], since[DATE_SIZE];

	metric_set(readiness.up, readiness.links && !readiness.down && !readiness.refusing);
	if (!readiness.down && !readiness.refusing) {
		readiness.since_us = 0;
		readiness.why[0] = readiness.refusal[0] = '\0';
		probe_set(readiness.probe, HEALTH_READY, NULL);
		return;
	}
	if (!readiness.since_us)
		readiness.since_us = clock_us();
	date_iso(readiness.since_us, since);
	snprintf(text, sizeof text, "%u of %u connections %s since %s: %s%s%s%s",
		readiness.down ? readiness.down : readiness.refusing, readiness.links,
		readiness.down ? "down" : "refused what they asked", since, readiness.address,
		why[0] ? ": " : "", why, readiness.was_up ? "; only known clients are served" : "");
	probe_set(readiness.probe, readiness.was_up ? HEALTH_DEGRADED : HEALTH_FAILED, text);
}

/* Under readiness.lock. */
static void
refusing(struct redis *redis, bool is)
{
	readiness.refusing += is && !redis->refused;
	readiness.refusing -= !is && redis->refused;
	redis->refused = is;
}

void
redis_measure(const struct redis *redis, uint64_t us)
{
	if (!redis->aside)
		metric_observe_us(readiness.seconds, us);
}

void
redis_count_move(void)
{
	metric_add(readiness.moves, 1);
}

void
redis_probe_down(struct redis *redis, bool is_new, const char *why)
{
	if (redis->aside)
		return;
	pthread_mutex_lock(&readiness.lock);
	readiness_start();
	readiness.links += is_new;
	readiness.down += is_new || redis->well;
	redis->well = false;
	refusing(redis, false);
	snprintf(readiness.address, sizeof readiness.address, "%s", redis->label);
	explain(why, readiness.why, sizeof readiness.why);
	probe_tell();
	pthread_mutex_unlock(&readiness.lock);
}

void
redis_probe_up(struct redis *redis)
{
	if (redis->aside)
		return;
	pthread_mutex_lock(&readiness.lock);
	redis->well = readiness.was_up = true;
	readiness.down--;
	probe_tell();
	pthread_mutex_unlock(&readiness.lock);
	timer_set(&redis->pulse, PULSE_MS);
}

void
redis_probe_leave(struct redis *redis)
{
	if (redis->aside)
		return;
	pthread_mutex_lock(&readiness.lock);
	readiness.links--;
	readiness.down -= !redis->well;
	refusing(redis, false);
	probe_tell();
	pthread_mutex_unlock(&readiness.lock);
}

void
redis_count_refusal(const struct redis *redis, const char *text)
{
	const int refusal = refusal_of(text);

	if (refusal >= 0 && !redis->aside)
		metric_add(readiness.refused[refusal], 1);
}

static void
probe_refused(struct redis *redis, const char *text)
{
	pthread_mutex_lock(&readiness.lock);
	refusing(redis, true);
	explain(text, readiness.refusal, sizeof readiness.refusal);
	snprintf(readiness.address, sizeof readiness.address, "%s", redis->label);
	probe_tell();
	pthread_mutex_unlock(&readiness.lock);
}

static void
probe_takes(struct redis *redis)
{
	pthread_mutex_lock(&readiness.lock);
	refusing(redis, false);
	probe_tell();
	pthread_mutex_unlock(&readiness.lock);
}

void
redis_complain(struct redis *redis, const char *message, const char *why)
{
	unsigned left_out;

	if (!redis->aside && said_now(&redis->said, why, SAID_ONCE, &left_out))
		LOG_WARN(message, "address", redis->label, "error", why);
}

enum redis_remedy
redis_refused(struct redis *redis, const char *text)
{
	const int refusal = refusal_of(text);
	unsigned left_out;

	if (refusal < 0 || redis->aside)
		return REDIS_NONE;
	if (said_now(&redis->said, refusals[refusal].word, SAID_ONCE, &left_out))
		LOG_WARN("redis: refuses what it is asked", "address", redis->label, "error", text);
	redis_count_refusal(redis, text);
	probe_refused(redis, text);
	if (!timer_is_set(&redis->pulse) || !redis->hurried)
		timer_set(&redis->pulse, PULSE_REFUSED_MS);
	redis->hurried = true;
	redis->must_write = refusals[refusal].remedy == REDIS_CONNECT;
	return refusals[refusal].remedy;
}

/* Ignores a refusal here: the reader of the answers has seen it. */
static void
on_pulse_answer(void *arg, int err, const struct redis_reply *reply)
{
	struct redis *redis = arg;
	unsigned left_out;

	if (err == -ECANCELED)
		return;
	if (!err && redis_reply_kind(reply) != REDIS_ERR && redis->refused) {
		said_clear(&redis->said, &left_out);
		LOG_INFO("redis: takes what it is asked again", "address", redis->label,
			SAID_LEFT_OUT(left_out));
		probe_takes(redis);
	}
	redis->hurried = redis->refused;
	if (redis->state == ST_UP)
		timer_set(&redis->pulse, redis->refused ? PULSE_REFUSED_MS : PULSE_MS);
}

void
redis_on_pulse(void *arg)
{
	struct redis *redis = arg;

	if (redis->state != ST_UP)
		return;
	redis_command(redis, PULSE_TIMEOUT_MS, on_pulse_answer, redis, sizeof pulse / sizeof *pulse,
		pulse, NULL);
	redis_master_pulse(redis);
}
