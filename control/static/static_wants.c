/*
 * static_wants.c - which form of a file a browser wants, and in which language.
 */
#include "control/static/static_wants.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shared/base/text.h"

#define LANGUAGES 2
static const char *const languages[LANGUAGES] = { "it", "en" };

/* The next element of a list with commas, without blanks around it; NULL at the end. */
static const char *
next_element(const char **at, size_t *length_out)
{
	const char *begin = *at + strspn(*at, ", \t");
	size_t length = strcspn(begin, ",");

	*at = begin + length;
	while (length > 0 && is_blank(begin[length - 1]))
		length--;
	*length_out = length;
	return length ? begin : NULL;
}

/* The word of an element, "gzip;q=0.5", and its weight in thousandths (RFC 9110 12.4.2); -1: the
 * weight cannot be read. */
static int
weight_of(const char *element, size_t length, size_t *word_out)
{
	const char *end = element + length;
	const char *at = element + strcspn(element, ";, \t");
	int weight = 0, digits = 100;

	*word_out = (size_t)((at < end ? at : end) - element);
	while (at < end && (is_blank(*at) || *at == ';'))
		at++;
	if (at >= end)
		return 1000;
	if (end - at < 3 || to_lower(at[0]) != 'q' || at[1] != '=' ||
		(at[2] != '0' && at[2] != '1'))
		return -1;
	weight = (at[2] - '0') * 1000;
	if (at + 3 == end)
		return weight;
	if (at[3] != '.')
		return -1;
	for (at += 4; at < end; at++, digits /= 10) {
		if (!is_digit(*at) || digits == 0)
			return -1;
		weight += (*at - '0') * digits;
	}
	return weight <= 1000 ? weight : -1;
}

bool
static_takes_gzip(const char *accept_encoding)
{
	const char *at = accept_encoding, *element;
	size_t length, word;
	int any = 0;

	while (at && (element = next_element(&at, &length))) {
		const int weight = weight_of(element, length, &word);

		if (word == 4 && strncasecmp(element, "gzip", word) == 0)
			return weight > 0;
		if (word == 1 && *element == '*')
			any = weight;
	}
	return any > 0;
}

bool
static_tag_matches(const char *if_none_match, const char *tag)
{
	const char *at = if_none_match, *element;
	const size_t wanted = strlen(tag);
	size_t length;

	while (at && (element = next_element(&at, &length))) {
		if (length == 1 && *element == '*')
			return true;
		if (length > 2 && strncmp(element, "W/", 2) == 0) {
			element += 2;
			length -= 2;
		}
		if (length == wanted && strncmp(element, tag, length) == 0)
			return true;
	}
	return false;
}

/* The language that a text of that length begins with, as "it" and "it-CH" do; NULL: none of ours.
 */
static const char *
language_of(const char *text, size_t length)
{
	for (int i = 0; i < LANGUAGES; i++)
		if (length >= 2 && strncasecmp(text, languages[i], 2) == 0 &&
			(length == 2 || text[2] == '-'))
			return languages[i];
	return NULL;
}

static const char *
language_of_cookie(const char *cookie)
{
	static const char name[] = "language=";

	for (const char *at = cookie; at && *at; at += strcspn(at, ";")) {
		at += strspn(at, "; ");
		if (strncmp(at, name, sizeof name - 1) == 0)
			return language_of(
				at + sizeof name - 1, strcspn(at + sizeof name - 1, "; "));
	}
	return NULL;
}

const char *
static_language(const char *cookie, const char *accept_language)
{
	const char *best = language_of_cookie(cookie), *at = accept_language, *element;
	size_t length, word;
	int highest = 0;

	if (best)
		return best;
	while (at && (element = next_element(&at, &length))) {
		const int weight = weight_of(element, length, &word);
		const char *language = language_of(element, word);

		if (language && weight > highest) {
			best = language;
			highest = weight;
		}
	}
	return best ? best : "en";
}

bool
static_wants_page(const char *accept)
{
	const char *at = accept, *element;
	size_t length, word;

	while (at && (element = next_element(&at, &length)))
		if (weight_of(element, length, &word) > 0 && word == 9 &&
			strncasecmp(element, "text/html", word) == 0)
			return true;
	return false;
}
