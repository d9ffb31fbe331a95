/*
 * rules_file.c - walks libyaml's document, and names each mistake with its line.
 *
 * replies (a file's text) -> [rules_file] -> rules
 */
#include "sender/reply/rules_file.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "shared/base/log.h"
#include "shared/base/text.h"

#define ERRORS_MAX 50
#define LIST_MAX 200

struct reading {
	struct rules_file *file;
	yaml_document_t document;
	FILE *errors;
	unsigned errors_count;
};

static void wrong(struct reading *reading, size_t line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void
wrong(struct reading *reading, size_t line, const char *format, ...)
{
	va_list args;

	if (reading->errors_count++ >= ERRORS_MAX)
		return;
	fprintf(reading->errors, "%s:%zu: ", reading->file->name, line);
	va_start(args, format);
	vfprintf(reading->errors, format, args);
	va_end(args);
	fputc('\n', reading->errors);
}

static size_t
line_of(const yaml_node_t *node)
{
	return node->start_mark.line + 1;
}

/* A scalar's text; NULL, and a message: it is none, is empty, or has a NUL in it. */
static const char *
text_of(struct reading *reading, const yaml_node_t *node, const char *what)
{
	const char *text = (const char *)node->data.scalar.value;

	if (node->type == YAML_SCALAR_NODE && node->data.scalar.length &&
		strlen(text) == node->data.scalar.length)
		return text;
	wrong(reading, line_of(node), "%s has to be a text", what);
	return NULL;
}

static void
texts_add(struct line_texts *texts, const char *text, size_t line)
{
	texts->list = xrealloc(texts->list, (texts->count + 1) * sizeof *texts->list);
	texts->list[texts->count++] = (struct line_text){ xstrdup(text), line };
}

static void
texts_free(struct line_texts *texts)
{
	for (size_t i = 0; i < texts->count; i++)
		free(texts->list[i].text);
	free(texts->list);
}

/* A text, or a list of texts. */
static void
take_texts(struct reading *reading, yaml_node_t *node, const char *what, struct line_texts *out)
{
	const char *text;

	if (node->type != YAML_SEQUENCE_NODE) {
		text = text_of(reading, node, what);
		if (text)
			texts_add(out, text, line_of(node));
		return;
	}
	for (yaml_node_item_t *item = node->data.sequence.items.start;
		item < node->data.sequence.items.top; item++) {
		const yaml_node_t *entry = yaml_document_get_node(&reading->document, *item);

		if (out->count == LIST_MAX) {
			wrong(reading, line_of(entry), "%s has more than %d entries", what,
				LIST_MAX);
			return;
		}
		text = text_of(reading, entry, what);
		if (text)
			texts_add(out, text, line_of(entry));
	}
}

/* Calls back for each key of a mapping. */
static void
each_key(struct reading *reading, const yaml_node_t *node, const char *what,
	void (*take)(struct reading *reading, const char *key, yaml_node_t *value, void *arg),
	void *arg)
{
	if (node->type != YAML_MAPPING_NODE) {
		wrong(reading, line_of(node), "%s has to be a mapping of keys", what);
		return;
	}
	for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
		pair < node->data.mapping.pairs.top; pair++) {
		const char *key = text_of(
			reading, yaml_document_get_node(&reading->document, pair->key), "a key");

		if (key)
			take(reading, key, yaml_document_get_node(&reading->document, pair->value),
				arg);
	}
}

/* Providers. */

static const struct provider_text *
provider_find(const struct rules_file *file, const char *name)
{
	for (size_t i = 0; i < file->providers_count; i++)
		if (strcmp(file->providers[i].name, name) == 0)
			return &file->providers[i];
	return NULL;
}

static void
take_provider(struct reading *reading, const char *name, yaml_node_t *value, void *arg)
{
	struct rules_file *file = reading->file;
	struct provider_text *provider;

	(void)arg;
	if (strlen(name) >= PROVIDER_NAME_MAX || provider_find(file, name)) {
		wrong(reading, line_of(value), "the provider's name is too long, or there twice");
		return;
	}
	file->providers = xrealloc(
		file->providers, (file->providers_count + 1) * sizeof *file->providers);
	provider = &file->providers[file->providers_count++];
	*provider = (struct provider_text){ .suffixes = { NULL, 0 } };
	text_copy(provider->name, sizeof provider->name, name);
	take_texts(reading, value, "a provider", &provider->suffixes);
	for (size_t i = 0; i < provider->suffixes.count; i++) {
		const struct line_text *suffix = &provider->suffixes.list[i];

		for (char *c = suffix->text; *c; c++)
			*c = to_lower(*c);
		if (suffix->text[0] != '.')
			wrong(reading, suffix->line, "the end of a host's name begins with a dot");
	}
}

/* Rules. */

static void
take_name(struct reading *reading, struct rule_text *rule, const yaml_node_t *value)
{
	const char *name = text_of(reading, value, "name");

	if (name && strlen(name) >= RULE_NAME_MAX)
		wrong(reading, line_of(value), "the name has %d characters or more", RULE_NAME_MAX);
	else if (name)
		text_copy(rule->name, sizeof rule->name, name);
}

static void
take_class(struct reading *reading, struct rule_text *rule, const yaml_node_t *value)
{
	const char *name = text_of(reading, value, "class");

	if (name && !meaning_find(name, &rule->class))
		wrong(reading, line_of(value), "there is no class %s", name);
}

static void
take_scope(struct reading *reading, struct rule_text *rule, const yaml_node_t *value)
{
	const char *name = text_of(reading, value, "scope");

	if (name && !blame_find(name, &rule->blame))
		wrong(reading, line_of(value), "there is no scope %s", name);
}

static void
take_stages(struct reading *reading, struct rule_text *rule, yaml_node_t *value)
{
	struct line_texts names = { NULL, 0 };

	take_texts(reading, value, "stage", &names);
	for (size_t i = 0; i < names.count; i++) {
		const enum reply_stage stage = reply_stage_find(names.list[i].text);

		rule->stages |= stage;
		if (!stage)
			wrong(reading, names.list[i].line,
				"there is no stage %s: banner, ehlo, mail, rcpt, dot",
				names.list[i].text);
	}
	texts_free(&names);
}

static void
take_reactions(struct reading *reading, struct rule_text *rule, yaml_node_t *value)
{
	struct line_texts names = { NULL, 0 };

	take_texts(reading, value, "reaction", &names);
	for (size_t i = 0; i < names.count; i++)
		if (!reactions_add(&rule->reactions, names.list[i].text))
			wrong(reading, names.list[i].line,
				"there is no reaction %s: bounce, retry, hold, slow, single, break 30m, "
				"rest-ip, tell-customer, page",
				names.list[i].text);
	texts_free(&names);
}

static void
take_rule_key(struct reading *reading, const char *key, yaml_node_t *value, void *arg)
{
	struct rule_text *rule = arg;

	if (strcmp(key, "name") == 0)
		take_name(reading, rule, value);
	else if (strcmp(key, "provider") == 0)
		take_texts(reading, value, key, &rule->providers);
	else if (strcmp(key, "stage") == 0)
		take_stages(reading, rule, value);
	else if (strcmp(key, "match") == 0)
		take_texts(reading, value, key, &rule->matches);
	else if (strcmp(key, "class") == 0)
		take_class(reading, rule, value);
	else if (strcmp(key, "scope") == 0)
		take_scope(reading, rule, value);
	else if (strcmp(key, "reaction") == 0)
		take_reactions(reading, rule, value);
	else if (strcmp(key, "samples") == 0)
		take_texts(reading, value, key, &rule->samples);
	else if (strcmp(key, "not") == 0)
		take_texts(reading, value, key, &rule->nots);
	else
		wrong(reading, line_of(value),
			"a rule has no key %s: name, provider, stage, match, class, scope, reaction, "
			"samples, not",
			key);
}

static bool
is_named_twice(const struct rules_file *file, const struct rule_text *rule)
{
	for (const struct rule_text *other = file->rules; other < rule; other++)
		if (strcmp(other->name, rule->name) == 0)
			return true;
	return false;
}

static void
rule_check(struct reading *reading, struct rule_text *rule)
{
	const char *name = *rule->name ? rule->name : "a rule";
	const char *why;

	if (!*rule->name)
		wrong(reading, rule->line, "a rule has no name");
	else if (is_named_twice(reading->file, rule))
		wrong(reading, rule->line, "%s is there twice", name);
	if (!rule->matches.count)
		wrong(reading, rule->line, "%s has no match", name);
	if (!rule->samples.count)
		wrong(reading, rule->line, "%s has no samples: replies that it must match", name);
	if (rule->class == MEANING_COUNT)
		wrong(reading, rule->line, "%s has no class", name);
	if (rule->blame == BLAME_COUNT) {
		wrong(reading, rule->line, "%s has no scope", name);
		return;
	}
	if (!rule->reactions.set)
		rule->reactions = reactions_usual(rule->blame);
	why = reactions_wrong(&rule->reactions, rule->blame);
	if (why)
		wrong(reading, rule->line, "%s: %s", name, why);
}

static void
take_rule(struct reading *reading, const yaml_node_t *node)
{
	struct rules_file *file = reading->file;
	struct rule_text *rule;

	file->rules = xrealloc(file->rules, (file->rules_count + 1) * sizeof *file->rules);
	rule = &file->rules[file->rules_count++];
	*rule = (struct rule_text){
		.line = line_of(node), .class = MEANING_COUNT, .blame = BLAME_COUNT
	};
	each_key(reading, node, "a rule", take_rule_key, rule);
	rule->stages = rule->stages ? rule->stages : STAGE_ANY;
	rule_check(reading, rule);
}

static void
take_rules(struct reading *reading, const yaml_node_t *node)
{
	if (node->type != YAML_SEQUENCE_NODE) {
		wrong(reading, line_of(node), "replies has to be a list of rules");
		return;
	}
	for (yaml_node_item_t *item = node->data.sequence.items.start;
		item < node->data.sequence.items.top; item++)
		take_rule(reading, yaml_document_get_node(&reading->document, *item));
}

/* Limits. */

static void
take_limit_key(struct reading *reading, const char *key, yaml_node_t *value, void *arg)
{
	struct limit_text *limit = arg;
	const char *text, *why;

	if (strcmp(key, "provider") == 0) {
		take_texts(reading, value, key, &limit->providers);
		return;
	}
	if (!lane_limits_has(key)) {
		wrong(reading, line_of(value),
			"limits have no key %s: provider, connections, site_connections, messages, "
			"rate, recipients, mix_domains",
			key);
		return;
	}
	text = text_of(reading, value, key);
	why = text ? lane_limits_take(&limit->limits, key, text) : NULL;
	if (why)
		wrong(reading, line_of(value), "%s: %s", key, why);
}

static void
take_limits(struct reading *reading, const yaml_node_t *node)
{
	struct rules_file *file = reading->file;

	if (node->type != YAML_SEQUENCE_NODE) {
		wrong(reading, line_of(node), "limits has to be a list");
		return;
	}
	for (yaml_node_item_t *item = node->data.sequence.items.start;
		item < node->data.sequence.items.top; item++) {
		const yaml_node_t *entry = yaml_document_get_node(&reading->document, *item);
		struct limit_text *limit;

		file->limits = xrealloc(
			file->limits, (file->limits_count + 1) * sizeof *file->limits);
		limit = &file->limits[file->limits_count++];
		*limit = (struct limit_text){ .line = line_of(entry) };
		each_key(reading, entry, "a limit", take_limit_key, limit);
	}
}

static void
take_top_key(struct reading *reading, const char *key, yaml_node_t *value, void *arg)
{
	(void)arg;
	if (strcmp(key, "providers") == 0)
		each_key(reading, value, key, take_provider, NULL);
	else if (strcmp(key, "replies") == 0)
		take_rules(reading, value);
	else if (strcmp(key, "limits") == 0)
		take_limits(reading, value);
	else
		wrong(reading, line_of(value), "there is no key %s: providers, replies, limits",
			key);
}

enum reply_stage
reply_stage_find(const char *name)
{
	static const char *const names[] = { "banner", "ehlo", "mail", "rcpt", "dot" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(names[i], name) == 0)
			return (enum reply_stage)(1 << i);
	return 0;
}

static void
read_document(struct reading *reading, const char *text, size_t length)
{
	yaml_parser_t parser;
	const yaml_node_t *root;

	yaml_parser_initialize(&parser);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
	if (!yaml_parser_load(&parser, &reading->document)) {
		wrong(reading, parser.problem_mark.line + 1, "%s",
			parser.problem ? parser.problem : "this is no YAML");
	} else {
		root = yaml_document_get_root_node(&reading->document);
		if (root)
			each_key(reading, root, "the file", take_top_key, NULL);
		yaml_document_delete(&reading->document);
	}
	yaml_parser_delete(&parser);
}

struct rules_file *
rules_file_parse(const char *name, const char *text, size_t length, FILE *errors)
{
	struct reading reading = { .errors = errors };

	reading.file = xcalloc(1, sizeof *reading.file);
	reading.file->name = xstrdup(name);
	read_document(&reading, text, length);
	if (reading.errors_count)
		rules_file_free(&reading.file);
	return reading.file;
}

void
rules_file_free(struct rules_file **file_ref)
{
	struct rules_file *file = *file_ref;

	if (!file)
		return;
	for (size_t i = 0; i < file->providers_count; i++)
		texts_free(&file->providers[i].suffixes);
	for (size_t i = 0; i < file->rules_count; i++) {
		texts_free(&file->rules[i].providers);
		texts_free(&file->rules[i].matches);
		texts_free(&file->rules[i].samples);
		texts_free(&file->rules[i].nots);
	}
	for (size_t i = 0; i < file->limits_count; i++)
		texts_free(&file->limits[i].providers);
	free(file->limits);
	free(file->providers);
	free(file->rules);
	free(file->name);
	free(file);
	*file_ref = NULL;
}
