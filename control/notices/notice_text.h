/*
 * notice_text.h - texts of the mails to customers: a subject, an empty line, and the text, with
 * names in braces for what differs from mail to mail. Pure.
 *
 *   {NAME} stands for a value; a part in [brackets] goes when a value in it is empty.
 */
#ifndef CONTROL_NOTICE_TEXT_H
#define CONTROL_NOTICE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum notice_language {
	NOTICE_ITALIAN,
	NOTICE_ENGLISH,
	NOTICE_LANGUAGES,
};

struct notice_value {
	const char *name;
	const char *text[NOTICE_LANGUAGES]; /* the second NULL: as the first; both: empty */
	bool lines; /* whole lines of ours, which go as they are; else one line, cleaned and cut */
};

#define NOTICE_FAULT_MAX 160
/* Checks a text; `names` are those that it may use, with blanks between. 0, or the number of the
 * line that is wrong, and why. */
unsigned
notice_text_check(const char *text, size_t length, const char *names, char why[NOTICE_FAULT_MAX]);

/* Write the subject, and the text as lines of at most 76 columns that end in CRLF. The text has
 * passed notice_text_check(); `values` ends with a name NULL, and a name that it lacks is empty.
 * Lines that begin with blanks are not broken. */
void notice_text_subject(FILE *out, const char *text, enum notice_language language,
	const struct notice_value *values);
void notice_text_body(FILE *out, const char *text, enum notice_language language,
	const struct notice_value *values);

#endif
