/*
 * json.c - write one JSON object into a growing buffer.
 */
#include "shared/base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/date.h"
#include "shared/base/log.h"
#include "shared/base/text.h"

static char *
room(struct json *json, size_t size)
{
	if (json->space - json->length < size + 1) {
		json->space = (json->length + size + 1) * 2 + 256;
		json->text = xrealloc(json->text, json->space);
	}
	return json->text + json->length;
}

static void
put(struct json *json, const char *text, size_t length)
{
	memcpy(room(json, length), text, length);
	json->length += length;
}

/* Writes the escape of a character of two or three bytes. */
static void
put_code(struct json *json, const char *text, size_t step)
{
	unsigned point = step == 2 ? text[0] & 0x1fu : text[0] & 0x0fu;
	char escape[8];

	for (size_t i = 1; i < step; i++)
		point = point << 6 | (text[i] & 0x3fu);
	put(json, escape, (size_t)snprintf(escape, sizeof escape, "\\u%04x", point));
}

/* Writes the escape of a control character, a quote or a backslash. */
static void
put_escape(struct json *json, unsigned char c)
{
	static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt";
	char escape[8];
	int length = 2;

	for (size_t i = 0; i < sizeof shorts - 1; i += 2) {
		if (c == (unsigned char)shorts[i]) {
			escape[0] = '\\';
			escape[1] = shorts[i + 1];
			put(json, escape, 2);
			return;
		}
	}
	length = snprintf(escape, sizeof escape, "\\u%04x", c);
	put(json, escape, (size_t)length);
}

static void
put_string(struct json *json, const char *text, size_t length)
{
	size_t from = 0, i = 0;

	put(json, "\"", 1);
	while (i < length) {
		size_t step = utf8_length(text + i, length - i);

		bool hidden = text_is_hidden_control(text + i, step);

		if (step && !hidden && !is_control(text[i]) && text[i] != '"' && text[i] != '\\') {
			i += step;
			continue;
		}
		put(json, text + from, i - from);
		if (hidden)
			put_code(json, text + i, step);
		else if (step)
			put_escape(json, (unsigned char)text[i]);
		else
			put(json, "\xef\xbf\xbd", 3);
		from = i += step ? step : 1;
	}
	put(json, text + from, i - from);
	put(json, "\"", 1);
}

static void
put_key(struct json *json, const char *key)
{
	if (json->comma)
		put(json, ",", 1);
	json->comma = true;
	if (key) {
		put_string(json, key, strlen(key));
		put(json, ":", 1);
	}
}

void
json_begin(struct json *json)
{
	json->length = 0;
	json->comma = false;
	put(json, "{", 1);
}

void
json_strn(struct json *json, const char *key, const char *value, size_t length)
{
	if (!value)
		return;
	put_key(json, key);
	put_string(json, value, length);
}

void
json_str(struct json *json, const char *key, const char *value)
{
	if (value)
		json_strn(json, key, value, strlen(value));
}

void
json_int(struct json *json, const char *key, int64_t value)
{
	put_key(json, key);
	json->length += (size_t)snprintf(room(json, 24), 24, "%lld", (long long)value);
}

void
json_bool(struct json *json, const char *key, bool value)
{
	put_key(json, key);
	put(json, value ? "true" : "false", value ? 4 : 5);
}

void
json_raw(struct json *json, const char *key, const char *value)
{
	put_key(json, key);
	put(json, value, strlen(value));
}

void
json_open(struct json *json, const char *key, char bracket)
{
	put_key(json, key);
	put(json, &bracket, 1);
	json->comma = false;
}

void
json_close(struct json *json, char bracket)
{
	put(json, &bracket, 1);
	json->comma = true;
}

void
json_time(struct json *json, const char *key, uint64_t us)
{
	char text[DATE_SIZE];

	date_iso(us, text);
	json_str(json, key, text);
}

const char *
json_end(struct json *json)
{
	put(json, "}", 1);
	json->text[json->length] = '\0';
	return json->text;
}

char *
json_shown(char *dump)
{
	struct json json = { 0 };
	size_t length = strlen(dump), from = 0;

	for (size_t i = 0, step; i < length; i += step) {
		step = utf8_length(dump + i, length - i);
		if (!step)
			step = 1;
		if (!text_is_hidden_control(dump + i, step))
			continue;
		put(&json, dump + from, i - from);
		put_code(&json, dump + i, step);
		from = i + step;
	}
	if (!from)
		return dump;
	put(&json, dump + from, length + 1 - from);
	explicit_bzero(dump, length);
	free(dump);
	return json.text;
}

void
json_free(struct json *json)
{
	free(json->text);
	memset(json, 0, sizeof *json);
}
