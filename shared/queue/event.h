/*
 * event.h - what happened to mail, one JSON record each, on mail.events. docs/operation.md
 * documents every field. Events that prove an end state are acknowledged before the mail is given
 * up.
 *
 *   struct mail_event e;
 *   mail_event_begin(&e, "delivered", envelope);
 *   json_str(&e.json, "host", host);
 *   mail_event_send(&e, queue, cb, arg);
 *
 * Every event: "time", "event", "id" (26 characters, absent where there is no message), "account",
 * "node" (the process: its --node, else the hostname), and of a message, but for accepted,
 * "originator" (the envelope's sender, "": none).
 *   accepted       credential client helo tls from to[] size message_id header_from
 *   rejected       client account username helo from to[] recipients command reason reply merged
 *                  count first                        (of a minute: ingress/door/tally.h)
 *   auth-failed    likewise; reason why, which the reply does not tell
 *   tls-failed     likewise; error instead of reason and reply
 *   tls-lost       host error since
 *   audit          what by claimed client changed changes[{object before after}] event_id
 *   listed         egress_ip list accounts[]
 *   delisted       egress_ip list
 *   standing       rung who before step reason threshold way_out
 *   held           verdict signature reason event_id
 *   alerted        verdict signature tagged event_id
 *   released       rule by
 *   false-alarm    verdict signature by event_id
 *   deferred       site to[] host reply ambiguous attempts due  (one per row and attempt)
 *   delivered      site to[] host reply attempts tls queued_ms
 *   bounced        site to[] host reply ambiguous enhanced reason attempts
 *   expired        site to[] host reply ambiguous attempts
 *   sandboxed      to[]   (accepted for trying: it goes nowhere)
 * Events of a sender, held and alerted: what mail_event_scanned() adds.
 */
#ifndef SHARED_EVENT_H
#define SHARED_EVENT_H

#include "shared/base/json.h"
#include "shared/mail/envelope.h"
#include "shared/queue/events.h"

struct mail_event {
	struct json json;
	enum event_class class; /* from the event's name */
};

/* Whether there are events of this name. */
bool mail_event_known(const char *name, size_t length);

/* Sets the "node" of all events: this process among others. Once, at start. */
void mail_event_set_node(const char *name);
const char *mail_event_node(void); /* "": not set */

/* Starts an event; `envelope` may be NULL. The struct's buffer is reused: keep one per loop. */
void mail_event_begin(struct mail_event *event, const char *name, const Envelope *envelope);
/* Starts an event that happens to a message once at most, but is sent again when a crash falls
 * between it and the next step. Both have the same "event_id", made of the message's id and `name`,
 * by which readers drop the second. */
void mail_event_begin_once(struct mail_event *event, const char *name, const Envelope *envelope);
/* Adds "to": the addresses of all the envelope's recipients, or of the given ones. */
void mail_event_recipients(struct mail_event *event, Recipient *const *recipients, size_t count);
/* Adds what the scanner did: "verdict", "scanned" (when), and the "message_id" that it added. */
void mail_event_scanned(struct mail_event *event, const Envelope *envelope);
/* Sends the event. `cb` (may be NULL) comes when the event is acknowledged. */
void mail_event_send(struct mail_event *event, struct queue *queue, queue_cb cb, void *arg);
void mail_event_free(struct mail_event *event);

#endif
