/*
 * json_from.c - times and texts for the API.
 */
#include "control/look/json_from.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/date.h"
#include "shared/base/log.h"
#include "shared/base/text.h"

json_t *
json_from_time(uint64_t us)
{
	char text[DATE_SIZE];

	if (!us)
		return json_null();
	date_iso(us, text);
	return json_string(text);
}

json_t *
json_from_text(const char *text)
{
	json_t *value = json_string(text ? text : "");
	char *ascii;

	if (value)
		return value;
	ascii = xstrdup(text);
	for (char *c = ascii; *c; c++)
		if ((unsigned char)*c > 126)
			*c = '?';
	value = json_string(ascii);
	free(ascii);
	return value;
}
