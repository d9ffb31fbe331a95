/*
 * http_door.c - HTTP servers whose clients cannot take what others need.
 *
 * metrics, control's API -> [http_door] -> evhttp
 *
 * evhttp has gaps: it does not count connections, its timeout is for each read alone, it calls
 * nobody before it has a whole request, and it refuses in HTML. So the door makes each connection's
 * bufferevent, and http_scan.c follows the input before evhttp takes it. A request that is refused,
 * first of all a head without the token, is answered here in JSON, and later input is
 * thrown away. Who may send how much is decided at the end of each head (admit).
 */
#include "shared/http/http_door.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <openssl/err.h>

#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/net.h"
#include "shared/base/text.h"
#include "shared/base/timer.h"
#include "shared/base/tls.h"
#include "shared/http/forwarded.h"
#include "shared/http/http_scan.h"
#include "shared/http/problem.h"
#include "shared/metrics/metrics.h"

#define LINGER_MS 2000
#define METHODS                                                                                    \
	(EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST | EVHTTP_REQ_PUT | EVHTTP_REQ_PATCH |  \
		EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS)

struct caller {
	TAILQ_ENTRY(caller) entry;
	struct http_door *door;
	struct bufferevent *stream;           /* the connection frees it */
	struct evhttp_connection *connection; /* NULL until evhttp has the connection */
	char address[NET_TEXT_MAX];
	struct evbuffer_cb_entry *on_input;
	struct timer next;  /* runs on the loop's next turn: arrive(), or a refusal */
	struct timer timer; /* the deadline */
	struct http_scan scan;
	uint64_t answered;           /* requests that were answered */
	bool working, refused, last; /* last: the request in hand is the last one taken */
	bool proxy;                  /* a proxy of ours is connected */
};

struct http_door {
	struct http_door_options options;
	struct evhttp *server;
	struct loop *loop;
	TAILQ_HEAD(, caller) callers; /* the oldest first */
	struct caller *coming;        /* evhttp does not have it yet; or NULL */
	struct http_scan_options scan;
	struct metric *for_others, *late, *without_token, *not_taken;
};

/* ---- the end of a connection ---- */

static void
caller_free(struct caller *caller)
{
	TAILQ_REMOVE(&caller->door->callers, caller, entry);
	if (caller->door->coming == caller)
		caller->door->coming = NULL;
	timer_cancel(&caller->next);
	timer_cancel(&caller->timer);
	http_scan_wipe(&caller->scan);
	free(caller);
}

static void
on_closed(struct evhttp_connection *connection, void *arg)
{
	struct caller *caller = arg;

	(void)connection;
	evbuffer_remove_cb_entry(bufferevent_get_input(caller->stream), caller->on_input);
	caller_free(caller);
}

/* Ends the connection as evhttp ends one whose client was silent: evhttp lets go of a request that
 * is still being answered. */
static void
hang_up(struct caller *caller, struct metric *why)
{
	metric_add(why, 1);
	if (caller->refused)
		evhttp_connection_free(caller->connection);
	else
		bufferevent_trigger_event(caller->stream, BEV_EVENT_TIMEOUT | BEV_EVENT_READING, 0);
}

static void
on_deadline(void *arg)
{
	struct caller *caller = arg;

	hang_up(caller, caller->door->late);
}

/* ---- what comes ---- */

/* Scans the last `added` bytes of the input, which evhttp has not seen yet. */
static bool
scan(struct caller *caller, struct evbuffer *input, size_t added)
{
	struct evbuffer_ptr at;
	struct evbuffer_iovec pieces[8];
	bool good = true;

	evbuffer_ptr_set(input, &at, evbuffer_get_length(input) - added, EVBUFFER_PTR_SET);
	while (added > 0 && good) {
		const int count = evbuffer_peek(input, (ev_ssize_t)added, &at, pieces, 8);
		size_t seen = 0;

		for (int i = 0; i < count && i < 8 && good && seen < added; i++) {
			const size_t unseen = added - seen;
			const size_t length = pieces[i].iov_len < unseen ? pieces[i].iov_len
									 : unseen;

			good = http_scan_feed(&caller->scan, pieces[i].iov_base, length);
			seen += length;
		}
		added -= seen;
		if (added > 0)
			evbuffer_ptr_set(input, &at, seen, EVBUFFER_PTR_ADD);
	}
	return good;
}

/* evhttp never sees the end of a refused head. When evhttp still has earlier requests in hand, the
 * answer to the first of them is the connection's last. */
static void
on_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *arg)
{
	struct caller *caller = arg;

	if (info->n_added == 0 || caller->last)
		return;
	if (!caller->refused && scan(caller, input, info->n_added))
		return;
	if (caller->scan.requests > caller->answered) {
		caller->last = true;
		return;
	}
	if (!caller->refused)
		timer_soon(&caller->next);
	caller->refused = true;
	evbuffer_drain(input, evbuffer_get_length(input));
}

static void
on_refused_input(struct bufferevent *stream, void *arg)
{
	struct evbuffer *input = bufferevent_get_input(stream);

	(void)arg;
	evbuffer_drain(input, evbuffer_get_length(input));
}

static void
on_told(struct bufferevent *stream, void *arg)
{
	(void)arg;
	if (bufferevent_openssl_get_ssl(stream))
		SSL_shutdown(bufferevent_openssl_get_ssl(stream));
	ERR_clear_error();
	shutdown(bufferevent_getfd(stream), SHUT_WR);
}

static void
on_gone(struct bufferevent *stream, short what, void *arg)
{
	struct caller *caller = arg;

	(void)stream;
	(void)what;
	evhttp_connection_free(caller->connection);
}

/* Writes the problem as the API writes one. */
static void
write_reason(const struct caller *caller, struct evbuffer *body)
{
	const struct http_scan *scan = &caller->scan;
	const struct problem *problem = problem_of(scan->status);
	const size_t most = scan->status == 413 ? scan->room : caller->door->options.head_max;
	char error[256];

	snprintf(error, sizeof error, "%s", scan->status == 401 ? HTTP_NEEDED : scan->error);
	if (scan->status == 413 || scan->status == 414 || scan->status == 431)
		snprintf(error, sizeof error, "%s: at most %zu bytes are taken", scan->error, most);
	evbuffer_add_printf(body,
		"{\n \"type\": \"%s\",\n \"title\": \"%s\",\n \"status\": %d,\n"
		" \"detail\": \"%s\",\n \"error\": \"%s\",\n",
		problem->type, problem->title, scan->status, error, error);
	if (scan->status != 401 && *scan->field)
		evbuffer_add_printf(body, " \"field\": \"%s\"\n}\n", scan->field);
	else
		evbuffer_add_printf(body, " \"field\": null\n}\n");
}

/* Writes the methods that the path takes. A path that takes no method does not exist. */
static void
find_allowed(struct caller *caller, char *allow, size_t size)
{
	struct http_scan *scan = &caller->scan;

	snprintf(allow, size, "GET, HEAD");
	if (scan->status == 405 && caller->door->options.allow)
		caller->door->options.allow(scan->target, allow, size);
	if (*allow)
		return;
	scan->status = 404;
	scan->error = "there is no such path";
}

/* From here on the connection is the door's. The door reads on for a while: closing a socket with
 * unread input would discard the answer. */
static void
refuse(struct caller *caller)
{
	const struct http_scan *scan = &caller->scan;
	char allow[128];
	struct evbuffer *body = evbuffer_new(), *out = bufferevent_get_output(caller->stream);

	if (!body)
		die("out of memory", "evbuffer_new");
	metric_add(scan->status == 401 ? caller->door->without_token : caller->door->not_taken, 1);
	bufferevent_setcb(caller->stream, on_refused_input, on_told, on_gone, caller);
	find_allowed(caller, allow, sizeof allow);
	write_reason(caller, body);
	evbuffer_add_printf(out,
		"HTTP/1.1 %d %s\r\nContent-Type: " PROBLEM_TYPE "\r\nContent-Length: %zu\r\n"
		"X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n"
		"Connection: close\r\n",
		scan->status, problem_of(scan->status)->title, evbuffer_get_length(body));
	if (scan->status == 401)
		evbuffer_add_printf(out, "WWW-Authenticate: Bearer\r\n");
	if (scan->status == 405)
		evbuffer_add_printf(out, "Allow: %s\r\n", allow);
	evbuffer_add_printf(out, "\r\n");
	if (!scan->is_head)
		evbuffer_add_buffer(out, body);
	evbuffer_free(body);
	bufferevent_enable(caller->stream, EV_READ | EV_WRITE);
	timer_set(&caller->timer, LINGER_MS);
}

/* ---- the beginning of a connection ---- */

/* The oldest connection, of one address or of all, that may give way to a new one. */
static struct caller *
find_idle(struct caller *for_whom, const char *address)
{
	struct caller *caller;

	TAILQ_FOREACH (caller, &for_whom->door->callers, entry)
		if (caller != for_whom && caller->connection && !caller->scan.trusted &&
			!caller->working && (!address || strcmp(caller->address, address) == 0))
			return caller;
	return NULL;
}

static unsigned
count(const struct http_door *door, const char *address)
{
	const struct caller *caller;
	unsigned n = 0;

	TAILQ_FOREACH (caller, &door->callers, entry)
		n += !address || strcmp(caller->address, address) == 0;
	return n;
}

/* Without a connection that may give way, the new one itself goes. */
static void
make_room(struct caller *caller)
{
	struct http_door *door = caller->door;
	const char *address = NULL;
	struct caller *victim;

	if (!caller->proxy && count(door, caller->address) > door->options.per_address_max)
		address = caller->address;
	else if (count(door, NULL) <= door->options.connections_max)
		return;
	victim = find_idle(caller, address);
	hang_up(victim ? victim : caller, door->for_others);
}

/* evhttp's callbacks have the connection as their argument, so it is known before the first
 * request. */
static void
arrive(struct caller *caller)
{
	struct net_address peer;
	void *connection;

	timer_cancel(&caller->next);
	caller->door->coming = NULL;
	bufferevent_getcb(caller->stream, NULL, NULL, NULL, &connection);
	caller->connection = connection;
	evhttp_connection_set_closecb(caller->connection, on_closed, caller);
	if (net_peer(bufferevent_getfd(caller->stream), &peer) == 0)
		net_format_ip(&peer, caller->address);
	if (net_parse_ip(caller->address, 0, &peer) == 0)
		caller->proxy = forwarded_trusts(
			caller->door->options.proxies, caller->door->options.proxies_count, &peer);
	make_room(caller);
}

static void
on_next(void *arg)
{
	struct caller *caller = arg;

	if (caller->connection)
		refuse(caller);
	else
		arrive(caller);
}

static struct bufferevent *
stream_new(const struct http_door *door, struct event_base *base)
{
	struct bufferevent *stream = door->options.tls
		? bufferevent_openssl_socket_new(base, -1, tls_server_session(door->options.tls),
			  BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE)
		: bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);

	if (!stream)
		die("out of memory", "bufferevent_socket_new");
	if (door->options.tls) /* a client that leaves without a farewell is no error */
		bufferevent_openssl_set_allow_dirty_shutdown(stream, 1);
	return stream;
}

/* evhttp's own bufferevent closes its socket first and leaves the epoll set afterwards, when the
 * number may already be a socket of another thread. evhttp gives the socket after this callback, so
 * the caller made before has arrived when the next one is made. */
static struct bufferevent *
new_stream(struct event_base *base, void *arg)
{
	struct http_door *door = arg;
	struct caller *caller;

	if (door->coming)
		arrive(door->coming);
	caller = xcalloc(1, sizeof *caller);
	door->coming = caller;
	caller->door = door;
	caller->stream = stream_new(door, base);
	timer_init(&caller->next, door->loop, on_next, caller);
	timer_init(&caller->timer, door->loop, on_deadline, caller);
	http_scan_init(&caller->scan, &door->scan);
	caller->on_input = evbuffer_add_cb(bufferevent_get_input(caller->stream), on_input, caller);
	TAILQ_INSERT_TAIL(&door->callers, caller, entry);
	timer_soon(&caller->next);
	timer_set(&caller->timer, door->options.deadline_s * UINT64_C(1000));
	return caller->stream;
}

/* ---- from outside ---- */

static struct metric *
closed_metric(const char *labels)
{
	return metric_counter("shout_http_closed_total",
		"Connections to the API and to this page that were closed early, by reason",
		labels);
}

struct http_door *
http_door_new(struct loop *loop, const struct http_door_options *options)
{
	struct http_door *door = xcalloc(1, sizeof *door);

	door->options = *options;
	door->scan = (struct http_scan_options){ options->admit, options->arg, options->head_max,
		options->body_max };
	door->loop = loop;
	door->server = evhttp_new(loop_base(loop));
	if (!door->server)
		die("out of memory", "evhttp_new");
	TAILQ_INIT(&door->callers);
	evhttp_set_bevcb(door->server, new_stream, door);
	/* The door has refused in JSON what evhttp would refuse. */
	evhttp_set_allowed_methods(door->server, METHODS);
	evhttp_set_max_headers_size(door->server, (ev_ssize_t)(2 * options->head_max));
	evhttp_set_max_body_size(door->server, (ev_ssize_t)(2 * options->body_max));
	door->for_others = closed_metric("reason=\"room\"");
	door->late = closed_metric("reason=\"late\"");
	door->without_token = closed_metric("reason=\"token\"");
	door->not_taken = closed_metric("reason=\"request\"");
	return door;
}

struct evhttp *
http_door_server(struct http_door *door)
{
	return door->server;
}

void
http_door_free(struct http_door **door_ref)
{
	struct http_door *door = *door_ref;

	if (!door)
		return;
	evhttp_free(door->server);
	if (door->coming)
		caller_free(door->coming);
	free(door);
	*door_ref = NULL;
}

/* NULL: the client has left. */
static struct caller *
caller_of(struct http_door *door, struct evhttp_request *request)
{
	struct evhttp_connection *connection = evhttp_request_get_connection(request);
	struct caller *caller;

	TAILQ_FOREACH (caller, &door->callers, entry)
		if (connection && caller->connection == connection)
			return caller;
	return NULL;
}

void
http_door_take(struct http_door *door, struct evhttp_request *request)
{
	struct caller *caller = caller_of(door, request);

	if (!caller)
		return;
	caller->working = true;
	timer_cancel(&caller->timer);
}

/* All values of a field of the request, joined by commas; NULL: there is none. The caller frees
 * them. */
static char *
joined(struct evhttp_request *request, const char *name)
{
	const struct evkeyvalq *fields = evhttp_request_get_input_headers(request);
	const struct evkeyval *field;
	char *text = NULL, *longer;

	for (field = fields->tqh_first; field; field = field->next.tqe_next) {
		if (strcasecmp(field->key, name) != 0)
			continue;
		longer = xasprintf("%s%s%s", text ? text : "", text ? "," : "", field->value);
		free(text);
		text = longer;
	}
	return text;
}

void
http_door_client(struct http_door *door, struct evhttp_request *request, char out[NET_TEXT_MAX])
{
	const struct caller *caller = caller_of(door, request);
	struct net_address client;
	char *value;

	text_copy(out, NET_TEXT_MAX, caller ? caller->address : "");
	if (!caller || !caller->proxy || net_parse_ip(caller->address, 0, &client) < 0)
		return;
	value = joined(request, "X-Forwarded-For");
	forwarded_client(door->options.proxies, door->options.proxies_count, value, &client);
	net_format_ip(&client, out);
	free(value);
}

bool
http_door_is_secure(struct http_door *door, struct evhttp_request *request)
{
	const struct caller *caller = caller_of(door, request);
	const char *scheme = evhttp_find_header(
		evhttp_request_get_input_headers(request), "X-Forwarded-Proto");

	return door->options.tls ||
		(caller && caller->proxy && scheme && strcasecmp(scheme, "https") == 0);
}

bool
http_door_is_local(struct http_door *door, struct evhttp_request *request)
{
	const struct caller *caller = caller_of(door, request);
	const char *host = evhttp_request_get_host(request);
	struct net_address named, local;
	char ip[NET_TEXT_MAX], own[NET_TEXT_MAX] = "";

	if (!host || strcasecmp(host, "localhost") == 0)
		return host != NULL;
	snprintf(ip, sizeof ip, "%.*s", (int)strcspn(host + (*host == '['), "]"),
		host + (*host == '['));
	if (net_parse_ip(ip, 0, &named) < 0)
		return false;
	net_format_ip(&named, ip);
	if (caller && net_local(bufferevent_getfd(caller->stream), &local) == 0)
		net_format_ip(&local, own);
	return net_is_loopback(&named) || strcmp(ip, own) == 0;
}

/* For browsers: what an answer is says its type alone, no other page may show or read the answer,
 * and whoever came by TLS comes by TLS again. */
static void
add_care(struct http_door *door, struct evhttp_request *request)
{
	static const struct {
		const char *name, *value;
	} fields[] = {
		{ "X-Content-Type-Options", "nosniff" },
		{ "Referrer-Policy", "no-referrer" },
		{ "Cross-Origin-Resource-Policy", "same-origin" },
		{ "Cross-Origin-Opener-Policy", "same-origin" },
		{ "Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'" },
		{ "Strict-Transport-Security", "max-age=31536000" },
	};
	const size_t count = sizeof fields / sizeof *fields - !http_door_is_secure(door, request);
	struct evkeyvalq *out = evhttp_request_get_output_headers(request);

	for (size_t i = 0; i < count; i++)
		if (!evhttp_find_header(out, fields[i].name))
			evhttp_add_header(out, fields[i].name, fields[i].value);
}

/* The answer to HEAD has the length of the body that GET would get. */
static void
add_length(struct evhttp_request *request, size_t length)
{
	char text[32];

	snprintf(text, sizeof text, "%zu", length);
	evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Length", text);
}

void
http_door_reply(
	struct http_door *door, struct evhttp_request *request, int status, struct evbuffer *body)
{
	struct caller *caller = caller_of(door, request);

	if (caller) {
		caller->working = false;
		caller->answered++;
		timer_set(&caller->timer, door->options.deadline_s * UINT64_C(1000));
		if (caller->last)
			evhttp_add_header(
				evhttp_request_get_output_headers(request), "Connection", "close");
	}
	if (evhttp_request_get_command(request) == EVHTTP_REQ_HEAD) {
		add_length(request, evbuffer_get_length(body));
		evbuffer_drain(body, evbuffer_get_length(body));
	}
	add_care(door, request);
	evhttp_send_reply(request, status, NULL, body);
}
