/*
 * config_private.h - what the files of the configuration share: config.c loads, config_schema.c
 * says which keys there are, config_rules.c what their values have to be, config_check.c compares a
 * file with both.
 */
#ifndef SHARED_CONFIG_PRIVATE_H
#define SHARED_CONFIG_PRIVATE_H

#include <stdio.h>

#include <cyaml/cyaml.h>

#include "shared/config/config.h"

/* What the library fills: the settings, and keys that are turned into settings after loading. */
struct config_loaded {
	struct config config; /* first: config_free() gets its address */
	char *certificate, *key;
	struct tls_files *more;
	unsigned more_count;
};

#define LOADED struct config_loaded
#define CONFIG(member) offsetof(struct config_loaded, config.member)

/* How the text of a scalar is understood. The library stores durations and sizes as text in the
 * place of their number; config.c converts them there. */
enum config_kind { KIND_TEXT, KIND_NUMBER, KIND_DURATION, KIND_SIZE };

struct config_rule {
	const char *path; /* with [] for any index */
	enum config_kind kind;
	size_t offset;        /* in struct config_loaded; unused inside of lists */
	const char *fallback; /* the default as it would be written, or NULL */
	const char *min, *max;
	const char *(*wrong)(const char *text); /* NULL, or what would be right */
};

extern const cyaml_schema_value_t config_schema;
extern const struct config_rule config_rules[]; /* ends with path NULL */

/* The keys that SIGHUP changes: this is where it is said which. */
struct config_live {
	const char *path;
	size_t offset, size; /* size 0: config_take() has a way of its own */
};
extern const struct config_live config_live_keys[]; /* ends with path NULL */

const struct config_rule *config_rule_find(const char *path);
/* Whether its value is a file or a directory that has to be there. */
bool config_rule_is_file(const struct config_rule *rule);
/* Numbers, durations and sizes to their value. 0 or -EINVAL. */
int config_value(enum config_kind kind, const char *text, uint64_t *value_out);

/* A file that has been compared with the schema: where each key stands, and how many errors. */
struct config_check;

/* Parses `text` and writes every error. `files`: those that it names are looked at, too. Never
 * NULL. */
struct config_check *
config_check_new(const char *file, const char *text, size_t length, bool files, FILE *errors);
void config_check_free(struct config_check **check);
bool config_check_has(const struct config_check *check, const char *path);
unsigned config_check_errors(const struct config_check *check);
/* "<file>:<line>: <path>: ..."; a path that the file lacks stands at the line of its parent. */
void config_error(struct config_check *check, const char *path, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
