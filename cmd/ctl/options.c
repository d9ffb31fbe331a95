/*
 * options.c - shoutctl's command line: words, and options anywhere between them.
 */
#include <stdio.h>
#include <string.h>

#include "cmd/ctl/ctl.h"

static const char *const switches[] = { "json", "verified", "raw", "help", NULL };
static const char *const valued[] = { "name", "contact", "domain", "mode", "ip", "policy",
	"messages-hour", "messages-day", "recipients-hour", "recipients-day", "username", "id",
	"site", "account", "state", "limit", "after", "provider", "credential", "egress-ip",
	"reason", "for", NULL };

static bool
listed(const char *const *names, const char *name, size_t length)
{
	for (; *names; names++)
		if (strlen(*names) == length && strncmp(*names, name, length) == 0)
			return true;
	return false;
}

static int
full(void)
{
	fprintf(stderr, "shoutctl: too many words\n");
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
		return full();
	if (listed(switches, name, length) && !value) {
		if (strcmp(name, "json") == 0)
			ctl->json = true;
	} else if (listed(valued, name, length)) {
		if (!value && ++*i < argc)
			value = argv[*i];
		if (!value) {
			fprintf(stderr, "shoutctl: --%s needs a value\n", name);
			return -1;
		}
	} else {
		fprintf(stderr, "shoutctl: there is no option --%s (see --help)\n", name);
		return -1;
	}
	name[length] = '\0';
	ctl->options[ctl->options_count++] = (struct ctl_option){ name, value };
	return 0;
}

int
ctl_parse(struct ctl *ctl, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-c") == 0) {
			if (++i == argc) {
				fprintf(stderr, "shoutctl: -c needs a file\n");
				return -1;
			}
			ctl->file = argv[i];
		} else if (strncmp(argv[i], "--", 2) == 0) {
			if (take_option(ctl, argc, argv, &i) < 0)
				return -1;
		} else if (argv[i][0] == '-' && argv[i][1]) {
			fprintf(stderr, "shoutctl: there is no option %s (see --help)\n", argv[i]);
			return -1;
		} else {
			if (ctl->words_count == CTL_VALUES_MAX)
				return full();
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
			fprintf(stderr, "shoutctl: this command does not take --%s\n", name);
			return false;
		}
	}
	return true;
}
