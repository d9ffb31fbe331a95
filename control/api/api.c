/*
 * api.c - HTTP in, JSON out: who may ask, and which handler answers.
 *
 * shoutctl, the operator's programs -> [api] -> accounts | rules | queue, events (worker)
 *
 * Whoever knows the token in state_dir/control.token may do everything; others what the right of a
 * route lets them (gate.c). Requests and replies are bounded. Every refusal is problem+json.
 */
#include "control/api/api.h"
#include "control/api/gate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <event2/buffer.h>

#include "control/api/api_panel.h"
#include "control/api/api_public.h"
#include "control/api/routes.h"
#include "control/domain/domain_check.h"
#include "control/http/api_private.h"
#include "control/http/route.h"
#include "control/login/prove.h"
#include "control/mails/mailings.h"
#include "control/people/hasher.h"
#include "control/watch/domain_mail.h"
#include "control/watch/domain_watch.h"
#include "shared/base/log.h"
#include "shared/base/net.h"
#include "shared/base/tls.h"
#include "shared/base/tls_tickets.h"
#include "shared/config/config.h"
#include "shared/http/http_scan.h"
#include "shared/process/descriptors.h"

#define HEAD_MAX (16 * 1024)
#define DEADLINE_S 30

/* Requests */

/* A page of another host whose name leads here (DNS rebinding) gets nothing. */
static bool
host_is_ours(const struct exchange *exchange)
{
	const struct api *api = exchange->api;
	const char *host = evhttp_request_get_host(exchange->request);

	if (!api->hosts_count || http_door_is_local(api->door, exchange->request))
		return true;
	for (unsigned i = 0; host && i < api->hosts_count; i++)
		if (strcasecmp(host, api->hosts[i]) == 0)
			return true;
	return false;
}

/* Refuses a request whose Host or text is wrong. */
static bool
may_ask(struct exchange *exchange)
{
	if (exchange->api->on_closed)
		reply_error(exchange, 503, "", "shutting down");
	else if (!host_is_ours(exchange))
		reply_error(exchange, 421, "Host", "control.hosts does not have this name");
	else if (!request_is_text(exchange->request))
		reply_error(
			exchange, 400, "", "the path or the query is not UTF-8, or holds a NUL");
	else
		return true;
	return false;
}

/* Refuses a path that does not exist, or not with this method. */
static void
refuse_path(struct exchange *exchange, const char *allowed)
{
	if (!*allowed) {
		reply_error(exchange, 404, "", "there is no such path under /api/v1");
		return;
	}
	reply_header(exchange, "Allow", allowed);
	if (evhttp_request_get_command(exchange->request) == EVHTTP_REQ_OPTIONS)
		reply_nothing(exchange);
	else
		reply_error(exchange, 405, "", "this path does not take that method");
}

static void
find_route(struct exchange *exchange)
{
	struct route_match match;

	routes_find(evhttp_uri_get_path(evhttp_request_get_evhttp_uri(exchange->request)),
		evhttp_request_get_command(exchange->request), &match);
	memcpy(exchange->parameters, match.parameters, sizeof match.parameters);
	memcpy(exchange->allow, match.allow, sizeof match.allow);
	exchange->route = match.route;
}

/* It is known who asks. */
static void
on_identified(struct exchange *exchange)
{
	const struct route *route = exchange->route;

	if (!route)
		refuse_path(exchange, exchange->allow);
	else if (gate_allow(exchange, route) && request_take_query(exchange, route) &&
		request_take_body(exchange, route)) {
		request_take_claimed(exchange);
		route->handle(exchange);
	}
}

static void
on_request(struct evhttp_request *request, void *arg)
{
	struct api *api = arg;
	struct exchange *exchange = xcalloc(1, sizeof *exchange);

	exchange->api = api;
	exchange->request = request;
	exchange->query.tqh_last = &exchange->query.tqh_first;
	api->open++;
	http_door_take(api->door, request);
	http_door_client(api->door, request, exchange->client);
	exchange->secure = http_door_is_secure(api->door, request);
	if (!may_ask(exchange) || api_public(exchange) || api_panel(exchange))
		return;
	find_route(exchange);
	gate_identify(exchange, on_identified);
}

/* The path of the request's target, as it came. */
static void
allow(const char *target, char *out, size_t size)
{
	struct evhttp_uri *uri = evhttp_uri_parse_with_flags(target, EVHTTP_URI_NONCONFORMANT);
	struct route_match match = { 0 };

	if (uri)
		routes_find(evhttp_uri_get_path(uri), EVHTTP_REQ_OPTIONS, &match);
	snprintf(out, size, "%s", match.allow);
	if (uri)
		evhttp_uri_free(uri);
}

/* Start and end */

static int
listen_on(struct api *api, int fd, const char *text)
{
	struct net_address address;
	int err;

	if (net_parse(text, &address) < 0)
		return -EINVAL;
	if (!api->tls && !net_is_loopback(&address))
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
		.admit = gate_admit,
		.arg = api,
		.head_max = HEAD_MAX,
		.body_max = BODY_MAX,
		.allow = allow,
		.tls = api->tls,
		.proxies = api->proxies,
		.proxies_count = api->proxies_count };

	api->door = http_door_new(api->loop, &options);
	evhttp_set_gencb(http_door_server(api->door), on_request, api);
}

static void
on_ticket_keys(void *arg)
{
	struct api *api = arg;

	tls_server_turn_keys(api->tls);
	timer_set(&api->ticket_keys, TLS_TICKET_S * UINT64_C(1000));
}

/* Takes from the settings how the API is reached. */
static void
take_settings(struct api *api, const struct config *config, struct tls_server *tls)
{
	api->hosts = config->control.hosts;
	api->hosts_count = config->control.hosts_count;
	api->proxies_count = config->control.proxies_count;
	api->proxies = xcalloc(api->proxies_count, sizeof *api->proxies);
	for (unsigned i = 0; i < api->proxies_count; i++)
		network_parse(config->control.proxies[i], &api->proxies[i]); /* they were checked */
	api->tls = tls;
	timer_init(&api->ticket_keys, api->loop, on_ticket_keys, api);
	if (tls)
		timer_set(&api->ticket_keys, TLS_TICKET_S * UINT64_C(1000));
}

static void
on_trouble(void *arg, const char *account, const json_t *report)
{
	const struct api *api = arg;
	const json_t *entry = directory_get(api->directory, "account", account);

	if (entry && !account_is_deleted(entry) && mailings_wanted(api->mailings))
		domain_mail_send(mailings_notices(api->mailings), entry, report);
}

static void
watch_domains(struct api *api)
{
	const struct domain_watch_options options = { .loop = api->loop,
		.redis = api->redis,
		.directory = api->directory,
		.applier = api->applier,
		.commits = api->commits,
		.checks = api->checks,
		.trouble = on_trouble,
		.arg = api };

	if (api->checks)
		api->watch = domain_watch_new(&options);
}

struct api *
api_new(const struct config *config, int fd, struct tls_server *tls, struct queue *queue,
	struct loop *loop, struct loop *worker, struct redis *redis, struct directory *directory,
	struct applier *applier, struct commits *commits, struct mailings *mailings,
	struct trace *trace, const struct static_files *panel, struct webhooks *webhooks)
{
	struct api *api = xcalloc(1, sizeof *api);
	int err;

	*api = (struct api){ .config = config,
		.queue = queue,
		.trace = trace,
		.webhooks = webhooks,
		.mailings = mailings,
		.panel = panel,
		.egress = config->sender.egress,
		.rows = rows_open(queue, ROWS_ALL, NULL, NULL, NULL),
		.loop = loop,
		.redis = redis,
		.worker = worker,
		.directory = directory,
		.applier = applier,
		.commits = commits };
	TAILQ_INIT(&api->paused);
	take_settings(api, config, tls);
	open_door(api);
	api->checks = domain_checks_new(loop, config);
	watch_domains(api);
	api->notices = mailings_notices(mailings);
	api->hasher = hasher_new(loop);
	prove_open();
	err = api->checks ? token_get(config->state_dir, api->token) : -1;
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
	domain_watch_close(api->watch);
	if (api->open == 0) {
		domain_checks_hurry(api->checks); /* the watch's own */
		on_closed(arg);
		return;
	}
	jobs_close(api);
	domain_checks_hurry(api->checks);
}

void
api_free(struct api **api)
{
	if (!*api)
		return;
	http_door_free(&(*api)->door);
	timer_cancel(&(*api)->ticket_keys);
	free((*api)->proxies);
	rows_close(&(*api)->rows);
	domain_watch_free(&(*api)->watch);
	domain_checks_free(&(*api)->checks);
	hasher_free(&(*api)->hasher);
	explicit_bzero((*api)->token, sizeof(*api)->token);
	free(*api);
	*api = NULL;
}
