/*
 * post.h - HTTP posts, many at a time, by libcurl. All calls are on one thread.
 *
 * No redirect is followed, no proxy is asked, and nothing is connected to that target.h does not
 * allow: each address is looked at after the name was resolved, and is the one that is used. A post
 * has POST_TIMEOUT_MS altogether. Of an answer only the status counts.
 */
#ifndef CONTROL_POST_H
#define CONTROL_POST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POST_TIMEOUT_MS 10000
#define POST_CONNECT_MS 5000
#define POST_ANSWER_MAX 65536 /* bytes of an answer that are read */
#define POST_ERROR_MAX 200

struct config;
struct posts;

struct post_request {
	const char *url, *secret, *event, *id, *body; /* copied */
};

struct post_result {
	bool ok;                    /* the answer was 2xx */
	long status;                /* 0: there was no answer */
	unsigned ms;                /* how long it took */
	char error[POST_ERROR_MAX]; /* "": none; for people */
};
/* Comes once for each post, from posts_run() or posts_free(). */
typedef void (*post_cb)(void *arg, const struct post_result *result);

struct posts *posts_new(const struct config *config);
void post_start(struct posts *posts, const struct post_request *request, post_cb cb, void *arg);
/* Does what can be done, and waits for more for up to `ms`. */
void posts_run(struct posts *posts, unsigned ms);
unsigned posts_active(const struct posts *posts);
/* From any thread: posts_run() returns at once. */
void posts_wake(struct posts *posts);
/* Gives up what is under way. */
void posts_cancel(struct posts *posts);
void posts_free(struct posts **posts);

#endif
