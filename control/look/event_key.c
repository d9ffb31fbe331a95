/*
 * event_key.c - tells events of a message apart.
 */
#include "control/look/event_key.h"

#include <inttypes.h>
#include <stdint.h>

#include "shared/base/json_text.h"
#include "shared/base/log.h"

static uint64_t
hash(uint64_t sum, const char *text)
{
	for (; text && *text; text++)
		sum = (sum ^ (unsigned char)*text) * UINT64_C(1099511628211);
	return (sum ^ '\n') * UINT64_C(1099511628211);
}

char *
event_key(const json_t *event, const char *name)
{
	const char *id = json_text(event, "event_id");
	uint64_t sum = hash(UINT64_C(14695981039346656037), json_text(event, "site"));
	json_t *one;
	size_t i;

	if (id)
		return xstrdup(id);
	sum = hash(sum, json_text(event, "rule"));
	json_array_foreach(json_object_get(event, "to"), i, one)
		sum = hash(sum, json_string_value(one));
	return xasprintf("%s:%" JSON_INTEGER_FORMAT ":%016" PRIx64, name,
		json_integer_value(json_object_get(event, "attempts")), sum);
}
