/*
 * command.h - parser of SMTP command lines (RFC 5321 4.1.1) and their parameters. Pure.
 */
#ifndef INGRESS_COMMAND_H
#define INGRESS_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COMMAND_LINE_MAX 2048 /* RFC 5321 says 512; AUTH and ESMTP parameters may be longer */

enum verb {
	VERB_UNKNOWN,
	VERB_HELO,
	VERB_EHLO,
	VERB_STARTTLS,
	VERB_AUTH,
	VERB_MAIL,
	VERB_RCPT,
	VERB_DATA,
	VERB_RSET,
	VERB_NOOP,
	VERB_QUIT,
	VERB_VRFY,
	VERB_EXPN,
	VERB_HELP,
	VERB_COUNT
};

struct command {
	enum verb verb;
	const char *args; /* after the verb and blanks; trailing blanks dropped; inside the line */
	size_t args_length;
};

/* `line` without its CRLF. Verbs in any case; MAIL FROM: and RCPT TO: with their colon are the verb
 * alone and args starts behind the colon (args NULL when "FROM:" or "TO:" is missing). */
void command_parse(const char *line, size_t length, struct command *out);

/* The next ESMTP parameter "KEY[=value]" of `*text`; 1 one found, 0 end, -1 bad syntax. Moves on.
 */
struct parameter {
	const char *key, *value; /* value NULL: no "=" */
	size_t key_length, value_length;
};
int parameter_next(const char **text, size_t *length, struct parameter *out);
int parameter_is(const struct parameter *parameter, const char *key);

/* RFC 3461 xtext: decodes into out (size >= length + 1), NUL-terminated. 0 or -EINVAL (bad "+XX", a
 * control character in the result). */
int xtext_decode(const char *text, size_t length, char *out);

/* A value as it was sent; text NULL: not given. */
struct parameter_text {
	const char *text; /* inside the line */
	size_t length;
};

struct mail_parameters {
	uint64_t size; /* RFC 1870; 0: not given */
	bool body_8bit, smtputf8;
	const char *ret;             /* "FULL", "HDRS", or "" */
	struct parameter_text envid; /* xtext, checked */
};

struct rcpt_parameters {
	unsigned notify;             /* enum notify; 0: not given */
	struct parameter_text orcpt; /* "type;xtext", checked */
};

/*
 * What follows the path of MAIL (RFC 1870, 6152, 6531, 4954, 3461) and RCPT (RFC 3461), no keyword
 * twice. 0; -EINVAL bad or repeated, -ENOTSUP unknown: `bad` is what was read last (no key when it
 * has none). `out` is written only when all is right.
 */
int mail_parameters_read(
	const char *text, size_t length, struct mail_parameters *out, struct parameter *bad);
int rcpt_parameters_read(
	const char *text, size_t length, struct rcpt_parameters *out, struct parameter *bad);

#endif
