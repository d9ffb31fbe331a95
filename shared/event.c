/*
 * event.c - builds the events that every role sends.
 *
 * Owns nothing but a buffer that is reused; a lost event is event_file.c's affair.
 */
#include "shared/event.h"

#include <string.h>

#include "shared/loop.h"

static char node[256];

void
mail_event_set_node(const char *hostname)
{
	strncpy(node, hostname, sizeof node - 1);
}

static enum event_class
class_of(const char *name)
{
	static const char *const floods[] = { "rejected", "auth-failed", "tls-failed" };

	for (size_t i = 0; i < sizeof floods / sizeof *floods; i++)
		if (strcmp(name, floods[i]) == 0)
			return EVENT_FLOOD;
	return strcmp(name, "audit") == 0 ? EVENT_AUDIT : EVENT_OF_MAIL;
}

/* "time" comes first: readers look for it there. */
void
mail_event_begin(struct mail_event *event, const char *name, const Envelope *envelope)
{
	char id[ID_TEXT_SIZE];

	event->class = class_of(name);
	json_begin(&event->json);
	json_time(&event->json, "time", clock_us());
	json_str(&event->json, "event", name);
	if (envelope) {
		id_format(envelope->id.data, id);
		json_str(&event->json, "id", id);
		if (*envelope->account)
			json_str(&event->json, "account", envelope->account);
	}
	json_str(&event->json, "node", node);
}

void
mail_event_begin_once(struct mail_event *event, const char *name, const Envelope *envelope)
{
	uint8_t derived[ID_SIZE];
	char id[ID_TEXT_SIZE];
	const size_t length = strlen(name);

	mail_event_begin(event, name, envelope);
	id_derive(derived, envelope->id.data, name, length);
	id_format(derived, id);
	json_str(&event->json, "event_id", id);
}

void
mail_event_recipients(struct mail_event *event, Recipient *const *recipients, size_t count)
{
	json_open(&event->json, "to", '[');
	for (size_t i = 0; i < count; i++)
		json_str(&event->json, NULL, recipients[i]->address);
	json_close(&event->json, ']');
}

void
mail_event_send(struct mail_event *event, struct queue *queue, queue_cb cb, void *arg)
{
	const char *text = json_end(&event->json);

	queue_event_put(queue, event->class, text, event->json.length, cb, arg);
}

void
mail_event_free(struct mail_event *event)
{
	json_free(&event->json);
}
