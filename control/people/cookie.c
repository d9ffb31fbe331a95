/*
 * cookie.c - finds one cookie in the field "Cookie".
 */
#include "control/people/cookie.h"

#include <string.h>

#include "shared/base/text.h"

/* Copies the value; false: it does not fit, is empty, or has a sign that no value of ours has. */
static bool
take(const char *value, size_t length, char *out, size_t size)
{
	if (length == 0 || length >= size)
		return false;
	for (size_t i = 0; i < length; i++)
		if (!is_alnum(value[i]) && value[i] != '-' && value[i] != '_')
			return false;
	memcpy(out, value, length);
	out[length] = '\0';
	return true;
}

bool
cookie_find(const char *field, const char *name, char *out, size_t size)
{
	const size_t wanted = strlen(name);
	unsigned found = 0;
	bool good = false;

	*out = '\0';
	while (field && *field) {
		size_t length;

		while (is_blank(*field) || *field == ';')
			field++;
		length = strcspn(field, ";");
		if (length > wanted && memcmp(field, name, wanted) == 0 && field[wanted] == '=') {
			size_t end = length;

			while (is_blank(field[end - 1]))
				end--;
			good = take(
				field + wanted + 1, end > wanted ? end - wanted - 1 : 0, out, size);
			found++;
		}
		field += length;
	}
	if (good && found == 1)
		return true;
	explicit_bzero(out, size);
	return false;
}
