/*
 * payload.c - from an event to a body.
 *
 * mail.events -> feed.c -> [payload] -> post.c
 */
#include "control/webhook/payload.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "control/look/event_key.h"
#include "shared/base/json_text.h"
#include "shared/base/log.h"

/* Of an event, and how a body calls it. */
static const struct {
	const char *from, *to;
} fields[] = {
	{ "event", "event" },
	{ "time", "time" },
	{ "account", "account" },
	{ "id", "message" },
	{ "message_id", "message_id" },
	{ "credential", "credential" },
	{ "to", "recipients" },
	{ "class", "class" },
	{ "reply", "reply" },
	{ "host", "host" },
	{ "enhanced", "enhanced" },
	{ "reason", "reason" },
	{ "attempts", "attempts" },
	{ "due", "due" },
	{ "verdict", "verdict" },
	{ "signature", "signature" },
	{ "size", "size" },
};

char *
payload_new(const json_t *event, char **id)
{
	const char *name = json_text(event, "event"), *message = json_text(event, "id");
	json_t *body = json_object();
	const json_t *originator = json_object_get(event, "originator");
	char *key = event_key(event, name ? name : ""), *text;

	*id = xasprintf("%s:%s", message ? message : "", key);
	free(key);
	json_object_set_new(body, "id", json_string(*id));
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		json_object_set(body, fields[i].to, json_object_get(event, fields[i].from));
	if (!originator)
		originator = json_object_get(event, "from");
	json_object_set(body, "originator", (json_t *)originator);
	text = json_dumps(body, JSON_COMPACT);
	json_decref(body);
	return text;
}

void
payload_sign(const char *secret, uint64_t seconds, const char *body, size_t length,
	char out[SIGNATURE_SIZE])
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned size = 0;
	char *signed_text = xasprintf("%" PRIu64 ".%.*s", seconds, (int)length, body);
	int at = snprintf(out, SIGNATURE_SIZE, "t=%" PRIu64 ",v1=", seconds);

	HMAC(EVP_sha256(), secret, (int)strlen(secret), (const unsigned char *)signed_text,
		strlen(signed_text), sum, &size);
	for (unsigned i = 0; i < size; i++)
		at += snprintf(out + at, SIGNATURE_SIZE - (size_t)at, "%02x", sum[i]);
	free(signed_text);
}
