/*
 * api.c - HTTP in, JSON out: who may ask, which handler answers.
 *
 * shoutctl, the operator's programs -> [api] -> accounts | rules | queue, events (worker)
 *
 * Whoever knows the token of state_dir/control.token may do everything; nobody else anything.
 * Requests and their replies are bounded; every refusal is {"error", "field"}.
 */
#include "control/api.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <openssl/rand.h>

#include "control/api_private.h"
#include "shared/config.h"
#include "shared/descriptors.h"
#include "shared/json.h"
#include "shared/log.h"
#include "shared/net.h"
#include "shared/state_dir.h"
#include "shared/text.h"

#define BODY_MAX (256 * 1024) /* an account with some thousand domains */
#define HEADERS_MAX (16 * 1024)
#define DEADLINE_S 30
#define SEGMENTS_MAX 8
#define TOKEN_BYTES 32

#define PAGE "limit after"
#define FILTERS "id site provider account credential egress_ip"

/* A star stands for one segment of the path. Parameters that are not named, and a body where none
 * is taken, are refused: what is passed over would be a wish that is granted and not done. */
static const struct route {
	enum evhttp_cmd_type method;
	const char *path;
	void (*handle)(struct exchange *exchange);
	bool body;
	const char *query;
} routes[] = {
	{EVHTTP_REQ_POST,    "accounts",               api_accounts_create,        true,  ""                           },
	{ EVHTTP_REQ_GET,    "accounts",               api_accounts_list,          false, PAGE                         },
	{ EVHTTP_REQ_GET,    "accounts/*",             api_account_get,            false, ""                           },
	{ EVHTTP_REQ_PATCH,  "accounts/*",             api_account_change,         true,  ""                           },
	{ EVHTTP_REQ_POST,   "accounts/*/enable",      api_account_enable,         false, ""                           },
	{ EVHTTP_REQ_POST,   "accounts/*/disable",     api_account_disable,        false, ""                           },
	{ EVHTTP_REQ_POST,   "accounts/*/password",    api_account_password,       true,  ""                           },
	{ EVHTTP_REQ_POST,   "accounts/*/users",       api_account_add_user,       false, ""                           },
	{ EVHTTP_REQ_DELETE, "accounts/*/users/*",     api_account_remove_user,    false, ""                           },
	{ EVHTTP_REQ_POST,   "accounts/*/addresses",   api_account_add_address,    true,  ""                           },
	{ EVHTTP_REQ_DELETE, "accounts/*/addresses/*", api_account_remove_address, false, ""                           },
	{ EVHTTP_REQ_POST,   "accounts/*/domains",     api_account_add_domain,     true,  ""                           },
	{ EVHTTP_REQ_DELETE, "accounts/*/domains/*",   api_account_remove_domain,  false, ""                           },
	{ EVHTTP_REQ_GET,    "queue",                  api_queue_list,             false, FILTERS " domain state " PAGE},
	{ EVHTTP_REQ_GET,    "queue/bad",              api_bad_list,               false, PAGE                         },
	{ EVHTTP_REQ_GET,    "queue/bad/*",            api_bad_get,                false, ""                           },
	{ EVHTTP_REQ_DELETE, "queue/bad/*",            api_bad_remove,             false, ""                           },
	{ EVHTTP_REQ_GET,    "queue/*",                api_queue_get,              false, ""                           },
	{ EVHTTP_REQ_POST,   "rules",                  api_rules_create,           true,  ""                           },
	{ EVHTTP_REQ_GET,    "suspensions",            api_suspensions_list,       false, ""                           },
	{ EVHTTP_REQ_POST,   "suspensions",            api_suspensions_create,     true,  ""                           },
	{ EVHTTP_REQ_DELETE, "suspensions",            api_suspensions_remove,     false,
         FILTERS " recipient_domain dry_run"									   },
	{ EVHTTP_REQ_GET,    "why",                    api_why,                    false, "q limit"                    },
	{ EVHTTP_REQ_POST,   "rebuild",                api_rebuild,                false, "take_over"                  },
};

/* Replies */

static void
exchange_end(struct exchange *exchange)
{
	struct api *api = exchange->api;

	evhttp_clear_headers(&exchange->query);
	json_decref(exchange->body);
	for (int i = 0; i < PARAMETERS_MAX; i++)
		free(exchange->parameters[i]);
	free(exchange);
	if (--api->open == 0 && api->on_closed)
		api->on_closed(api->closed_arg);
}

static void
send_json(struct api *api, struct evhttp_request *request, int status, json_t *reply)
{
	struct evbuffer *buffer = evbuffer_new();
	char *text = json_dumps(reply, JSON_INDENT(1));

	if (!text || !buffer)
		die("out of memory", "json_dumps");
	text = json_shown(text);
	evbuffer_add_printf(buffer, "%s\n", text);
	evhttp_add_header(
		evhttp_request_get_output_headers(request), "Content-Type", "application/json");
	evhttp_add_header(evhttp_request_get_output_headers(request), "Cache-Control", "no-store");
	http_door_reply(api->door, request, status, buffer);
	explicit_bzero(text, strlen(text)); /* it may hold a new password */
	free(text);
	evbuffer_free(buffer);
	json_decref(reply);
}

static json_t *
fault_json(const char *field, const char *error)
{
	char clean[FAULT_ERROR_MAX] = "", name[FAULT_FIELD_MAX] = ""; /* as a request may hold it */

	text_clean(clean, sizeof clean, 0, error, strlen(error));
	text_clean(name, sizeof name, 0, field, strlen(field));
	return json_pack(
		"{s:s, s:o}", "error", clean, "field", *name ? json_string(name) : json_null());
}

void
reply_json(struct exchange *exchange, int status, json_t *reply)
{
	send_json(exchange->api, exchange->request, status, reply);
	exchange_end(exchange);
}

void
reply_fault(struct exchange *exchange, const struct fault *fault)
{
	reply_json(exchange, fault->status, fault_json(fault->field, fault->error));
}

void
reply_error(struct exchange *exchange, int status, const char *field, const char *format, ...)
{
	char error[FAULT_ERROR_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(error, sizeof error, format, args);
	va_end(args);
	reply_json(exchange, status, fault_json(field, error));
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

/* Jobs */

static void
job_reply(struct task *task)
{
	struct job *job = (struct job *)task;

	if (job->then)
		job->then(job);
	else if (job->result)
		reply_json(job->exchange, 200, job->result);
	else
		reply_fault(job->exchange, &job->fault);
	job->release(job);
}

static void
job_work(struct task *task)
{
	struct job *job = (struct job *)task;

	job->run(job);
	job->task.run = job_reply;
	loop_post(job->api->loop, &job->task);
}

void
job_start(struct job *job)
{
	job->api = job->exchange->api;
	job->task.run = job_work;
	loop_post(job->api->worker, &job->task);
}

/* Requests */

static bool
authorized(const struct api *api, struct evhttp_request *request)
{
	return http_door_token_is(api->token,
		evhttp_find_header(evhttp_request_get_input_headers(request), "Authorization"));
}

/* Splits a path at its slashes, decoded; the number of segments, or -1 when there are too many. */
static int
split(const char *path, char *segments[SEGMENTS_MAX])
{
	int count = 0;

	while (*path) {
		const size_t length = strcspn(path, "/");
		char *raw;

		if (count == SEGMENTS_MAX) {
			while (count > 0)
				free(segments[--count]);
			return -1;
		}
		raw = xstrndup(path, length);
		segments[count++] = evhttp_uridecode(raw, 0, NULL);
		free(raw);
		path += length;
		path += *path == '/';
	}
	return count;
}

/* Takes what the stars stand for out of `segments` when the path is the route's. */
static bool
route_matches(const struct route *route, char **segments, int count, char **parameters)
{
	const char *pattern = route->path;
	int taken = 0, stars[PARAMETERS_MAX];

	for (int i = 0; i < count; i++) {
		const size_t length = strcspn(pattern, "/");

		if (length == 0 || !segments[i])
			return false;
		if (*pattern == '*')
			stars[taken++] = i;
		else if (strlen(segments[i]) != length || memcmp(segments[i], pattern, length) != 0)
			return false;
		pattern += length;
		pattern += *pattern == '/';
	}
	if (*pattern)
		return false;
	for (int i = 0; i < taken; i++) {
		parameters[i] = segments[stars[i]];
		segments[stars[i]] = NULL;
	}
	return true;
}

static const struct route *
route_find(struct evhttp_request *request, struct exchange *exchange, bool *other_method)
{
	static const char prefix[] = "/api/v1/";
	const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(request));
	const struct route *found = NULL;
	char *segments[SEGMENTS_MAX];
	int count;

	if (!path || strncmp(path, prefix, sizeof prefix - 1) != 0)
		return NULL;
	count = split(path + sizeof prefix - 1, segments);
	for (size_t i = 0; i < sizeof routes / sizeof *routes && !found; i++) {
		char *parameters[PARAMETERS_MAX] = { 0 };

		if (!route_matches(&routes[i], segments, count, parameters))
			continue;
		if (routes[i].method == evhttp_request_get_command(request)) {
			memcpy(exchange->parameters, parameters, sizeof parameters);
			found = &routes[i];
			break;
		}
		*other_method = true;
		/* Another method's route has the same stars: put them back. */
		for (int s = 0, p = 0; s < count; s++)
			if (!segments[s])
				segments[s] = parameters[p++];
	}
	for (int i = 0; i < count; i++)
		free(segments[i]);
	return found;
}

/* Whether a body may follow that libevent did not read: it would be taken for the next request. */
static bool
body_unread(struct exchange *exchange)
{
	const char *encoding = evhttp_find_header(
		evhttp_request_get_input_headers(exchange->request), "Transfer-Encoding");

	return encoding && strcasecmp(encoding, "chunked") != 0;
}

static bool
is_json(struct exchange *exchange)
{
	const char *type = evhttp_find_header(
		evhttp_request_get_input_headers(exchange->request), "Content-Type");

	return !type || text_is(type, strcspn(type, "; "), "application/json");
}

/* Replies to a body that is not taken. */
static bool
body_fits(struct exchange *exchange, size_t length)
{
	if (body_unread(exchange)) {
		evhttp_add_header(evhttp_request_get_output_headers(exchange->request),
			"Connection", "close");
		reply_error(exchange, 400, "Transfer-Encoding", "chunked, or none");
	} else if (length > BODY_MAX) {
		reply_error(exchange, 413, "", "a body of at most %d bytes", BODY_MAX);
	} else if (length > 0 && !is_json(exchange)) {
		reply_error(exchange, 400, "Content-Type", "application/json is needed");
	} else {
		return true;
	}
	return false;
}

/* The body as JSON; false after a reply. */
static bool
take_body(struct exchange *exchange, const struct route *route)
{
	struct evbuffer *input = evhttp_request_get_input_buffer(exchange->request);
	const size_t length = evbuffer_get_length(input);
	struct fault fault;
	json_error_t error;

	if (!body_fits(exchange, length))
		return false;
	if (length == 0)
		return true;
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

/* Whether the word is in a text of words. */
static bool
is_in(const char *words, const char *word)
{
	const size_t length = strlen(word);

	for (size_t size; *words; words += size, words += *words == ' ') {
		size = strcspn(words, " ");
		if (size == length && memcmp(words, word, length) == 0)
			return true;
	}
	return false;
}

static bool
take_query(struct exchange *exchange, const struct route *route)
{
	const char *query = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(exchange->request));
	const char *wrong = NULL;
	struct evkeyval *pair;

	if (query && evhttp_parse_query_str(query, &exchange->query) < 0) {
		reply_error(exchange, 400, "", "the query is no list of name=value");
		return false;
	}
	for (pair = exchange->query.tqh_first; pair && !wrong; pair = pair->next.tqe_next) {
		if (!is_in(route->query, pair->key))
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

/* Whether all of the path and the query, decoded, can be shown again, and is used to its end. */
static bool
is_text(struct evhttp_request *request)
{
	size_t length;
	char *decoded = evhttp_uridecode(evhttp_request_get_uri(request), 0, &length);
	const bool good = decoded && !memchr(decoded, '\0', length) && utf8_valid(decoded, length);

	free(decoded);
	return good;
}

static void
on_request(struct evhttp_request *request, void *arg)
{
	struct api *api = arg;
	struct exchange *exchange = xcalloc(1, sizeof *exchange);
	const struct route *route;
	bool other_method = false;

	exchange->api = api;
	exchange->request = request;
	exchange->query.tqh_last = &exchange->query.tqh_first;
	api->open++;
	http_door_take(api->door, request);
	if (api->on_closed) {
		reply_error(exchange, 503, "", "shutting down");
		return;
	}
	if (!authorized(api, request)) {
		evhttp_add_header(
			evhttp_request_get_output_headers(request), "WWW-Authenticate", "Bearer");
		reply_error(exchange, 401, "",
			"the token of state_dir/control.token is needed: Authorization: Bearer ...");
		return;
	}
	if (!is_text(request)) {
		reply_error(
			exchange, 400, "", "the path or the query is not UTF-8, or holds a NUL");
		return;
	}
	route = route_find(request, exchange, &other_method);
	if (!route)
		reply_error(exchange, other_method ? 405 : 404, "",
			other_method ? "this path does not take that method"
				     : "there is no such path under /api/v1");
	else if (take_query(exchange, route) && take_body(exchange, route))
		route->handle(exchange);
}

/* The token */

static bool
token_read(const char *path, char token[65])
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	bool ok;

	if (fd < 0)
		return false;
	ok = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
		(st.st_mode & 077) == 0 && read(fd, token, 64) == 64;
	close(fd);
	token[64] = '\0';
	return ok && strspn(token, "0123456789abcdef") == 64;
}

static int
token_write(const char *path, const char token[65])
{
	char *fresh = xasprintf("%s.new", path);
	int fd, err = 0;

	unlink(fresh);
	fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || write(fd, token, 64) != 64 || write(fd, "\n", 1) != 1 || fsync(fd) < 0 ||
		rename(fresh, path) < 0)
		err = -errno;
	if (fd >= 0)
		close(fd);
	free(fresh);
	return err ? err : directory_sync(path);
}

/* The one of an earlier start, where it is there and only ours; a new one otherwise. */
static int
token_get(const char *state_dir, char token[65])
{
	char *path = xasprintf("%s/control.token", state_dir);
	unsigned char random[TOKEN_BYTES];
	int err = 0;

	if (!token_read(path, token)) {
		if (RAND_bytes(random, sizeof random) != 1)
			die("no random numbers", "OpenSSL");
		for (int i = 0; i < TOKEN_BYTES; i++)
			snprintf(token + 2 * i, 3, "%02x", random[i]);
		explicit_bzero(random, sizeof random);
		err = token_write(path, token);
	}
	if (err)
		LOG_ERROR("control: cannot write the token", "file", path, "error", strerror(-err));
	free(path);
	return err;
}

/* Start and end */

static int
listen_on(struct api *api, int fd, const char *text)
{
	struct net_address address;
	int err;

	if (net_parse(text, &address) < 0)
		return -EINVAL;
	if (!net_is_loopback(&address))
		LOG_WARN("control: the API listens beyond this machine, without TLS", "address",
			text);
	err = net_listen_on(fd);
	if (err < 0)
		return err;
	api->socket = evhttp_accept_socket_with_handle(http_door_server(api->door), fd);
	return api->socket ? 0 : -ENOMEM;
}

static void
open_door(struct api *api)
{
	const struct http_door_options options = { .connections_max = CONTROL_CONNECTIONS_MAX,
		.per_address_max = CONTROL_CONNECTIONS_MAX / 2,
		.deadline_s = DEADLINE_S,
		.token = api->token };
	struct evhttp *server;

	api->door = http_door_new(api->loop, &options);
	server = http_door_server(api->door);
	/* What is above BODY_MAX only gets a better answer. */
	evhttp_set_max_body_size(server, 2 * BODY_MAX);
	evhttp_set_max_headers_size(server, HEADERS_MAX);
	evhttp_set_allowed_methods(server,
		EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_PUT | EVHTTP_REQ_PATCH |
			EVHTTP_REQ_DELETE);
	evhttp_set_gencb(server, on_request, api);
}

struct api *
api_new(const struct config *config, int fd, struct queue *queue, struct loop *loop,
	struct loop *worker, struct redis *redis, struct directory *directory,
	struct applier *applier)
{
	struct api *api = xcalloc(1, sizeof *api);
	int err;

	*api = (struct api){ .queue = queue,
		.egress = config->sender.egress,
		.limits = account_limits_default(config),
		.rows = rows_open(queue, ROWS_ALL, NULL, NULL, NULL),
		.loop = loop,
		.redis = redis,
		.worker = worker,
		.directory = directory,
		.applier = applier };
	open_door(api);
	err = token_get(config->state_dir, api->token);
	if (!err && (err = listen_on(api, fd, config->control.listen)) < 0)
		LOG_ERROR("control: cannot listen", "address", config->control.listen, "error",
			strerror(-err));
	if (err)
		api_free(&api);
	return api;
}

void
api_hurry(struct api *api)
{
	atomic_store(&api->hurry, true);
}

void
api_close(struct api *api, void (*on_closed)(void *arg), void *arg)
{
	api->on_closed = on_closed;
	api->closed_arg = arg;
	evhttp_del_accept_socket(http_door_server(api->door), api->socket);
	if (api->open == 0)
		on_closed(arg);
}

void
api_free(struct api **api)
{
	if (!*api)
		return;
	http_door_free(&(*api)->door);
	rows_close(&(*api)->rows);
	explicit_bzero((*api)->token, sizeof(*api)->token);
	free(*api);
	*api = NULL;
}
