/*
 * egress.c - the commands about egress IPs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/ctl/ctl.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"

static char *
path_of(const struct ctl *ctl)
{
	char *ip = ctl_encode(ctl->words[0]), *path = xasprintf("egress/%s", ip);

	free(ip);
	return path;
}

static void
print_egress(const json_t *egress)
{
	print_field("Egress IP", text_of(egress, "ip"));
	print_field("Name", json_text(egress, "helo"));
	print_field("Pool", json_text(egress, "pool"));
	print_field("Weight", number_of(egress, "weight"));
	print_field("Via", json_text(egress, "via"));
	print_field("State", json_text(egress, "state"));
	print_field("Rests until", json_text(egress, "rest_until"));
	print_field("Warms up since", json_text(egress, "warming_since"));
	print_field("Blocks lifted", json_text(egress, "lifted"));
}

static void
print_removed(const json_t *reply)
{
	printf("Mail no longer leaves from %s.\n", text_of(reply, "id"));
}

static void
print_list(const json_t *reply)
{
	static const char *const heads[] = { "IP", "NAME", "POOL", "WEIGHT", "STATE", "VIA" };
	json_t *rows = json_array(), *one, *list = json_object_get(reply, "egress_ips");
	size_t i;

	json_array_foreach(list, i, one) json_array_append_new(rows,
		json_pack("[s, s, s, s, s, s]", text_of(one, "ip"), text_of(one, "helo"),
			text_of(one, "pool"), number_of(one, "weight"), text_of(one, "state"),
			text_of(one, "via")));
	print_table(heads, 6, rows);
	print_count(reply, json_array_size(list), "egress IPs");
	print_next(reply);
	json_decref(rows);
}

/* A number that is none goes as text, for the API to refuse it by name. */
static void
set_weight(const struct ctl *ctl, json_t *body)
{
	const char *text = ctl_option(ctl, "weight");
	char *end;
	long n;

	if (!text)
		return;
	n = strtol(text, &end, 10);
	json_object_set_new(
		body, "weight", *text && !*end ? json_integer((json_int_t)n) : json_string(text));
}

int
egress_ip_add(const struct ctl *ctl)
{
	json_t *body = json_pack("{s:s}", "ip", ctl->words[0]);

	ctl_set(ctl, body, "helo");
	ctl_set(ctl, body, "pool");
	ctl_set(ctl, body, "via");
	set_weight(ctl, body);
	if (ctl_has(ctl, "warm"))
		json_object_set_new(body, "warm", json_true());
	return ctl_ask(ctl, "POST", xstrdup("egress"), body, print_egress);
}

int
egress_ip_list(const struct ctl *ctl)
{
	return ctl_list(ctl, xstrdup("egress"), "egress_ips", print_list);
}

int
egress_ip_show(const struct ctl *ctl)
{
	return ctl_ask(ctl, "GET", path_of(ctl), NULL, print_egress);
}

int
egress_ip_rest(const struct ctl *ctl)
{
	const char *until = ctl_option(ctl, "until");
	json_t *body = json_pack("{s:s}", "rest_until", strcmp(until, "now") == 0 ? "" : until);

	return ctl_ask(ctl, "PATCH", path_of(ctl), body, print_egress);
}

int
egress_ip_lift(const struct ctl *ctl)
{
	return ctl_ask(ctl, "PATCH", path_of(ctl), json_pack("{s:b}", "lifted", 1), print_egress);
}

int
egress_ip_pool(const struct ctl *ctl)
{
	json_t *body = json_pack("{s:s}", "pool", ctl->words[1]);

	set_weight(ctl, body);
	return ctl_ask(ctl, "PATCH", path_of(ctl), body, print_egress);
}

int
egress_ip_remove(const struct ctl *ctl)
{
	return ctl_ask(ctl, "DELETE", path_of(ctl), NULL, print_removed);
}
