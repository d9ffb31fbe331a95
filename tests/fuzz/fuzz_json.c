/*
 * fuzz_json.c - whatever bytes are written, a JSON library reads one object on one line.
 */
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "shared/base/json.h"
#include "shared/base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t half = size / 2;
	struct json json = { 0 };
	json_t *parsed;
	const char *text;

	json_begin(&json);
	json_strn(&json, "a", (const char *)data, half);
	json_open(&json, "b", '[');
	json_strn(&json, NULL, (const char *)data + half, size - half);
	json_int(&json, NULL, (int64_t)size);
	json_close(&json, ']');
	text = json_end(&json);
	assert(strlen(text) == json.length && !strchr(text, '\n') && !strchr(text, '\r'));
	assert(!text_has_hidden_controls(text, json.length));
	parsed = json_loads(text, JSON_ALLOW_NUL, NULL);
	assert(parsed && json_array_size(json_object_get(parsed, "b")) == 2);
	json_decref(parsed);
	json_free(&json);
	return 0;
}
