/*
 * account.c - account documents: from JSON to a snapshot that never changes. Pure.
 *
 * control's applier -> Redis -> account_store.c -> [account] -> ingress
 */
#include "shared/account/account.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

#include "shared/base/json_text.h"
#include "shared/base/log.h"
#include "shared/config/config.h"
#include "shared/mail/address.h"

struct account *
account_ref(struct account *account)
{
	account->references++;
	return account;
}

void
account_unref(struct account *account)
{
	if (!account || --account->references > 0)
		return;
	for (size_t i = 0; i < account->domains_count; i++)
		free(account->domains[i]);
	free(account->domains);
	free(account->id);
	free(account->name);
	free(account->contact);
	free(account);
}

enum access_mode
access_mode_read(const char *text)
{
	if (!text)
		return ACCESS_NONE;
	return strcmp(text, "credentials") == 0 ? ACCESS_CREDENTIALS
		: strcmp(text, "ip") == 0       ? ACCESS_IP
						: ACCESS_NONE;
}

const char *
access_mode_text(enum access_mode mode)
{
	return mode == ACCESS_IP ? "ip" : "credentials";
}

static int
compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

bool
account_has_domain(const struct account *account, const char *domain, size_t length)
{
	char canonical[256];
	const char *key = canonical;

	if (account->domains_count == 0 || !address_domain_canonical(domain, length, canonical))
		return false;
	return bsearch(&key, account->domains, account->domains_count, sizeof *account->domains,
		       compare) != NULL;
}

static char *
text_of(const json_t *object, const char *key)
{
	const char *text = json_text(object, key);

	return xstrdup(text ? text : "");
}

static uint64_t
limit_of(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);
	const json_int_t n = json_integer_value(value);

	return !value ? LIMIT_DEFAULT : n > 0 ? (uint64_t)n : 0;
}

struct account_limits
account_limits_default(const struct config *config)
{
	return (struct account_limits){
		.messages_hour = config->limits.defaults.messages_hour,
		.messages_day = config->limits.defaults.messages_day,
		.recipients_hour = config->limits.defaults.recipients_hour,
		.recipients_day = config->limits.defaults.recipients_day,
	};
}

static void
take_domains(struct account *account, const json_t *list)
{
	const size_t count = json_array_size(list);
	size_t i;
	const json_t *item;

	account->domains = xcalloc(count, sizeof *account->domains);
	json_array_foreach(list, i, item)
	{
		const char *text = json_string_value(item);
		char canonical[256];

		if (text && address_domain_canonical(text, strlen(text), canonical))
			account->domains[account->domains_count++] = xstrdup(canonical);
	}
	qsort(account->domains, account->domains_count, sizeof *account->domains, compare);
}

static struct account *
take_account(const json_t *object)
{
	const char *status = json_text(object, "status");
	const char *policy = json_text(object, "policy");
	const char *display = json_text(object, "display_address");
	const json_t *limits = json_object_get(object, "limits");
	struct account *account;

	if (!status || !json_text(object, "id"))
		return NULL;
	account = xcalloc(1, sizeof *account);
	account->references = 1;
	account->id = text_of(object, "id");
	account->name = text_of(object, "name");
	account->contact = text_of(object, "contact");
	account->active = strcmp(status, "active") == 0;
	account->pending = strcmp(status, "pending") == 0;
	account->off = access_mode_read(json_text(object, "off"));
	account->policy = policy && strcmp(policy, "strict") == 0 ? POLICY_STRICT : POLICY_RESENT;
	account->display_address = display && strcmp(display, "pass") == 0;
	account->limits.messages_hour = limit_of(limits, "messages_hour");
	account->limits.messages_day = limit_of(limits, "messages_day");
	account->limits.recipients_hour = limit_of(limits, "recipients_hour");
	account->limits.recipients_day = limit_of(limits, "recipients_day");
	take_domains(account, json_object_get(object, "domains"));
	return account;
}

struct account *
account_from_json(const char *text, size_t length)
{
	json_t *object = json_loadb(text, length, 0, NULL);
	struct account *account = object ? take_account(object) : NULL;

	json_decref(object);
	return account;
}

static void
clear_below(uint8_t *bytes, unsigned size, unsigned prefix)
{
	for (unsigned i = 0; i < size; i++) {
		if (prefix >= (i + 1) * 8)
			continue;
		bytes[i] = prefix <= i * 8 ? 0 : (uint8_t)(bytes[i] & (0xff00 >> (prefix - i * 8)));
	}
}

int
account_network_text(const char *text, char out[NET_TEXT_MAX])
{
	struct network network;
	unsigned size;

	if (network_parse(text, &network) < 0)
		return -EINVAL;
	size = network.family == AF_INET ? 4 : 16;
	if (network.family == AF_INET6 && network.prefix > 64)
		network.prefix = 64;
	clear_below(network.bytes, size, network.prefix);
	inet_ntop(network.family, network.bytes, out, NET_TEXT_MAX);
	if (network.prefix < 32 || network.family == AF_INET6) {
		const size_t length = strlen(out);

		snprintf(out + length, NET_TEXT_MAX - length, "/%u", network.prefix);
	}
	return 0;
}
