/*
 * client_context.c - what all SMTP clients of the sender share.
 *
 * sender -> [client_context] <- client
 *
 * Owns the TLS context, what is known of hosts, and at the end the clients that are left.
 */
#include <stdlib.h>

#include "sender/smtp/client_private.h"
#include "sender/smtp/host_memory.h"
#include "sender/smtp/tls_memory.h"
#include "shared/base/log.h"
#include "shared/base/timer.h"
#include "shared/base/tls.h"
#include "shared/config/config.h"
#include "shared/metrics/metrics.h"

static void
register_metrics(struct client_context *context)
{
	static const char *const tls_labels[TLS_RESULTS] = {
		[TLS_RESULT_1_3] = "result=\"TLSv1.3\"",
		[TLS_RESULT_1_2] = "result=\"TLSv1.2\"",
		[TLS_RESULT_1_1] = "result=\"TLSv1.1\"",
		[TLS_RESULT_1_0] = "result=\"TLSv1\"",
		[TLS_RESULT_NONE] = "result=\"none\"",
		[TLS_RESULT_FAILED] = "result=\"failed\"",
	};
	static const char hosts[] = "shout_sender_hosts_total";
	static const char help[] = "Mail hosts tried: ready for mail, or failed before that";

	context->open = metric_gauge("shout_sender_connections", "Connections to mail hosts", NULL);
	context->greeted = metric_counter(hosts, help, "result=\"ready\"");
	context->failed = metric_counter(hosts, help, "result=\"failed\"");
	for (int i = 0; i < TLS_RESULTS; i++)
		context->tls_results[i] = metric_counter("shout_sender_tls_total",
			"Connections ready for mail by TLS version, or none; failed: TLS broke before",
			tls_labels[i]);
	context->lost_tls = metric_counter("shout_sender_lost_tls_total",
		"Hosts given clear text though they had TLS: it failed for an hour", NULL);
}

static void
take_sources(struct client_context *context)
{
	const struct config *config = context->config;

	for (unsigned i = 0; i < config->sender.source_address_count && i < 2; i++)
		if (net_parse_ip(config->sender.source_address[i], 0,
			    &context->sources[context->sources_count]) == 0)
			context->sources_count++;
}

const struct net_address *
client_context_source(const struct client_context *context, int family)
{
	for (size_t i = 0; i < context->sources_count; i++)
		if (context->sources[i].sa.ss_family == family)
			return &context->sources[i];
	return NULL;
}

bool
client_context_uses(const struct client_context *context, int family)
{
	return !context->sources_count || client_context_source(context, family);
}

void
client_take_reply(const struct client *client, enum outcome_step step, struct outcome *outcome_out)
{
	outcome_from_reply(
		outcome_out, step, &client->reply, client->host, client->context->replies);
}

struct local *
client_context_local(struct client_context *context)
{
	return context->local;
}

struct client_context *
client_context_new(struct loop *loop, const struct config *config, struct queue *queue,
	struct site_resolver *resolver, struct redis *redis, const struct replies *replies)
{
	struct client_context *context = xcalloc(1, sizeof *context);

	context->loop = loop;
	context->config = config;
	context->queue = queue;
	context->resolver = resolver;
	context->replies = replies;
	context->tls = tls_client_new();
	context->memory = host_memory_new();
	context->tls_memory = tls_memory_new(redis, context->memory);
	take_sources(context);
	context->local = local_new(loop, config);
	LIST_INIT(&context->clients);
	register_metrics(context);
	return context;
}

void
client_context_free(struct client_context **context_ref)
{
	struct client_context *context = *context_ref;
	struct client *client;

	if (!context)
		return;
	while ((client = LIST_FIRST(&context->clients))) {
		LIST_REMOVE(client, entry);
		metric_add(context->open, -1);
		timer_cancel(&client->timer);
		conn_free(&client->conn);
		route_unref(client->route);
		free(client->account);
		client_egress_free(client);
		free(client);
	}
	local_free(&context->local);
	tls_client_free(&context->tls);
	tls_memory_free(&context->tls_memory);
	host_memory_free(&context->memory);
	mail_event_free(&context->event);
	free(context);
	*context_ref = NULL;
}
