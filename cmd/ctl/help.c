/*
 * help.c - prints --help: a page like one of man, for one command or for all.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/ctl/ctl.h"
#include "shared/base/log.h"

#define WIDTH 80
#define MARGIN 4
#define ROOM 28 /* columns of an option or a variable before its text */

static const char exits[] = "    0   done\n"
			    "    1   refused, or nobody answers; standard error says why\n"
			    "    2   a wrong command line\n";

static const char *const variables[][2] = {
	{ "SHOUT_URL", "--url, where neither that nor -c is given" },
	{ "SHOUT_TOKEN_FILE", "--token-file, likewise" },
	{ "SHOUT_CA_FILE", "--ca-file, likewise" },
};

static const char *const files[][2] = {
	{ "/etc/shout/shout.yaml", "-c, unless given: control.listen is where the API is" },
	{ "control.token", "in state_dir: who may read it may do everything" },
};

/* Prints words in lines of WIDTH; the first line begins at column `at`. */
static void
print_wrapped(FILE *out, const char *text, int margin, int at)
{
	for (size_t length; *text; text += length, text += strspn(text, " ")) {
		length = strcspn(text, " ");
		if (at > margin && at + 1 + (int)length > WIDTH)
			at = fprintf(out, "\n%*s", margin, "") - 1;
		else if (at > margin)
			at += fprintf(out, " ");
		at += fprintf(out, "%.*s", (int)length, text);
	}
	fputc('\n', out);
}

static void
print_item(FILE *out, const char *name, const char *text)
{
	const int margin = MARGIN + ROOM;
	int at = fprintf(out, "%*s%s", MARGIN, "", name);

	at += fprintf(out, "%*s", at < margin ? margin - at : 0, "");
	if (at > margin)
		at = fprintf(out, "\n%*s", margin, "") - 1;
	print_wrapped(out, text, margin, at);
}

/* "--name NAME" */
static char *
option_text(const struct ctl_known *known)
{
	return known->value ? xasprintf("--%s %s", known->name, known->value)
			    : xasprintf("--%s", known->name);
}

static void
print_option(FILE *out, const struct ctl_known *known, const char *marks)
{
	char *name = option_text(known);
	char *text = xasprintf("%s%s%s%s", known->help, ctl_marked(marks, '!') ? "; needed" : "",
		ctl_marked(marks, '|') ? " (*)" : "",
		ctl_marked(marks, '+') ? "; may be repeated" : "");

	print_item(out, name, text);
	free(name);
	free(text);
}

static void
print_options(FILE *out, const char *options)
{
	for (const struct ctl_known *known = ctl_known; known->name; known++) {
		const char *marks = ctl_listed(options, known->name);

		if (marks)
			print_option(out, known, marks);
	}
}

/* The command with its needed options and words. */
static void
print_synopsis(const struct command *command)
{
	char *line = xasprintf("shoutctl [-c FILE | --url URL --token-file FILE] %s%s%s",
		command->name, *command->words ? " " : "", command->words);

	for (const struct ctl_known *known = ctl_known; known->name; known++) {
		const char *marks = ctl_listed(command->options, known->name);
		char *option, *longer;

		if (!ctl_marked(marks, '!'))
			continue;
		option = option_text(known);
		longer = xasprintf("%s %s%s", line, option, ctl_marked(marks, '+') ? "..." : "");
		free(option);
		free(line);
		line = longer;
	}
	printf("SYNOPSIS\n%*s", MARGIN, "");
	print_wrapped(stdout, line, MARGIN, MARGIN);
	free(line);
}

void
help_command(const struct command *command)
{
	const struct manual *manual = manual_find(command->name);

	printf("NAME\n    shoutctl %s - %s\n\n", command->name, command->help);
	print_synopsis(command);
	if (manual) {
		printf("\nDESCRIPTION\n%*s", MARGIN, "");
		print_wrapped(stdout, manual->text, MARGIN, MARGIN);
	}
	printf("\nOPTIONS\n");
	print_options(stdout, command->options);
	print_item(stdout, "-c FILE", "the configuration (/etc/shout/shout.yaml)");
	print_options(stdout, CTL_EVERY);
	if (strchr(command->options, '|'))
		printf("    (*) one of these is needed%s\n",
			*command->words == '[' ? ", or the ID of a message" : "");
	printf("\nEXIT STATUS\n%s", exits);
	if (manual)
		printf("\nEXAMPLES\n");
	for (size_t i = 0; manual && manual->examples[i]; i++)
		printf("    %s\n", manual->examples[i]);
}

static void
print_commands(FILE *out, const struct command *commands, size_t count, const char *noun)
{
	for (size_t i = 0; i < count; i++) {
		char *name = xasprintf("%s %s", commands[i].name, commands[i].words);

		if (strncmp(commands[i].name, noun, strlen(noun)) == 0)
			print_item(out, name, commands[i].help);
		free(name);
	}
}

void
help_all(FILE *out, const struct command *commands, size_t count, const char *noun)
{
	bool any = false;

	for (size_t i = 0; i < count && !any; i++)
		any = *noun && strncmp(commands[i].name, noun, strlen(noun)) == 0;
	fprintf(out,
		"NAME\n    shoutctl - what an operator of Shout asks and changes\n\nSYNOPSIS\n"
		"    shoutctl [-c FILE | --url URL --token-file FILE] [--json] COMMAND [WORD]\n"
		"        [OPTION]...\n    shoutctl COMMAND --help\n\nCOMMANDS\n");
	print_commands(out, commands, count, any ? noun : "");
	fprintf(out, "\nOPTIONS OF EVERY COMMAND\n");
	print_item(out, "-c FILE", "the configuration (/etc/shout/shout.yaml)");
	print_options(out, CTL_EVERY);
	fprintf(out, "\nENVIRONMENT\n");
	for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
		print_item(out, variables[i][0], variables[i][1]);
	fprintf(out, "\nFILES\n");
	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		print_item(out, files[i][0], files[i][1]);
	fprintf(out, "\nEXIT STATUS\n%s", exits);
}
