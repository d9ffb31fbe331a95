/*
 * ask.c - a command's request from its options, and its answer printed.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cmd/ctl/ctl.h"
#include "shared/log.h"

void
ctl_set(const struct ctl *ctl, json_t *body, const char *option)
{
	const char *value = ctl_option(ctl, option);

	if (value)
		json_object_set_new(body, option, json_string(value));
}

char *
ctl_query(const struct ctl *ctl, const char *path, const char *const *names)
{
	char *uri = xstrdup(path), *longer, *value;
	char separator = '?';

	for (; *names; names++) {
		if (!ctl_option(ctl, *names))
			continue;
		value = ctl_encode(ctl_option(ctl, *names));
		longer = xasprintf("%s%c%s=%s", uri, separator, *names, value);
		free(uri);
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
