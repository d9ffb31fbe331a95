/*
 * http_scan.c - follows what a client sends over a connection, byte by byte. Fails by `status`.
 */
#include "shared/http/http_scan.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <event2/http.h>
#include <openssl/crypto.h>

#include "shared/base/log.h"
#include "shared/base/text.h"

#define DIGITS_MAX 15 /* of a length: that many digits cannot overflow */

void
http_scan_init(struct http_scan *scan, const struct http_scan_options *options)
{
	*scan = (struct http_scan){ .options = options };
}

static void
line_clear(struct http_scan *scan)
{
	if (scan->line)
		explicit_bzero(scan->line, scan->line_length); /* the line may have the token */
	scan->line_length = 0;
}

/* Drops what the request was admitted by. */
static void
forget(struct http_scan *scan)
{
	if (scan->authorization)
		explicit_bzero(scan->authorization, strlen(scan->authorization));
	free(scan->authorization);
	scan->authorization = NULL;
}

void
http_scan_wipe(struct http_scan *scan)
{
	line_clear(scan);
	free(scan->line);
	free(scan->target);
	forget(scan);
	scan->line = scan->target = NULL;
}

/* The first reason counts, later ones are dropped. */
static void
refuse(struct http_scan *scan, int status, const char *field, const char *error)
{
	if (scan->status)
		return;
	scan->status = status;
	scan->field = field;
	scan->error = error;
}

bool
http_token_is(const char *token, const char *authorization)
{
	const size_t length = strlen(token);

	if (!authorization || strncasecmp(authorization, "Bearer ", 7) != 0)
		return false;
	return strlen(authorization + 7) == length &&
		CRYPTO_memcmp(authorization + 7, token, length) == 0;
}

/* The request line */

/* The word itself; NULL: the text is none of them. */
static const char *
one_of(const char *text, const char *const *words)
{
	while (*words && strcmp(text, *words) != 0)
		words++;
	return *words;
}

static bool
is_target(const char *text)
{
	struct evhttp_uri *uri;

	if (*text != '/' && strncasecmp(text, "http://", 7) != 0 && strcmp(text, "*") != 0)
		return false;
	uri = evhttp_uri_parse_with_flags(text, EVHTTP_URI_NONCONFORMANT);
	if (uri)
		evhttp_uri_free(uri);
	return uri != NULL;
}

static void
take_first(struct http_scan *scan, char *line)
{
	static const char *const methods[] = { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE",
		"OPTIONS", NULL };
	static const char *const versions[] = { "HTTP/1.0", "HTTP/1.1", NULL };
	char *target = strchr(line, ' '), *version = target ? strchr(target + 1, ' ') : NULL;

	scan->state = HTTP_SCAN_FIELDS;
	if (!version) {
		refuse(scan, 400, "", "the first line is METHOD /path HTTP/1.1");
		return;
	}
	*target++ = *version++ = '\0';
	free(scan->target);
	scan->target = xstrdup(target);
	scan->method = one_of(line, methods);
	scan->is_head = strcmp(line, "HEAD") == 0;
	scan->wants_host = strcmp(version, "HTTP/1.1") == 0;
	if (strncmp(version, "HTTP/", 5) != 0)
		refuse(scan, 400, "", "the first line is METHOD /path HTTP/1.1");
	else if (!one_of(version, versions))
		refuse(scan, 505, "", "HTTP/1.1 is spoken here");
	else if (!scan->method)
		refuse(scan, 405, "", "this path does not take that method");
	else if (!is_target(target))
		refuse(scan, 400, "", "the path is none");
}

/* Fields */

static void
take_length(struct http_scan *scan, const char *value)
{
	const size_t digits = strspn(value, "0123456789");

	if (scan->has_length)
		refuse(scan, 400, "Content-Length", "it is given twice");
	else if (digits == 0 || value[digits])
		refuse(scan, 400, "Content-Length", "a number of bytes is needed");
	else
		scan->left = digits > DIGITS_MAX ? UINT64_MAX / 2 : strtoull(value, NULL, 10);
	scan->has_length = true;
}

static void
take_encoding(struct http_scan *scan, const char *value)
{
	if (scan->chunked || strcasecmp(value, "chunked") != 0)
		refuse(scan, 400, "Transfer-Encoding", "chunked, or none");
	scan->chunked = true;
}

/* RFC 9112 3.2 */
static void
take_host(struct http_scan *scan)
{
	if (scan->has_host)
		refuse(scan, 400, "Host", "it is given twice");
	scan->has_host = true;
}

static void
take_authorization(struct http_scan *scan, const char *value)
{
	if (scan->authorization)
		refuse(scan, 400, "Authorization", "it is given twice");
	else
		scan->authorization = xstrdup(value);
}

static void
take_known(struct http_scan *scan, const char *name, const char *value)
{
	if (strcasecmp(name, "Content-Length") == 0)
		take_length(scan, value);
	else if (strcasecmp(name, "Transfer-Encoding") == 0)
		take_encoding(scan, value);
	else if (strcasecmp(name, "Expect") == 0 && strcasecmp(value, "100-continue") != 0)
		refuse(scan, 417, "Expect", "100-continue, or nothing");
	else if (strcasecmp(name, "Host") == 0)
		take_host(scan);
	else if (strcasecmp(name, "Authorization") == 0)
		take_authorization(scan, value);
	else if (strcasecmp(name, "Cookie") == 0)
		scan->has_cookie = true;
}

/* RFC 9110 5.6.2 */
static bool
is_name(const char *text)
{
	if (!*text)
		return false;
	for (; *text; text++)
		if (!is_alnum(*text) && !strchr("!#$%&'*+-.^_`|~", *text))
			return false;
	return true;
}

static void
take_field(struct http_scan *scan, char *line)
{
	char *value = strchr(line, ':'), *end = line + strlen(line);

	if (!value || is_blank(*line)) {
		refuse(scan, 400, "", "a field of the head is Name: value in one line");
		return;
	}
	*value++ = '\0';
	while (is_blank(*value))
		value++;
	while (end > value && is_blank(end[-1]))
		*--end = '\0';
	if (is_name(line))
		take_known(scan, line, value);
	else
		refuse(scan, 400, "", "a field of the head is Name: value in one line");
}

static void
request_end(struct http_scan *scan)
{
	scan->requests++;
	scan->state = HTTP_SCAN_FIRST;
	scan->head = 0;
	scan->body = scan->left = 0;
	scan->has_length = scan->chunked = scan->has_host = scan->has_cookie = false;
}

/* Asks whether the request may go on. Whoever may not hears so, whatever else is wrong. */
static void
admit(struct http_scan *scan)
{
	const struct http_scan_options *options = scan->options;
	const struct http_head head = { scan->method ? scan->method : "",
		scan->target ? scan->target : "", scan->authorization, scan->has_cookie };
	const long room = options->admit ? options->admit(options->arg, &head)
					 : (long)options->body_max;

	forget(scan);
	scan->room = room < 0 ? 0 : (size_t)room;
	scan->trusted |= scan->room == options->body_max;
	if (room < 0)
		scan->status = 401;
}

static void
head_end(struct http_scan *scan)
{
	admit(scan);
	if (scan->wants_host && !scan->has_host)
		refuse(scan, 400, "Host", "HTTP/1.1 needs it");
	if (scan->chunked && scan->has_length)
		refuse(scan, 400, "Content-Length", "not beside Transfer-Encoding");
	if (scan->is_head && (scan->chunked || scan->left > 0))
		refuse(scan, 400, "", "HEAD has no body");
	if (scan->left > scan->room)
		refuse(scan, 413, "", "the body is too large");
	if (scan->status || scan->chunked)
		scan->state = HTTP_SCAN_CHUNK;
	else if (scan->left > 0)
		scan->state = HTTP_SCAN_BODY;
	else
		request_end(scan);
}

/* Chunks */

static void
take_chunk(struct http_scan *scan, const char *line)
{
	const size_t digits = strspn(line, "0123456789abcdefABCDEF");

	if (digits == 0 || line[digits]) {
		refuse(scan, 400, "Transfer-Encoding",
			"a chunk begins with its size in hex digits, and nothing else");
		return;
	}
	scan->left = digits > DIGITS_MAX ? UINT64_MAX / 2 : strtoull(line, NULL, 16);
	scan->body += scan->left;
	if (scan->body > scan->room)
		refuse(scan, 413, "", "the body is too large");
	scan->state = scan->left > 0 ? HTTP_SCAN_BODY : HTTP_SCAN_TRAILER;
}

static void
take_empty(struct http_scan *scan, const char *line)
{
	if (*line)
		refuse(scan, 400, "Transfer-Encoding",
			scan->state == HTTP_SCAN_TRAILER ? "no fields are taken behind the body"
							 : "a chunk is longer than its size");
	else if (scan->state == HTTP_SCAN_TRAILER)
		request_end(scan);
	else
		scan->state = HTTP_SCAN_CHUNK;
}

/* Lines */

static void
take_line(struct http_scan *scan, char *line)
{
	switch (scan->state) {
	case HTTP_SCAN_FIRST: take_first(scan, line); break;
	case HTTP_SCAN_FIELDS:
		if (*line)
			take_field(scan, line);
		else
			head_end(scan);
		break;
	case HTTP_SCAN_CHUNK: take_chunk(scan, line); break;
	case HTTP_SCAN_CHUNK_END:
	case HTTP_SCAN_TRAILER: take_empty(scan, line); break;
	case HTTP_SCAN_BODY: break;
	}
}

/* Whether scanning has ended. A refused head is scanned to its end, so that a missing token is seen
 * and 401 comes first. */
static bool
is_over(const struct http_scan *scan)
{
	return scan->status && scan->state != HTTP_SCAN_FIELDS;
}

static void
append(struct http_scan *scan, const char *data, size_t size)
{
	if (scan->line_room < scan->line_length + size + 1) {
		const size_t room = 2 * scan->line_length + size + 128;
		char *longer = xmalloc(room);

		if (scan->line) {
			memcpy(longer, scan->line, scan->line_length);
			explicit_bzero(scan->line, scan->line_length);
			free(scan->line);
		}
		scan->line = longer;
		scan->line_room = room;
	}
	memcpy(scan->line + scan->line_length, data, size);
	scan->line_length += size;
}

static void
line_end(struct http_scan *scan)
{
	size_t length = scan->line_length - 1;
	const bool cr = length > 0 && scan->line[length - 1] == '\r';

	length -= cr;
	scan->line[length] = '\0';
	if (!cr)
		refuse(scan, 400, "", "a line ends with CR LF");
	if (strlen(scan->line) != length || strchr(scan->line, '\r'))
		refuse(scan, 400, "", "the head holds a NUL or a lone CR");
	else if (cr || scan->state <= HTTP_SCAN_FIELDS) /* a refused head is read to its end */
		take_line(scan, scan->line);
	if (scan->state == HTTP_SCAN_FIRST && scan->status)
		scan->state = HTTP_SCAN_FIELDS;
	line_clear(scan);
}

/* A line that is too long ends scanning at once: the end of its head may never come. */
static void
too_long(struct http_scan *scan)
{
	scan->status = 0;
	if (scan->state == HTTP_SCAN_FIRST)
		refuse(scan, 414, "", "the path is too long");
	else if (scan->state == HTTP_SCAN_FIELDS)
		refuse(scan, 431, "", "the fields of the head are too long");
	else
		refuse(scan, 400, "Transfer-Encoding", "this is no chunk");
	scan->state = HTTP_SCAN_BODY;
}

/* Takes a line or its beginning; returns how many bytes of the data that was. */
static size_t
feed_line(struct http_scan *scan, const char *data, size_t size)
{
	const char *end = memchr(data, '\n', size);
	const size_t length = end ? (size_t)(end - data) + 1 : size;

	scan->head += length;
	if (scan->head > scan->options->head_max) {
		too_long(scan);
		return length;
	}
	append(scan, data, length);
	if (end)
		line_end(scan);
	if (end && scan->state != HTTP_SCAN_FIELDS)
		scan->head = 0;
	return length;
}

static size_t
feed_body(struct http_scan *scan, size_t size)
{
	const size_t length = size < scan->left ? size : (size_t)scan->left;

	scan->left -= length;
	if (scan->left > 0)
		return length;
	if (scan->chunked)
		scan->state = HTTP_SCAN_CHUNK_END;
	else
		request_end(scan);
	return length;
}

bool
http_scan_feed(struct http_scan *scan, const char *data, size_t size)
{
	for (size_t used; size > 0 && !is_over(scan); data += used, size -= used)
		used = scan->state == HTTP_SCAN_BODY ? feed_body(scan, size)
						     : feed_line(scan, data, size);
	return !is_over(scan);
}
