/*
 * replies.c - the two files of rules, and what is said when no rule fits.
 *
 * deploy/shaping.yaml, sender.replies (a file) -> rules -> [replies] -> outcome, shout check
 */
#include "sender/reply/replies.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sender/reply/plain.h"
#include "sender/reply/rules.h"
#include "shared/base/log.h"
#include "shared/base/text.h"

#define FILE_MAX (1u << 20)

static const char built_in_rules[] =
#include "deploy/shaping.yaml.h"
	;

struct replies {
	struct rule_set *own; /* NULL: the operator has none */
	struct rule_set *built_in;
	struct pattern_room *room;
};

static struct rule_set *
set_of(const struct replies *replies, const char *name, const char *text, size_t length,
	FILE *errors)
{
	struct rules_file *file = rules_file_parse(name, text, length, errors);

	return file ? rule_set_new(&file, replies->built_in, replies->room, errors) : NULL;
}

/* The file's text, NULL on an error, which is said. */
static char *
file_read(const char *path, size_t *length_out, FILE *errors)
{
	FILE *in = fopen(path, "re");
	char *text = xmalloc(FILE_MAX + 1);

	*length_out = in ? fread(text, 1, FILE_MAX + 1, in) : 0;
	if (in && !ferror(in) && *length_out <= FILE_MAX) {
		fclose(in);
		return text;
	}
	fprintf(errors, "%s: %s\n", path,
		in && !ferror(in) ? "it has more than 1 MB" : strerror(errno));
	if (in)
		fclose(in);
	free(text);
	return NULL;
}

static struct rule_set *
own_read(const struct replies *replies, const char *path, char **why)
{
	struct rule_set *set = NULL;
	size_t size, length;
	FILE *errors = xopen_memstream(why, &size);
	char *text = file_read(path, &length, errors);

	if (text)
		set = set_of(replies, path, text, length, errors);
	free(text);
	xclose_memstream(errors);
	if (set) {
		free(*why);
		*why = NULL;
	}
	return set;
}

struct replies *
replies_new(const char *own, char **why)
{
	struct replies *replies = xcalloc(1, sizeof *replies);
	size_t size;
	FILE *errors = xopen_memstream(why, &size);

	replies->room = pattern_room_new();
	replies->built_in = set_of(
		replies, "deploy/shaping.yaml", built_in_rules, sizeof built_in_rules - 1, errors);
	xclose_memstream(errors);
	if (!replies->built_in) {
		replies_free(&replies);
		return NULL;
	}
	free(*why);
	*why = NULL;
	if (own && !replies_reload(replies, own, why))
		replies_free(&replies);
	return replies;
}

void
replies_free(struct replies **replies_ref)
{
	struct replies *replies = *replies_ref;

	if (!replies)
		return;
	rule_set_free(&replies->own);
	rule_set_free(&replies->built_in);
	pattern_room_free(&replies->room);
	free(replies);
	*replies_ref = NULL;
}

bool
replies_reload(struct replies *replies, const char *own, char **why)
{
	struct rule_set *set = own_read(replies, own, why);

	if (!set)
		return false;
	rule_set_free(&replies->own);
	replies->own = set;
	return true;
}

size_t
replies_own_count(const struct replies *replies)
{
	return replies->own ? rule_set_count(replies->own) : 0;
}

size_t
replies_built_in_count(const struct replies *replies)
{
	return rule_set_count(replies->built_in);
}

/* The operator's providers count before ours where both name as much of the host. */
static const char *
provider_of(const struct replies *replies, const char *host)
{
	const char *ours, *own = NULL;
	size_t ours_length, own_length = 0;

	ours = rule_set_provider(replies->built_in, host, &ours_length);
	if (replies->own)
		own = rule_set_provider(replies->own, host, &own_length);
	return own && own_length >= ours_length ? own : ours;
}

/* What no rule knows: the code and the place decide. */
static void
mean_unknown(struct reply_meaning *out, int code, unsigned stages)
{
	out->class = MEANING_OTHER;
	out->blame = BLAME_TRANSIENT;
	if (code / 100 == 5)
		out->blame = stages == STAGE_RCPT ? BLAME_RECIPIENT : BLAME_MESSAGE;
	out->reactions = reactions_usual(out->blame);
}

void
replies_mean(
	const struct replies *replies, const struct reply_said *said, struct reply_meaning *out)
{
	const char *provider = provider_of(replies, said->host);
	const struct reply_rule *rule = NULL;
	char plain[PLAIN_MAX];
	const size_t length = plain_reply(plain, said->text, said->code);
	const int code = said->code ? said->code : plain_code(plain);

	*out = (struct reply_meaning){ .known = false };
	text_copy(out->provider, sizeof out->provider, provider);
	if (replies->own)
		rule = rule_set_find(
			replies->own, replies->room, provider, said->stages, plain, length);
	if (!rule)
		rule = rule_set_find(
			replies->built_in, replies->room, provider, said->stages, plain, length);
	if (rule) {
		out->known = true;
		out->class = rule->class;
		out->blame = rule->blame;
		out->reactions = rule->reactions;
		text_copy(out->rule, sizeof out->rule, rule->name);
	} else {
		mean_unknown(out, code, said->stages);
	}
	out->reactions = reactions_for_code(&out->reactions, code);
}

bool
replies_limits(const struct replies *replies, const char *host, bool own_only,
	struct lane_limits *limits_out)
{
	const char *provider = provider_of(replies, host);
	bool any = false;

	*limits_out = (struct lane_limits){ 0 };
	if (replies->own)
		any = rule_set_limits(replies->own, provider, limits_out);
	if (!own_only)
		any = rule_set_limits(replies->built_in, provider, limits_out) || any;
	return any;
}
