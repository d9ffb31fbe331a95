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

/* What the library fills: the settings, and keys that become settings after loading. */
struct config_loaded {
	struct config config; /* first: config_free() gets its address */
	char *certificate, *key;
	struct tls_files *more;
	unsigned more_count;
};

#define LOADED struct config_loaded
#define CONFIG(member) offsetof(struct config_loaded, config.member)

/* How the text of a scalar is read. The library stores durations and sizes as text where their
 * number belongs; config.c converts them there. */
enum config_kind { KIND_TEXT, KIND_NUMBER, KIND_DURATION, KIND_SIZE };

struct config_rule {
	const char *path; /* [] stands for any index */
	enum config_kind kind;
	size_t offset;        /* in struct config_loaded; unused inside of lists */
	const char *fallback; /* the default as a file would say it, or NULL */
	const char *min, *max;
	const char *(*wrong)(const char *text); /* NULL: right; else what would be right */
};

extern const cyaml_schema_value_t config_schema;
extern const struct config_rule config_rules[]; /* ends with path NULL */

/* The keys that SIGHUP changes. No other place lists them. */
struct config_live {
	const char *path;
	size_t offset, size; /* size 0: config_take() treats the key by name */
};
extern const struct config_live config_live_keys[]; /* ends with path NULL */

const struct config_rule *config_rule_find(const char *path);
/* Whether the value names a file or a directory that must exist. */
bool config_rule_is_file(const struct config_rule *rule);
/* A number, duration or size as text to its value. 0 or -EINVAL. */
int config_value(enum config_kind kind, const char *text, uint64_t *value_out);

/* A file that has been compared with the schema: where each key stands, and how many errors. */
struct config_check;

/* Parses `text` and writes every error. `files`: also look at the files that the settings name.
 * Never NULL. */
struct config_check *
config_check_new(const char *file, const char *text, size_t length, bool files, FILE *errors);
void config_check_free(struct config_check **check);
bool config_check_has(const struct config_check *check, const char *path);
unsigned config_check_errors(const struct config_check *check);
/* "<file>:<line>: <path>: ...". A path that the file lacks gets the line of its parent. */
void config_error(struct config_check *check, const char *path, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Checks keys against each other, after the defaults have been filled in. */
void config_check_together(const struct config_loaded *loaded, struct config_check *check);

#endif
