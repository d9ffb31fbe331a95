/*
 * config.h - relay.config: writes entries, and tells subscribers of them. queue.h tells of threads
 * and errors.
 */
#ifndef SHARED_QUEUE_CONFIG_H
#define SHARED_QUEUE_CONFIG_H

#include "shared/queue/call.h"

struct config_subscriber;

/*
 * relay.config: the truth for accounts, settings and operator rules. Keys are text
 * ("account/<id>", "rule/<id>"), values JSON; the last value of a key counts, an empty one removes.
 *   account/<id>    {"version","id","name","contact","status":"active|disabled|deleted","policy",
 *                    "display_address","limits":{...},"domains":[{"name","verified",
 *                    "mailboxes"}],"created_us"}; deleted: "deleted_us", "status_before", and
 *                    nothing of it is served, its users and addresses neither
 *   user/<name>     {"version","account","enabled","verifier","created_us"}
 *   ip/<network>    {"version","account","active","created_us"}
 *   owner           {"version","id"}: whose accounts these are (owner.h)
 *   rule/<number>   {"number","action":"retry|bounce|release","selector","accepted_before_us",
 *                    "by"}: an operator's command for the mail that matches the selector
 *                    (selector.h) and was accepted before it, wherever that is. Numbers are 20
 *                    digits in the key and grow, so that Row.rule says which are done. Kept 6
 *                    days, and as long as older mail is no row yet.
 *   told/<account>  {"version","mails":["<us>\t<mail>\t<about>\t<to>"]}: what the account was
 * mailed audit/<number>  {"version","event","expects"}: a change whose event may not be written yet
 *                    (control/config/commit.c)
 *   suspension/<selector>  {"version","selector","reason","by","since_us","until_us"}: what
 *                    matches waits until the entry is removed, or (not 0) until then. In the key
 *                    stand the selector's fields as in a query, so that there is one for each.
 */
void
queue_config_put(struct queue *queue, const char *key, const char *json, queue_cb cb, void *arg);
/* Calls `on_entry` on `loop` with every entry there is, in the order of keys; then once with key
 * NULL; then with every change (json NULL: the entry was removed), until
 * queue_config_unsubscribe(). */
struct config_subscriber *queue_config_subscribe(struct queue *queue, struct loop *loop,
	void (*on_entry)(void *arg, const char *key, const char *json), void *arg);
/* Ends the calls of `on_entry`; the loop may end then. Call it on that loop (also inside
 * `on_entry`), or when the loop no longer runs. Takes NULL. */
void queue_config_unsubscribe(struct config_subscriber **subscriber);

#endif
