/*
 * api_reply.c - replies of an exchange, and parameters of its query.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "control/http/api_private.h"
#include "shared/base/json.h"
#include "shared/base/log.h"
#include "shared/base/text.h"
#include "shared/http/problem.h"

static void
exchange_end(struct exchange *exchange)
{
	struct api *api = exchange->api;

	evhttp_clear_headers(&exchange->query);
	json_decref(exchange->body);
	for (int i = 0; i < PARAMETERS_MAX; i++)
		free(exchange->parameters[i]);
	if (exchange->session)
		explicit_bzero(exchange->session, sizeof *exchange->session);
	free(exchange->session);
	free(exchange);
	if (--api->open == 0 && api->on_closed)
		api->on_closed(api->closed_arg);
}

/* problem+json (RFC 9457); "error" is "detail" for clients of before. */
json_t *
problem_json(struct exchange *exchange, int status, const char *type, const char *field,
	const char *error)
{
	const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(exchange->request));
	char clean[FAULT_ERROR_MAX] = "", name[FAULT_FIELD_MAX] = ""; /* quoted from the request */
	char instance[FAULT_ERROR_MAX] = "";

	text_clean(clean, sizeof clean, 0, error, strlen(error));
	text_clean(name, sizeof name, 0, field, strlen(field));
	text_clean(instance, sizeof instance, 0, path ? path : "", path ? strlen(path) : 0);
	return json_pack("{s:s, s:s, s:i, s:s, s:s, s:s, s:o}", "type", type, "title",
		problem_of(status)->title, "status", status, "detail", clean, "instance", instance,
		"error", clean, "field", *name ? json_string(name) : json_null());
}

void
reply_header(struct exchange *exchange, const char *name, const char *value)
{
	evhttp_add_header(evhttp_request_get_output_headers(exchange->request), name, value);
}

static void
reply(struct exchange *exchange, int status, const char *type, struct evbuffer *body)
{
	if (type)
		reply_header(exchange, "Content-Type", type);
	if (!evhttp_find_header(
		    evhttp_request_get_output_headers(exchange->request), "Cache-Control"))
		reply_header(exchange, "Cache-Control", "no-store");
	http_door_reply(exchange->api->door, exchange->request, status, body);
	evbuffer_free(body);
	exchange_end(exchange);
}

static struct evbuffer *
body_new(void)
{
	struct evbuffer *body = evbuffer_new();

	if (!body)
		die("out of memory", "evbuffer_new");
	return body;
}

void
reply_nothing(struct exchange *exchange)
{
	reply(exchange, 204, NULL, body_new());
}

void
reply_text(struct exchange *exchange, const char *type, const char *text, size_t length)
{
	struct evbuffer *body = body_new();

	evbuffer_add(body, text, length);
	reply(exchange, 200, type, body);
}

void
reply_bytes(
	struct exchange *exchange, int status, const char *type, const void *bytes, size_t length)
{
	struct evbuffer *body = body_new();

	if (evbuffer_add_reference(body, bytes, length, NULL, NULL) < 0)
		die("out of memory", "evbuffer_add_reference");
	reply(exchange, status, type, body);
}

void
reply_json(struct exchange *exchange, int status, json_t *value)
{
	struct evbuffer *body = body_new();
	char *text = json_dumps(value, JSON_INDENT(1));

	if (!text)
		die("out of memory", "json_dumps");
	json_decref(value);
	text = json_shown(text);
	evbuffer_add_printf(body, "%s\n", text);
	explicit_bzero(text, strlen(text)); /* it may hold a new password */
	free(text);
	reply(exchange, status, status < 400 ? "application/json" : PROBLEM_TYPE, body);
}

void
reply_fault(struct exchange *exchange, const struct fault *fault)
{
	reply_json(exchange, fault->status,
		problem_json(exchange, fault->status, problem_of(fault->status)->type, fault->field,
			fault->error));
}

void
reply_error(struct exchange *exchange, int status, const char *field, const char *format, ...)
{
	char error[FAULT_ERROR_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(error, sizeof error, format, args);
	va_end(args);
	reply_problem(exchange, status, problem_of(status)->type, field, error);
}

void
reply_problem(struct exchange *exchange, int status, const char *type, const char *field,
	const char *error)
{
	reply_json(exchange, status, problem_json(exchange, status, type, field, error));
}

void
reply_not_taken(struct exchange *exchange, int err)
{
	if (err == -ETIMEDOUT)
		reply_error(exchange, 503, "",
			"the queue did not answer in time; the change may still take effect: "
			"look before you repeat it");
	else
		reply_error(exchange, 503, "", "the queue does not take it: %s", strerror(-err));
}

/* The query */

const char *
query_text(const struct exchange *exchange, const char *name)
{
	return evhttp_find_header(&exchange->query, name);
}

int
query_switch(struct exchange *exchange, const char *name)
{
	const char *text = query_text(exchange, name);

	if (!text || strcmp(text, "false") == 0)
		return 0;
	if (strcmp(text, "true") == 0)
		return 1;
	reply_error(exchange, 400, name, "true or false");
	return -1;
}

long
query_number(struct exchange *exchange, const char *name, long def, long min, long max)
{
	const char *text = query_text(exchange, name);
	char *end;
	long number;

	if (!text)
		return def;
	number = strtol(text, &end, 10);
	if (is_digit(*text) && !*end && number >= min && number <= max)
		return number;
	reply_error(exchange, 400, name, "a number from %ld to %ld", min, max);
	return -1;
}
