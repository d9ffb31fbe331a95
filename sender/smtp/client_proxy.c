/*
 * client_proxy.c - the SOCKS5 proxy that has the egress IP, and the end of a client whose egress IP
 * cannot be used.
 *
 * client, client_connect -> [client_proxy] -> client
 *
 * When the address cannot be bound, or the proxy fails, the fault is ours: the client is gone with
 * an outcome that says so, whatever other hosts the route has.
 */
#include <stdio.h>
#include <string.h>

#include <event2/buffer.h>

#include "sender/smtp/client_private.h"

void
client_egress_failed(struct client *client, const char *why)
{
	char via[EGRESS_VIA_MAX] = "", text[OUTCOME_TEXT_MAX];

	if (client_has_proxy(client))
		egress_proxy_format(&client->egress->proxy, via);
	snprintf(text, sizeof text, "this relay cannot send from %s%s%s: %s", client->egress->ip,
		*via ? " through " : "", via, why);
	conn_close(&client->conn);
	outcome_local(&client->fault, "4.3.0", text);
	client->fault.egress = true;
	client->faulty = true;
	client->failed = client->never = false;
	client_no_host_left(client);
}

static void
proxy_send(struct client *client, struct socks_step *step)
{
	evbuffer_add(client->conn.out, step->out, step->out_length);
	explicit_bzero(step->out, sizeof step->out);
	conn_flush(&client->conn);
}

void
enter_proxy(struct client *client)
{
	struct socks_step step;

	socks_begin(&client->socks, &client->egress->proxy, &client->addresses[client->address_at],
		&step);
	proxy_send(client, &step);
}

/* The destination may have greeted already: its bytes follow the proxy's. */
void
client_proxy_input(struct client *client)
{
	struct socks_step step;
	const uint8_t *data;
	size_t length;

	while (client->state == ST_PROXY) {
		data = conn_bytes(&client->conn, &length);
		switch (socks_take(&client->socks, data, length, &step)) {
		case SOCKS_MORE: return;
		case SOCKS_SEND:
			conn_skip(&client->conn, step.used);
			proxy_send(client, &step);
			break;
		case SOCKS_READY:
			conn_skip(&client->conn, step.used);
			client_enter(client, ST_BANNER);
			break;
		case SOCKS_PROXY_FAILS: client_egress_failed(client, step.why); break;
		case SOCKS_HOST_FAILS: client_fail_error(client, step.why); break;
		}
	}
}
