/*
 * test_config_live.c - settings that change while the process runs: which, and how they are named.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/config/config_live.h"

static char directory[] = "/tmp/shout-live-XXXXXX";
static char file[64];

static struct config *
load(const char *text)
{
	FILE *out = fopen(file, "w");

	assert_non_null(out);
	fputs(text, out);
	fclose(out);
	return config_load_again(file, stderr);
}

static void
on_change(void *arg, const struct config_change *change)
{
	fprintf(arg, "%s%s: %s -> %s\n", change->live ? "" : "! ", change->path, change->before,
		change->after);
}

static char *
changes(const struct config *config, const struct config *fresh)
{
	char *text;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	config_compare(config, fresh, on_change, out);
	fclose(out);
	return text;
}

#define BASE "state_dir: /tmp/x\n"

static const struct {
	const char *before, *after, *changes;
} rows[] = {
	{ "", "", "" },
	{ "", "log: {level: debug}\n", "log.level: info -> debug\n" },
	/* what is written otherwise, and is the same, or the default */
	{ "sender: {lifetime: 5d, retry: {first: 300s}}\n", "sender: {lifetime: 120h}\n", "" },
	{ "sender: {timeout: {idle: 0}}\n", "sender: {timeout: {idle: 1500ms}}\n",
		"sender.timeout.idle: 0 -> 1500ms\n" },
	{ "queue: {events_size: 3M}\n", "queue: {events_size: 5000000}\n",
		"queue.events_size: 3M -> 5000000\n" },
	{ "queue: {map_size: 1G}\n", "queue: {map_size: 2G}\n", "! queue.map_size: 1G -> 2G\n" },
	{ "hostname: a.example\n", "hostname: b.example\n",
		"! hostname: a.example -> b.example\n"
		"! ingress.help_url: https://a.example/help -> https://b.example/help\n"
		"! ingress.postmaster: postmaster@a.example -> postmaster@b.example\n" },
	{ "ingress: {received_client_address: true}\n", "",
		"ingress.received_client_address: true -> false\n" },
	{ "ingress: {listen: [{address: '127.0.0.1:25'}]}\n", "",
		"! ingress.listen: [{address: 127.0.0.1:25, tls: none, tls_required: false, "
		"tls_profile: modern, auth: true, auth_without_tls: never, proxy: false, "
		"proxies: []}] -> []\n" },
	{ "", "sender: {allow_networks: [10.0.0.0/8, '::1']}\n",
		"! sender.allow_networks: [] -> [10.0.0.0/8, ::1]\n" },
	{ "redis: {password: one}\n", "redis: {password: two}\n",
		"! redis.password: (secret) -> (secret)\n" },
	{ "redis: {sentinels: ['a.example:1'], master: a, sentinel_password: one}\n",
		"redis: {sentinels: ['a.example:1', 'b.example:1'], master: b, sentinel_password: two}\n",
		"! redis.sentinels: [a.example:1] -> [a.example:1, b.example:1]\n"
		"! redis.master: a -> b\n! redis.sentinel_password: (secret) -> (secret)\n" },
	{ "", "redis: {password_file: /nowhere}\n", "! redis.password_file: ~ -> /nowhere\n" },
	/* with none before, or none behind, listeners have to change as well */
	{ "", "ingress: {tls: {certificate: /a, key: /b}}\n",
		"! ingress.tls.certificate: ~ -> /a\n! ingress.tls.key: ~ -> /b\n" },
	{ "ingress: {tls: {certificate: /a, key: /b}}\n",
		"ingress: {tls: {certificate: /c, key: /b, more: [{certificate: /d, key: /e}]}}\n",
		"ingress.tls.certificate: /a -> /c\n"
		"ingress.tls.more: [] -> [{certificate: /d, key: /e}]\n" },
};

static char *
with_base(const char *text)
{
	static char whole[2][1024];
	static int at;
	char *out = whole[at++ % 2];

	snprintf(out, sizeof whole[0], "%s%s%s", BASE,
		strncmp(text, "hostname", 8) == 0 ? "" : "hostname: h.example\n", text);
	return out;
}

static void
what_differs_is_named_and_taken_if_it_can_be(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct config *config = load(with_base(rows[i].before));
		struct config *fresh = load(with_base(rows[i].after));
		char *text, *left, *rest;

		assert_non_null(config);
		assert_non_null(fresh);
		text = changes(config, fresh);
		assert_string_equal(text, rows[i].changes);
		config_take(config, fresh);
		config_free(&fresh);
		fresh = load(with_base(rows[i].after));
		rest = left = changes(
			config, fresh); /* those that need a restart, and they alone */
		for (char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n")) {
			if (!*line)
				continue;
			assert_memory_equal(line, "! ", 2);
			assert_non_null(strstr(text, line));
		}
		free(text);
		free(left);
		config_free(&fresh);
		config_free(&config);
	}
}

static void
certificates_change_hands(void **state)
{
	struct config *config = load(BASE "ingress: {tls: {certificate: /a, key: /b}}\n");
	struct config *fresh = load(BASE
		"ingress: {tls: {certificate: /c, key: /d, more: [{certificate: /e, key: /f}]}}\n");
	struct config *none = load(BASE);

	(void)state;
	assert_true(config_other_certificates(config, fresh));
	config_take(config, fresh);
	assert_true(config_other_certificates(config, fresh));
	config_free(&fresh);
	assert_int_equal(config->ingress.tls.files_count, 2);
	assert_string_equal(config->ingress.tls.files[0].certificate, "/c");
	assert_string_equal(config->ingress.tls.files[1].key, "/f");
	config_take(config, none);
	assert_int_equal(config->ingress.tls.files_count, 2);
	config_free(&none);
	config_free(&config);
}

/* What keys ask of each other is looked at, files are not. */
static void
a_file_is_checked_as_a_whole_but_for_what_it_names(void **state)
{
	struct config *config = load(
		BASE "queue: {backend: kafka, brokers: 'a:1', "
		     "sasl: {mechanism: PLAIN, username: u, password_file: /nowhere}}\n"
		     "ingress: {tls: {certificate: /nowhere, key: /nowhere}}\n");
	char *errors = NULL;
	size_t length;
	FILE *out = open_memstream(&errors, &length), *broken = fopen(file, "w");

	(void)state;
	assert_non_null(config);
	config_free(&config);
	fputs(BASE "sender: {retry: {first: 1h, max: 1m}}\n", broken);
	fclose(broken);
	assert_null(config_load_again(file, out));
	fclose(out);
	assert_non_null(strstr(errors, ":2: sender.retry.first: is longer"));
	free(errors);
}

struct example {
	char lines[400][200];
	unsigned count;
	unsigned live, keys;
};

/* The last part of each path, below those before it. */
static const char *
line_of(const struct example *example, const char *path)
{
	unsigned depth = 0, at = 0;
	char part[64];

	for (const char *p = path; *p; p += *p == '.', depth++) {
		size_t n = strcspn(p, ".");

		snprintf(part, sizeof part, "%*s%.*s:", (int)(2 * depth), "", (int)n, p);
		while (at < example->count && strncmp(example->lines[at], part, strlen(part)) != 0)
			at++;
		p += n;
	}
	assert_true(at < example->count);
	return example->lines[at];
}

static void
on_key(void *arg, const char *path)
{
	struct example *example = arg;
	const char *line = line_of(example, path);

	example->keys++;
	if ((strstr(line, " #+") != NULL) != config_is_live(path))
		fail_msg("%s: deploy/shout.yaml says otherwise: %s", path, line);
}

static void
the_example_marks_what_changes_live(void **state)
{
	static struct example example;
	FILE *in = fopen("deploy/shout.yaml", "r");

	(void)state;
	assert_non_null(in);
	while (fgets(example.lines[example.count], sizeof example.lines[0], in))
		example.count++;
	fclose(in);
	config_each_key(on_key, &example);
	assert_true(example.keys > 80);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_differs_is_named_and_taken_if_it_can_be),
		cmocka_unit_test(certificates_change_hands),
		cmocka_unit_test(a_file_is_checked_as_a_whole_but_for_what_it_names),
		cmocka_unit_test(the_example_marks_what_changes_live),
	};
	int failed;

	if (!mkdtemp(directory))
		return 1;
	snprintf(file, sizeof file, "%s/shout.yaml", directory);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(file);
	rmdir(directory);
	return failed;
}
