/*
 * rules_file.h - a file of response rules, read: YAML in, texts and names out. Pure.
 *
 *   providers:
 *     google: [.google.com, .googlemail.com]    # ends of the names of its mail hosts
 *   replies:
 *     - name: google-disabled
 *       provider: google          # only its replies; several: a list
 *       stage: rcpt               # banner, ehlo, mail, rcpt, dot; several: a list
 *       match: '^550 5\.2\.1 .*disabled'        # several: a list
 *       class: inactive-mailbox   # shared/mail/meaning.h
 *       scope: recipient
 *       reaction: bounce          # several: a list; without it what is usual for the scope
 *       samples: ['550-5.2.1 The email account ... is disabled.']
 *       not: ['550 5.2.1 ... receiving mail too quickly']
 *
 * A pattern sees the reply as plain.h spells it. lane_limits.h has the keys of "limits".
 */
#ifndef SENDER_RULES_FILE_H
#define SENDER_RULES_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "sender/reply/lane_limits.h"
#include "sender/reply/reaction.h"
#include "shared/mail/meaning.h"

#define RULE_NAME_MAX 48
#define PROVIDER_NAME_MAX 32

enum reply_stage {
	STAGE_BANNER = 1,
	STAGE_EHLO = 2,
	STAGE_MAIL = 4,
	STAGE_RCPT = 8,
	STAGE_DOT = 16, /* DATA, too */
	STAGE_ANY = 31
};

/* "rcpt"; 0: there is no such stage. */
enum reply_stage reply_stage_find(const char *name);

struct line_text {
	char *text;
	size_t line;
};

struct line_texts {
	struct line_text *list;
	size_t count;
};

struct rule_text {
	char name[RULE_NAME_MAX];
	size_t line;
	struct line_texts providers, matches, samples, nots;
	unsigned stages; /* of enum reply_stage */
	enum meaning class;
	enum blame blame;
	struct reactions reactions;
};

struct provider_text {
	char name[PROVIDER_NAME_MAX];
	struct line_texts suffixes; /* in lower case, with their dot */
};

struct limit_text {
	size_t line;
	struct line_texts providers; /* none: all that no other entry names */
	struct lane_limits limits;
};

struct rules_file {
	char *name; /* in messages */
	struct provider_text *providers;
	size_t providers_count;
	struct rule_text *rules;
	size_t rules_count;
	struct limit_text *limits;
	size_t limits_count;
};

/* NULL: `errors` got a line "FILE:LINE: what is wrong" for each. */
struct rules_file *
rules_file_parse(const char *name, const char *text, size_t length, FILE *errors);
void rules_file_free(struct rules_file **file);

#endif
