/*
 * reply.c - response rules, looked at: whether they can be used, and what they say of a reply.
 */
#include "cmd/check/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sender/policy/reply.h"
#include "sender/reply/replies.h"
#include "shared/base/log.h"

void
check_replies(struct findings *findings)
{
	const char *own = findings->config->sender.replies;
	char *why, *rest;
	struct replies *replies = replies_new(own, &why);

	if (replies) {
		printf("replies      %zu rules of ours", replies_built_in_count(replies));
		if (own)
			printf(", before them %zu in %s", replies_own_count(replies), own);
		printf("\n");
		replies_free(&replies);
		return;
	}
	rest = why;
	for (char *line; (line = strsep(&rest, "\n"));)
		if (*line)
			fail(findings, "response rules NOT usable: %s", line);
	free(why);
}

/* The reply's lines as the sender joins them. */
static void
take_lines(struct reply *reply, const char *text)
{
	reply_start(reply);
	while (*text) {
		const size_t length = strcspn(text, "\r\n");

		if (length && reply_line(reply, text, length, NULL, NULL) < 0)
			return;
		text += length;
		text += strspn(text, "\r\n");
	}
}

static void
print_meaning(const struct reply_meaning *meaning, bool as_json)
{
	const char *provider = *meaning->provider ? meaning->provider : NULL;
	const char *rule = *meaning->rule ? meaning->rule : NULL;
	char reaction[REACTIONS_TEXT_MAX];
	struct json json = { 0 };

	reactions_text(&meaning->reactions, reaction);
	if (!as_json) {
		printf("provider  %s\nclass     %s: %s\nscope     %s\nreaction  %s\nrule      %s\n",
			provider ? provider : "-", meaning_name(meaning->class),
			meaning_text(meaning->class), blame_name(meaning->blame), reaction,
			rule ? rule : "- (none knows it)");
		return;
	}
	json_begin(&json);
	json_str(&json, "provider", provider ? provider : "");
	json_str(&json, "class", meaning_name(meaning->class));
	json_str(&json, "scope", blame_name(meaning->blame));
	json_str(&json, "reaction", reaction);
	json_str(&json, "rule", rule ? rule : "");
	json_str(&json, "meaning", meaning_text(meaning->class));
	printf("%s\n", json_end(&json));
	json_free(&json);
}

int
check_reply(const char *own, const struct check_reply *asked, bool as_json)
{
	struct reply_said said = { .host = asked->mx, .stages = STAGE_ANY };
	struct reply_meaning meaning;
	struct replies *replies;
	struct reply reply;
	char *why;

	if (asked->stage)
		said.stages = reply_stage_find(asked->stage);
	if (!said.stages) {
		fprintf(stderr, "--stage is banner, ehlo, mail, rcpt or dot\n");
		return 1;
	}
	replies = replies_new(own, &why);
	if (!replies) {
		fputs(why, stderr);
		free(why);
		return 1;
	}
	take_lines(&reply, asked->text);
	said.text = reply.text;
	said.code = reply.code;
	replies_mean(replies, &said, &meaning);
	print_meaning(&meaning, as_json);
	replies_free(&replies);
	return 0;
}
