/*
 * api_private.h - one request on its way through the API: from its route to its reply.
 */
#ifndef CONTROL_API_PRIVATE_H
#define CONTROL_API_PRIVATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <jansson.h>

#include "control/account/accounts.h"
#include "control/account/fault.h"
#include "control/config/applier.h"
#include "control/config/commit.h"
#include "control/config/directory.h"
#include "control/http/page.h"
#include "control/http/route.h"
#include "control/http/token.h"
#include "control/look/json_from.h"
#include "control/people/rights.h"
#include "control/session/logins.h"
#include "shared/base/loop.h"
#include "shared/base/net.h"
#include "shared/base/timer.h"
#include "shared/http/http_door.h"
#include "shared/mail/selector.h"
#include "shared/queue/queue.h"

#define BODY_MAX (1024 * 1024) /* an account with some ten thousand domains */
#define CLAIMED_MAX 128

struct api {
	const struct config *config;
	struct queue *queue;
	struct rows *rows;  /* all rows */
	const char *egress; /* sender.egress */
	struct loop *loop, *worker;
	struct redis *redis;
	struct directory *directory;
	struct applier *applier;
	struct commits *commits;
	struct domain_checks *checks;
	struct domain_watch *watch;
	struct mailings *mailings;
	struct notices *notices;
	struct hasher *hasher;
	struct trace *trace;
	const struct static_files *panel; /* NULL: there is none */
	struct webhooks *webhooks;
	struct http_door *door;
	struct evhttp_bound_socket *socket;
	struct tls_server *tls; /* NULL: plain HTTP */
	struct timer ticket_keys;
	struct network *proxies;
	unsigned proxies_count;
	char **hosts; /* the configuration's */
	unsigned hosts_count;
	char token[TOKEN_SIZE];
	uint64_t last_rule;
	unsigned open;     /* requests without a reply yet */
	unsigned searches; /* searches of all events, running or waiting for more */
	TAILQ_HEAD(, job) paused;
	atomic_bool hurry;
	void (*on_closed)(void *arg);
	void *closed_arg;
};

struct exchange {
	struct api *api;
	struct evhttp_request *request;
	char *parameters[PARAMETERS_MAX]; /* what the stars of the route stand for */
	struct evkeyvalq query;
	json_t *body;              /* NULL: none was sent */
	char claimed[CLAIMED_MAX]; /* whom the client claims to work for; "": nobody */
	struct caller caller;      /* who asks */
	const struct route *route; /* NULL: none was found */
	char allow[ALLOW_SIZE];    /* the methods of the path */
	/* Of the client's cookie; NULL: none. A session without its second factor is nobody's. */
	struct login_session *session;
	char client[NET_TEXT_MAX]; /* the client's address, behind proxies of ours, without a port
				    */
	bool secure;               /* the client came by TLS, to us or to a proxy of ours */
};

/* Each of these ends the exchange, and takes `reply` over. */
void reply_json(struct exchange *exchange, int status, json_t *reply);
void reply_fault(struct exchange *exchange, const struct fault *fault);
void reply_error(struct exchange *exchange, int status, const char *field, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* A problem as the API shows it; the caller releases it. */
json_t *problem_json(struct exchange *exchange, int status, const char *type, const char *field,
	const char *error);
/* reply_error() with a problem's type of its own. */
void reply_problem(struct exchange *exchange, int status, const char *type, const char *field,
	const char *error);

void reply_nothing(struct exchange *exchange);
void reply_text(struct exchange *exchange, const char *type, const char *text, size_t length);
/* The bytes stay the caller's, and have to live as long as the API. `type` may be NULL. */
void reply_bytes(
	struct exchange *exchange, int status, const char *type, const void *bytes, size_t length);

/* Adds a field to the reply that is still to come. */
void reply_header(struct exchange *exchange, const char *name, const char *value);

/* Replies with the queue's error for a change; a change that timed out may still take effect. */
void reply_not_taken(struct exchange *exchange, int err);

/* api_request.c. Whether the whole path and query, decoded, can be quoted in a reply. */
bool request_is_text(struct evhttp_request *request);
/* Take the query and the body as the route allows; false after a reply. */
bool request_take_query(struct exchange *exchange, const struct route *route);
bool request_take_body(struct exchange *exchange, const struct route *route);
/* Whom the client claims to work for, by a header or by the body's "by". */
void request_take_claimed(struct exchange *exchange);

/* A parameter of the query, or NULL. */
const char *query_text(const struct exchange *exchange, const char *name);
/* 1 for "true", 0 for "false" or no parameter; replies and returns -1 for anything else. */
int query_switch(struct exchange *exchange, const char *name);
/* A number in [min, max]; replies and returns -1 for anything else. */
long query_number(struct exchange *exchange, const char *name, long def, long min, long max);

/* Work that reads a lot. `run`, on the worker, makes `result` or `fault`, and must not touch the
 * exchange. Then the reply goes out, unless `then` (on the API's loop) ends the exchange. Work that
 * takes longer than a slice is done in several slices: `run` sets `more` or `pause_ms`. */
struct job {
	struct task task;
	bool more;         /* run again, after the other jobs */
	unsigned pause_ms; /* run again, after that time */
	bool over;         /* nobody waits for the reply: no further pause */
	struct timer timer;
	TAILQ_ENTRY(job) paused;
	struct exchange *exchange;
	struct api *api;
	void (*run)(struct job *job);
	void (*then)(struct job *job);    /* may be NULL */
	void (*release)(struct job *job); /* frees the job with all that it owns */
	json_t *result;
	struct fault fault;
};
void job_start(struct job *job);
/* Answers the paused jobs, on the loop; from now on no job pauses. */
void jobs_close(struct api *api);

/* How long a slice may take, about. */
#define SLICE_MS 50
/* Begins a search of all events; few run at a time, since each reads a disk or a broker's. False
 * after a reply. At its end the caller does `searches--`, on the loop. */
#define SEARCHES_MAX 40
bool search_begin(struct exchange *exchange);
#define EVENTS_UNREAD "the brokers do not answer: events cannot be read"

/* The suspensions that have not ended, as the API shows them; on the loop. */
json_t *suspensions_now(const struct api *api);
/* A waiting row as the API shows it. */
json_t *json_from_row(const Row *row);

/* Sets a field of a selector; -1 and a fault (400) when nothing can match the text. */
int take_selector_field(struct selector *selector, enum selector_field field, const char *text,
	struct fault *fault);

/* The author of the request; the texts live as long as the exchange. */
struct author exchange_author(struct exchange *exchange);
/* Writes `changes` ({key of relay.config: entry or null}), told as `what`, and answers with `reply`
 * once the changes are durable. Takes both over. */
void commit_start(
	struct exchange *exchange, const char *what, int status, json_t *changes, json_t *reply);

/* The same; `shown` (taken over) are the event's "changes". */
void commit_shown(struct exchange *exchange, const char *what, int status, json_t *changes,
	json_t *reply, json_t *shown);
/* An edit of accounts that has not begun. */
struct edit edit_of(const struct exchange *exchange);
/* Ends an edit of accounts: writes its changes, or (err) answers with its fault. Takes the edit's
 * contents over. */
void edit_end(struct exchange *exchange, const char *what, struct edit *edit, int err, int status);
/* Begins to write an edit's changes, which are taken over, and calls `cb` once they count. False:
 * there is `err` or another fault, for the caller to tell; the edit's contents are gone. */
bool edit_commit(struct exchange *exchange, const char *what, struct edit *edit, int err,
	commit_cb cb, void *arg);
/* The ids of the accounts that are deleted, or of all others; the caller releases them. */
json_t *account_ids(const struct directory *directory, bool deleted);
/* Whether customers get mails; false after a reply. */
bool mails_possible(struct exchange *exchange);
/* A rule as the API shows it. */
json_t *json_from_rule(const json_t *rule);
/* A new rule's entry, which the caller releases; `key` gets the entry's key. */
#define RULE_KEY_SIZE 32
json_t *rule_new(struct exchange *exchange, const char *action, const json_t *selector,
	uint64_t now_us, char key[RULE_KEY_SIZE]);

/* Carries a rule out, as POST rules does, and answers. `selector` is the caller's. */
void rule_start(struct exchange *exchange, const char *action, const json_t *selector);

/* Handlers */
void api_accounts_create(struct exchange *exchange);
void api_accounts_list(struct exchange *exchange);
void api_account_get(struct exchange *exchange);
void api_account_change(struct exchange *exchange);
void api_account_mailboxes(struct exchange *exchange);
void api_account_delete(struct exchange *exchange);
void api_account_restore(struct exchange *exchange);
void api_account_export(struct exchange *exchange);
void api_export(struct exchange *exchange);
void api_import(struct exchange *exchange);
void api_backup(struct exchange *exchange);
void api_restore(struct exchange *exchange);
void api_account_enable(struct exchange *exchange);
void api_account_disable(struct exchange *exchange);
void api_notices_list(struct exchange *exchange);
void api_notice_send(struct exchange *exchange);
void api_alerts_get(struct exchange *exchange);
void api_alerts_set(struct exchange *exchange);
void api_account_password(struct exchange *exchange);
void api_account_add_user(struct exchange *exchange);
void api_account_remove_user(struct exchange *exchange);
void api_account_change_user(struct exchange *exchange);
void api_account_suspend_user(struct exchange *exchange);
void api_account_resume_user(struct exchange *exchange);
void api_account_add_address(struct exchange *exchange);
void api_account_remove_address(struct exchange *exchange);
void api_account_add_domain(struct exchange *exchange);
void api_account_remove_domain(struct exchange *exchange);
void api_domain_check(struct exchange *exchange);
void api_domains_list(struct exchange *exchange);
void api_address_link(struct exchange *exchange);
void api_ip(struct exchange *exchange);
void api_service(struct exchange *exchange);
void api_mode_switch(struct exchange *exchange);
void api_mode_undo(struct exchange *exchange);
void api_grace_extend(struct exchange *exchange);
void api_grace_end(struct exchange *exchange);
void api_tokens_add(struct exchange *exchange);
void api_tokens_list(struct exchange *exchange);
void api_tokens_remove(struct exchange *exchange);
void api_account_tokens_add(struct exchange *exchange);
void api_account_tokens_list(struct exchange *exchange);
void api_account_tokens_remove(struct exchange *exchange);
void api_rules_list(struct exchange *exchange);
void api_rules_create(struct exchange *exchange);
void api_suspensions_create(struct exchange *exchange);
void api_suspensions_remove(struct exchange *exchange);
void api_suspensions_list(struct exchange *exchange);
void api_replies_unknown(struct exchange *exchange);
void api_rebuild(struct exchange *exchange);
void api_queue_list(struct exchange *exchange);
void api_queue_get(struct exchange *exchange);
void api_queue_summary(struct exchange *exchange);
void api_bad_list(struct exchange *exchange);
void api_bad_get(struct exchange *exchange);
void api_bad_remove(struct exchange *exchange);
void api_why(struct exchange *exchange);
void api_events(struct exchange *exchange);
void api_messages(struct exchange *exchange);
void api_message(struct exchange *exchange);
void api_account_messages(struct exchange *exchange);
void api_account_message(struct exchange *exchange);
void api_open(struct exchange *exchange);
void api_bounces(struct exchange *exchange);
void api_account_held(struct exchange *exchange);
void api_account_release(struct exchange *exchange);
void api_account_discard(struct exchange *exchange);
void api_account_retry(struct exchange *exchange);
void api_account_false_alarm(struct exchange *exchange);
void api_openapi(struct exchange *exchange);
/* The newest changes of an account, up to `limit`. */
void api_why_account(struct exchange *exchange, const char *account, size_t limit);

#endif
