/*
 * fuzz_command.c - a command's arguments lie in its line, parameters end, xtext stays on its line.
 */
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ingress/session/command.h"
#include "shared/base/text.h"
#include "shared/mail/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_parameters(const char *text, size_t length)
{
	const char *end = text + length;
	struct parameter p;

	while (parameter_next(&text, &length, &p) == 1) {
		char *decoded = malloc(p.value_length + 1);

		assert(text + length == end && p.key_length > 0 && p.key + p.key_length <= text);
		assert(!p.value || p.value + p.value_length == text);
		if (p.value && xtext_decode(p.value, p.value_length, decoded) == 0)
			for (const char *at = decoded; *at; at++)
				assert(!is_control(*at));
		free(decoded);
	}
	assert(text + length == end);
}

static bool
is_inside(const struct parameter_text *value, const char *text, size_t length)
{
	return !value->text ||
		(value->text >= text && value->text + value->length <= text + length);
}

/* Either all is read, or nothing is written. */
static void
check_readers(const char *text, size_t length)
{
	struct mail_parameters mail = { .ret = NULL };
	struct rcpt_parameters rcpt = { .notify = 99 };
	struct parameter bad;

	if (mail_parameters_read(text, length, &mail, &bad) == 0)
		assert(mail.ret && is_inside(&mail.envid, text, length));
	else
		assert(!mail.ret && !mail.size && !mail.envid.text);
	if (rcpt_parameters_read(text, length, &rcpt, &bad) == 0)
		assert(rcpt.notify < 16 && is_inside(&rcpt.orcpt, text, length));
	else
		assert(rcpt.notify == 99 && !rcpt.orcpt.text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *line = (const char *)data;
	struct command command;
	struct address address;
	long path;

	command_parse(line, size, &command);
	assert(command.verb < VERB_COUNT);
	if (!command.args)
		return 0;
	assert(command.args >= line && command.args + command.args_length <= line + size);
	path = address_parse_path(command.args, command.args_length, &address);
	if (path > 0)
		check_parameters(command.args + path, command.args_length - (size_t)path);
	check_parameters(line, size);
	check_readers(line, size);
	return 0;
}
