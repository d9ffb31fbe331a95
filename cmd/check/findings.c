/*
 * findings.c - prints a check's findings: a line each, or an entry of the JSON object.
 */
#include <stdarg.h>
#include <stdio.h>

#include "cmd/check/check.h"

/* Prints a finding: one line, or an entry of "findings". */
__attribute__((format(printf, 3, 0))) static void
finding(struct findings *findings, const char *level, const char *format, va_list args)
{
	char text[1024];

	vsnprintf(text, sizeof text, format, args);
	if (!findings->json) {
		printf("%-12s %s\n", level, text);
		return;
	}
	json_open(findings->json, NULL, '{');
	json_str(findings->json, "level", level);
	json_str(findings->json, "text", text);
	json_close(findings->json, '}');
}

void
warn(struct findings *findings, const char *format, ...)
{
	va_list args;

	findings->warnings++;
	va_start(args, format);
	finding(findings, "warning", format, args);
	va_end(args);
}

void
fail(struct findings *findings, const char *format, ...)
{
	va_list args;

	findings->errors++;
	va_start(args, format);
	finding(findings, "error", format, args);
	va_end(args);
}
