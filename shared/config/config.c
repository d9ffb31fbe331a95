/*
 * config.c - read shout.yaml into struct config.
 *
 * file -> config_check (every error with its line) -> libcyaml fills the struct -> defaults,
 * numbers from text -> config_together (checks of keys against each other).
 *
 * Owns the strings of the configuration. Fails with all errors on the caller's stream; it never
 * logs.
 */
#include "shared/config/config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/log.h"
#include "shared/base/net.h"
#include "shared/config/config_private.h"

#define FILE_MAX (1u << 20)
#define PASSWORD_MAX 512

struct unit {
	const char *name;
	uint64_t factor;
};

/* Digits and one of `units` (ends with NULL). Leading zeros are refused: YAML readers take such a
 * number as octal. */
static int
parse_units(const char *text, const struct unit *units, uint64_t *out)
{
	size_t digits = strspn(text, "0123456789");
	uint64_t value = 0;

	if (digits == 0 || digits > 19 || (digits > 1 && text[0] == '0'))
		return -EINVAL;
	for (size_t i = 0; i < digits; i++)
		value = value * 10 + (uint64_t)(text[i] - '0');
	for (; units->name; units++) {
		if (strcmp(text + digits, units->name) != 0)
			continue;
		return __builtin_mul_overflow(value, units->factor, out) ? -EINVAL : 0;
	}
	return -EINVAL;
}

int
config_duration(const char *text, uint64_t *ms_out)
{
	static const struct unit units[] = {
		{ "ms", 1 },
		{ "s", 1000 },
		{ "m", 60000 },
		{ "h", 3600000 },
		{ "d", 86400000 },
		{ NULL, 0 },
	};

	if (strcmp(text, "0") == 0) {
		*ms_out = 0;
		return 0;
	}
	return parse_units(text, units, ms_out);
}

int
config_size(const char *text, uint64_t *bytes_out)
{
	static const struct unit units[] = {
		{ "", 1 },
		{ "k", 1ull << 10 },
		{ "K", 1ull << 10 },
		{ "M", 1ull << 20 },
		{ "G", 1ull << 30 },
		{ "T", 1ull << 40 },
		{ NULL, 0 },
	};

	return parse_units(text, units, bytes_out);
}

int
config_value(enum config_kind kind, const char *text, uint64_t *value_out)
{
	static const struct unit none[] = {
		{ "", 1 },
		{ NULL, 0 },
	};

	if (kind == KIND_DURATION)
		return config_duration(text, value_out);
	if (kind == KIND_SIZE)
		return config_size(text, value_out);
	return parse_units(text, none, value_out);
}

/* The whole file, NUL-terminated; NULL with errno. */
static char *
read_file(const char *path, size_t max, size_t *length_out)
{
	FILE *file = fopen(path, "re");
	char *text;

	if (!file)
		return NULL;
	text = xmalloc(max + 1);
	errno = 0;
	*length_out = fread(text, 1, max, file);
	if (ferror(file) || !feof(file)) {
		int err = errno ? errno : EFBIG;
		fclose(file);
		free(text);
		errno = err;
		return NULL;
	}
	fclose(file);
	text[*length_out] = '\0';
	return text;
}

__attribute__((format(printf, 3, 0))) static void
on_library_log(cyaml_log_t level, void *arg, const char *format, va_list args)
{
	char *last = arg;

	if (level >= CYAML_LOG_ERROR && !*last)
		vsnprintf(last, 256, format, args);
}

static cyaml_config_t
library_config(char last[256])
{
	last[0] = '\0';
	return (cyaml_config_t){
		.log_fn = on_library_log,
		.log_ctx = last,
		.mem_fn = cyaml_mem,
		.log_level = CYAML_LOG_ERROR,
	};
}

/* The check has passed the text already. An error of the library here means that schema and check
 * disagree, and only the library's words can be shown. */
static struct config_loaded *
load(const char *file, const char *text, size_t length, FILE *errors)
{
	char last[256];
	cyaml_config_t library = library_config(last);
	cyaml_data_t *data = NULL;
	cyaml_err_t err = cyaml_load_data(
		(const uint8_t *)text, length, &library, &config_schema, &data, NULL);

	if (err == CYAML_OK)
		return (struct config_loaded *)data;
	last[strcspn(last, "\n")] = '\0';
	fprintf(errors, "%s:1: %s: %s\n", file, cyaml_strerror(err), last);
	return NULL;
}

static void
set_text(char **at, const char *fallback)
{
	if (!*at && fallback)
		*at = xstrdup(fallback);
}

/* Converts a value that was loaded as text into its number. An absent key gets its default. */
static void
convert(void *at, const struct config_rule *rule)
{
	char *text;
	uint64_t value;

	memcpy(&text, at, sizeof text);
	if (config_value(rule->kind, text ? text : rule->fallback, &value) < 0)
		die("bad default in the schema", rule->path);
	free(text);
	memcpy(at, &value, sizeof value);
}

static void
apply_rules(struct config_loaded *loaded, const struct config_check *check)
{
	for (const struct config_rule *rule = config_rules; rule->path; rule++) {
		void *at = (char *)loaded + rule->offset;
		uint64_t value;

		if (strchr(rule->path, '[')) {
			continue;
		} else if (rule->kind == KIND_TEXT) {
			set_text(at, rule->fallback);
		} else if (rule->kind != KIND_NUMBER) {
			convert(at, rule);
		} else if (!config_check_has(check, rule->path)) {
			if (config_value(KIND_NUMBER, rule->fallback, &value) < 0)
				die("bad default in the schema", rule->path);
			*(unsigned *)at = (unsigned)value;
		}
	}
}

/* Debian's file of the DNS root key. NULL: it is not installed, and nothing can be validated. */
static const char *
default_anchor(void)
{
	static const char path[] = "/usr/share/dns/root.key";

	return access(path, R_OK) == 0 ? path : "none";
}

static void
apply_defaults(struct config_loaded *loaded, const struct config_check *check)
{
	struct config *config = &loaded->config;
	char host[256] = "localhost", path[64];

	apply_rules(loaded, check);
	gethostname(host, sizeof host - 1);
	set_text(&config->hostname, host);
	if (!config->redis.sentinels_count)
		set_text(&config->redis.address, "unix:/run/redis/redis-server.sock");
	set_text(&config->dns.trust_anchor, default_anchor());
	if (!config->ingress.help_url)
		config->ingress.help_url = xasprintf("https://%s/help", config->hostname);
	if (!config->ingress.postmaster)
		config->ingress.postmaster = xasprintf("postmaster@%s", config->hostname);
	if (!config_check_has(check, "log.level"))
		config->log.level = LOG_LEVEL_INFO;
	if (!config_check_has(check, "scanner.enabled"))
		config->scanner.enabled = true;
	if (!config_check_has(check, "score.enabled"))
		config->score.enabled = true;
	if (!config_check_has(check, "scanner.clamd")) {
		config->scanner.clamd = xcalloc(1, sizeof *config->scanner.clamd);
		config->scanner.clamd[0] = xstrdup("unix:/run/clamav/clamd.ctl");
		config->scanner.clamd_count = 1;
	}
	for (unsigned i = 0; i < config->ingress.listen_count; i++) {
		snprintf(path, sizeof path, "ingress.listen[%u].auth", i);
		if (!config_check_has(check, path))
			config->ingress.listen[i].auth = true;
	}
}

static void
gather_certificates(struct config_loaded *loaded)
{
	struct config *config = &loaded->config;
	struct tls_files *files;

	if (!loaded->certificate || !loaded->key)
		return;
	files = xcalloc(loaded->more_count + 1, sizeof *files);
	files[0] = (struct tls_files){ loaded->certificate, loaded->key };
	for (unsigned i = 0; i < loaded->more_count; i++)
		files[i + 1] = loaded->more[i];
	config->ingress.tls.files = files;
	config->ingress.tls.files_count = loaded->more_count + 1;
}

/* Reads the password: the file's only line. */
static void
read_password(
	struct config_check *check, const char *path, const char *password_file, char **password)
{
	size_t length;
	char *text;

	if (!password_file)
		return;
	if (*password) {
		config_error(check, path, "is set together with %.*s",
			(int)(strlen(path) - strlen("_file")), path);
		return;
	}
	text = read_file(password_file, PASSWORD_MAX, &length);
	if (!text) {
		config_error(
			check, path, "\"%s\" cannot be read: %s", password_file, strerror(errno));
		return;
	}
	text[strcspn(text, "\r\n")] = '\0';
	*password = text;
}

/* Skips a wrong address: the check has reported it. */
static char *
egress_of(const struct config *config)
{
	struct net_address address;
	char text[2 * NET_TEXT_MAX] = "", ip[NET_TEXT_MAX];
	size_t used = 0;

	for (unsigned i = 0; i < config->sender.source_address_count && i < 2; i++) {
		if (net_parse_ip(config->sender.source_address[i], 0, &address) < 0)
			continue;
		net_format_ip(&address, ip);
		used += (size_t)snprintf(
			text + used, sizeof text - used, "%s%s", used ? "," : "", ip);
	}
	return xstrdup(text);
}

static void
read_passwords(struct config *config, struct config_check *check)
{
	read_password(
		check, "redis.password_file", config->redis.password_file, &config->redis.password);
	read_password(check, "redis.sentinel_password_file", config->redis.sentinel_password_file,
		&config->redis.sentinel_password);
	read_password(check, "queue.sasl.password_file", config->queue.sasl.password_file,
		&config->queue.sasl.password);
	read_password(check, "dkim.secret_file", config->dkim.secret_file, &config->dkim.secret);
}

/* How much to check: everything; the file's text alone; or the text and its keys against each
 * other. */
enum depth { DEPTH_ALL, DEPTH_ALONE, DEPTH_TOGETHER };

static struct config *
complete(struct config_loaded *loaded, const char *file, enum depth depth,
	struct config_check *check)
{
	struct config *config = &loaded->config;

	config->file = xstrdup(file);
	apply_defaults(loaded, check);
	config->sender.egress = egress_of(config);
	gather_certificates(loaded);
	if (depth == DEPTH_ALL)
		read_passwords(config, check);
	if (depth != DEPTH_ALONE)
		config_check_together(loaded, check);
	if (config_check_errors(check))
		config_free(&config);
	return config;
}

static struct config *
load_file(const char *file, enum depth depth, FILE *errors)
{
	struct config_loaded *loaded;
	struct config *config = NULL;
	struct config_check *check;
	size_t length;
	char *text = read_file(file, FILE_MAX, &length);

	if (!text) {
		fprintf(errors, "%s: cannot be read: %s\n", file, strerror(errno));
		return NULL;
	}
	check = config_check_new(file, text, length, depth == DEPTH_ALL, errors);
	if (!config_check_errors(check)) {
		loaded = load(file, text, length, errors);
		if (loaded)
			config = complete(loaded, file, depth, check);
	}
	config_check_free(&check);
	explicit_bzero(text, length);
	free(text);
	return config;
}

struct config *
config_load(const char *file, FILE *errors)
{
	return load_file(file, DEPTH_ALL, errors);
}

struct config *
config_load_alone(const char *file, FILE *errors)
{
	return load_file(file, DEPTH_ALONE, errors);
}

struct config *
config_load_again(const char *file, FILE *errors)
{
	return load_file(file, DEPTH_TOGETHER, errors);
}

static void
wipe(char *secret)
{
	if (secret)
		explicit_bzero(secret, strlen(secret));
}

void
config_free(struct config **config_ref)
{
	struct config *config = *config_ref;
	cyaml_config_t library;
	char last[256];

	if (!config)
		return;
	/* The library would take the numbers for the text that they were. */
	for (const struct config_rule *rule = config_rules; rule->path; rule++)
		if (rule->kind == KIND_DURATION || rule->kind == KIND_SIZE)
			memset((char *)config + rule->offset, 0, sizeof(uint64_t));
	wipe(config->redis.password);
	wipe(config->redis.sentinel_password);
	wipe(config->queue.sasl.password);
	wipe(config->dkim.secret);
	free(config->dkim.secret);
	free(config->file);
	free(config->sender.egress);
	free(config->ingress.tls.files);
	library = library_config(last);
	cyaml_free(&library, &config_schema, config, 0);
	*config_ref = NULL;
}
