/*
 * client_connect.c - from a route to a server that is ready for mail: hosts and their addresses in
 * order, greeting, EHLO, opportunistic TLS (RFC 7435, 3207).
 *
 * client -> [client_connect] -> client_mail
 *
 * A failure before the first MAIL leads to the next address or host. When no host is left the
 * client is gone, with the last failure that time may cure; without such a failure, with a bounce.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <event2/buffer.h>

#include "sender/smtp/client_private.h"
#include "sender/smtp/host_memory.h"
#include "sender/smtp/tls_memory.h"
#include "shared/base/log.h"
#include "shared/base/tls.h"
#include "shared/config/config.h"
#include "shared/metrics/metrics.h"

static const struct route_host *
host_of(const struct client *client)
{
	return &client->route->hosts[client->order[client->host_at]];
}

static enum tls_result
tls_result(const struct client *client)
{
	if (!client->conn.ssl)
		return TLS_RESULT_NONE;
	switch (SSL_version(client->conn.ssl)) {
	case TLS1_VERSION: return TLS_RESULT_1_0;
	case TLS1_1_VERSION: return TLS_RESULT_1_1;
	case TLS1_2_VERSION: return TLS_RESULT_1_2;
	default: return TLS_RESULT_1_3;
	}
}

static void
host_ready(struct client *client)
{
	metric_add(client->context->greeted, 1);
	metric_add(client->context->tls_results[tls_result(client)], 1);
	client_enter(client, ST_READY);
}

static void
host_reply_failed(struct client *client)
{
	struct outcome failure;

	client_take_reply(client, client_step(client), &failure);
	client_host_failed(client, &failure);
}

/* A client with a transaction in hand had a host, which could not take that mail: nothing is wrong
 * with the site. A fault of this machine counts only where no host failed by itself. */
void
client_no_host_left(struct client *client)
{
	if (client->faulty && !client->failed)
		client->failure = client->fault;
	if (!client->transaction) {
		client_gone(client, &client->failure);
		return;
	}
	client->failure.scope = SCOPE_MESSAGE;
	client_transaction_lost(client, &client->failure);
	client_gone(client, NULL);
}

/* This host and all less preferred hosts are left out (RFC 5321 5.1). */
static void
host_is_us(struct client *client, const struct outcome *failure)
{
	if (host_of(client)->preference == client->route->hosts[0].preference)
		client->failure = *failure;
	client_no_host_left(client);
}

static void
next_address(struct client *client)
{
	client->plain = false;
	client->address_at++;
	if (client->tries >= CLIENT_TRIES_MAX) {
		client_no_host_left(client);
	} else if (client->address_at < client->address_count) {
		client_enter(client, ST_CONNECT);
	} else if (++client->host_at < client->route->count) {
		client_enter(client, ST_RESOLVE);
	} else {
		client_no_host_left(client);
	}
}

void
client_host_failed(struct client *client, const struct outcome *failure)
{
	conn_close(&client->conn);
	metric_add(client->context->failed, 1);
	if (strcmp(failure->enhanced, "5.4.6") == 0) {
		host_is_us(client, failure);
		return;
	}
	if (failure->kind != OUTCOME_BOUNCE || (client->never && !client->transaction))
		client->failure = *failure;
	client->failed |= failure->kind != OUTCOME_BOUNCE;
	client->never = client->never && failure->kind == OUTCOME_BOUNCE;
	next_address(client);
}

/* A fault of this machine keeps the client from the address, or from all hosts. */
static void
fault_at(struct client *client, enum local_fault kind, const char *why)
{
	conn_close(&client->conn);
	outcome_local(&client->fault, "4.3.0", why);
	client->faulty = true;
	client->never = false;
	if (local_is_whole(kind)) {
		client->failed = false;
		client_no_host_left(client);
	} else {
		next_address(client);
	}
}

/* Most machines without IPv6 have no IPv6 route at all. Their failure must not hide why IPv4
 * failed. */
static void
family_absent(struct client *client, const char *why)
{
	struct outcome failure;

	if (!client->failed && !client->faulty && !client->transaction) {
		outcome_from_error(&failure, STEP_CONNECT, why, client->host);
		client->failure = failure;
		client->never = false;
	}
	conn_close(&client->conn);
	next_address(client);
}

void
client_connect_failed(struct client *client, int err, enum net_refusal later)
{
	struct client_context *context = client->context;
	const struct net_address *to = &client->addresses[client->address_at];
	char why[LOCAL_WHY_MAX];
	const struct net_address *from = client_source(client, to->sa.ss_family);
	enum local_fault kind;

	if (client_has_proxy(client) ||
		(client->egress && local_of(err, from && !net_has_address(from)) == LOCAL_SOURCE)) {
		client_egress_failed(client, strerror(err));
		return;
	}
	kind = local_failed(context->local, err, later, to, from, why);
	if (kind != LOCAL_NONE)
		fault_at(client, kind, why);
	else if (why[0])
		family_absent(client, why);
	else
		client_fail_error(client, strerror(err));
}

/* After this the client takes no other mail: other mail tries the hosts in their order. */
bool
client_next_host(struct client *client)
{
	if (client->tries >= CLIENT_TRIES_MAX || client->host_at + 1 >= client->route->count)
		return false;
	evbuffer_add(client->conn.out, "QUIT\r\n", 6);
	conn_flush(&client->conn);
	conn_close(&client->conn);
	client->quitting = true;
	client->plain = false;
	client->host_at++;
	client_enter(client, ST_RESOLVE);
	return true;
}

/* Keeps the addresses that can be used. `lack` says why others cannot; "": all can. */
static void
keep_addresses(struct client *client, const struct net_address *addresses, size_t count,
	char lack[LOCAL_WHY_MAX])
{
	const struct client_context *context = client->context;

	lack[0] = '\0';
	client->address_at = client->address_count = 0;
	for (size_t i = 0; i < count && client->address_count < CLIENT_ADDRESSES_MAX; i++)
		if (client_uses(client, addresses[i].sa.ss_family) &&
			(client_has_proxy(client) ||
				!local_lacks(context->local, addresses[i].sa.ss_family, lack)))
			client->addresses[client->address_count++] = addresses[i];
}

static void
on_addresses(
	void *arg, const struct net_address *addresses, size_t count, const struct outcome *failure)
{
	struct client *client = arg;
	struct outcome unreachable;
	char lack[LOCAL_WHY_MAX];

	if (client->state == ST_RESOLVE) {
		keep_addresses(client, addresses, count, lack);
		if (client->address_count) {
			client_enter(client, ST_CONNECT);
		} else if (failure && failure->local) {
			fault_at(client, LOCAL_RESOLVER, failure->text);
		} else if (lack[0]) {
			fault_at(client, LOCAL_ROUTE, lack);
		} else {
			outcome_from_error(&unreachable, STEP_CONNECT,
				client->egress ? "no address of the family of the egress IP"
					       : "no address of the family of "
						 "sender.source_address",
				client->host);
			client_host_failed(client, failure ? failure : &unreachable);
		}
	}
	client_unref(client);
}

void
enter_resolve(struct client *client)
{
	snprintf(client->host, sizeof client->host, "%s", host_of(client)->name);
	client->address_at = client->address_count = 0;
	client->references++;
	site_addresses(client->context->resolver, client->route, client->order[client->host_at],
		client->account, on_addresses, client);
}

/* The host's name: a smarthost's without the port, an address literal's is empty. */
static int
name_length(const struct route *route, const char *name)
{
	const char *port = route->smarthost ? strrchr(name, ':') : NULL;

	if (name[0] == '[')
		return 0;
	return (int)(port ? (size_t)(port - name) : strlen(name));
}

/* "mx1.example[192.0.2.1]" */
static void
set_host(struct client *client, const struct net_address *address)
{
	const char *name = host_of(client)->name;
	char ip[NET_TEXT_MAX];

	net_format_ip(address, ip);
	snprintf(client->host, sizeof client->host, "%.*s[%s]", name_length(client->route, name),
		name, ip);
}

void
enter_connect(struct client *client)
{
	const struct net_address *address = &client->addresses[client->address_at];
	int err;

	client->tries++;
	client->offers = client->finished = 0;
	client->size_limit = 0;
	client->tls[0] = '\0';
	client->tls_fresh = false;
	reply_start(&client->reply);
	set_host(client, address);
	err = conn_connect(&client->conn, client_connects_to(client),
		client_source(client, address->sa.ss_family));
	if (err < 0)
		client_connect_failed(client, -err, NET_FROM_AFAR);
	else
		local_connected(client->context->local, client_connects_to(client), false);
}

void
client_connected(struct client *client)
{
	local_connected(client->context->local, client_connects_to(client), true);
	client_enter(client, client_has_proxy(client) ? ST_PROXY : ST_BANNER);
}

void
banner_reply(struct client *client)
{
	if (client->reply.code / 100 == 2)
		client_enter(client, ST_EHLO);
	else
		host_reply_failed(client);
}

static void
send_hello(struct client *client, const char *verb)
{
	evbuffer_add_printf(client->conn.out, "%s %s\r\n", verb, client_hello_name(client));
	conn_flush(&client->conn);
}

void
enter_ehlo(struct client *client)
{
	client->offers = 0;
	client->size_limit = 0;
	send_hello(client, "EHLO");
}

void
enter_helo(struct client *client)
{
	client->offers = 0;
	client->size_limit = 0;
	send_hello(client, "HELO");
}

static void
take_size(struct client *client, const char *text, size_t length)
{
	client->size_limit = 0;
	for (size_t i = 0; i < length && text[i] >= '0' && text[i] <= '9'; i++)
		if (client->size_limit < UINT64_MAX / 100)
			client->size_limit = client->size_limit * 10 + (uint64_t)(text[i] - '0');
}

/* One keyword of the reply to EHLO (RFC 5321 4.1.1.1); the first line is the server's name. */
void
ehlo_line(void *arg, const char *text, size_t length)
{
	static const struct {
		const char *word;
		unsigned offer;
	} keywords[] = {
		{ "PIPELINING", OFFER_PIPELINING },
		{ "8BITMIME", OFFER_8BITMIME },
		{ "SMTPUTF8", OFFER_SMTPUTF8 },
		{ "DSN", OFFER_DSN },
		{ "STARTTLS", OFFER_STARTTLS },
		{ "SIZE", OFFER_SIZE },
	};
	struct client *client = arg;
	size_t word = 0;

	if (client->reply.lines <= 1)
		return;
	while (word < length && text[word] != ' ' && text[word] != '=')
		word++;
	for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++) {
		if (strlen(keywords[i].word) != word ||
			strncasecmp(keywords[i].word, text, word) != 0)
			continue;
		client->offers |= keywords[i].offer;
		if (keywords[i].offer == OFFER_SIZE && word < length)
			take_size(client, text + word + 1, length - word - 1);
	}
}

static bool
knows(const struct client *client, const char *host, enum host_fact fact)
{
	return host_memory_has(client->context->memory, host, fact, clock_mono_ms());
}

/* Goes on in clear text, here or in a new connection. Other clients need not find out for
 * themselves. */
static void
go_plain(struct client *client)
{
	host_memory_add(client->context->memory, client->host, HOST_PLAIN, clock_mono_ms());
	client->plain = true;
	if (client->conn.fd >= 0) {
		host_ready(client);
		return;
	}
	LOG_INFO("TLS is broken, going on without", "host", client->host, "error", client->lack);
	client_enter(client, ST_CONNECT);
}

static void
no_plain(struct client *client, const char *why)
{
	struct outcome failure;
	char text[OUTCOME_TEXT_MAX];

	snprintf(text, sizeof text, "no clear text for a host that %s; %.300s", why, client->lack);
	outcome_from_error(&failure, STEP_STARTTLS, text, client->host);
	client_host_failed(client, &failure);
}

/* Logged for postmasters: either the host gave TLS up, or somebody is in between. */
static void
tell_lost(struct client *client, uint64_t since_ms)
{
	struct client_context *context = client->context;
	struct json *json = &context->event.json;

	LOG_WARN("no TLS for an hour, going on without", "host", client->host, "error",
		client->lack);
	metric_add(context->lost_tls, 1);
	mail_event_begin(&context->event, "tls-lost", NULL);
	json_str(json, "host", client->host);
	json_str(json, "error", client->lack);
	json_time(json, "since", clock_us() - (clock_mono_ms() - since_ms) * 1000);
	mail_event_send(&context->event, context->queue, NULL, NULL);
}

/* The client may be at another host when the answer comes. */
static void
on_lack(void *arg, const char *host, enum tls_lack lack, uint64_t since_ms)
{
	struct client *client = arg;

	if (client->state == ST_DOUBT && strcmp(host, host_of(client)->name) == 0) {
		if (lack == TLS_LACK_LASTS)
			tell_lost(client, since_ms);
		if (lack == TLS_LACK_NEW)
			no_plain(client, "had TLS lately");
		else
			go_plain(client);
	}
	client_unref(client);
}

/* TLS was broken, refused or not offered (`why`). */
static void
tls_lacks(struct client *client, const char *why)
{
	snprintf(client->lack, sizeof client->lack, "%s", why);
	client_enter(client, ST_DOUBT);
	if (knows(client, host_of(client)->name, HOST_NEEDS_TLS)) {
		no_plain(client, "asks for TLS");
		return;
	}
	client->references++;
	tls_memory_lacks(client->context->tls_memory, host_of(client)->name, clock_mono_ms(),
		on_lack, client);
}

/* TLS was just tried in vain at this host, and would fail again. */
static bool
goes_plain(const struct client *client)
{
	return client->plain ||
		(knows(client, client->host, HOST_PLAIN) &&
			!knows(client, host_of(client)->name, HOST_NEEDS_TLS));
}

/* The host took EHLO or HELO, and TLS is up or will not be. */
static void
session_ready(struct client *client)
{
	if (client->conn.ssl)
		tls_memory_done(
			client->context->tls_memory, host_of(client)->name, clock_mono_ms());
	if (client->conn.ssl || goes_plain(client))
		host_ready(client);
	else
		tls_lacks(client, "STARTTLS is not offered");
}

void
ehlo_reply(struct client *client)
{
	switch (client->reply.code / 100) {
	case 2:
		if (knows(client, host_of(client)->name, HOST_NO_PIPELINING))
			client->offers &= ~(unsigned)OFFER_PIPELINING;
		if ((client->offers & OFFER_STARTTLS) && !client->conn.ssl && !goes_plain(client))
			client_enter(client, ST_STARTTLS);
		else
			session_ready(client);
		break;
	case 5: client_enter(client, ST_HELO); break;
	default: host_reply_failed(client);
	}
}

void
helo_reply(struct client *client)
{
	if (client->reply.code / 100 == 2)
		session_ready(client);
	else
		host_reply_failed(client);
}

void
enter_starttls(struct client *client)
{
	evbuffer_add(client->conn.out, "STARTTLS\r\n", 10);
	conn_flush(&client->conn);
}

/* A refusal leaves the plain session as it was. Bytes that came with the 220 were not protected. If
 * they were taken for replies inside TLS, anybody on the way could speak for the server. */
void
starttls_reply(struct client *client)
{
	if (client->reply.code != 220)
		tls_lacks(client, client->reply.text);
	else if (!conn_between_lines(&client->conn))
		client_tls_broken(client, "bytes in the clear after the reply to STARTTLS");
	else
		client_enter(client, ST_TLS);
}

void
enter_tls(struct client *client)
{
	const char *host = host_of(client)->name;
	struct net_address ip;
	char name[256];

	snprintf(name, sizeof name, "%.*s", name_length(client->route, host), host);
	conn_start_tls(&client->conn,
		tls_client_session(client->context->tls,
			name[0] && net_parse_ip(name, 0, &ip) < 0 ? name : NULL));
}

void
client_secured(struct client *client)
{
	tls_describe(client->conn.ssl, client->tls, sizeof client->tls);
	client->tls_fresh = true;
	client_enter(client, ST_EHLO);
}

void
client_tls_broken(struct client *client, const char *why)
{
	metric_add(client->context->tls_results[TLS_RESULT_FAILED], 1);
	conn_close(&client->conn);
	tls_lacks(client, why);
}

void
client_tls_demanded(struct client *client)
{
	struct host_memory *memory = client->context->memory;
	struct outcome failure;

	outcome_from_error(&failure, STEP_STARTTLS, client->reply.text, client->host);
	failure.code = client->reply.code;
	failure.retry_now = client->offers & OFFER_STARTTLS;
	if (failure.retry_now) {
		host_memory_forget(memory, client->host, HOST_PLAIN);
		host_memory_add(memory, host_of(client)->name, HOST_NEEDS_TLS, clock_mono_ms());
	}
	client_fail(client, &failure);
}
