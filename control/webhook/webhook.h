/*
 * webhook.h - where an account's programs want to hear what becomes of its mail: entries
 * webhook/<id> of relay.config.
 *
 *   {"version","id","account","url","events":[],"secret","enabled","created_us",
 *    "since_us": it hears what happens from then on}
 *   switched off by us: "off_us", "off_why"
 *
 * The secret is kept as it is, because each post is signed with it; it is shown once.
 */
#ifndef CONTROL_WEBHOOK_H
#define CONTROL_WEBHOOK_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "control/account/accounts.h"

#define WEBHOOK "webhook/" /* of the keys of relay.config */
#define WEBHOOKS_MAX 5     /* of an account */
#define WEBHOOK_URL_MAX 1000

/* As in accounts.h: changes and reply, or a fault. `body` {"url","events":[]}; the reply has the
 * secret. */
int webhook_add(struct edit *edit, const char *account, const json_t *body, uint64_t now_us);
/* `body` has at least one of url, events, enabled. Enabling begins with what happens from then on.
 */
int webhook_change(struct edit *edit, const char *account, const char *id, const json_t *body);
int webhook_remove(struct edit *edit, const char *account, const char *id);
/* Switches the webhook off, because it failed for long. -1: it is off already, or gone. */
int webhook_off(struct edit *edit, const char *id, const char *why, uint64_t now_us);

/* The account's webhook, or NULL. */
const json_t *webhook_find(const struct directory *directory, const char *account, const char *id);
/* Whether the entry is the account's webhook. */
bool webhook_is_of(const char *key, const json_t *entry, const char *account);
/* As the API shows it, without the secret; the caller releases it. */
json_t *webhook_show(const json_t *entry);
/* Whether webhooks can hear of that event. */
bool webhook_event_known(const char *name);

#endif
