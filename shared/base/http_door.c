/*
 * http_door.c - HTTP servers whose clients cannot hold what others need.
 *
 * metrics, control's API -> [http_door] -> evhttp
 *
 * evhttp counts no connections, has a timeout for each read alone, and calls nobody before it has
 * all of a request. So each connection's bufferevent is made here, which gives a look at the lines
 * of a header as they come, before evhttp takes them. Where it ends without the token the rest of
 * the input is thrown away, and 401 is said here. Whoever has shown the token once may send a body
 * from then on; whether each request has it is the API's to check.
 */
#include "shared/base/http_door.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <openssl/crypto.h>

#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/metrics.h"
#include "shared/base/net.h"

#define LINGER_S 2
#define REFUSED                                                                                    \
	"{\n \"error\": \"the token of state_dir/control.token is needed: Authorization: "         \
	"Bearer ...\",\n \"field\": null\n}\n"

struct caller {
	TAILQ_ENTRY(caller) entry;
	struct http_door *door;
	struct bufferevent *stream;           /* of the connection, which frees it */
	struct evhttp_connection *connection; /* NULL until it has arrived */
	char address[NET_TEXT_MAX];
	struct evbuffer_cb_entry *watch;
	struct event *next;  /* it has arrived, or is to hear 401 */
	struct event *timer; /* its deadline */
	bool trusted, working, refused;
};

struct http_door {
	struct http_door_options options;
	struct evhttp *server;
	struct event_base *base;
	TAILQ_HEAD(, caller) callers; /* the oldest first */
	struct caller *coming;        /* has not arrived, or NULL */
	struct metric *for_others, *late, *without_token;
};

bool
http_door_token_is(const char *token, const char *authorization)
{
	size_t length = strlen(token);

	if (!authorization || strncasecmp(authorization, "Bearer ", 7) != 0)
		return false;
	return strlen(authorization + 7) == length &&
		CRYPTO_memcmp(authorization + 7, token, length) == 0;
}

/* ---- the end of a connection ---- */

static void
caller_free(struct caller *caller)
{
	TAILQ_REMOVE(&caller->door->callers, caller, entry);
	if (caller->door->coming == caller)
		caller->door->coming = NULL;
	event_free(caller->next);
	event_free(caller->timer);
	free(caller);
}

static void
on_closed(struct evhttp_connection *connection, void *arg)
{
	struct caller *caller = arg;

	(void)connection;
	if (caller->watch)
		evbuffer_remove_cb_entry(bufferevent_get_input(caller->stream), caller->watch);
	caller_free(caller);
}

/* As if the client had been silent: evhttp lets go of a request that is still worked for. */
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
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct caller *caller = arg;

	(void)fd;
	(void)what;
	hang_up(caller, caller->door->late);
}

static void
start_timer(struct caller *caller, unsigned seconds)
{
	const struct timeval tv = { seconds, 0 };

	event_add(caller->timer, &tv);
}

/* ---- the token ---- */

/* Whether the line is the field with the token. */
static bool
shows_token(const char *token, const char *line, size_t length)
{
	static const char name[] = "Authorization:";
	char value[256];

	if (length < sizeof name - 1 || strncasecmp(line, name, sizeof name - 1) != 0)
		return false;
	line += sizeof name - 1;
	length -= sizeof name - 1;
	while (length > 0 && *line == ' ') {
		line++;
		length--;
	}
	while (length > 0 && (line[length - 1] == ' ' || line[length - 1] == '\t'))
		length--;
	if (length >= sizeof value)
		return false;
	memcpy(value, line, length);
	value[length] = '\0';
	return http_door_token_is(token, value);
}

/* Looks at the whole lines that have come; false at the end of a header without the token. */
static bool
look(struct caller *caller, const char *text, size_t size)
{
	const char *end;

	for (; (end = memchr(text, '\n', size)); text = end + 1) {
		size_t length = (size_t)(end - text);

		size -= length + 1;
		length -= length > 0 && text[length - 1] == '\r';
		if (length == 0)
			return false;
		if (shows_token(caller->door->options.token, text, length)) {
			caller->trusted = true;
			return true;
		}
	}
	return true;
}

/* evhttp takes whole lines out after this, so each is seen once. */
static void
on_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *arg)
{
	struct caller *caller = arg;
	size_t size = evbuffer_get_length(input);

	if (caller->trusted || info->n_added == 0)
		return;
	if (!caller->refused && look(caller, (const char *)evbuffer_pullup(input, -1), size))
		return;
	if (!caller->refused)
		event_active(caller->next, EV_TIMEOUT, 0);
	caller->refused = true;
	evbuffer_drain(input, size);
}

static void
on_rest(struct bufferevent *stream, void *arg)
{
	struct evbuffer *input = bufferevent_get_input(stream);

	(void)arg;
	evbuffer_drain(input, evbuffer_get_length(input));
}

static void
on_told(struct bufferevent *stream, void *arg)
{
	(void)arg;
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

/* The connection is ours from here on. What the client still sends is read for a while: closing
 * with input unread would take the answer with it. */
static void
refuse(struct caller *caller)
{
	static const char answer[] = "HTTP/1.1 401 Unauthorized\r\n"
				     "WWW-Authenticate: Bearer\r\n"
				     "Content-Type: application/json\r\n"
				     "Cache-Control: no-store\r\n"
				     "Connection: close\r\n";

	metric_add(caller->door->without_token, 1);
	bufferevent_setcb(caller->stream, on_rest, on_told, on_gone, caller);
	evbuffer_add_printf(bufferevent_get_output(caller->stream),
		"%sContent-Length: %zu\r\n\r\n%s", answer, strlen(REFUSED), REFUSED);
	bufferevent_enable(caller->stream, EV_READ | EV_WRITE);
	start_timer(caller, LINGER_S);
}

/* ---- the beginning of a connection ---- */

/* The oldest that may go for a new one, of one address or of all. */
static struct caller *
find_idle(struct caller *for_whom, const char *address)
{
	struct caller *caller;

	TAILQ_FOREACH(caller, &for_whom->door->callers, entry)
	if (caller != for_whom && caller->connection && !caller->trusted && !caller->working &&
		(!address || strcmp(caller->address, address) == 0))
		return caller;
	return NULL;
}

static unsigned
count(const struct http_door *door, const char *address)
{
	const struct caller *caller;
	unsigned n = 0;

	TAILQ_FOREACH(caller, &door->callers, entry)
	n += !address || strcmp(caller->address, address) == 0;
	return n;
}

/* Whoever goes for it may be the caller itself. */
static void
make_room(struct caller *caller)
{
	struct http_door *door = caller->door;
	const char *address = NULL;
	struct caller *victim;

	if (count(door, caller->address) > door->options.per_address_max)
		address = caller->address;
	else if (count(door, NULL) <= door->options.connections_max)
		return;
	victim = find_idle(caller, address);
	hang_up(victim ? victim : caller, door->for_others);
}

/* evhttp's callbacks have its connection for their argument. */
static void
arrive(struct caller *caller)
{
	struct net_address peer;
	void *connection;

	event_del(caller->next);
	caller->door->coming = NULL;
	bufferevent_getcb(caller->stream, NULL, NULL, NULL, &connection);
	caller->connection = connection;
	evhttp_connection_set_closecb(caller->connection, on_closed, caller);
	if (net_peer(bufferevent_getfd(caller->stream), &peer) == 0)
		net_format_ip(&peer, caller->address);
	make_room(caller);
}

static void
on_next(evutil_socket_t fd, short what, void *arg)
{
	struct caller *caller = arg;

	(void)fd;
	(void)what;
	if (caller->connection)
		refuse(caller);
	else
		arrive(caller);
}

/* evhttp on its own closes a socket first and takes it out of the epoll set then, when its number
 * may be a socket of another thread. The socket comes in a moment; the one before has arrived, of
 * however many evhttp accepts at a time. */
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
	caller->stream = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
	caller->next = event_new(base, -1, 0, on_next, caller);
	caller->timer = event_new(base, -1, 0, on_deadline, caller);
	if (!caller->stream || !caller->next || !caller->timer)
		die("out of memory", "bufferevent_socket_new");
	if (door->options.token)
		caller->watch = evbuffer_add_cb(
			bufferevent_get_input(caller->stream), on_input, caller);
	TAILQ_INSERT_TAIL(&door->callers, caller, entry);
	event_active(caller->next, EV_TIMEOUT, 0);
	start_timer(caller, door->options.deadline_s);
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
	door->base = loop_base(loop);
	door->server = evhttp_new(door->base);
	if (!door->server)
		die("out of memory", "evhttp_new");
	TAILQ_INIT(&door->callers);
	evhttp_set_bevcb(door->server, new_stream, door);
	door->for_others = closed_metric("reason=\"room\"");
	door->late = closed_metric("reason=\"late\"");
	door->without_token = closed_metric("reason=\"token\"");
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

/* NULL: the client has gone. */
static struct caller *
caller_of(struct http_door *door, struct evhttp_request *request)
{
	struct evhttp_connection *connection = evhttp_request_get_connection(request);
	struct caller *caller;

	TAILQ_FOREACH(caller, &door->callers, entry)
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
	event_del(caller->timer);
}

void
http_door_reply(
	struct http_door *door, struct evhttp_request *request, int status, struct evbuffer *body)
{
	struct caller *caller = caller_of(door, request);

	if (caller) {
		caller->working = false;
		start_timer(caller, door->options.deadline_s);
	}
	evhttp_send_reply(request, status, NULL, body);
}
