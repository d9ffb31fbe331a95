/*
 * test_webhook.c - what is posted of an event, how it is signed, and where posts may not go.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/webhook/hooks.h"
#include "control/webhook/payload.h"
#include "control/webhook/target.h"
#include "control/webhook/webhook.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/net.h"
#include "shared/config/config.h"

static char *networks[] = { "10.9.0.0/16" };

static const struct config *
config(void)
{
	static struct config made;

	made.control.webhooks.networks = networks;
	made.control.webhooks.networks_count = 1;
	made.control.webhooks.retry = 10;
	made.control.webhooks.give_up = 1000;
	return &made;
}

static json_t *
read_json(const char *text)
{
	json_t *value = json_loads(text, 0, NULL);

	assert_non_null(value);
	return value;
}

static void
an_event_becomes_a_body_with_an_id_of_its_own(void **state)
{
	json_t *event = read_json(
		"{\"event\":\"bounced\",\"id\":\"m1\",\"account\":\"a\",\"originator\":\"o@x\","
		"\"site\":\"s\",\"to\":[\"p@y\"],\"attempts\":1,\"class\":\"bad-mailbox\","
		"\"reply\":\"550 no\",\"node\":\"secret-node\"}");
	char *id, *again, *other, *body = payload_new(event, &id), *text;
	json_t *shown = read_json(body);

	(void)state;
	assert_string_equal(json_text(shown, "id"), id);
	assert_string_equal(json_text(shown, "message"), "m1");
	assert_string_equal(json_text(shown, "originator"), "o@x");
	assert_string_equal(json_text(shown, "class"), "bad-mailbox");
	assert_string_equal(
		json_string_value(json_array_get(json_object_get(shown, "recipients"), 0)), "p@y");
	assert_null(json_object_get(shown, "node"));
	json_object_set_new(
		event, "time", json_string("2026-11-24T00:00:09.000Z")); /* told again */
	text = payload_new(event, &again);
	assert_string_equal(id, again);
	free(text);
	json_object_set_new(event, "attempts", json_integer(2));
	text = payload_new(event, &other);
	assert_string_not_equal(id, other);
	free(text);
	free(id);
	free(again);
	free(other);
	free(body);
	json_decref(shown);
	json_decref(event);
}

static void
the_signature_is_hmac_sha256_of_time_dot_body(void **state)
{
	char out[SIGNATURE_SIZE];

	(void)state;
	/* printf '1764547200.{"a":1}' | openssl dgst -sha256 -hmac whsec_key */
	payload_sign("whsec_key", 1764547200, "{\"a\":1}", 7, out);
	assert_string_equal(out,
		"t=1764547200,v1=5943019d4f69d308aa44f486b3da9db83c9984e499ca40462e354f9d50953cc0");
}

static void
posts_go_to_the_internet_and_named_networks_only(void **state)
{
	static const struct {
		const char *address;
		bool allowed;
	} rows[] = {
		{ "93.184.216.34", true },
		{ "2606:2800:220:1:248:1893:25c8:1946", true },
		{ "10.9.3.4", true },
		{ "10.8.3.4", false },
		{ "127.0.0.1", false },
		{ "0.0.0.0", false },
		{ "169.254.169.254", false },
		{ "172.16.0.1", false },
		{ "192.168.1.1", false },
		{ "100.64.0.1", false },
		{ "224.0.0.1", false },
		{ "255.255.255.255", false },
		{ "::", false },
		{ "::1", false },
		{ "fe80::1", false },
		{ "fd00::1", false },
		{ "ff02::1", false },
		{ "::ffff:127.0.0.1", false },
		{ "::ffff:10.8.0.1", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct net_address to;

		assert_int_equal(net_parse_ip(rows[i].address, 443, &to), 0);
		if (target_allowed(config(), (const struct sockaddr *)&to.sa, to.length) !=
			rows[i].allowed)
			fail_msg("%s", rows[i].address);
	}
}

static int
url_error(const char *url)
{
	struct directory *directory = directory_new();
	struct edit edit = { .config = config(), .directory = directory };
	json_t *body = json_pack("{s:s, s:[s]}", "url", url, "events", "held");
	int status;

	directory_set(directory, "account/a", read_json("{\"id\":\"a\",\"status\":\"active\"}"));
	status = webhook_add(&edit, "a", body, 1) ? edit.fault.status : 0;
	json_decref(body);
	json_decref(edit.changes);
	json_decref(edit.reply);
	directory_free(&directory);
	return status;
}

static void
an_url_is_http_on_the_internet_without_a_password(void **state)
{
	static const char *const wrong[] = { "", "x", "//x.example/", "gopher://x.example/",
		"file:///etc/passwd", "https://", "https://u@x.example/", "https://u:p@x.example/",
		"https://x.example/#a", "https://x .example/", "https://x.example/\n",
		"http://[::1]:80/", "http://127.1/", "http://0177.0.0.1/", "http://3232235777/",
		"http://10.8.0.1:8080/", "https://x.example:99999/", "https://\xc3\xa4.example/" };
	static const char *const right[] = { "https://x.example", "http://x.example:8080/a?b=c",
		"https://93.184.216.34/", "http://10.9.0.1/",
		"https://[2606:2800:220:1:248:1893:25c8:1946]/" };

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		if (url_error(wrong[i]) != 400)
			fail_msg("%s is taken", wrong[i]);
	for (size_t i = 0; i < sizeof right / sizeof *right; i++)
		if (url_error(right[i]) != 0)
			fail_msg("%s is refused", right[i]);
}

static void
on_tried(void *arg, const char *id, json_t *try)
{
	(void)arg;
	(void)id;
	json_decref(try);
}

static void
on_failed(void *arg, const char *id, const char *why)
{
	(void)arg;
	(void)id;
	(void)why;
}

static json_t *
event_of(unsigned number)
{
	return json_pack("{s:s, s:s, s:s, s:i, s:s}", "event", "held", "id", "m", "account", "a",
		"attempts", (int)number, "time", "2026-11-24T00:00:09.000Z");
}

static void
a_full_queue_leaves_the_webhook_behind_at_a_place(void **state)
{
	static const struct hooks_told told = { on_tried, on_failed };
	struct hooks *hooks = hooks_new(config(), &told, NULL);
	struct place *place = place_new(xstrdup("p1"));
	json_t *entries = read_json("[{\"id\":\"w\",\"account\":\"a\",\"url\":\"http://10.8.0.1/\","
				    "\"events\":[\"held\"],\"secret\":\"s\",\"since_us\":1}]");
	json_t *kept;
	struct hook *hook;

	(void)state;
	hooks_set(hooks, entries);
	hook = hooks_find(hooks, "w");
	assert_string_equal(hook->behind, ""); /* new: from its begin on */
	assert_ptr_equal(hooks_next_behind(hooks), hook);
	hook_set_behind(hook, NULL);
	for (unsigned i = 0; i <= HOOK_QUEUE_MAX; i++) {
		json_t *event = event_of(i);

		hooks_offer(hooks, "a", event, place);
		hooks_offer(hooks, "other", event, place);
		json_decref(event);
	}
	assert_int_equal(hook->queued, HOOK_QUEUE_MAX);
	assert_string_equal(hook->behind, "p1");
	assert_null(hooks_next_behind(hooks)); /* its queue first */
	kept = hooks_state(hooks);
	assert_string_equal(json_text(json_object_get(kept, "behind"), "w"), "p1");
	hooks_drop(hooks);
	assert_int_equal(hook->queued, 0);
	hooks_restore(hooks, kept);
	assert_string_equal(hook->behind, "p1");
	json_object_clear(json_object_get(kept, "behind"));
	hooks_restore(hooks, kept);
	assert_null(hook->behind);
	json_decref(kept);
	hooks_set(hooks, json_array_get(entries, 5));
	assert_null(hooks_find(hooks, "w"));
	assert_false(hooks_of_account(hooks, "a"));
	json_decref(entries);
	place_release(&place);
	hooks_free(&hooks);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_event_becomes_a_body_with_an_id_of_its_own),
		cmocka_unit_test(the_signature_is_hmac_sha256_of_time_dot_body),
		cmocka_unit_test(posts_go_to_the_internet_and_named_networks_only),
		cmocka_unit_test(an_url_is_http_on_the_internet_without_a_password),
		cmocka_unit_test(a_full_queue_leaves_the_webhook_behind_at_a_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
