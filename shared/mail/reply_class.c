/*
 * reply_class.c - the last word about mail, as one of a few classes.
 *
 * sender: outcome -> [reply_class] -> Row.last_class          control: Row -> [reply_class]
 *
 * The classes are few whatever hosts say: a subject that RFC 3463 does not know counts as no
 * enhanced code. Owns nothing, cannot fail.
 */
#include "shared/mail/reply_class.h"

#include <stdio.h>
#include <string.h>

#include "shared/base/text.h"

#define SUBJECT_MAX '7'

/* Whether "4.7.1" has a subject that RFC 3463 knows. */
static bool
has_subject(const char *enhanced)
{
	return enhanced[0] >= '2' && enhanced[0] <= '5' && enhanced[1] == '.' &&
		enhanced[2] >= '0' && enhanced[2] <= SUBJECT_MAX && enhanced[3] == '.';
}

void
class_of_reply(char class[REPLY_CLASS_MAX], int code, const char *enhanced)
{
	if (code < 200 || code > 599)
		snprintf(class, REPLY_CLASS_MAX, "lost");
	else if (has_subject(enhanced))
		snprintf(class, REPLY_CLASS_MAX, "%d.%c.x", code / 100, enhanced[2]);
	else
		snprintf(class, REPLY_CLASS_MAX, "%dxx", code / 100);
}

static bool
has_code(const char *text)
{
	return text[0] >= '2' && text[0] <= '5' && is_digit(text[1]) && is_digit(text[2]) &&
		!is_digit(text[3]);
}

void
class_of_text(char class[REPLY_CLASS_MAX], const char *text)
{
	if (has_code(text))
		class_of_reply(class, (text[0] - '0') * 100, text[3] ? text + 4 : "");
	else
		snprintf(class, REPLY_CLASS_MAX, "ours");
}

void
class_of_row(char class[REPLY_CLASS_MAX], const Row *row)
{
	if (row->state == ROW__STATE__HELD)
		snprintf(class, REPLY_CLASS_MAX, "held");
	else if (*row->last_class)
		snprintf(class, REPLY_CLASS_MAX, "%s", row->last_class);
	else if (*row->last_reply)
		class_of_text(class, row->last_reply);
	else
		snprintf(class, REPLY_CLASS_MAX, "never");
}
