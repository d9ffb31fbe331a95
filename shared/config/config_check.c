/*
 * config_check.c - compares a file with the schema before the file is loaded.
 *
 * libcyaml stops at the first error and names no path of keys. So this file walks libyaml's
 * document along the same schema: it reports all errors at once, each with its line and path, and
 * remembers where every key stands for the checks after loading.
 */
#include "shared/config/config_private.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <yaml.h>

#include "shared/base/log.h"

#define PATH_SIZE 192

struct place {
	char *path;
	size_t line;
};

struct config_check {
	const char *file;
	FILE *errors;
	bool files; /* look at the files that the settings name */
	unsigned count;
	yaml_document_t document;
	struct place *places;
	size_t places_count;
};

static void walk(struct config_check *check, const cyaml_schema_value_t *schema, yaml_node_t *node,
	const char *path);

static const struct place *
place_find(const struct config_check *check, const char *path, size_t length)
{
	for (size_t i = 0; i < check->places_count; i++) {
		const struct place *place = &check->places[i];
		if (strncmp(place->path, path, length) == 0 && place->path[length] == '\0')
			return place;
	}
	return NULL;
}

static void
place_add(struct config_check *check, const char *path, size_t line)
{
	check->places = xrealloc(check->places, (check->places_count + 1) * sizeof *check->places);
	check->places[check->places_count++] = (struct place){ xstrdup(path), line };
}

static size_t
line_of(const struct config_check *check, const char *path)
{
	for (size_t length = strlen(path); length > 0; length--) {
		const struct place *place = place_find(check, path, length);
		if (place)
			return place->line;
	}
	return 1;
}

void
config_error(struct config_check *check, const char *path, const char *format, ...)
{
	va_list args;

	fprintf(check->errors, "%s:%zu: %s: ", check->file, line_of(check, path), path);
	va_start(args, format);
	vfprintf(check->errors, format, args);
	va_end(args);
	fputc('\n', check->errors);
	check->count++;
}

/* Reports an error at a line that has no path. */
static void error_at(struct config_check *check, size_t line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void
error_at(struct config_check *check, size_t line, const char *format, ...)
{
	va_list args;

	fprintf(check->errors, "%s:%zu: ", check->file, line);
	va_start(args, format);
	vfprintf(check->errors, format, args);
	va_end(args);
	fputc('\n', check->errors);
	check->count++;
}

/* How many letters to change, add or drop to get from one word to the other (Levenshtein). */
static unsigned
distance(const char *a, const char *b)
{
	unsigned row[64];
	size_t n = strlen(b);

	if (n >= 64)
		return 64;
	for (unsigned j = 0; j <= n; j++)
		row[j] = j;
	for (unsigned i = 1; a[i - 1]; i++) {
		unsigned diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			unsigned change = diagonal + (a[i - 1] != b[j - 1]);
			diagonal = row[j];
			row[j] = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
			if (change < row[j])
				row[j] = change;
		}
	}
	return row[n];
}

static const char *
nearest(const cyaml_schema_field_t *fields, const char *key)
{
	const char *best = NULL;
	unsigned least = 3;

	for (; fields->key; fields++) {
		unsigned d = distance(key, fields->key);
		if (d < least) {
			least = d;
			best = fields->key;
		}
	}
	return best;
}

static void
unknown_key(struct config_check *check, const cyaml_schema_field_t *fields, const char *path,
	const char *key)
{
	const char *best = nearest(fields, key);
	char list[512] = "";
	size_t used = 0;

	if (best) {
		config_error(check, path, "unknown key; did you mean %s?", best);
		return;
	}
	for (; fields->key && used < sizeof list; fields++)
		used += (size_t)snprintf(
			list + used, sizeof list - used, "%s%s", used ? ", " : "", fields->key);
	config_error(check, path, "unknown key; known here: %s", list);
}

static const char *
scalar(const yaml_node_t *node)
{
	return (const char *)node->data.scalar.value;
}

static void
walk_pair(struct config_check *check, const cyaml_schema_field_t *fields, const char *parent,
	yaml_node_t *key, yaml_node_t *value)
{
	const cyaml_schema_field_t *field = fields;
	char path[PATH_SIZE];

	if (key->type != YAML_SCALAR_NODE) {
		error_at(check, key->start_mark.line + 1, "a key has to be a word");
		return;
	}
	snprintf(path, sizeof path, "%s%s%s", parent, *parent ? "." : "", scalar(key));
	if (config_check_has(check, path)) {
		error_at(check, key->start_mark.line + 1, "%s: is set twice, first in line %zu",
			path, line_of(check, path));
		return;
	}
	place_add(check, path, key->start_mark.line + 1);
	while (field->key && strcmp(field->key, scalar(key)) != 0)
		field++;
	if (field->key)
		walk(check, &field->value, value, path);
	else
		unknown_key(check, fields, path, scalar(key));
}

static void
walk_mapping(struct config_check *check, const cyaml_schema_value_t *schema, yaml_node_t *node,
	const char *path)
{
	yaml_node_pair_t *pair = node->data.mapping.pairs.start;

	for (; pair < node->data.mapping.pairs.top; pair++)
		walk_pair(check, schema->mapping.fields, path,
			yaml_document_get_node(&check->document, pair->key),
			yaml_document_get_node(&check->document, pair->value));
}

static void
walk_sequence(struct config_check *check, const cyaml_schema_value_t *schema, yaml_node_t *node,
	const char *parent)
{
	yaml_node_item_t *items = node->data.sequence.items.start;
	size_t count = (size_t)(node->data.sequence.items.top - items);
	char path[PATH_SIZE];

	for (size_t i = 0; i < count; i++) {
		yaml_node_t *item = yaml_document_get_node(&check->document, items[i]);
		snprintf(path, sizeof path, "%s[%zu]", parent, i);
		place_add(check, path, item->start_mark.line + 1);
		walk(check, schema->sequence.entry, item, path);
	}
}

/* Turns "a[3].b" into "a[].b". */
static void
path_general(const char *path, char out[PATH_SIZE])
{
	size_t n = 0;

	for (; *path && n < PATH_SIZE - 1; path++) {
		out[n++] = *path;
		if (*path == '[')
			path += strspn(path + 1, "0123456789");
	}
	out[n] = '\0';
}

static void
check_range(struct config_check *check, const struct config_rule *rule, const char *path,
	const char *text)
{
	static const char *const right[] = {
		[KIND_NUMBER] = "a whole number",
		[KIND_DURATION] = "a duration, like 500ms, 30s, 5m, 4h or 5d",
		[KIND_SIZE] = "a size, like 4096, 256k, 50M or 2G",
	};
	uint64_t value, min, max;

	if (config_value(rule->kind, text, &value) < 0) {
		config_error(check, path, "\"%s\" is not %s", text, right[rule->kind]);
		return;
	}
	if (config_value(rule->kind, rule->min, &min) < 0 ||
		config_value(rule->kind, rule->max, &max) < 0)
		die("bad range in the schema", rule->path);
	if (value < min || value > max)
		config_error(
			check, path, "\"%s\" is not between %s and %s", text, rule->min, rule->max);
}

static void
check_text(struct config_check *check, const char *path, const char *text)
{
	char general[PATH_SIZE];
	const struct config_rule *rule;
	const char *wrong;

	path_general(path, general);
	rule = config_rule_find(general);
	if (!rule || (!check->files && config_rule_is_file(rule)))
		return;
	if (rule->kind != KIND_TEXT)
		check_range(check, rule, path, text);
	else if (rule->wrong && (wrong = rule->wrong(text)))
		config_error(check, path, "\"%s\" %s", text, wrong);
}

static void
check_enum(struct config_check *check, const cyaml_schema_value_t *schema, const char *path,
	const char *text)
{
	char list[256] = "";
	size_t used = 0;

	for (uint32_t i = 0; i < schema->enumeration.count; i++) {
		const char *name = schema->enumeration.strings[i].str;
		if (strcmp(name, text) == 0)
			return;
		used += (size_t)snprintf(
			list + used, sizeof list - used, "%s%s", used ? ", " : "", name);
	}
	config_error(check, path, "\"%s\" is not one of: %s", text, list);
}

static void
check_bool(struct config_check *check, const char *path, const char *text)
{
	static const char *const words[] = { "true", "false", "yes", "no", "on", "off" };

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (strcmp(words[i], text) == 0)
			return;
	config_error(check, path, "\"%s\" is not one of: true, false", text);
}

static bool
is_null(const yaml_node_t *node)
{
	const char *text = scalar(node);

	if (node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return false;
	return !*text || strcmp(text, "~") == 0 || strcasecmp(text, "null") == 0;
}

static void
walk_scalar(struct config_check *check, const cyaml_schema_value_t *schema, yaml_node_t *node,
	const char *path)
{
	const char *text = scalar(node);
	size_t length = strlen(path);

	if (strlen(text) != node->data.scalar.length) {
		config_error(check, path, "holds a NUL byte");
	} else if (schema->type == CYAML_STRING) {
		if (!is_null(node))
			check_text(check, path, text);
		else if (length && path[length - 1] == ']')
			config_error(check, path, "is empty");
	} else if (is_null(node)) {
		config_error(check, path, "has no value; give one, or remove the key");
	} else if (schema->type == CYAML_ENUM) {
		check_enum(check, schema, path, text);
	} else if (schema->type == CYAML_BOOL) {
		check_bool(check, path, text);
	} else {
		check_text(check, path, text);
	}
}

static void
wrong_shape(struct config_check *check, const cyaml_schema_value_t *schema, const char *path)
{
	if (schema->type == CYAML_MAPPING)
		config_error(check, path, "is not a mapping; put its keys below it, indented");
	else if (schema->type == CYAML_SEQUENCE)
		config_error(check, path, "is not a list; write each entry on a line with \"- \"");
	else
		config_error(check, path, "is not a single value");
}

static void
walk(struct config_check *check, const cyaml_schema_value_t *schema, yaml_node_t *node,
	const char *path)
{
	if (schema->type == CYAML_MAPPING && node->type == YAML_MAPPING_NODE)
		walk_mapping(check, schema, node, path);
	else if (schema->type == CYAML_SEQUENCE && node->type == YAML_SEQUENCE_NODE)
		walk_sequence(check, schema, node, path);
	else if (schema->type != CYAML_MAPPING && schema->type != CYAML_SEQUENCE &&
		node->type == YAML_SCALAR_NODE)
		walk_scalar(check, schema, node, path);
	else
		wrong_shape(check, schema, path);
}

static void
syntax_error(struct config_check *check, const yaml_parser_t *parser)
{
	const char *hint = "";

	if (parser->problem && strstr(parser->problem, "cannot start any token"))
		hint = " (indent with blanks, not with tabs; quote a value that starts with @ or `)";
	error_at(check, parser->problem_mark.line + 1, "not YAML: %s%s%s%s",
		parser->context ? parser->context : "", parser->context ? ", " : "",
		parser->problem ? parser->problem : "cannot be read", hint);
}

static void
check_document(struct config_check *check)
{
	yaml_node_t *root = yaml_document_get_root_node(&check->document);

	if (!root)
		error_at(check, 1, "the file is empty; at least state_dir is needed");
	else if (root->type != YAML_MAPPING_NODE)
		error_at(check, root->start_mark.line + 1, "the file has to hold \"key: value\"");
	else
		walk(check, &config_schema, root, "");
}

struct config_check *
config_check_new(const char *file, const char *text, size_t length, bool files, FILE *errors)
{
	struct config_check *check = xcalloc(1, sizeof *check);
	yaml_parser_t parser;

	check->file = file;
	check->errors = errors;
	check->files = files;
	if (!yaml_parser_initialize(&parser))
		die("out of memory", "libyaml");
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
	if (yaml_parser_load(&parser, &check->document)) {
		check_document(check);
		yaml_document_delete(&check->document);
	} else {
		syntax_error(check, &parser);
	}
	yaml_parser_delete(&parser);
	return check;
}

void
config_check_free(struct config_check **check_ref)
{
	struct config_check *check = *check_ref;

	if (!check)
		return;
	for (size_t i = 0; i < check->places_count; i++)
		free(check->places[i].path);
	free(check->places);
	free(check);
	*check_ref = NULL;
}

bool
config_check_has(const struct config_check *check, const char *path)
{
	return place_find(check, path, strlen(path)) != NULL;
}

unsigned
config_check_errors(const struct config_check *check)
{
	return check->count;
}
