/*
 * event.c - builds the events that every role sends.
 *
 * Owns nothing but a buffer that each event reuses. event_file.c deals with events that cannot be
 * written.
 */
#include "shared/queue/event.h"

#include <assert.h>
#include <string.h>

#include "shared/base/loop.h"

static char node[256];

void
mail_event_set_node(const char *name)
{
	strncpy(node, name, sizeof node - 1);
}

const char *
mail_event_node(void)
{
	return node;
}

static const struct {
	const char *name;
	enum event_class class;
} kinds[] = {
	/* clang-format off */
	{ "accepted", EVENT_OF_MAIL },
	{ "rejected", EVENT_FLOOD },
	{ "auth-failed", EVENT_FLOOD },
	{ "tls-failed", EVENT_FLOOD },
	{ "tls-lost", EVENT_OF_MAIL },
	{ "held", EVENT_OF_MAIL },
	{ "alerted", EVENT_OF_MAIL },
	{ "released", EVENT_OF_MAIL },
	{ "false-alarm", EVENT_OF_MAIL },
	{ "deferred", EVENT_OF_MAIL },
	{ "delayed", EVENT_OF_MAIL },
	{ "delivered", EVENT_OF_MAIL },
	{ "bounced", EVENT_OF_MAIL },
	{ "expired", EVENT_OF_MAIL },
	{ "sandboxed", EVENT_OF_MAIL },
	{ "standing", EVENT_OF_MAIL },
	{ "listed", EVENT_OF_MAIL },
	{ "delisted", EVENT_OF_MAIL },
	{ "audit", EVENT_AUDIT },
	/* clang-format on */
};
#define KINDS (sizeof kinds / sizeof *kinds)

bool
mail_event_known(const char *name, size_t length)
{
	for (size_t i = 0; i < KINDS; i++)
		if (strlen(kinds[i].name) == length && memcmp(name, kinds[i].name, length) == 0)
			return true;
	return false;
}

static enum event_class
class_of(const char *name)
{
	for (size_t i = 0; i < KINDS; i++)
		if (strcmp(name, kinds[i].name) == 0)
			return kinds[i].class;
	assert(false); /* Every event is in the table, or nobody could ask for it. */
	return EVENT_OF_MAIL;
}

/* "time" comes first: readers of the files look for it there. */
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
		if (strcmp(name, "accepted") != 0)
			json_str(&event->json, "originator", envelope->mail_from);
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
mail_event_scanned(struct mail_event *event, const Envelope *envelope)
{
	json_str(&event->json, "verdict", envelope_verdict_name(envelope->verdict));
	if (envelope->scanned_us)
		json_time(&event->json, "scanned", envelope->scanned_us);
	if (envelope->message_id_added)
		json_str(&event->json, "message_id", envelope->message_id);
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
