/*
 * stuff.c - dot-stuffing of a message for DATA.
 *
 * queue_body -> [stuff] -> client_mail
 *
 * A message is handed over in runs that need no dot, so that a run is one copy. A dot after a bare
 * LF is stuffed, too: a server that takes LF for a line ending must not see the end of the message
 * there. Owns nothing.
 */
#include "sender/smtp/stuff.h"

#include <string.h>

void
stuff_start(struct stuff *stuff)
{
	stuff->last[0] = '\r';
	stuff->last[1] = '\n';
}

size_t
stuff_run(struct stuff *stuff, const char *data, size_t length, bool *dot_out)
{
	const char *end = data + length, *at = data;

	*dot_out = length && *data == '.' && stuff->last[1] == '\n';
	while ((at = memchr(at, '\n', (size_t)(end - at))) && ++at < end && *at != '.')
		;
	if (at && at < end)
		length = (size_t)(at - data);
	if (length == 1)
		stuff->last[0] = stuff->last[1];
	else if (length)
		stuff->last[0] = data[length - 2];
	if (length)
		stuff->last[1] = data[length - 1];
	return length;
}

const char *
stuff_end(const struct stuff *stuff)
{
	bool ended = stuff->last[0] == '\r' && stuff->last[1] == '\n';

	return ended ? ".\r\n" : "\r\n.\r\n";
}
