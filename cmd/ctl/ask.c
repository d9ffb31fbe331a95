/*
 * ask.c - a command's request from its options, and its answer printed.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cmd/ctl/ctl.h"
#include "shared/base/log.h"

void
ctl_set(const struct ctl *ctl, json_t *body, const char *option)
{
	const char *value = ctl_option(ctl, option);

	if (value)
		json_object_set_new(body, option, json_string(value));
}

/* An option's name in the API: "egress_ip". The caller's to free. */
static char *
field_of(const char *option)
{
	char *field = xstrdup(option);

	for (char *c = field; *c; c++)
		*c = *c == '-' ? '_' : *c;
	return field;
}

char *
ctl_query(const struct ctl *ctl, const char *path, const char *const *options)
{
	char *uri = xstrdup(path), *longer, *field, *value;
	char separator = '?';

	for (; *options; options++) {
		if (!ctl_option(ctl, *options))
			continue;
		field = field_of(*options);
		value = ctl_encode(ctl_option(ctl, *options));
		longer = xasprintf("%s%c%s=%s", uri, separator, field, value);
		free(uri);
		free(field);
		free(value);
		uri = longer;
		separator = '&';
	}
	return uri;
}

int
ctl_ask(const struct ctl *ctl, const char *method, char *path, json_t *body,
	void (*print)(const json_t *reply))
{
	json_t *reply = ctl_request(ctl, method, path, body);

	free(path);
	if (!reply)
		return CTL_FAILED;
	if (ctl->json)
		print_json(reply);
	else
		print(reply);
	if (json_is_false(json_object_get(reply, "applied")))
		fprintf(stderr, "shoutctl: Redis does not answer: it is told when it does\n");
	json_decref(reply);
	return CTL_OK;
}
