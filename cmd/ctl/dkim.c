/*
 * dkim.c - the commands about keys that mail is signed with.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/ctl/ctl.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"

static char *
path_of(const struct ctl *ctl, const char *behind)
{
	char *domain = ctl_encode(ctl->words[0]), *path = xasprintf("dkim/%s%s", domain, behind);

	free(domain);
	return path;
}

static void
print_record(const char *head, const json_t *record)
{
	if (!json_is_object(record))
		return;
	print_field(head, text_of(record, "type"));
	print_field("    name", text_of(record, "name"));
	print_field("    value", text_of(record, "value"));
}

static void
print_keys(const json_t *reply)
{
	const char *done = json_text(reply, "done");
	json_t *key, *keys = json_object_get(reply, "keys");
	size_t i;

	print_field("Domain", text_of(reply, "domain"));
	print_field("Account", json_text(reply, "account"));
	print_field("Signed", json_is_true(json_object_get(reply, "enabled")) ? "yes" : "no");
	json_array_foreach(keys, i, key)
	{
		char *text = xasprintf("%s, %s: %s", text_of(key, "selector"),
			text_of(key, "algorithm"), text_of(key, "state"));

		print_field("Key", text);
		print_record("  Record", json_object_get(key, "record"));
		print_record("  Our zone", json_object_get(key, "published"));
		free(text);
	}
	if (done && strcmp(done, "renewed") == 0)
		printf("There is a new next key. Once its record is in the DNS, rotate again.\n");
	else if (done)
		printf("The next key signs from now on. Leave the former one's record in the DNS.\n");
}

static void
print_domains(const json_t *reply)
{
	static const char *const heads[] = { "DOMAIN", "ACCOUNT", "SIGNED", "SELECTORS" };
	json_t *rows = json_array(), *one, *list = json_object_get(reply, "domains");
	size_t i;

	json_array_foreach(list, i, one)
	{
		char *selectors = joined(json_object_get(one, "selectors"), NULL);

		json_array_append_new(rows,
			json_pack("[s, s, s, s]", text_of(one, "domain"), text_of(one, "account"),
				json_is_true(json_object_get(one, "enabled")) ? "yes" : "no",
				selectors));
		free(selectors);
	}
	print_table(heads, 4, rows);
	print_count(reply, json_array_size(list), "domains");
	print_next(reply);
	json_decref(rows);
}

int
dkim_list(const struct ctl *ctl)
{
	return ctl_list(ctl, xstrdup("dkim"), "domains", print_domains);
}

int
dkim_show(const struct ctl *ctl)
{
	return ctl_ask(ctl, "GET", path_of(ctl, ""), NULL, print_keys);
}

int
dkim_enable(const struct ctl *ctl)
{
	json_t *body = json_object(), *algorithms = json_array();

	for (size_t i = 0; i < ctl->options_count; i++)
		if (strcmp(ctl->options[i].name, "algorithm") == 0)
			json_array_append_new(algorithms, json_string(ctl->options[i].value));
	if (json_array_size(algorithms))
		json_object_set(body, "algorithms", algorithms);
	json_decref(algorithms);
	return ctl_ask(ctl, "POST", path_of(ctl, ""), body, print_keys);
}

int
dkim_rotate(const struct ctl *ctl)
{
	json_t *body = json_object();

	if (ctl_has(ctl, "now"))
		json_object_set_new(body, "now", json_true());
	return ctl_ask(ctl, "POST", path_of(ctl, "/rotate"), body, print_keys);
}

int
dkim_disable(const struct ctl *ctl)
{
	return ctl_ask(ctl, "DELETE", path_of(ctl, ""), NULL, print_keys);
}
