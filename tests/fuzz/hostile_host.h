/*
 * hostile_host.h - a mail host on the other end of a socket pair that answers each command with
 * what the fuzzer gives it, in pieces, and remembers what it said to what.
 *
 * What its words mean is judged here anew, with the least of code and without a look at reply.c.
 */
#ifndef TESTS_FUZZ_HOSTILE_HOST_H
#define TESTS_FUZZ_HOSTILE_HOST_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define COMMANDS_MAX 600
#define SAID_MAX (1u << 18)
#define LINE_LONG 4096 /* so much of a line is enough of it */
#define LINES_MAX 150  /* of a reply, for a client that reads 200 */

enum verb { HELLO, STARTTLS, MAIL, RCPT, DATA, DOT, RSET, QUIT, WHAT };
enum end { STAYS, CLOSES, MUTE, ABORTED };

/* What was said to it lies in `said` from `from` to `to`. */
struct command {
	enum verb verb;
	size_t recipient, from, to;
};

struct host {
	const uint8_t *input, *input_end;
	int fd;
	enum end end;    /* after all output ... */
	size_t end_at;   /* ... up to here */
	bool ended;      /* that has come */
	bool in_data;    /* by what it answered DATA */
	bool speaks_out; /* the greeting and EHLO are the fuzzer's, too */
	bool pipelining;
	size_t recipients; /* RCPT commands since MAIL */
	char line[4096];
	size_t line_length;
	struct command commands[COMMANDS_MAX];
	size_t count;
	char said[SAID_MAX];
	size_t made, sent; /* of `said` */
};

/* ---- what was said ---- */

struct words {
	const char *at, *end;
};

/* The next line, with or without an end. */
static inline bool
next_line(struct words *words, struct words *line, bool *whole)
{
	const char *lf;

	if (words->at == words->end)
		return false;
	lf = memchr(words->at, '\n', (size_t)(words->end - words->at));
	*whole = lf || words->end - words->at > LINE_LONG;
	line->at = words->at;
	line->end = lf ? lf : words->end;
	words->at = lf ? lf + 1 : words->end;
	return true;
}

static inline bool
is_code(const struct words *line)
{
	const char *c = line->at;
	size_t n = 0;

	while (c + n < line->end && c[n] >= '0' && c[n] <= '9')
		n++;
	return n == 3 && *c >= '2' && *c <= '5';
}

static inline bool
goes_on(const struct words *line)
{
	return is_code(line) && line->end - line->at > 3 && line->at[3] == '-';
}

static inline void
skip_blanks(struct words *line)
{
	while (line->at < line->end && memchr(" \t\r", *line->at, 4))
		line->at++;
}

/* The class of the next reply: of its last line with a code, or of what there is of it. 0: nothing
 * is said; `over`: it came to its end. A refusal that is not readable in full is a 4. */
static inline int
next_reply(struct words *words, bool *over)
{
	struct words line;
	int class = 0;
	bool whole;

	*over = false;
	while (next_line(words, &line, &whole)) {
		if (!class) {
			skip_blanks(&line);
			if (line.at == line.end || *line.at < '2' || *line.at > '5')
				continue;
			class = *line.at - '0';
			class -= class == 5 && !is_code(&line);
			*over = whole && !goes_on(&line);
		} else if (whole && is_code(&line)) {
			if (class != 2 || *line.at != '3')
				class = *line.at - '0';
			*over = !goes_on(&line);
		}
		if (*over)
			return class;
	}
	return class;
}

static inline unsigned
lines_in(struct words words)
{
	struct words line;
	unsigned n = 0;
	bool whole;

	while (next_line(&words, &line, &whole))
		n++;
	return n;
}

/* What of it was said indeed. */
static inline struct words
words_of(const struct host *host, const struct command *command)
{
	const size_t from = command->from < host->sent ? command->from : host->sent;
	const size_t to = command->to < host->sent ? command->to : host->sent;

	return (struct words){ host->said + from, host->said + to };
}

/* Likewise; to a message that is out a 3xx is none. */
static inline int
reply_to(enum verb verb, struct words *words, bool *over)
{
	int class;

	do
		class = next_reply(words, over);
	while (verb == DOT && class == 3 && *over);
	return verb == DOT && class == 3 ? 0 : class;
}

/* Exactly one reply, and one that nobody can take for another. */
static inline bool
is_plain(struct words words)
{
	bool over;
	const bool digit = words.at < words.end && *words.at >= '2' && *words.at <= '5';

	return digit && lines_in(words) == 1 && is_code(&words) && next_reply(&words, &over) &&
		over;
}

/* Whether a line anywhere in it refuses. */
static inline bool
has_class(struct words words, char digit)
{
	struct words line;
	bool whole;

	while (next_line(&words, &line, &whole)) {
		skip_blanks(&line);
		if (line.at < line.end && *line.at == digit && (digit == '2' || is_code(&line)))
			return true;
	}
	return false;
}

/* ---- what it does ---- */

static inline unsigned
take(struct host *host)
{
	return host->input < host->input_end ? *host->input++ : 0;
}

static inline void
say(struct host *host, const char *text, size_t length)
{
	if (length > SAID_MAX - host->made)
		length = SAID_MAX - host->made;
	memcpy(host->said + host->made, text, length);
	host->made += length;
}

static inline void
say_text(struct host *host, const char *text)
{
	say(host, text, strlen(text));
}

static inline void
say_much(struct host *host, unsigned what)
{
	static const char many[] = "250-x\r\n";
	char bytes[5000];

	memset(bytes, 'x', sizeof bytes);
	if (what < 4)
		say(host, bytes, sizeof bytes);
	else
		for (unsigned i = 0; i < 250; i++)
			say(host, many, sizeof many - 1);
}

/* Pieces of replies, right ones and others. */
static inline void
say_pieces(struct host *host)
{
	static const char *const pieces[] = { "250 ok\r\n", "354 go\r\n", "550 no\r\n",
		"451 later\r\n", "250-a\r\n", "550-5.1.1 a\r\n", "421 bye\r\n", "250", "354", "550",
		"451", "2", "25", "5", "-", " ", "_", "\t", "\r\n", "\n", "\r", "ok", "b\r\n",
		"2.0.0 x\r\n", "5.7.1 ", "554 ", "221 ", "150 wait\r\n", "452 4.5.3 many\r\n",
		"530 5.7.0 no\r\n", "251-", "600 ", "250-SIZE 5\r\n", "250-DSN\r\n" };
	const unsigned count = sizeof pieces / sizeof *pieces;

	for (unsigned n = take(host) % 5 + 1; n; n--) {
		unsigned piece = take(host);

		if (piece < 8)
			say_much(host, piece);
		else if (piece < 16)
			say(host, "\0", 1);
		else if (piece < 200)
			say_text(host, pieces[piece % count]);
		else
			for (unsigned i = piece % 8 + 1; i; i--)
				say(host, (char[]){ (char)take(host) }, 1);
	}
}

/* The answer to a command, or the greeting. */
static inline void
answer(struct host *host, enum verb verb, const char *usual)
{
	struct command *command = &host->commands[host->count];
	const unsigned how = take(host);
	const bool fuzzed = host->speaks_out || (verb != HELLO && verb != WHAT);

	*command = (struct command){ verb, host->recipients, host->made, 0 };
	if (!fuzzed || how < 96)
		say_text(host, usual);
	else if (how < 112)
		say_text(host, "550 5.1.1 no\r\n");
	else
		say_pieces(host);
	command->to = host->made;
	host->count++;
	if (fuzzed && how >= 224 && host->end == STAYS) {
		host->end = how % 3 + 1;
		host->end_at = command->from;
		if (command->to > command->from)
			host->end_at += take(host) % (command->to - command->from + 1);
	}
}

/* Whether its answer to DATA asks for the message. */
static inline bool
wants_data(const struct host *host)
{
	const struct command *command = &host->commands[host->count - 1];
	struct words words = { host->said + command->from, host->said + command->to };
	bool over;

	return next_reply(&words, &over) == 3;
}

static inline void
heard(struct host *host)
{
	static const struct {
		const char *verb, *usual;
	} verbs[] = {
		[STARTTLS] = { "STARTTLS", "454 no\r\n" },
		[MAIL] = { "MAIL", "250 ok\r\n" },
		[RCPT] = { "RCPT", "250 ok\r\n" },
		[DATA] = { "DATA", "354 go\r\n" },
		[DOT] = { ".", "250 queued\r\n" },
		[RSET] = { "RSET", "250 ok\r\n" },
		[QUIT] = { "QUIT", "221 bye\r\n" },
		[WHAT] = { "", "500 what\r\n" },
	};
	enum verb verb = STARTTLS;

	if (strncasecmp(host->line, "EHLO", 4) == 0 || strncasecmp(host->line, "HELO", 4) == 0) {
		answer(host, HELLO,
			host->pipelining ? "250-host\r\n250 PIPELINING\r\n" : "250 host\r\n");
		return;
	}
	while (strncasecmp(host->line, verbs[verb].verb, strlen(verbs[verb].verb)) != 0)
		verb++;
	if (verb == MAIL)
		host->recipients = 0;
	answer(host, verb, verbs[verb].usual);
	host->recipients += verb == RCPT;
	if (verb == DATA)
		host->in_data = wants_data(host);
}

static inline void
heard_line(struct host *host)
{
	host->line[host->line_length] = '\0';
	if (!host->in_data) {
		heard(host);
	} else if (strcmp(host->line, ".") == 0) {
		host->in_data = false;
		answer(host, DOT, "250 queued\r\n");
	}
	host->line_length = 0;
}

/* Returns whether anything came. */
static inline bool
listen_to(struct host *host)
{
	char bytes[16384];
	ssize_t n = read(host->fd, bytes, sizeof bytes);

	for (ssize_t i = 0; i < n; i++) {
		if (bytes[i] == '\n' && host->count < COMMANDS_MAX - 1)
			heard_line(host);
		else if (bytes[i] != '\r' && host->line_length < sizeof host->line - 1)
			host->line[host->line_length++] = bytes[i];
	}
	return n > 0;
}

/* Says a piece of what is left; returns whether anything was. */
static inline bool
speak(struct host *host)
{
	const size_t until = host->end == STAYS ? host->made : host->end_at;
	size_t length = until - host->sent;
	const unsigned cut = take(host);

	if (host->ended)
		return false;
	if (!length) {
		host->ended = host->end != STAYS;
		return host->ended;
	}
	if (cut % 4 == 1)
		length = cut / 4 % length + 1;
	if (send(host->fd, host->said + host->sent, length, MSG_NOSIGNAL) < 0)
		return false;
	host->sent += length;
	return true;
}

#endif
