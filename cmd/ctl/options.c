/*
 * options.c - shoutctl's command line: words, and options anywhere between them.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/ctl/ctl.h"
#include "shared/log.h"

static const char *const switches[] = { "json", "verified", "raw", "help", NULL };
static const char *const valued[] = { "name", "contact", "domain", "mode", "ip", "policy",
	"messages-hour", "messages-day", "recipients-hour", "recipients-day", "username", "id",
	"site", "account", "state", "limit", "after", "provider", "credential", "egress-ip",
	"reason", "for", NULL };

void
ctl_error(const struct ctl *ctl, const char *format, ...)
{
	json_t *reply;
	char *text;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		die("out of memory", "vasprintf");
	va_end(args);
	fprintf(stderr, "shoutctl: %s\n", text);
	if (ctl->json) {
		reply = json_pack("{s:s}", "error", text);
		if (!reply) /* a file's text that is not UTF-8 */
			reply = json_pack("{s:s}", "error", "see standard error");
		print_json(reply);
		json_decref(reply);
	}
	free(text);
}

static bool
listed(const char *const *names, const char *name, size_t length)
{
	for (; *names; names++)
		if (strlen(*names) == length && strncmp(*names, name, length) == 0)
			return true;
	return false;
}

static int
full(const struct ctl *ctl)
{
	ctl_error(ctl, "too many words");
	return -1;
}

/* An option at argv[*i]; its value may be the next word or follow a "=". */
static int
take_option(struct ctl *ctl, int argc, char **argv, int *i)
{
	char *name = argv[*i] + 2;
	const size_t length = strcspn(name, "=");
	const char *value = name[length] == '=' ? name + length + 1 : NULL;

	if (ctl->options_count == CTL_VALUES_MAX)
		return full(ctl);
	if (listed(switches, name, length) && !value) {
		/* its name says all */
	} else if (listed(valued, name, length)) {
		if (!value && ++*i < argc)
			value = argv[*i];
		if (!value || !*value) {
			ctl_error(ctl, "--%s needs a value", name);
			return -1;
		}
	} else {
		ctl_error(ctl, "there is no option --%s (see --help)", name);
		return -1;
	}
	name[length] = '\0';
	ctl->options[ctl->options_count++] = (struct ctl_option){ name, value };
	return 0;
}

/* JSON has no room for other text, and a selector without one of its parts would mean more. */
static bool
all_utf8(const struct ctl *ctl, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		json_t *text = json_string(argv[i]);

		if (!text) {
			ctl_error(ctl, "word %d is not UTF-8", i);
			return false;
		}
		json_decref(text);
	}
	return true;
}

int
ctl_parse(struct ctl *ctl, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) /* first, for what is wrong before it */
		ctl->json = ctl->json || strcmp(argv[i], "--json") == 0;
	if (!all_utf8(ctl, argc, argv))
		return -1;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-c") == 0) {
			if (++i == argc) {
				ctl_error(ctl, "-c needs a file");
				return -1;
			}
			ctl->file = argv[i];
		} else if (strncmp(argv[i], "--", 2) == 0) {
			if (take_option(ctl, argc, argv, &i) < 0)
				return -1;
		} else if (argv[i][0] == '-' && argv[i][1]) {
			ctl_error(ctl, "there is no option %s (see --help)", argv[i]);
			return -1;
		} else if (!argv[i][0]) {
			ctl_error(ctl, "word %d is empty", i);
			return -1;
		} else {
			if (ctl->words_count == CTL_VALUES_MAX)
				return full(ctl);
			ctl->words[ctl->words_count++] = argv[i];
		}
	}
	return 0;
}

const char *
ctl_option(const struct ctl *ctl, const char *name)
{
	for (size_t i = ctl->options_count; i-- > 0;)
		if (strcmp(ctl->options[i].name, name) == 0)
			return ctl->options[i].value;
	return NULL;
}

bool
ctl_has(const struct ctl *ctl, const char *name)
{
	for (size_t i = 0; i < ctl->options_count; i++)
		if (strcmp(ctl->options[i].name, name) == 0)
			return true;
	return false;
}

bool
ctl_only(const struct ctl *ctl, const char *const *names)
{
	for (size_t i = 0; i < ctl->options_count; i++) {
		const char *name = ctl->options[i].name;

		if (strcmp(name, "json") != 0 && !listed(names, name, strlen(name))) {
			ctl_error(ctl, "this command does not take --%s", name);
			return false;
		}
	}
	return true;
}

bool
ctl_once(const struct ctl *ctl)
{
	for (size_t i = 0; i < ctl->options_count; i++) {
		const struct ctl_option *option = &ctl->options[i];

		if (option->value && ctl_option(ctl, option->name) != option->value) {
			ctl_error(ctl, "--%s may be given once", option->name);
			return false;
		}
	}
	return true;
}
