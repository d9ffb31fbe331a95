/*
 * reply.h - parser of SMTP replies as a client reads them (RFC 5321 4.2, RFC 2034). Pure.
 *
 * Replies are read leniently. A line's first digit decides its meaning wherever that digit can be
 * read. When the lines of one reply have different codes, the last code counts; a line in between
 * may have none. Behind the three digits anything may follow but another digit. A first line that
 * begins with a digit and has no code ("25 OK", "2.0.0 OK") stands for its class: 200, 400, 500.
 */
#ifndef SENDER_REPLY_H
#define SENDER_REPLY_H

#include <stdbool.h>
#include <stddef.h>

#define REPLY_TEXT_MAX 2048 /* what is kept of all lines together */
#define REPLY_LINES_MAX 200

struct reply {
	int code;                  /* 200..599, of the last line that has one; 0: none so far */
	char enhanced[16];         /* "5.1.1", or "" */
	char text[REPLY_TEXT_MAX]; /* lines joined by a blank, cleaned, with the code where it
				      changes: "550 5.1.1 no such user" */
	size_t text_length;
	unsigned lines;
	bool more; /* inside a multi-line reply */
	bool odd;  /* it does not begin with a code, but with blanks or with a digit alone, or
		      its lines are of several classes: it may be what is left of two */
};

void reply_start(struct reply *reply);
/*
 * Takes one line without its line ending. 1: the reply is complete; 0: another line follows; -1: no
 * reply can begin like that, or the reply has too many lines; then what was read before stays.
 * `on_line` gets the text behind the code (EHLO keywords), and may be NULL.
 */
int reply_line(struct reply *reply, const char *line, size_t length,
	void (*on_line)(void *arg, const char *text, size_t length), void *arg);

/* Enhanced code of the reply, or the generic one of its class ("5.0.0"). */
const char *reply_enhanced(const struct reply *reply);

#endif
