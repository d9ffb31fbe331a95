/*
 * change_lines.h - a change of an account in words, for its people. Pure.
 */
#ifndef CONTROL_CHANGE_LINES_H
#define CONTROL_CHANGE_LINES_H

#include <stdio.h>

#include <jansson.h>

#include "control/notices/notice_text.h"

/* Writes what an event of audit.h tells, a line each, and returns how many lines: none for what
 * customers have no word for. Values from outside are cleaned, and cut after 120 signs; the event
 * has no secret. */
unsigned change_lines(FILE *out, enum notice_language language, const json_t *event);

#endif
