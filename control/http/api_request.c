/*
 * api_request.c - the query and the body of a request: taken whole, or refused.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <event2/buffer.h>

#include "control/http/api_private.h"
#include "control/http/route.h"
#include "shared/base/json_text.h"
#include "shared/base/text.h"

bool
request_is_text(struct evhttp_request *request)
{
	size_t length;
	char *decoded = evhttp_uridecode(evhttp_request_get_uri(request), 0, &length);
	const bool good = decoded && !memchr(decoded, '\0', length) && utf8_valid(decoded, length);

	free(decoded);
	return good;
}

/* Whether the request says that its body is JSON in UTF-8, or says nothing. */
static bool
is_json(struct exchange *exchange)
{
	const struct evkeyvalq *headers = evhttp_request_get_input_headers(exchange->request);
	const char *type = evhttp_find_header(headers, "Content-Type"), *charset;

	if (!type)
		return true;
	charset = strcasestr(type, "charset=");
	if (charset)
		charset += strlen("charset=") + (charset[strlen("charset=")] == '"');
	return text_is(type, strcspn(type, "; "), "application/json") &&
		(!charset || text_is(charset, strcspn(charset, "\"; "), "utf-8"));
}

/* Refuses a body that is not taken. */
static bool
body_fits(struct exchange *exchange)
{
	const char *coding = evhttp_find_header(
		evhttp_request_get_input_headers(exchange->request), "Content-Encoding");

	if (!is_json(exchange))
		reply_error(exchange, 415, "Content-Type", "application/json is needed");
	else if (coding && strcasecmp(coding, "identity") != 0)
		reply_error(exchange, 415, "Content-Encoding", "none is taken");
	else
		return true;
	return false;
}

bool
request_take_body(struct exchange *exchange, const struct route *route)
{
	struct evbuffer *input = evhttp_request_get_input_buffer(exchange->request);
	const size_t length = evbuffer_get_length(input);
	struct fault fault;
	json_error_t error;

	if (length == 0)
		return true;
	if (!body_fits(exchange))
		return false;
	exchange->body = json_loadb(
		(const char *)evbuffer_pullup(input, -1), length, JSON_REJECT_DUPLICATES, &error);
	if (!exchange->body)
		reply_error(exchange, 400, "", "the body is no JSON: line %d, column %d: %s",
			error.line, error.column, error.text);
	else if (!route->body &&
		fields_check(&fault, exchange->body, &(struct field){ 0 }, NULL) < 0)
		reply_fault(exchange, &fault);
	else
		return true;
	return false;
}

void
request_take_claimed(struct exchange *exchange)
{
	const char *name = evhttp_find_header(
		evhttp_request_get_input_headers(exchange->request), "X-Shout-Operator");

	if (!name)
		name = json_text(exchange->body, "by");
	if (name && exchange->caller.kind == CALLER_ROOT) /* others have a name that is proved */
		text_clean(exchange->claimed, sizeof exchange->claimed, 0, name, strlen(name));
}

struct author
exchange_author(struct exchange *exchange)
{
	return (struct author){ .by = exchange->caller.name,
		.claimed = *exchange->claimed ? exchange->claimed : NULL,
		.client = exchange->client };
}

bool
request_take_query(struct exchange *exchange, const struct route *route)
{
	const char *query = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(exchange->request));
	const char *wrong = NULL;
	struct evkeyval *pair;

	if (query && evhttp_parse_query_str(query, &exchange->query) < 0) {
		reply_error(exchange, 400, "", "the query is no list of name=value");
		return false;
	}
	for (pair = exchange->query.tqh_first; pair && !wrong; pair = pair->next.tqe_next) {
		if (!text_has_word(route->query, pair->key, strlen(pair->key)))
			wrong = "there is no such parameter";
		else if (!*pair->value)
			wrong = "a value is needed";
		else if (query_text(exchange, pair->key) != pair->value)
			wrong = "it is given twice";
		if (wrong)
			reply_error(exchange, 400, pair->key, "%s", wrong);
	}
	return !wrong;
}
