/*
 * http.c - makes requests to control's API, one at a time, and waits for the answer.
 *
 * Only the place that connect.c found gets the token: there is no proxy, no redirection, no .netrc,
 * and with https no server whose certificate does not fit.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "cmd/ctl/ctl.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/base/text.h"

#define CONNECT_TIMEOUT_S 10L
#define TIMEOUT_S 120L /* a search of all events takes its time */
#define ANSWER_MAX ((size_t)64 << 20)

/* The answer */

struct answer {
	char *text;
	size_t length, room;
	bool too_large;
	char detail[CURL_ERROR_SIZE];
};

static size_t
on_data(char *data, size_t size, size_t count, void *arg)
{
	struct answer *answer = arg;
	const size_t length = size * count;

	answer->too_large = length > ANSWER_MAX - answer->length;
	if (answer->too_large)
		return 0;
	if (length > answer->room - answer->length) {
		answer->room = 2 * answer->room + length;
		answer->text = xrealloc(answer->text, answer->room);
	}
	memcpy(answer->text + answer->length, data, length);
	answer->length += length;
	return length;
}

/* Says what went wrong, or writes it down, when it may pass. */
static void tell(const struct ctl *ctl, struct ctl_trouble *trouble, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void
tell(const struct ctl *ctl, struct ctl_trouble *trouble, const char *format, ...)
{
	char text[CTL_TROUBLE_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (trouble && trouble->passes)
		memcpy(trouble->text, text, sizeof text);
	else
		ctl_error(ctl, "%s", text);
}

/* Whether a server that starts again, or a network that comes back, ends it. */
static bool
may_pass(CURLcode code)
{
	return code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST ||
		code == CURLE_SSL_CONNECT_ERROR || code == CURLE_GOT_NOTHING ||
		code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR ||
		code == CURLE_PARTIAL_FILE || code == CURLE_OPERATION_TIMEDOUT;
}

/* Whether the request failed before anything was sent. */
static bool
is_unasked(CURLcode code)
{
	return code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_PEER_FAILED_VERIFICATION ||
		code == CURLE_SSL_CONNECT_ERROR || code == CURLE_SSL_CACERT_BADFILE;
}

/* Says why no answer came. */
static void
tell_failure(const struct ctl *ctl, CURL *curl, CURLcode code, const struct answer *answer,
	struct ctl_trouble *trouble)
{
	const char *why = *answer->detail ? answer->detail : curl_easy_strerror(code);
	char *method = NULL;
	long err = 0;

	curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &err);
	curl_easy_getinfo(curl, CURLINFO_EFFECTIVE_METHOD, &method);
	if (trouble)
		trouble->passes = may_pass(code);
	if (answer->too_large)
		tell(ctl, trouble, "the answer has more than %zu MiB: ask for less (--limit)",
			ANSWER_MAX >> 20);
	else if (code == CURLE_COULDNT_CONNECT)
		tell(ctl, trouble, "no answer from %s: does shout run? (%s)", ctl->url,
			err ? strerror((int)err) : why);
	else if (code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_WEIRD_SERVER_REPLY)
		tell(ctl, trouble,
			"what answers at %s does not speak HTTP: is it another service, or TLS?",
			ctl->url);
	else
		tell(ctl, trouble, "no answer from %s: %s%s", ctl->url, why,
			is_unasked(code) || (method && strcmp(method, "GET") == 0)
				? ""
				: "; what was asked may still be done: look before you repeat it");
}

/* An error of a field is told of the option or word that the user typed for the field. */
static void
tell_fault(const struct ctl *ctl, const char *field, const char *error, struct ctl_trouble *trouble)
{
	char *typed = ctl_typed(ctl, field);

	tell(ctl, trouble, "%s%s%s", typed, *typed ? ": " : "", error);
	free(typed);
}

/* The body of a success; NULL after saying what went wrong. */
static json_t *
answer_take(const struct ctl *ctl, CURL *curl, const struct answer *answer, json_t **refusal_out,
	struct ctl_trouble *trouble)
{
	json_t *body = json_loadb(answer->text ? answer->text : "", answer->length, 0, NULL);
	const char *error = json_text(body, "error");
	const char *field = json_text(body, "field");
	long status = 0;

	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	if (status / 100 == 2 && json_is_object(body))
		return body;
	if (error && refusal_out) {
		*refusal_out = body;
		return NULL;
	}
	if (trouble)
		trouble->passes = status / 100 == 5;
	if (status / 100 == 2)
		ctl_error(ctl, "what %s answers is no JSON object", ctl->url);
	else if (error)
		tell_fault(ctl, field ? field : "", error, trouble);
	else
		tell(ctl, trouble, "%s answers with HTTP status %ld, and not why", ctl->url,
			status);
	json_decref(body);
	return NULL;
}

/* The request */

/* Names the person who works here, for the events about changes. */
static void
add_operator(struct curl_slist *headers)
{
	const char *name = ctl_operator();
	char clean[128] = "", *line;

	if (!name || !*name)
		return;
	text_clean(clean, sizeof clean, 0, name, strlen(name));
	line = xasprintf("X-Shout-Operator: %s", clean);
	if (!curl_slist_append(headers, line))
		die("out of memory", "curl_slist_append");
	free(line);
}

static struct curl_slist *
headers_make(const struct ctl *ctl, bool body)
{
	char *bearer = xasprintf("Authorization: Bearer %s", ctl->token);
	struct curl_slist *headers = curl_slist_append(NULL, bearer), *more;

	/* curl does not send a header with nothing behind its colon. */
	more = curl_slist_append(
		headers, body ? "Content-Type: application/json" : "Content-Type:");
	explicit_bzero(bearer, strlen(bearer));
	free(bearer);
	if (!headers || !more)
		die("out of memory", "curl_slist_append");
	add_operator(headers);
	return headers;
}

static void
headers_free(struct curl_slist *headers)
{
	for (struct curl_slist *at = headers; at; at = at->next)
		explicit_bzero(at->data, strlen(at->data)); /* one header has the token */
	curl_slist_free_all(headers);
}

static void
connection_set(const struct ctl *ctl, CURL *curl)
{
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
	if (ctl->ca_file)
		curl_easy_setopt(curl, CURLOPT_CAINFO, ctl->ca_file);
	curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* the environment may name a proxy */
	curl_easy_setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT_S);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, TIMEOUT_S);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
}

/* `text` NULL: no body. A POST says that it has no body, so that the server does not wait for
 * one. */
static void
request_set(CURL *curl, const char *method, const char *text)
{
	const bool post = strcmp(method, "POST") == 0;

	if (text || post) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text ? text : "");
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)(text ? strlen(text) : 0));
	}
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L); /* an account may be called ".." */
}

static json_t *
perform(const struct ctl *ctl, CURL *curl, json_t **refusal_out, struct ctl_trouble *trouble)
{
	struct answer answer = { 0 };
	json_t *reply = NULL;
	CURLcode code;

	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, answer.detail);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer);
	code = curl_easy_perform(curl);
	if (code)
		tell_failure(ctl, curl, code, &answer, trouble);
	else
		reply = answer_take(ctl, curl, &answer, refusal_out, trouble);
	if (answer.text)
		explicit_bzero(answer.text, answer.length); /* it may hold a new password */
	free(answer.text);
	return reply;
}

static json_t *
request(const struct ctl *ctl, const char *method, const char *path, json_t *body,
	json_t **refusal_out, struct ctl_trouble *trouble)
{
	CURL *curl = curl_easy_init();
	char *uri = xasprintf("%s/api/v1/%s", ctl->url, path);
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	struct curl_slist *headers = headers_make(ctl, body);
	struct curl_slist *place = ctl->place ? curl_slist_append(NULL, ctl->place) : NULL;
	json_t *reply;

	if (!curl || (body && !text))
		die("out of memory", "a request");
	connection_set(ctl, curl);
	request_set(curl, method, text);
	curl_easy_setopt(curl, CURLOPT_URL, uri);
	curl_easy_setopt(curl, CURLOPT_CONNECT_TO, place);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	reply = perform(ctl, curl, refusal_out, trouble);
	curl_easy_cleanup(curl);
	headers_free(headers);
	curl_slist_free_all(place);
	if (text)
		explicit_bzero(text, strlen(text)); /* it may hold verifiers */
	free(text);
	free(uri);
	json_decref(body);
	return reply;
}

json_t *
ctl_request(const struct ctl *ctl, const char *method, const char *path, json_t *body)
{
	return request(ctl, method, path, body, NULL, NULL);
}

json_t *
ctl_try(const struct ctl *ctl, const char *method, const char *path, json_t *body,
	json_t **refusal_out)
{
	return request(ctl, method, path, body, refusal_out, NULL);
}

json_t *
ctl_poll(const struct ctl *ctl, const char *path, struct ctl_trouble *trouble)
{
	*trouble = (struct ctl_trouble){ 0 };
	return request(ctl, "GET", path, NULL, NULL, trouble);
}

char *
ctl_encode(const char *text)
{
	char *escaped = curl_easy_escape(NULL, text, 0), *encoded;

	if (!escaped)
		die("out of memory", "curl_easy_escape");
	encoded = xstrdup(escaped);
	curl_free(escaped);
	return encoded;
}
