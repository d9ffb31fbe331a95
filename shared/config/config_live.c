/*
 * config_live.c - settings that change while the process runs.
 *
 * cmd/shout.c (SIGHUP) -> [config_live] -> roles, queue
 *
 * Two configurations are compared as text: the schema writes each, key by key.
 */
#include "shared/config/config_live.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"
#include "shared/config/config_private.h"

#define PATH_SIZE 128

struct compare {
	const struct config_loaded *before, *after;
	config_change_cb cb;
	void *arg;
};

static void put_value(FILE *out, const cyaml_schema_value_t *schema, const char *path,
	const void *at, unsigned count);

static void
put_units(FILE *out, enum config_kind kind, uint64_t value)
{
	static const struct {
		enum config_kind kind;
		uint64_t factor;
		const char *name;
	} units[] = {
		{ KIND_DURATION, 86400000, "d" },
		{ KIND_DURATION, 3600000, "h" },
		{ KIND_DURATION, 60000, "m" },
		{ KIND_DURATION, 1000, "s" },
		{ KIND_DURATION, 1, "ms" },
		{ KIND_SIZE, 1ull << 40, "T" },
		{ KIND_SIZE, 1ull << 30, "G" },
		{ KIND_SIZE, 1ull << 20, "M" },
		{ KIND_SIZE, 1ull << 10, "k" },
		{ KIND_SIZE, 1, "" },
	};

	for (size_t i = 0; value && i < sizeof units / sizeof *units; i++)
		if (units[i].kind == kind && value % units[i].factor == 0) {
			fprintf(out, "%" PRIu64 "%s", value / units[i].factor, units[i].name);
			return;
		}
	fputc('0', out);
}

static void
put_text(FILE *out, const char *path, const void *at)
{
	const struct config_rule *rule = config_rule_find(path);
	const char *text;
	uint64_t value;

	if (rule && (rule->kind == KIND_DURATION || rule->kind == KIND_SIZE)) {
		memcpy(&value, at, sizeof value);
		put_units(out, rule->kind, value);
		return;
	}
	memcpy(&text, at, sizeof text);
	fputs(text ? text : "~", out);
}

static void
put_choice(FILE *out, const cyaml_schema_value_t *schema, const void *at)
{
	int value;

	memcpy(&value, at, sizeof value);
	for (uint32_t i = 0; i < schema->enumeration.count; i++)
		if (schema->enumeration.strings[i].val == value)
			fputs(schema->enumeration.strings[i].str, out);
}

static unsigned
count_of(const cyaml_schema_field_t *field, const void *base)
{
	unsigned count = 0;

	if (field->value.type == CYAML_SEQUENCE)
		memcpy(&count, (const char *)base + field->count_offset, sizeof count);
	return count;
}

/* Writes an entry of a list: "{address: 0.0.0.0:25, tls: none}". */
static void
put_mapping(FILE *out, const cyaml_schema_value_t *schema, const char *path, const void *base)
{
	const cyaml_schema_field_t *field = schema->mapping.fields;

	for (fputc('{', out); field->key; field++) {
		fprintf(out, "%s%s: ", field == schema->mapping.fields ? "" : ", ", field->key);
		put_value(out, &field->value, path, (const char *)base + field->data_offset,
			count_of(field, base));
	}
	fputc('}', out);
}

static void
put_list(FILE *out, const cyaml_schema_value_t *schema, const char *path, const void *at,
	unsigned count)
{
	const cyaml_schema_value_t *entry = schema->sequence.entry;
	const char *entries;

	memcpy(&entries, at, sizeof entries);
	fputc('[', out);
	for (unsigned i = 0; i < count; i++) {
		fputs(i ? ", " : "", out);
		put_value(out, entry, path, entries + (size_t)i * entry->data_size, 0);
	}
	fputc(']', out);
}

static void
put_value(FILE *out, const cyaml_schema_value_t *schema, const char *path, const void *at,
	unsigned count)
{
	unsigned number;
	bool set;

	switch (schema->type) {
	case CYAML_STRING: put_text(out, path, at); break;
	case CYAML_ENUM: put_choice(out, schema, at); break;
	case CYAML_MAPPING: put_mapping(out, schema, path, at); break;
	case CYAML_SEQUENCE: put_list(out, schema, path, at, count); break;
	case CYAML_BOOL:
		memcpy(&set, at, sizeof set);
		fputs(set ? "true" : "false", out);
		break;
	default: memcpy(&number, at, sizeof number); fprintf(out, "%u", number);
	}
}

static char *
text_of(const cyaml_schema_field_t *field, const char *path, const struct config_loaded *loaded)
{
	char *text;
	size_t length;
	FILE *out = xopen_memstream(&text, &length);

	put_value(out, &field->value, path, (const char *)loaded + field->data_offset,
		count_of(field, loaded));
	xclose_memstream(out);
	return text;
}

static void
path_below(char out[PATH_SIZE], const char *path, const char *key)
{
	snprintf(out, PATH_SIZE, "%.60s%s%.60s", path, *path ? "." : "", key);
}

typedef void (*field_cb)(void *arg, const cyaml_schema_field_t *field, const char *path);

static void
each_field(const cyaml_schema_value_t *schema, const char *path, field_cb cb, void *arg)
{
	char below[PATH_SIZE];

	for (const cyaml_schema_field_t *field = schema->mapping.fields; field->key; field++) {
		path_below(below, path, field->key);
		if (field->value.type == CYAML_MAPPING)
			each_field(&field->value, below, cb, arg);
		else
			cb(arg, field, below);
	}
}

struct each_key {
	void (*cb)(void *arg, const char *path);
	void *arg;
};

static void
on_key(void *arg, const cyaml_schema_field_t *field, const char *path)
{
	struct each_key *each = arg;

	(void)field;
	each->cb(each->arg, path);
}

void
config_each_key(void (*cb)(void *arg, const char *path), void *arg)
{
	struct each_key each = { cb, arg };

	each_field(&config_schema, "", on_key, &each);
}

/* Whether the value comes from a file of its own. Such a value was not read again, so the file's
 * name is compared instead. */
static bool
from_file(const struct compare *compare, const char *path)
{
	const struct config *before = &compare->before->config, *after = &compare->after->config;

	if (strcmp(path, "redis.password") == 0)
		return before->redis.password_file || after->redis.password_file;
	if (strcmp(path, "redis.sentinel_password") == 0)
		return before->redis.sentinel_password_file || after->redis.sentinel_password_file;
	if (strcmp(path, "queue.sasl.password") == 0)
		return before->queue.sasl.password_file || after->queue.sasl.password_file;
	return false;
}

static void
wipe_free(char *text)
{
	explicit_bzero(text, strlen(text));
	free(text);
}

static bool
can_take_certificates(const struct config *config, const struct config *fresh)
{
	return config->ingress.tls.files_count && fresh->ingress.tls.files_count;
}

static bool
can_take_control(const struct config *config, const struct config *fresh)
{
	return config->control.tls.certificate && fresh->control.tls.certificate;
}

static bool
takes(const struct compare *compare, const char *path)
{
	const struct config *before = &compare->before->config, *after = &compare->after->config;

	if (!config_is_live(path))
		return false;
	if (strncmp(path, "ingress.tls.", 12) == 0)
		return can_take_certificates(before, after);
	return strncmp(path, "control.tls.", 12) != 0 || can_take_control(before, after);
}

static void
compare_field(void *arg, const cyaml_schema_field_t *field, const char *path)
{
	const struct compare *compare = arg;
	const size_t length = strlen(path);
	const bool secret = length > 8 && strcmp(path + length - 8, "password") == 0;
	char *before, *after;

	if (from_file(compare, path))
		return;
	before = text_of(field, path, compare->before);
	after = text_of(field, path, compare->after);
	if (strcmp(before, after) != 0)
		compare->cb(compare->arg,
			&(struct config_change){ .path = path,
				.before = secret ? "(secret)" : before,
				.after = secret ? "(secret)" : after,
				.live = takes(compare, path) });
	wipe_free(before);
	wipe_free(after);
}

void
config_compare(
	const struct config *config, const struct config *fresh, config_change_cb cb, void *arg)
{
	struct compare compare = { (const struct config_loaded *)config,
		(const struct config_loaded *)fresh, cb, arg };

	each_field(&config_schema, "", compare_field, &compare);
}

static bool
other_files(const struct tls_files *a, const struct tls_files *b)
{
	return strcmp(a->certificate, b->certificate) != 0 || strcmp(a->key, b->key) != 0;
}

bool
config_other_certificates(const struct config *config, const struct config *fresh)
{
	const struct tls_files *a = config->ingress.tls.files, *b = fresh->ingress.tls.files;

	if (config->ingress.tls.files_count != fresh->ingress.tls.files_count)
		return true;
	for (unsigned i = 0; i < config->ingress.tls.files_count; i++)
		if (other_files(&a[i], &b[i]))
			return true;
	return false;
}

bool
config_other_control(const struct config *config, const struct config *fresh)
{
	return can_take_control(config, fresh) &&
		other_files(&config->control.tls, &fresh->control.tls);
}

static void
swap_certificates(struct config_loaded *to, struct config_loaded *from)
{
	const struct config_loaded old = *to;

	to->certificate = from->certificate;
	to->key = from->key;
	to->more = from->more;
	to->more_count = from->more_count;
	to->config.ingress.tls.files = from->config.ingress.tls.files;
	to->config.ingress.tls.files_count = from->config.ingress.tls.files_count;
	from->certificate = old.certificate;
	from->key = old.key;
	from->more = old.more;
	from->more_count = old.more_count;
	from->config.ingress.tls.files = old.config.ingress.tls.files;
	from->config.ingress.tls.files_count = old.config.ingress.tls.files_count;
}

static void
take_value(void *to, const void *from, size_t size)
{
	if (size == sizeof(uint64_t))
		atomic_store((_Atomic uint64_t *)to, *(const uint64_t *)from);
	else if (size == sizeof(unsigned))
		atomic_store((_Atomic unsigned *)to, *(const unsigned *)from);
	else
		atomic_store((_Atomic bool *)to, *(const bool *)from);
}

void
config_take(struct config *config, struct config *fresh)
{
	for (const struct config_live *live = config_live_keys; live->path; live++)
		if (live->size)
			take_value((char *)config + live->offset,
				(const char *)fresh + live->offset, live->size);
	if (can_take_certificates(config, fresh))
		swap_certificates((struct config_loaded *)config, (struct config_loaded *)fresh);
	if (can_take_control(config, fresh)) {
		const struct tls_files old = config->control.tls;

		config->control.tls = fresh->control.tls;
		fresh->control.tls = old;
	}
}
