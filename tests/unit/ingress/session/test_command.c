/*
 * test_command.c - command lines as the standard has them and as old clients write them.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ingress/session/command.h"
#include "shared/mail/address.h"
#include "shared/mail/envelope.h"

#define N10 "1234567890"
#define N100 N10 N10 N10 N10 N10 N10 N10 N10 N10 N10

static const struct {
	const char *name, *line;
	enum verb verb;
	const char *args; /* NULL: none */
} lines[] = {
	{ "a verb alone", "DATA", VERB_DATA, "" },
	{ "lower case", "data", VERB_DATA, "" },
	{ "mixed case", "qUiT", VERB_QUIT, "" },
	{ "HELO", "HELO host.example", VERB_HELO, "host.example" },
	{ "EHLO with any name", "EHLO [my_pc !]", VERB_EHLO, "[my_pc !]" },
	{ "STARTTLS", "STARTTLS", VERB_STARTTLS, "" },
	{ "AUTH", "AUTH PLAIN AGEAYg==", VERB_AUTH, "PLAIN AGEAYg==" },
	{ "RSET", "RSET", VERB_RSET, "" },
	{ "NOOP with a word", "NOOP x", VERB_NOOP, "x" },
	{ "VRFY", "VRFY joe", VERB_VRFY, "joe" },
	{ "EXPN", "EXPN list", VERB_EXPN, "list" },
	{ "HELP", "HELP", VERB_HELP, "" },
	{ "blanks at the end", "RSET  \t ", VERB_RSET, "" },
	{ "blanks before the verb", "  RSET", VERB_RSET, "" },
	{ "several blanks behind the verb", "EHLO   x", VERB_EHLO, "x" },
	{ "a tab behind the verb", "EHLO\tx", VERB_EHLO, "x" },
	{ "MAIL FROM", "MAIL FROM:<a@b.c>", VERB_MAIL, "<a@b.c>" },
	{ "MAIL FROM in lower case", "mail from:<a@b.c>", VERB_MAIL, "<a@b.c>" },
	{ "a blank behind the colon", "MAIL FROM: <a@b.c>", VERB_MAIL, " <a@b.c>" },
	{ "a blank before the colon", "MAIL FROM : <a@b.c>", VERB_MAIL, " <a@b.c>" },
	{ "a tab before FROM", "MAIL\tFROM:<a@b.c>", VERB_MAIL, "<a@b.c>" },
	{ "several blanks before FROM", "MAIL   FROM:<a@b.c>", VERB_MAIL, "<a@b.c>" },
	{ "no brackets", "MAIL FROM:a@b.c", VERB_MAIL, "a@b.c" },
	{ "parameters and blanks at the end", "MAIL FROM:<a@b.c> SIZE=1  ", VERB_MAIL,
		"<a@b.c> SIZE=1" },
	{ "RCPT TO", "RCPT TO:<a@b.c>", VERB_RCPT, "<a@b.c>" },
	{ "RCPT TO in mixed case", "Rcpt To: a@b.c", VERB_RCPT, " a@b.c" },
	{ "nothing behind the colon", "MAIL FROM:", VERB_MAIL, "" },
	{ "MAIL alone", "MAIL", VERB_MAIL, NULL },
	{ "MAIL without FROM", "MAIL <a@b.c>", VERB_MAIL, NULL },
	{ "MAIL FROM without a colon", "MAIL FROM <a@b.c>", VERB_MAIL, NULL },
	{ "MAIL TO", "MAIL TO:<a@b.c>", VERB_MAIL, NULL },
	{ "RCPT FROM", "RCPT FROM:<a@b.c>", VERB_RCPT, NULL },
	{ "MAIL FROM in one word", "MAILFROM:<a@b.c>", VERB_UNKNOWN, ":" },
	{ "FROM cut short", "MAIL FRO", VERB_MAIL, NULL },
	{ "an unknown verb", "XYZZY now", VERB_UNKNOWN, "now" },
	{ "a verb too long", "DATAS", VERB_UNKNOWN, "" },
	{ "a verb too short", "DAT", VERB_UNKNOWN, "" },
	{ "an empty line", "", VERB_UNKNOWN, "" },
	{ "blanks alone", "  ", VERB_UNKNOWN, "" },
	{ "an HTTP request", "GET / HTTP/1.1", VERB_UNKNOWN, "/ HTTP/1.1" },
	{ "a TLS handshake", "\x16\x03\x01", VERB_UNKNOWN, "" },
};

static char *
exact(const char *text, size_t length)
{
	char *copy = malloc(length ? length : 1);

	memcpy(copy, text, length);
	return copy;
}

static void
lines_are_verbs_and_arguments(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		size_t length = strlen(lines[i].line);
		char *line = exact(lines[i].line, length);
		struct command out;

		command_parse(line, length, &out);
		if (out.verb != lines[i].verb || !out.args != !lines[i].args)
			fail_msg("%s: verb %d", lines[i].name, out.verb);
		if (out.verb != VERB_UNKNOWN && out.args &&
			(out.args_length != strlen(lines[i].args) ||
				memcmp(out.args, lines[i].args, out.args_length) != 0))
			fail_msg("%s: \"%.*s\"", lines[i].name, (int)out.args_length, out.args);
		if (out.args)
			assert_true(
				out.args >= line && out.args + out.args_length <= line + length);
		free(line);
	}
}

static void
a_nul_makes_a_verb_unknown(void **state)
{
	struct command out;

	(void)state;
	command_parse("DATA\0", 5, &out);
	assert_int_equal(out.verb, VERB_UNKNOWN);
	command_parse("DA\0A", 4, &out);
	assert_int_equal(out.verb, VERB_UNKNOWN);
}

/* Keys and values, "KEY" or "KEY=value", joined by "|"; "!" where the syntax ends. */
static void
describe(const char *text, size_t length, char *out, size_t room)
{
	struct parameter p;
	size_t n = 0;
	int result;

	out[0] = '\0';
	while ((result = parameter_next(&text, &length, &p)) == 1)
		n += (size_t)snprintf(out + n, room - n, "%s%.*s%s%.*s", n ? "|" : "",
			(int)p.key_length, p.key, p.value ? "=" : "", (int)p.value_length,
			p.value ? p.value : "");
	if (result < 0)
		snprintf(out + n, room - n, "!");
}

static const struct {
	const char *name, *text, *parameters;
} parameters[] = {
	{ "none", "", "" },
	{ "blanks", "  \t", "" },
	{ "one", " SIZE=1", "SIZE=1" },
	{ "one right behind the path", "SIZE=1", "SIZE=1" },
	{ "several, and tabs", " SIZE=1\tBODY=8BITMIME  SMTPUTF8",
		"SIZE=1|BODY=8BITMIME|SMTPUTF8" },
	{ "a hyphen in the key", " X-A=1", "X-A=1" },
	{ "an angle in the value", " AUTH=<>", "AUTH=<>" },
	{ "an empty value", " AUTH=", "AUTH=" },
	{ "an equals sign in the value", " ENVID=a==", "ENVID=a==" },
	{ "a comma and a semicolon", " NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a@b.c",
		"NOTIFY=SUCCESS,DELAY|ORCPT=rfc822;a@b.c" },
	{ "UTF-8 in a value", " ORCPT=utf-8;\xc3\xa9@b.c", "ORCPT=utf-8;\xc3\xa9@b.c" },
	{ "no key", " =1", "!" },
	{ "a key that starts with a hyphen", " -A=1", "!" },
	{ "a bracket too many", ">", "!" },
	{ "a second path", " <a@b.c>", "!" },
	{ "a strange character in the key", " SI_ZE=1", "!" },
	{ "a control character in the value", " A=1\x01", "!" },
	{ "a good one before a bad one", " SIZE=1 ?", "SIZE=1!" },
};

static void
parameters_are_read(void **state)
{
	char got[200];

	(void)state;
	for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++) {
		size_t length = strlen(parameters[i].text);
		char *text = exact(parameters[i].text, length);

		describe(text, length, got, sizeof got);
		if (strcmp(got, parameters[i].parameters) != 0)
			fail_msg("%s: %s", parameters[i].name, got);
		free(text);
		for (size_t cut = 0; cut < length; cut++) {
			text = exact(parameters[i].text, cut);
			describe(text, cut, got, sizeof got);
			free(text);
		}
	}
}

static void
keys_are_compared_in_any_case(void **state)
{
	const char *text = "sIzE=1";
	size_t length = 6;
	struct parameter p;

	(void)state;
	assert_int_equal(parameter_next(&text, &length, &p), 1);
	assert_true(parameter_is(&p, "SIZE"));
	assert_false(parameter_is(&p, "SIZ"));
	assert_false(parameter_is(&p, "SIZES"));
}

/* Path and parameters as the MAIL command reads them: from args to the end of the line. */
static void
a_whole_command_is_read_in_three_steps(void **state)
{
	static const char line[] = "mail from: < Joe@B.example >Size=1000\tbody=8bitmime ";
	struct command command;
	struct address address;
	struct parameter p;
	long path;

	(void)state;
	command_parse(line, strlen(line), &command);
	assert_int_equal(command.verb, VERB_MAIL);
	path = address_parse_path(command.args, command.args_length, &address);
	assert_true(path > 0);
	assert_memory_equal(address.text, "Joe@B.example", address.length);
	command.args += path;
	command.args_length -= (size_t)path;
	assert_int_equal(parameter_next(&command.args, &command.args_length, &p), 1);
	assert_true(parameter_is(&p, "SIZE"));
	assert_int_equal(parameter_next(&command.args, &command.args_length, &p), 1);
	assert_true(parameter_is(&p, "BODY"));
	assert_memory_equal(p.value, "8bitmime", p.value_length);
	assert_int_equal(parameter_next(&command.args, &command.args_length, &p), 0);
}

static const struct {
	const char *name, *text, *decoded; /* NULL: refused */
} xtexts[] = {
	{ "plain text", "abc@d.e", "abc@d.e" },
	{ "nothing", "", "" },
	{ "a plus and an equals sign", "a+2Bb+3Dc", "a+b=c" },
	{ "a blank", "a+20b", "a b" },
	{ "lower case digits", "+2b", "+" },
	{ "octets above 127", "+C3+A9", "\xc3\xa9" },
	{ "UTF-8 as it is", "\xc3\xa9", "\xc3\xa9" },
	{ "a plus alone", "a+", NULL },
	{ "one digit", "a+2", NULL },
	{ "no digits", "+XYz", NULL },
	{ "one good digit", "+2G", NULL },
	{ "an encoded CR", "+0D", NULL },
	{ "an encoded LF", "+0A", NULL },
	{ "an encoded NUL", "+00", NULL },
	{ "an encoded DEL", "+7F", NULL },
	{ "a blank as it is", "a b", NULL },
	{ "a control character", "a\x01", NULL },
	{ "an encoded C1", "a+C2+9B", NULL },
	{ "an encoded RLO", "+E2+80+AE", NULL },
};

static void
xtext_is_decoded_or_refused(void **state)
{
	char out[64];

	(void)state;
	for (size_t i = 0; i < sizeof xtexts / sizeof *xtexts; i++) {
		size_t length = strlen(xtexts[i].text);
		char *text = exact(xtexts[i].text, length);
		int result = xtext_decode(text, length, out);

		if ((result < 0) != !xtexts[i].decoded ||
			(result == 0 && strcmp(out, xtexts[i].decoded) != 0))
			fail_msg("%s", xtexts[i].name);
		free(text);
	}
	assert_true(xtext_decode("a\0b", 3, out) < 0);
}

/* What is read: "size=1 8bit utf8 ret=FULL envid=x", or "bad KEY" or "unknown KEY". */
static const struct {
	const char *text, *read;
} mails[] = {
	{ "", "" },
	{ " ", "" },
	{ " SIZE=1", "size=1" },
	{ " size=1000 Body=8bitMIME SMTPutf8 RET=full ENVID=q+2B1 AUTH=<>",
		"size=1000 8bit utf8 ret=FULL envid=q+2B1" },
	{ " BODY=7BIT", "" },
	{ " RET=HDRS", "ret=HDRS" },
	{ " SIZE=0", "" },
	{ " SIZE=18446744073709551615", "size=18446744073709551605" },
	{ " SIZE=99999999999999999999", "size=18446744073709551609" },
	{ " AUTH", "" },
	{ " AUTH=", "" },
	{ " AUTH=a+40b", "" },
	{ " SIZE", "bad SIZE" },
	{ " SIZE=", "bad SIZE" },
	{ " SIZE=x", "bad SIZE" },
	{ " SIZE=1x", "bad SIZE" },
	{ " SIZE=-1", "bad SIZE" },
	{ " SIZE=+1", "bad SIZE" },
	{ " SIZE=999999999999999999999", "bad SIZE" },
	{ " SIZE=1 SIZE=2", "bad SIZE" },
	{ " SIZE=1 size=1", "bad size" },
	{ " BODY", "bad BODY" },
	{ " BODY=", "bad BODY" },
	{ " BODY=9BIT", "bad BODY" },
	{ " BODY=BINARYMIME", "bad BODY" },
	{ " BODY=7BIT BODY=8BITMIME", "bad BODY" },
	{ " BODY=8BITMIME BODY=x", "bad BODY" },
	{ " SMTPUTF8=", "bad SMTPUTF8" },
	{ " SMTPUTF8=yes", "bad SMTPUTF8" },
	{ " SMTPUTF8 SMTPUTF8", "bad SMTPUTF8" },
	{ " RET", "bad RET" },
	{ " RET=", "bad RET" },
	{ " RET=ALL", "bad RET" },
	{ " RET=FULL RET=HDRS", "bad RET" },
	{ " ENVID", "bad ENVID" },
	{ " ENVID=", "bad ENVID" },
	{ " ENVID=+", "bad ENVID" },
	{ " ENVID=+0D+0Ax", "bad ENVID" },
	{ " ENVID=a ENVID=b", "bad ENVID" },
	{ " ENVID=" N100, "envid=" N100 },
	{ " ENVID=" N100 "x", "bad ENVID" },
	{ " AUTH=<> AUTH=<>", "bad AUTH" },
	{ " NOTIFY=NEVER", "unknown NOTIFY" },
	{ " ORCPT=rfc822;x@y", "unknown ORCPT" },
	{ " FOO", "unknown FOO" },
	{ " SIZE=1 FOO=1 BODY=x", "unknown FOO" },
	{ " SIZE=1 BODY=x FOO", "bad BODY" },
	{ " SIZES=1", "unknown SIZES" },
	{ " =", "bad " },
	{ " SIZE=1 >", "bad " },
	{ " SIZE=1 RET=FULL ?", "bad " },
};

static const char *
outcome(int err, const struct parameter *bad, char *out, size_t room)
{
	snprintf(out, room, "%s %.*s", err == -ENOTSUP ? "unknown" : "bad", (int)bad->key_length,
		bad->key_length ? bad->key : "");
	return out;
}

static const char *
mail_described(const char *text, size_t length, char *out, size_t room)
{
	static const struct mail_parameters untouched = { .size = 7, .ret = "old" };
	struct mail_parameters read = untouched;
	struct parameter bad;
	int err = mail_parameters_read(text, length, &read, &bad);

	if (err) {
		assert_memory_equal(&read, &untouched, sizeof read);
		return outcome(err, &bad, out, room);
	}
	snprintf(out, room, "%s", "");
	if (read.size)
		snprintf(out, room, " size=%llu", (unsigned long long)read.size);
	snprintf(out + strlen(out), room - strlen(out), "%s%s%s%s%s%.*s",
		read.body_8bit ? " 8bit" : "", read.smtputf8 ? " utf8" : "",
		*read.ret ? " ret=" : "", read.ret, read.envid.text ? " envid=" : "",
		(int)read.envid.length, read.envid.text ? read.envid.text : "");
	return *out ? out + 1 : out;
}

static void
parameters_of_mail_are_all_right_or_leave_nothing(void **state)
{
	char got[300];

	(void)state;
	for (size_t i = 0; i < sizeof mails / sizeof *mails; i++) {
		size_t length = strlen(mails[i].text);
		char *text = exact(mails[i].text, length);

		if (strcmp(mail_described(text, length, got, sizeof got), mails[i].read) != 0)
			fail_msg("%s: %s", mails[i].text, got);
		free(text);
		for (size_t cut = 0; cut < length; cut++) {
			text = exact(mails[i].text, cut);
			mail_described(text, cut, got, sizeof got);
			free(text);
		}
	}
}

static const struct {
	const char *text;
	int err;
	unsigned notify;
	const char *orcpt; /* NULL: none */
} rcpts[] = {
	{ "", 0, 0, NULL },
	{ " NOTIFY=NEVER", 0, NOTIFY_NEVER, NULL },
	{ " notify=success,Failure,DELAY", 0, NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY,
		NULL },
	{ " NOTIFY=DELAY,DELAY", 0, NOTIFY_DELAY, NULL },
	{ " ORCPT=rfc822;x+40y NOTIFY=DELAY", 0, NOTIFY_DELAY, "rfc822;x+40y" },
	{ " ORCPT=rfc822;", 0, 0, "rfc822;" },
	{ " NOTIFY", -EINVAL, 0, NULL },
	{ " NOTIFY=", -EINVAL, 0, NULL },
	{ " NOTIFY=,", -EINVAL, 0, NULL },
	{ " NOTIFY=DELAY,", -EINVAL, 0, NULL },
	{ " NOTIFY=,DELAY", -EINVAL, 0, NULL },
	{ " NOTIFY=DELAY,,FAILURE", -EINVAL, 0, NULL },
	{ " NOTIFY=ALWAYS", -EINVAL, 0, NULL },
	{ " NOTIFY=DELA", -EINVAL, 0, NULL },
	{ " NOTIFY=NEVER,DELAY", -EINVAL, 0, NULL },
	{ " NOTIFY=DELAY NOTIFY=DELAY", -EINVAL, 0, NULL },
	{ " NOTIFY=NEVER ORCPT=rfc822;x NOTIFY=DELAY", -EINVAL, 0, NULL },
	{ " ORCPT", -EINVAL, 0, NULL },
	{ " ORCPT=", -EINVAL, 0, NULL },
	{ " ORCPT=x", -EINVAL, 0, NULL },
	{ " ORCPT=;x", -EINVAL, 0, NULL },
	{ " ORCPT=rfc822;+", -EINVAL, 0, NULL },
	{ " ORCPT=rfc822;+0A", -EINVAL, 0, NULL },
	{ " ORCPT=rfc822;x ORCPT=rfc822;x", -EINVAL, 0, NULL },
	{ " ORCPT=rfc822;" N100 N100 N100 N100 "12345678901234567890", 0, 0,
		"rfc822;" N100 N100 N100 N100 "12345678901234567890" },
	{ " ORCPT=rfc822;" N100 N100 N100 N100 N100, -EINVAL, 0, NULL },
	{ " NOTIFY=DELAY SIZE=1", -ENOTSUP, 0, NULL },
	{ " ORCPT=rfc822;x FOO", -ENOTSUP, 0, NULL },
	{ " ORCPT=rfc822;x >", -EINVAL, 0, NULL },
};

static void
parameters_of_rcpt_are_all_right_or_leave_nothing(void **state)
{
	static const struct rcpt_parameters untouched = {
		.notify = 99,
		.orcpt = { "old", 3 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rcpts / sizeof *rcpts; i++) {
		size_t length = strlen(rcpts[i].text);
		char *text = exact(rcpts[i].text, length);
		struct rcpt_parameters read = untouched;
		struct parameter bad;
		int err = rcpt_parameters_read(text, length, &read, &bad);

		if (err != rcpts[i].err)
			fail_msg("%s: %d", rcpts[i].text, err);
		if (err) {
			assert_memory_equal(&read, &untouched, sizeof read);
		} else {
			assert_int_equal(read.notify, rcpts[i].notify);
			assert_int_equal(!read.orcpt.text, !rcpts[i].orcpt);
			if (read.orcpt.text)
				assert_memory_equal(
					read.orcpt.text, rcpts[i].orcpt, read.orcpt.length);
		}
		free(text);
		for (size_t cut = 0; cut < length; cut++) {
			text = exact(rcpts[i].text, cut);
			rcpt_parameters_read(text, cut, &read, &bad);
			free(text);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_verbs_and_arguments),
		cmocka_unit_test(a_nul_makes_a_verb_unknown),
		cmocka_unit_test(parameters_are_read),
		cmocka_unit_test(keys_are_compared_in_any_case),
		cmocka_unit_test(a_whole_command_is_read_in_three_steps),
		cmocka_unit_test(xtext_is_decoded_or_refused),
		cmocka_unit_test(parameters_of_mail_are_all_right_or_leave_nothing),
		cmocka_unit_test(parameters_of_rcpt_are_all_right_or_leave_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
