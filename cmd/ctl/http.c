/*
 * http.c - one request to control's API at a time, waited for.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>

#include "cmd/ctl/ctl.h"
#include "shared/config.h"
#include "shared/log.h"
#include "shared/net.h"

#define TIMEOUT_S 120 /* a search of all events takes its time */

static int
token_read(struct ctl *ctl, const char *state_dir)
{
	char *path = xasprintf("%s/control.token", state_dir);
	FILE *file = fopen(path, "re");
	const bool ok = file && fread(ctl->token, 1, 64, file) == 64;

	if (!ok)
		ctl_error(ctl, "cannot read %s: %s", path,
			file ? "it holds no token" : strerror(errno));
	if (file)
		fclose(file);
	free(path);
	return ok ? 0 : -1;
}

static int
address_take(struct ctl *ctl, const char *file, const char *listen)
{
	struct net_address address;

	if (!listen) {
		ctl_error(ctl, "%s: control.listen is not set, so there is no API", file);
		return -1;
	}
	if (net_parse(listen, &address) < 0 || net_port(&address) == 0) {
		ctl_error(ctl, "%s: control.listen: \"%s\" is no address:port", file, listen);
		return -1;
	}
	net_format_ip(&address, ctl->host);
	ctl->port = net_port(&address);
	if (strcmp(ctl->host, "0.0.0.0") == 0)
		snprintf(ctl->host, sizeof ctl->host, "127.0.0.1");
	else if (strcmp(ctl->host, "::") == 0)
		snprintf(ctl->host, sizeof ctl->host, "::1");
	return 0;
}

int
ctl_connect(struct ctl *ctl)
{
	size_t length;
	char *wrong;
	FILE *errors = open_memstream(&wrong, &length);
	struct config *config = errors ? config_load(ctl->file, errors) : NULL;
	int err;

	if (!errors || fclose(errors) != 0)
		die("out of memory", "open_memstream");
	while (length > 0 && wrong[length - 1] == '\n')
		wrong[--length] = '\0';
	if (length > 0)
		ctl_error(ctl, "%s", wrong);
	free(wrong);
	if (!config)
		return -1;
	err = address_take(ctl, ctl->file, config->control.listen);
	if (!err)
		err = token_read(ctl, config->state_dir);
	config_free(&config);
	return err;
}

struct answer {
	bool came;
	int status;
	json_t *body;
};

static void
on_answer(struct evhttp_request *request, void *arg)
{
	struct answer *answer = arg;
	struct evbuffer *input;
	size_t length;

	if (!request || evhttp_request_get_response_code(request) == 0)
		return;
	answer->came = true;
	answer->status = evhttp_request_get_response_code(request);
	input = evhttp_request_get_input_buffer(request);
	length = evbuffer_get_length(input);
	if (length > 0)
		answer->body = json_loadb(
			(const char *)evbuffer_pullup(input, -1), length, 0, NULL);
}

static struct evhttp_request *
request_make(const struct ctl *ctl, struct answer *answer, json_t *body)
{
	struct evhttp_request *request = evhttp_request_new(on_answer, answer);
	struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	char bearer[80];

	snprintf(bearer, sizeof bearer, "Bearer %s", ctl->token);
	evhttp_add_header(headers, "Authorization", bearer);
	evhttp_add_header(headers, "Host", ctl->host);
	evhttp_add_header(headers, "Connection", "close");
	if (text) {
		evhttp_add_header(headers, "Content-Type", "application/json");
		evbuffer_add(evhttp_request_get_output_buffer(request), text, strlen(text));
	} else {
		evhttp_add_header(headers, "Content-Length", "0");
	}
	free(text);
	json_decref(body);
	return request;
}

static enum evhttp_cmd_type
method_of(const char *name)
{
	if (strcmp(name, "POST") == 0)
		return EVHTTP_REQ_POST;
	if (strcmp(name, "PATCH") == 0)
		return EVHTTP_REQ_PATCH;
	return strcmp(name, "DELETE") == 0 ? EVHTTP_REQ_DELETE : EVHTTP_REQ_GET;
}

/* The body of a success; NULL after saying what went wrong. */
static json_t *
answer_take(const struct ctl *ctl, struct answer *answer)
{
	const char *error = json_string_value(json_object_get(answer->body, "error"));
	const char *field = json_string_value(json_object_get(answer->body, "field"));

	if (!answer->came)
		ctl_error(ctl, "no answer from %s port %u: does shout run?", ctl->host, ctl->port);
	else if (answer->status / 100 == 2 && answer->body)
		return answer->body;
	else if (error)
		ctl_error(ctl, "%s%s%s", field ? field : "", field ? ": " : "", error);
	else
		ctl_error(ctl, "HTTP status %d", answer->status);
	json_decref(answer->body);
	return NULL;
}

json_t *
ctl_request(const struct ctl *ctl, const char *method, const char *path, json_t *body)
{
	struct event_base *base = event_base_new();
	struct evhttp_connection *connection = evhttp_connection_base_new(
		base, NULL, ctl->host, ctl->port);
	char *uri = xasprintf("/api/v1/%s", path);
	struct answer answer = { 0 };

	if (!base || !connection)
		die("out of memory", "evhttp");
	evhttp_connection_set_timeout(connection, TIMEOUT_S);
	if (evhttp_make_request(
		    connection, request_make(ctl, &answer, body), method_of(method), uri) == 0)
		event_base_dispatch(base);
	evhttp_connection_free(connection);
	event_base_free(base);
	free(uri);
	return answer_take(ctl, &answer);
}

char *
ctl_encode(const char *text)
{
	char *encoded = evhttp_uriencode(text, -1, 0);

	if (!encoded)
		die("out of memory", "evhttp_uriencode");
	return encoded;
}
