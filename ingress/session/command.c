/*
 * command.c - SMTP command lines and their parameters.
 *
 * ingress:  session -> [command] -> cmd_*.c
 *
 * Old clients send verbs in any case, tabs for blanks, and blanks around "FROM" and its colon. None
 * of these is ambiguous, so all are read. Owns nothing: results point into the line.
 */
#include "ingress/session/command.h"

#include <errno.h>
#include <string.h>

#include "shared/base/text.h"
#include "shared/mail/envelope.h"

#define ENVID_MAX 100 /* RFC 3461 4.4 */
#define ORCPT_MAX 500 /* RFC 3461 4.2 */

static const struct {
	const char *word;
	enum verb verb;
	const char *second; /* "MAIL FROM:" */
} verbs[] = {
	{ "MAIL", VERB_MAIL, "FROM" },
	{ "RCPT", VERB_RCPT, "TO" },
	{ "DATA", VERB_DATA, NULL },
	{ "EHLO", VERB_EHLO, NULL },
	{ "HELO", VERB_HELO, NULL },
	{ "QUIT", VERB_QUIT, NULL },
	{ "AUTH", VERB_AUTH, NULL },
	{ "STARTTLS", VERB_STARTTLS, NULL },
	{ "RSET", VERB_RSET, NULL },
	{ "NOOP", VERB_NOOP, NULL },
	{ "VRFY", VERB_VRFY, NULL },
	{ "EXPN", VERB_EXPN, NULL },
	{ "HELP", VERB_HELP, NULL },
};

static void
skip_blanks(const char **text, size_t *length)
{
	while (*length && is_blank(**text)) {
		++*text;
		--*length;
	}
}

static void
skip(const char **text, size_t *length, size_t n)
{
	*text += n;
	*length -= n;
}

/* Behind "FROM:", or NULL. */
static void
second_word(const char *word, struct command *out)
{
	const char *text = out->args;
	size_t length = out->args_length, n = strlen(word);

	out->args = NULL;
	out->args_length = 0;
	if (length < n || !text_is(text, n, word))
		return;
	skip(&text, &length, n);
	skip_blanks(&text, &length);
	if (length == 0 || *text != ':')
		return;
	out->args = text + 1;
	out->args_length = length - 1;
}

void
command_parse(const char *line, size_t length, struct command *out)
{
	size_t word = 0;

	memset(out, 0, sizeof *out);
	skip_blanks(&line, &length);
	while (length && is_blank(line[length - 1]))
		length--;
	while (word < length && !is_blank(line[word]))
		word++;
	out->args = line + word;
	out->args_length = length - word;
	skip_blanks(&out->args, &out->args_length);
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
		if (!text_is(line, word, verbs[i].word))
			continue;
		out->verb = verbs[i].verb;
		if (verbs[i].second)
			second_word(verbs[i].second, out);
		return;
	}
}

int
parameter_next(const char **text, size_t *length, struct parameter *out)
{
	size_t n = 0;

	memset(out, 0, sizeof *out);
	skip_blanks(text, length);
	if (*length == 0)
		return 0;
	while (n < *length && (is_alnum((*text)[n]) || (n && (*text)[n] == '-')))
		n++;
	if (n == 0)
		return -1;
	out->key = *text;
	out->key_length = n;
	skip(text, length, n);
	if (*length == 0 || is_blank(**text))
		return 1;
	if (**text != '=')
		return -1;
	skip(text, length, 1);
	for (n = 0; n < *length && !is_blank((*text)[n]); n++)
		if (is_control((*text)[n]))
			return -1;
	out->value = *text;
	out->value_length = n;
	skip(text, length, n);
	return 1;
}

int
parameter_is(const struct parameter *parameter, const char *key)
{
	return text_is(parameter->key, parameter->key_length, key);
}

static int
hex_digit(char c)
{
	const char *digits = "0123456789abcdef", *at = strchr(digits, to_lower(c));

	return c && at ? (int)(at - digits) : -1;
}

int
xtext_decode(const char *text, size_t length, char *out)
{
	const char *start = out;

	for (size_t i = 0; i < length; i++) {
		int high, low;

		*out = text[i];
		if (text[i] == '+') {
			if (length - i < 3)
				return -EINVAL;
			high = hex_digit(text[i + 1]);
			low = hex_digit(text[i + 2]);
			if (high < 0 || low < 0)
				return -EINVAL;
			*out = (char)(high << 4 | low);
			i += 2;
		} else if (text[i] == ' ') {
			return -EINVAL;
		}
		if (is_control(*out))
			return -EINVAL;
		out++;
	}
	*out = '\0';
	return text_has_hidden_controls(start, (size_t)(out - start)) ? -EINVAL : 0;
}

/* ---- the parameters of MAIL and RCPT ---- */

struct reader {
	const char *key;
	bool (*read)(const struct parameter *p, void *out);
};

/* 0 or -errno. After an error `out` may be half written. */
static int
read_all(const char *text, size_t length, const struct reader *readers, size_t count, void *out,
	struct parameter *p)
{
	unsigned seen = 0;
	int more;

	while ((more = parameter_next(&text, &length, p)) == 1) {
		size_t i = 0;

		while (i < count && !parameter_is(p, readers[i].key))
			i++;
		if (i == count)
			return -ENOTSUP;
		if ((seen & 1u << i) || !readers[i].read(p, out))
			return -EINVAL;
		seen |= 1u << i;
	}
	return more < 0 ? -EINVAL : 0;
}

static bool
value_is(const struct parameter *p, const char *text)
{
	return p->value && text_is(p->value, p->value_length, text);
}

static bool
read_size(const struct parameter *p, void *out)
{
	struct mail_parameters *mail = out;
	uint64_t size = 0;

	if (!p->value || p->value_length == 0 || p->value_length > 20)
		return false;
	for (size_t i = 0; i < p->value_length; i++) {
		if (!is_digit(p->value[i]))
			return false;
		if (size > (UINT64_MAX - 9) / 10)
			size = (UINT64_MAX - 9) / 10;
		size = size * 10 + (uint64_t)(p->value[i] - '0');
	}
	mail->size = size;
	return true;
}

static bool
read_body(const struct parameter *p, void *out)
{
	struct mail_parameters *mail = out;

	mail->body_8bit = value_is(p, "8BITMIME");
	return mail->body_8bit || value_is(p, "7BIT");
}

static bool
read_smtputf8(const struct parameter *p, void *out)
{
	struct mail_parameters *mail = out;

	mail->smtputf8 = true;
	return !p->value;
}

static bool
read_ret(const struct parameter *p, void *out)
{
	struct mail_parameters *mail = out;

	mail->ret = value_is(p, "FULL") ? "FULL" : "HDRS";
	return value_is(p, mail->ret);
}

static bool
read_envid(const struct parameter *p, void *out)
{
	struct mail_parameters *mail = out;
	char decoded[ENVID_MAX + 1];

	mail->envid = (struct parameter_text){ p->value, p->value_length };
	return p->value && p->value_length > 0 && p->value_length <= ENVID_MAX &&
		xtext_decode(p->value, p->value_length, decoded) == 0;
}

/* AUTH= (RFC 4954 5): checked, and not used. */
static bool
read_auth(const struct parameter *p, void *out)
{
	(void)p;
	(void)out;
	return true;
}

static unsigned
notify_bit(const char *name, size_t length)
{
	static const struct {
		const char *name;
		unsigned bit;
	} names[] = {
		{ "NEVER", NOTIFY_NEVER },
		{ "SUCCESS", NOTIFY_SUCCESS },
		{ "FAILURE", NOTIFY_FAILURE },
		{ "DELAY", NOTIFY_DELAY },
	};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (text_is(name, length, names[i].name))
			return names[i].bit;
	return 0;
}

static bool
read_notify(const struct parameter *p, void *out)
{
	struct rcpt_parameters *rcpt = out;
	const char *at = p->value, *end = at ? at + p->value_length : NULL;
	unsigned all = 0;

	for (; at; at = at < end ? at + 1 : NULL) {
		const char *comma = memchr(at, ',', (size_t)(end - at));
		size_t length = (size_t)((comma ? comma : end) - at);
		unsigned bit = notify_bit(at, length);

		if (!bit)
			return false;
		all |= bit;
		at += length;
	}
	rcpt->notify = all;
	return all && (!(all & NOTIFY_NEVER) || all == NOTIFY_NEVER);
}

static bool
read_orcpt(const struct parameter *p, void *out)
{
	struct rcpt_parameters *rcpt = out;
	char decoded[ORCPT_MAX + 1];
	const char *semicolon = p->value ? memchr(p->value, ';', p->value_length) : NULL;

	rcpt->orcpt = (struct parameter_text){ p->value, p->value_length };
	return semicolon && semicolon > p->value && p->value_length <= ORCPT_MAX &&
		xtext_decode(semicolon + 1, p->value_length - (size_t)(semicolon + 1 - p->value),
			decoded) == 0;
}

int
mail_parameters_read(
	const char *text, size_t length, struct mail_parameters *out, struct parameter *bad)
{
	static const struct reader readers[] = {
		{ "SIZE", read_size },
		{ "BODY", read_body },
		{ "SMTPUTF8", read_smtputf8 },
		{ "RET", read_ret },
		{ "ENVID", read_envid },
		{ "AUTH", read_auth },
	};
	struct mail_parameters all = { .ret = "" };
	int err = read_all(text, length, readers, sizeof readers / sizeof *readers, &all, bad);

	if (!err)
		*out = all;
	return err;
}

int
rcpt_parameters_read(
	const char *text, size_t length, struct rcpt_parameters *out, struct parameter *bad)
{
	static const struct reader readers[] = {
		{ "NOTIFY", read_notify },
		{ "ORCPT", read_orcpt },
	};
	struct rcpt_parameters all = { 0 };
	int err = read_all(text, length, readers, sizeof readers / sizeof *readers, &all, bad);

	if (!err)
		*out = all;
	return err;
}
