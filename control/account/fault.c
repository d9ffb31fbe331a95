/*
 * fault.c - faults of requests, and the checks that every body goes through.
 */
#include "control/account/fault.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int
fault_set(struct fault *fault, int status, const char *field, const char *format, ...)
{
	va_list args;

	fault->status = status;
	snprintf(fault->field, sizeof fault->field, "%s", field ? field : "");
	va_start(args, format);
	vsnprintf(fault->error, sizeof fault->error, format, args);
	va_end(args);
	return -1;
}

int
fault_in(struct fault *fault, const char *in)
{
	char field[FAULT_FIELD_MAX];

	snprintf(field, sizeof field, "%s%s%.60s", in, *fault->field ? "." : "", fault->field);
	memcpy(fault->field, field, sizeof field);
	return -1;
}

static bool
is_type(const json_t *value, enum field_type type)
{
	switch (type) {
	case FIELD_TEXT: return json_is_string(value);
	case FIELD_NUMBER: return json_is_integer(value);
	case FIELD_LIMIT:
		return json_is_integer(value) ||
			(json_is_string(value) && strcmp(json_string_value(value), "default") == 0);
	case FIELD_SWITCH: return json_is_boolean(value);
	case FIELD_LIST: return json_is_array(value);
	case FIELD_OBJECT: return json_is_object(value);
	}
	return false;
}

int
fields_check(struct fault *fault, const json_t *body, const struct field *known, const char *in)
{
	static const char *const types[] = {
		[FIELD_TEXT] = "a text",
		[FIELD_NUMBER] = "a whole number",
		[FIELD_LIMIT] = "a whole number, or \"default\"",
		[FIELD_SWITCH] = "true or false",
		[FIELD_LIST] = "a list",
		[FIELD_OBJECT] = "a JSON object",
	};
	char path[sizeof fault->field];
	const struct field *field;
	const char *key;
	json_t *value;

	if (body && !json_is_object(body))
		return fault_set(fault, 400, in, "%s is needed", types[FIELD_OBJECT]);
	json_object_foreach((json_t *)body, key, value)
	{
		snprintf(path, sizeof path, "%s%s%s", in ? in : "", in ? "." : "", key);
		for (field = known; field->name && strcmp(field->name, key) != 0;)
			field++;
		if (!field->name)
			return fault_set(fault, 400, path, "there is no such field");
		if (!is_type(value, field->type))
			return fault_set(fault, 400, path, "%s is needed", types[field->type]);
	}
	return 0;
}
