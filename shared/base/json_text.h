/*
 * json_text.h - the texts in a JSON object that jansson has read.
 */
#ifndef SHARED_JSON_TEXT_H
#define SHARED_JSON_TEXT_H

#include <jansson.h>

/* The text under that key. NULL: there is none, or something else, or no object. */
static inline const char *
json_text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

/* The same; `otherwise` instead of NULL. */
static inline const char *
json_text_or(const json_t *object, const char *key, const char *otherwise)
{
	const char *text = json_text(object, key);

	return text ? text : otherwise;
}

#endif
