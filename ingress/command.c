/*
 * command.c - SMTP command lines and their parameters.
 *
 * ingress:  session -> [command] -> cmd_*.c
 *
 * Verbs in any case, tabs for blanks, blanks around "FROM" and its colon: old clients send them all
 * and none is ambiguous. Owns nothing: results point into the line.
 */
#include "ingress/command.h"

#include <errno.h>
#include <string.h>

#include "shared/text.h"

static const struct {
	const char *word;
	enum verb verb;
	const char *second; /* "MAIL FROM:" */
} verbs[] = {
	{"MAIL",      VERB_MAIL,     "FROM"},
	{ "RCPT",     VERB_RCPT,     "TO"  },
	{ "DATA",     VERB_DATA,     NULL  },
	{ "EHLO",     VERB_EHLO,     NULL  },
	{ "HELO",     VERB_HELO,     NULL  },
	{ "QUIT",     VERB_QUIT,     NULL  },
	{ "AUTH",     VERB_AUTH,     NULL  },
	{ "STARTTLS", VERB_STARTTLS, NULL  },
	{ "RSET",     VERB_RSET,     NULL  },
	{ "NOOP",     VERB_NOOP,     NULL  },
	{ "VRFY",     VERB_VRFY,     NULL  },
	{ "EXPN",     VERB_EXPN,     NULL  },
	{ "HELP",     VERB_HELP,     NULL  },
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
	return 0;
}
