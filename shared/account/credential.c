/*
 * credential.c - a username's document becomes a snapshot. Pure.
 *
 * Redis -> account_store.c -> [credential] -> ingress
 *
 * What cannot be read is denied, never granted: a network that is none matches no address.
 */
#include "shared/account/credential.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/json_text.h"
#include "shared/base/log.h"

static void
take_verifier(struct credential *credential, const char *text, uint64_t until_us)
{
	if (!text || credential->verifiers_count > CREDENTIAL_FORMER_MAX)
		return;
	credential->verifiers[credential->verifiers_count] = xstrdup(text);
	credential->until_us[credential->verifiers_count++] = until_us;
}

static void
take_former(struct credential *credential, const json_t *former)
{
	const json_t *one;
	size_t i;

	json_array_foreach(former, i, one)
	{
		const json_int_t until = json_integer_value(json_object_get(one, "until_us"));

		take_verifier(
			credential, json_text(one, "verifier"), until > 0 ? (uint64_t)until : 0);
	}
}

static void
take_networks(struct credential *credential, const json_t *networks)
{
	const size_t count = json_array_size(networks);
	const size_t most = count < CREDENTIAL_NETWORKS_MAX ? count : CREDENTIAL_NETWORKS_MAX;

	credential->networks = xcalloc(most, sizeof *credential->networks);
	credential->networks_count = most;
	for (size_t i = 0; i < most; i++) {
		const char *text = json_string_value(json_array_get(networks, i));

		if (!text || network_parse(text, &credential->networks[i]) < 0)
			memset(&credential->networks[i], 0, sizeof *credential->networks);
	}
}

static uint64_t
limit_of(const json_t *limits, const char *name)
{
	const json_int_t n = json_integer_value(json_object_get(limits, name));

	return n > 0 ? (uint64_t)n : 0;
}

struct credential *
credential_from_json(const json_t *document)
{
	const json_t *limits = json_object_get(document, "limits");
	struct credential *credential;

	if (!json_text(document, "account") || !json_text(document, "verifier"))
		return NULL;
	credential = xcalloc(1, sizeof *credential);
	credential->references = 1;
	credential->enabled = json_is_true(json_object_get(document, "enabled"));
	credential->suspended = json_object_get(document, "suspended") != NULL;
	credential->sandbox = json_is_true(json_object_get(document, "sandbox"));
	take_verifier(credential, json_text(document, "verifier"), UINT64_MAX);
	take_former(credential, json_object_get(document, "former"));
	credential->messages_hour = limit_of(limits, "messages_hour");
	credential->messages_day = limit_of(limits, "messages_day");
	take_networks(credential, json_object_get(document, "networks"));
	return credential;
}

struct credential *
credential_ref(struct credential *credential)
{
	credential->references++;
	return credential;
}

void
credential_unref(struct credential *credential)
{
	if (!credential || --credential->references > 0)
		return;
	for (size_t i = 0; i < credential->verifiers_count; i++) {
		explicit_bzero(credential->verifiers[i], strlen(credential->verifiers[i]));
		free(credential->verifiers[i]);
	}
	free(credential->networks);
	free(credential);
}

bool
credential_works(const struct credential *credential)
{
	return credential->enabled && !credential->suspended;
}

bool
credential_admits(const struct credential *credential, const struct net_address *client)
{
	for (size_t i = 0; i < credential->networks_count; i++)
		if (credential->networks[i].family &&
			network_contains(&credential->networks[i], client))
			return true;
	return credential->networks_count == 0;
}

bool
credential_holds(const struct credential *credential, size_t i, uint64_t now_us)
{
	return now_us < credential->until_us[i];
}
