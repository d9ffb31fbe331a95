/*
 * api_webhooks.h - the API's calls about an account's webhooks.
 */
#ifndef CONTROL_API_WEBHOOKS_H
#define CONTROL_API_WEBHOOKS_H

struct exchange;

void api_webhooks_list(struct exchange *exchange);
void api_webhooks_add(struct exchange *exchange);
void api_webhook_get(struct exchange *exchange);
void api_webhook_change(struct exchange *exchange);
void api_webhook_remove(struct exchange *exchange);
/* Posts an event "test" now, and answers with how that went. */
void api_webhook_test(struct exchange *exchange);
/* The last tries, the newest first. */
void api_webhook_tries(struct exchange *exchange);

#endif
