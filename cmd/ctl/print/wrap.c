/*
 * wrap.c - lines of words that fit a terminal.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/ctl/ctl.h"
#include "shared/base/log.h"

#define WIDTH 100

void
wrap_line(struct wrap *wrap)
{
	printf("\n%*s", (int)wrap->indent, "");
	wrap->column = wrap->indent;
	wrap->fresh = true;
}

static void
wrap_word(struct wrap *wrap, const char *word)
{
	const size_t width = width_of(word), blank = wrap->fresh ? 0 : 1;

	if (!wrap->fresh && wrap->column + blank + width > WIDTH)
		wrap_line(wrap);
	if (!wrap->fresh) {
		putchar(' ');
		wrap->column++;
	}
	print_clean(stdout, word);
	wrap->column += width;
	wrap->fresh = false;
}

void
wrap_text(struct wrap *wrap, const char *text)
{
	char *word;

	for (; *text; text += strcspn(text, " "), text += strspn(text, " ")) {
		word = xstrndup(text, strcspn(text, " "));
		if (*word)
			wrap_word(wrap, word);
		free(word);
	}
}
