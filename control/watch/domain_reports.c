/*
 * domain_reports.c - reports of domains in Redis: a hash an account, "reports:{<account>}".
 *
 * api_domain, domain_watch -> [domain_reports] -> Redis
 */
#include "control/watch/domain_reports.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/redis/redis.h"

#define TIMEOUT_MS 2000
#define KEY_SIZE 80
#define REPORT_MAX (64 * 1024)
#define KEPT_S "3456000" /* 40 days */

static char refused[] = "domains: Redis refuses a report";

static struct redis_script keep_script = {
	.text = "redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])\n"
		"return redis.call('EXPIRE', KEYS[1], " KEPT_S ")\n",
};

static void
key_of(const char *account, char out[KEY_SIZE])
{
	snprintf(out, KEY_SIZE, "reports:{%.60s}", account);
}

void
domain_report_keep(struct redis *redis, const char *account, const json_t *report)
{
	char key[KEY_SIZE], *text = json_dumps(report, JSON_COMPACT);
	const char *argv[] = { key, json_text(report, "name"), text };

	key_of(account, key);
	if (text && strlen(text) <= REPORT_MAX)
		redis_run(redis, &keep_script, TIMEOUT_MS, redis_log_refusal, refused, 1, 3, argv);
	free(text);
}

void
domain_report_drop(struct redis *redis, const char *account, const char *domain)
{
	char key[KEY_SIZE];
	const char *argv[] = { "HDEL", key, domain };

	key_of(account, key);
	redis_command(redis, TIMEOUT_MS, redis_log_refusal, refused, 3, argv, NULL);
}

struct reading {
	domain_reports_cb cb;
	void *arg;
	size_t count;
};

static json_t *
report_from(const struct redis_reply *reply, size_t i)
{
	const struct redis_reply *one = i < redis_reply_count(reply) ? redis_reply_at(reply, i)
								     : NULL;
	const char *text = one && redis_reply_kind(one) == REDIS_STR ? redis_reply_str(one, NULL)
								     : NULL;
	json_t *report = text ? json_loads(text, 0, NULL) : NULL;

	return report ? report : json_null();
}

static void
on_reports(void *arg, int err, const struct redis_reply *reply)
{
	struct reading reading = *(struct reading *)arg;
	const bool read = !err && redis_reply_kind(reply) == REDIS_LIST;
	json_t *reports = json_array();

	free(arg);
	for (size_t i = 0; i < reading.count; i++)
		json_array_append_new(reports, read ? report_from(reply, i) : json_null());
	reading.cb(reading.arg, reports);
}

void
domain_reports_read(struct redis *redis, const char *account, const json_t *names,
	domain_reports_cb cb, void *arg)
{
	const size_t count = json_array_size(names);
	const char **argv = xcalloc(count + 2, sizeof *argv);
	struct reading *reading = xmalloc(sizeof *reading);
	char key[KEY_SIZE];

	*reading = (struct reading){ cb, arg, count };
	key_of(account, key);
	argv[0] = "HMGET";
	argv[1] = key;
	for (size_t i = 0; i < count; i++)
		argv[i + 2] = json_string_value(json_array_get(names, i));
	if (count)
		redis_command(redis, TIMEOUT_MS, on_reports, reading, (int)count + 2, argv, NULL);
	else
		on_reports(reading, -1, NULL);
	free(argv);
}
