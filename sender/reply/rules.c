/*
 * rules.c - compiles a file of rules, and finds the rule for a reply.
 *
 * rules_file -> [rules] <- replies          pattern (PCRE2), sieve
 *
 * One pass of the sieve over the reply tells which patterns could match; only those are tried, in
 * the order of the rules.
 */
#include "sender/reply/rules.h"

#include <stdlib.h>
#include <string.h>

#include "sender/reply/plain.h"
#include "sender/reply/sieve.h"
#include "shared/base/log.h"
#include "shared/base/text.h"

#define WHY_MAX 200

struct numbered {
	struct pattern *pattern;
	size_t rule;
};

struct rule_set {
	struct rules_file *file; /* providers; texts that the rules borrow */
	struct reply_rule *rules;
	size_t count;
	struct numbered *patterns;
	size_t patterns_count;
	struct sieve *sieve;
	uint64_t *bits; /* the sieve's answer */
};

/* What goes wrong while a set is made. */
struct making {
	struct rule_set *set;
	const struct rule_set *below;
	struct pattern_room *room;
	FILE *errors;
	bool failed;
};

static void
wrong(struct making *making, size_t line, const char *rule, const char *what, const char *detail)
{
	fprintf(making->errors, "%s:%zu: %s: %s%s%s\n", making->set->file->name, line, rule, what,
		*detail ? ": " : "", detail);
	making->failed = true;
}

static const struct provider_text *
provider_named(const struct rule_set *set, const char *name)
{
	for (size_t i = 0; set && i < set->file->providers_count; i++)
		if (strcmp(set->file->providers[i].name, name) == 0)
			return &set->file->providers[i];
	return NULL;
}

static void
add_pattern(struct making *making, const struct rule_text *text, const struct line_text *match)
{
	struct rule_set *set = making->set;
	struct words words;
	char why[WHY_MAX];
	struct pattern *pattern = pattern_new(match->text, &words, why, sizeof why);

	if (!pattern) {
		wrong(making, match->line, text->name, "match", why);
		return;
	}
	if (!pattern_endures(pattern, making->room, &words))
		wrong(making, match->line, text->name, "match",
			"it can explode: some text takes it thousands of steps");
	set->patterns = xrealloc(set->patterns, (set->patterns_count + 1) * sizeof *set->patterns);
	set->patterns[set->patterns_count++] = (struct numbered){ pattern, set->count };
	sieve_add(set->sieve, &words);
}

static void
add_rule(struct making *making, const struct rule_text *text)
{
	struct rule_set *set = making->set;
	struct reply_rule *rule;

	for (size_t i = 0; i < text->providers.count; i++)
		if (!provider_named(set, text->providers.list[i].text) &&
			!provider_named(making->below, text->providers.list[i].text))
			wrong(making, text->providers.list[i].line, text->name,
				"there is no provider", text->providers.list[i].text);
	for (size_t i = 0; i < text->matches.count; i++)
		add_pattern(making, text, &text->matches.list[i]);
	rule = &set->rules[set->count++];
	*rule = (struct reply_rule){ .stages = text->stages,
		.providers = text->providers,
		.class = text->class,
		.blame = text->blame,
		.reactions = text->reactions };
	text_copy(rule->name, sizeof rule->name, text->name);
}

/* Each sample has to be taken by its rule and no other, each near miss by another one, or none. */
static void
prove(struct making *making, const struct rule_text *text, const struct line_text *sample,
	bool fits)
{
	const char *provider = text->providers.count ? text->providers.list[0].text : NULL;
	char plain[PLAIN_MAX];
	const size_t length = plain_reply(plain, sample->text, 0);
	const struct reply_rule *rule = rule_set_find(
		making->set, making->room, provider, text->stages, plain, length);

	if (fits && !rule)
		wrong(making, sample->line, text->name, "no rule takes its sample", sample->text);
	else if (fits && strcmp(rule->name, text->name) != 0)
		wrong(making, sample->line, text->name, "its sample is taken by another rule",
			rule->name);
	else if (!fits && rule && strcmp(rule->name, text->name) == 0)
		wrong(making, sample->line, text->name, "it takes its near miss", sample->text);
}

static void
prove_all(struct making *making)
{
	const struct rules_file *file = making->set->file;

	for (size_t i = 0; i < file->rules_count; i++) {
		const struct rule_text *text = &file->rules[i];

		for (size_t j = 0; j < text->samples.count; j++)
			prove(making, text, &text->samples.list[j], true);
		for (size_t j = 0; j < text->nots.count; j++)
			prove(making, text, &text->nots.list[j], false);
	}
}

static void
add_all(struct making *making, bool with_provider)
{
	const struct rules_file *file = making->set->file;

	for (size_t i = 0; i < file->rules_count; i++)
		if ((file->rules[i].providers.count > 0) == with_provider)
			add_rule(making, &file->rules[i]);
}

static void
check_limits(struct making *making)
{
	const struct rules_file *file = making->set->file;

	for (size_t i = 0; i < file->limits_count; i++)
		for (size_t k = 0; k < file->limits[i].providers.count; k++) {
			const struct line_text *provider = &file->limits[i].providers.list[k];

			if (!provider_named(making->set, provider->text) &&
				!provider_named(making->below, provider->text))
				wrong(making, provider->line, "limits", "there is no provider",
					provider->text);
		}
}

struct rule_set *
rule_set_new(struct rules_file **file, const struct rule_set *below, struct pattern_room *room,
	FILE *errors)
{
	struct rule_set *set = xcalloc(1, sizeof *set);
	struct making making = { set, below, room, errors, false };

	set->file = *file;
	*file = NULL;
	set->rules = xcalloc(set->file->rules_count + 1, sizeof *set->rules);
	set->sieve = sieve_new();
	add_all(&making, true);
	add_all(&making, false);
	check_limits(&making);
	set->bits = xcalloc(sieve_size(set->sieve) + 1, sizeof *set->bits);
	if (!making.failed)
		prove_all(&making);
	if (making.failed)
		rule_set_free(&set);
	return set;
}

void
rule_set_free(struct rule_set **set_ref)
{
	struct rule_set *set = *set_ref;

	if (!set)
		return;
	for (size_t i = 0; i < set->patterns_count; i++)
		pattern_free(&set->patterns[i].pattern);
	free(set->patterns);
	free(set->rules);
	free(set->bits);
	sieve_free(&set->sieve);
	rules_file_free(&set->file);
	free(set);
	*set_ref = NULL;
}

size_t
rule_set_count(const struct rule_set *set)
{
	return set->count;
}

static bool
ends_with(const char *host, size_t length, const char *suffix)
{
	const size_t end = strlen(suffix);

	return length >= end - 1 &&
		(text_is(host, length, suffix + 1) ||
			(length >= end && text_is(host + length - end, end, suffix)));
}

const char *
rule_set_provider(const struct rule_set *set, const char *host, size_t *length_out)
{
	const size_t length = strcspn(host, "[");
	const char *found = NULL;
	size_t best = 0;

	for (size_t i = 0; i < set->file->providers_count; i++) {
		const struct provider_text *provider = &set->file->providers[i];

		for (size_t j = 0; j < provider->suffixes.count; j++) {
			const char *suffix = provider->suffixes.list[j].text;

			if (strlen(suffix) <= best || !ends_with(host, length, suffix))
				continue;
			best = strlen(suffix);
			found = provider->name;
		}
	}
	*length_out = best;
	return found;
}

static bool
fits(const struct reply_rule *rule, const char *provider, unsigned stages)
{
	if (!(rule->stages & stages))
		return false;
	for (size_t i = 0; i < rule->providers.count; i++)
		if (provider && strcmp(rule->providers.list[i].text, provider) == 0)
			return true;
	return rule->providers.count == 0;
}

static bool
is_limit_for(const struct limit_text *limit, const char *provider)
{
	for (size_t i = 0; provider && i < limit->providers.count; i++)
		if (strcmp(limit->providers.list[i].text, provider) == 0)
			return true;
	return !provider && !limit->providers.count;
}

static bool
fill_limits(const struct rules_file *file, const char *provider, struct lane_limits *limits)
{
	bool any = false;

	for (size_t i = 0; i < file->limits_count; i++)
		if (is_limit_for(&file->limits[i], provider)) {
			lane_limits_fill(limits, &file->limits[i].limits);
			any = true;
		}
	return any;
}

bool
rule_set_limits(const struct rule_set *set, const char *provider, struct lane_limits *limits)
{
	const bool own = provider && fill_limits(set->file, provider, limits);

	return fill_limits(set->file, NULL, limits) || own;
}

const struct reply_rule *
rule_set_find(const struct rule_set *set, struct pattern_room *room, const char *provider,
	unsigned stages, const char *plain, size_t length)
{
	const struct numbered *numbered;
	const struct reply_rule *rule;

	sieve_pass(set->sieve, plain, length, set->bits);
	for (size_t i = 0; i < sieve_size(set->sieve); i++)
		for (uint64_t bits = set->bits[i]; bits; bits &= bits - 1) {
			numbered = &set->patterns[i * 64 + (size_t)__builtin_ctzll(bits)];
			rule = &set->rules[numbered->rule];
			if (fits(rule, provider, stages) &&
				pattern_find(numbered->pattern, room, plain, length) == PATTERN_YES)
				return rule;
		}
	return NULL;
}
