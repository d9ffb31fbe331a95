/*
 * post.c - sends bodies to URLs.
 *
 * feed.c -> [post] -> the account's program
 */
#include "control/webhook/post.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include <curl/curl.h>
#include <openssl/ssl.h>

#include "control/webhook/payload.h"
#include "control/webhook/target.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/text.h"
#include "shared/base/version.h"

struct post {
	struct posts *posts;
	CURL *easy;
	struct curl_slist *headers;
	char *body;
	size_t answered; /* bytes */
	bool refused;    /* target_allowed() said no */
	uint64_t start_ms;
	char error[CURL_ERROR_SIZE];
	post_cb cb;
	void *arg;
	LIST_ENTRY(post) link;
};

struct posts {
	const struct config *config;
	CURLM *multi;
	LIST_HEAD(, post) all;
	unsigned active;
};

struct posts *
posts_new(const struct config *config)
{
	struct posts *posts = xcalloc(1, sizeof *posts);

	curl_global_init(CURL_GLOBAL_DEFAULT);
	posts->config = config;
	posts->multi = curl_multi_init();
	if (!posts->multi)
		die("no memory", "libcurl");
	LIST_INIT(&posts->all);
	return posts;
}

/* The socket for an address; the address is looked at first. */
static curl_socket_t
open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct post *post = arg;

	(void)purpose;
	if (!target_allowed(post->posts->config, &address->addr, address->addrlen)) {
		post->refused = true;
		return CURL_SOCKET_BAD;
	}
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* The system's authorities; SSL_CERT_FILE names others. */
static CURLcode
trust_system(CURL *easy, void *context, void *arg)
{
	(void)easy;
	(void)arg;
	return SSL_CTX_set_default_verify_paths(context) == 1 ? CURLE_OK : CURLE_SSL_CACERT_BADFILE;
}

static size_t
on_answer(char *data, size_t size, size_t count, void *arg)
{
	struct post *post = arg;

	(void)data;
	post->answered += size * count;
	return post->answered > POST_ANSWER_MAX ? 0 : size * count;
}

static void
add_header(struct post *post, const char *name, const char *value)
{
	char *line = xasprintf("%s: %s", name, value);

	post->headers = curl_slist_append(post->headers, line);
	free(line);
}

static void
set_headers(struct post *post, const struct post_request *request)
{
	char signature[SIGNATURE_SIZE];

	payload_sign(request->secret, clock_us() / 1000000, request->body, strlen(request->body),
		signature);
	add_header(post, "Content-Type", "application/json");
	add_header(post, "Shout-Signature", signature);
	add_header(post, "Shout-Event", request->event);
	add_header(post, "Shout-Event-Id", request->id);
	post->headers = curl_slist_append(post->headers, "Expect:");
}

static void
set_limits(CURL *easy)
{
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https,http");
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)POST_TIMEOUT_MS);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)POST_CONNECT_MS);
	/* A connection that stays would not be looked at again. */
	curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
	curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, trust_system);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "Shout/" SHOUT_VERSION);
}

void
post_start(struct posts *posts, const struct post_request *request, post_cb cb, void *arg)
{
	struct post *post = xcalloc(1, sizeof *post);

	*post = (struct post){ .posts = posts,
		.easy = curl_easy_init(),
		.body = xstrdup(request->body),
		.start_ms = clock_mono_ms(),
		.cb = cb,
		.arg = arg };
	if (!post->easy)
		die("no memory", "libcurl");
	set_limits(post->easy);
	set_headers(post, request);
	curl_easy_setopt(post->easy, CURLOPT_URL, request->url);
	curl_easy_setopt(post->easy, CURLOPT_HTTPHEADER, post->headers);
	curl_easy_setopt(post->easy, CURLOPT_POSTFIELDSIZE, (long)strlen(post->body));
	curl_easy_setopt(post->easy, CURLOPT_POSTFIELDS, post->body);
	curl_easy_setopt(post->easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(post->easy, CURLOPT_OPENSOCKETDATA, post);
	curl_easy_setopt(post->easy, CURLOPT_WRITEFUNCTION, on_answer);
	curl_easy_setopt(post->easy, CURLOPT_WRITEDATA, post);
	curl_easy_setopt(post->easy, CURLOPT_ERRORBUFFER, post->error);
	curl_easy_setopt(post->easy, CURLOPT_PRIVATE, post);
	LIST_INSERT_HEAD(&posts->all, post, link);
	posts->active++;
	curl_multi_add_handle(posts->multi, post->easy);
}

static void
post_free(struct post *post)
{
	LIST_REMOVE(post, link);
	post->posts->active--;
	curl_multi_remove_handle(post->posts->multi, post->easy);
	curl_easy_cleanup(post->easy);
	curl_slist_free_all(post->headers);
	free(post->body);
	free(post);
}

static void
post_end(struct post *post, CURLcode code, const char *why)
{
	struct post_result result = { .ms = (unsigned)(clock_mono_ms() - post->start_ms) };

	if (!why)
		curl_easy_getinfo(post->easy, CURLINFO_RESPONSE_CODE, &result.status);
	result.ok = result.status >= 200 && result.status < 300 &&
		(code == CURLE_OK || code == CURLE_WRITE_ERROR);
	if (post->refused)
		why = "the name leads to a private network";
	if (why || (code != CURLE_OK && !result.ok))
		text_copy(result.error, sizeof result.error,
			why                    ? why
				: *post->error ? post->error
					       : curl_easy_strerror(code));
	post->cb(post->arg, &result);
	post_free(post);
}

static void
reap(struct posts *posts)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(posts->multi, &left))) {
		const CURLcode code = message->data.result;
		char *post = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &post);
		post_end((struct post *)post, code, NULL);
	}
}

void
posts_run(struct posts *posts, unsigned ms)
{
	int running;

	curl_multi_perform(posts->multi, &running);
	reap(posts);
	if (ms)
		curl_multi_poll(posts->multi, NULL, 0, (int)ms, NULL);
}

unsigned
posts_active(const struct posts *posts)
{
	return posts->active;
}

void
posts_wake(struct posts *posts)
{
	curl_multi_wakeup(posts->multi);
}

void
posts_cancel(struct posts *posts)
{
	struct post *post;

	while ((post = LIST_FIRST(&posts->all)))
		post_end(post, CURLE_OK, "the relay is stopping");
}

void
posts_free(struct posts **posts)
{
	if (!*posts)
		return;
	posts_cancel(*posts);
	curl_multi_cleanup((*posts)->multi);
	free(*posts);
	*posts = NULL;
}
