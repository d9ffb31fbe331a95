/*
 * json.h - write one JSON object into a growing buffer, for logs and events: no tree, no copies.
 * (Reading JSON is jansson's job.) Strings are escaped, also controls beyond ASCII
 * (text_is_hidden_control()), as a terminal may show them; invalid UTF-8 becomes U+FFFD.
 */
#ifndef SHARED_JSON_H
#define SHARED_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json {
	char *text; /* NUL-terminated after json_end() */
	size_t length, space;
	bool comma;
};

/* Starts an object `{`; the struct may be reused after json_end(). */
void json_begin(struct json *json);
void json_str(struct json *json, const char *key, const char *value); /* NULL: no field at all */
void json_strn(struct json *json, const char *key, const char *value, size_t length);
void json_int(struct json *json, const char *key, int64_t value);
void json_bool(struct json *json, const char *key, bool value);
/* `value` is JSON already, in one line. */
void json_raw(struct json *json, const char *key, const char *value);
/* Nesting: an object or array as the value of `key`; key NULL inside an array. */
void json_open(struct json *json, const char *key, char bracket); /* '{' or '[' */
void json_close(struct json *json, char bracket);                 /* '}' or ']' */
/* "2026-11-24T03:56:48.123Z" */
void json_time(struct json *json, const char *key, uint64_t us);
/* Closes the object opened by json_begin(); returns its text. */
const char *json_end(struct json *json);
void json_free(struct json *json);

/* The text of json_dumps() with controls beyond ASCII as escapes: the same value, safe to show in a
 * terminal. Takes over `dump` (of malloc()); the caller frees the result. */
char *json_shown(char *dump);

#endif
