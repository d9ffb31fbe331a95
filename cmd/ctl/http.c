/*
 * http.c - one request to control's API at a time, waited for.
 *
 * Only the address of the configuration hears the token: no proxy, no redirection, no .netrc.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "cmd/ctl/ctl.h"
#include "shared/base/log.h"
#include "shared/base/net.h"
#include "shared/config/config.h"

#define CONNECT_TIMEOUT_S 10L
#define TIMEOUT_S 120L /* a search of all events takes its time */
#define ANSWER_MAX ((size_t)64 << 20)

static int
token_read(struct ctl *ctl, const char *state_dir)
{
	char *path = xasprintf("%s/control.token", state_dir);
	FILE *file = fopen(path, "re");
	const bool ok = file && fread(ctl->token, 1, 64, file) == 64 &&
		strspn(ctl->token, "0123456789abcdef") == 64;

	if (!ok)
		ctl_error(ctl, "cannot read %s: %s", path,
			file ? "it holds no token" : strerror(errno));
	if (file)
		fclose(file);
	free(path);
	return ok ? 0 : -1;
}

/* Where it listens; what listens on every address is found on this machine's own. */
static int
address_take(struct ctl *ctl, const char *file, const char *listen)
{
	struct net_address address;
	char ip[NET_TEXT_MAX];

	if (!listen) {
		ctl_error(ctl, "%s: control.listen is not set, so there is no API", file);
		return -1;
	}
	if (net_parse(listen, &address) < 0 || net_port(&address) == 0) {
		ctl_error(ctl, "%s: control.listen: \"%s\" is no address:port", file, listen);
		return -1;
	}
	net_format_ip(&address, ip);
	if (strcmp(ip, "0.0.0.0") == 0 || strcmp(ip, "::") == 0)
		net_parse_ip(*ip == '0' ? "127.0.0.1" : "::1", net_port(&address), &address);
	net_format(&address, ctl->where);
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

/* What came */

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

/* Says why no answer came. */
static void
tell_failure(const struct ctl *ctl, CURL *curl, CURLcode code, const struct answer *answer)
{
	const char *why = *answer->detail ? answer->detail : curl_easy_strerror(code);
	char *method = NULL;
	long err = 0;

	curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &err);
	curl_easy_getinfo(curl, CURLINFO_EFFECTIVE_METHOD, &method);
	if (answer->too_large)
		ctl_error(ctl, "the answer has more than %zu MiB: ask for less (--limit)",
			ANSWER_MAX >> 20);
	else if (code == CURLE_COULDNT_CONNECT)
		ctl_error(ctl, "no answer from %s: does shout run? (%s)", ctl->where,
			err ? strerror((int)err) : why);
	else if (code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_WEIRD_SERVER_REPLY)
		ctl_error(ctl,
			"what answers at %s does not speak HTTP: is it another service, or TLS?",
			ctl->where);
	else
		ctl_error(ctl, "no answer from %s: %s%s", ctl->where, why,
			method && strcmp(method, "GET") == 0
				? ""
				: "; what was asked may still be done: look before you repeat it");
}

/* The body of a success; NULL after saying what went wrong. */
static json_t *
answer_take(const struct ctl *ctl, CURL *curl, const struct answer *answer)
{
	json_t *body = json_loadb(answer->text ? answer->text : "", answer->length, 0, NULL);
	const char *error = json_string_value(json_object_get(body, "error"));
	const char *field = json_string_value(json_object_get(body, "field"));
	long status = 0;

	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	if (status / 100 == 2 && json_is_object(body))
		return body;
	if (status / 100 == 2)
		ctl_error(ctl, "what %s answers is no JSON object", ctl->where);
	else if (error)
		ctl_error(ctl, "%s%s%s", field ? field : "", field ? ": " : "", error);
	else
		ctl_error(ctl, "%s answers with HTTP status %ld, and not why", ctl->where, status);
	json_decref(body);
	return NULL;
}

/* The request */

static struct curl_slist *
headers_make(const struct ctl *ctl, bool body)
{
	char *bearer = xasprintf("Authorization: Bearer %s", ctl->token);
	struct curl_slist *headers = curl_slist_append(NULL, bearer), *more;

	/* One with nothing behind its colon is not sent. */
	more = curl_slist_append(
		headers, body ? "Content-Type: application/json" : "Content-Type:");
	explicit_bzero(bearer, strlen(bearer));
	free(bearer);
	if (!headers || !more)
		die("out of memory", "curl_slist_append");
	return headers;
}

static void
connection_set(CURL *curl)
{
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
	curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* whatever the environment says */
	curl_easy_setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT_S);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, TIMEOUT_S);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
}

/* `text` NULL: no body. A POST says that it has none, so that nobody waits for one. */
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
perform(const struct ctl *ctl, CURL *curl)
{
	struct answer answer = { 0 };
	json_t *reply = NULL;
	CURLcode code;

	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, answer.detail);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer);
	code = curl_easy_perform(curl);
	if (code)
		tell_failure(ctl, curl, code, &answer);
	else
		reply = answer_take(ctl, curl, &answer);
	if (answer.text)
		explicit_bzero(answer.text, answer.length); /* it may hold a new password */
	free(answer.text);
	return reply;
}

json_t *
ctl_request(const struct ctl *ctl, const char *method, const char *path, json_t *body)
{
	CURL *curl = curl_easy_init();
	char *uri = xasprintf("http://%s/api/v1/%s", ctl->where, path);
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	struct curl_slist *headers = headers_make(ctl, body);
	json_t *reply;

	if (!curl || (body && !text))
		die("out of memory", "a request");
	connection_set(curl);
	request_set(curl, method, text);
	curl_easy_setopt(curl, CURLOPT_URL, uri);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	reply = perform(ctl, curl);
	curl_easy_cleanup(curl);
	curl_slist_free_all(headers);
	free(text);
	free(uri);
	json_decref(body);
	return reply;
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
