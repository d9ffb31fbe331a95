/*
 * authorize.c - who may be named as originator of a message.
 *
 * ingress:  cmd_mail, accept -> [authorize]
 *
 * All customers send from the same addresses and share one SPF include, so without this check any
 * of them could pass as any other.
 *
 *   From                    strict   resent (default)
 *   the account's own       pass     pass
 *   another account's       refuse   refuse
 *   foreign                 refuse   passes when Sender or a Resent- field is the account's:
 *                                    redirects, meeting forwards
 *   unroutable, NDR         pass     pass: Exchange's NDRs come from corp.local
 *   no address, NDR         pass     pass, unless an "@" is in what cannot be read
 *   an empty group          pass     pass: RFC 6854, as a missing From does
 *   below an own one, NDR   pass unless it is another account's: Postfix's and Exim's NDRs come
 *                           from their host's name
 */
#include "ingress/authorize.h"

#include <string.h>

#include "shared/address.h"
#include "shared/text.h"

const char *
authorize_domain(const char *address)
{
	const char *at = strrchr(address, '@');

	return at ? at + 1 : "";
}

static bool
is_own(const struct account *account, const char *address)
{
	const char *domain = authorize_domain(address);

	return *domain && account_has_domain(account, domain, strlen(domain));
}

bool
authorize_sender(const struct account *account, const char *mail_from)
{
	return *mail_from == '\0' || is_own(account, mail_from);
}

static bool
any_own(const struct account *account, const struct mailbox_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		if (is_own(account, list->text[i]))
			return true;
	return false;
}

/* The address's domain in the one form of it: dots may be written in many ways. "" without. */
static const char *
canonical(const char *address, char out[256])
{
	const char *domain = authorize_domain(address);

	return address_domain_canonical(domain, strlen(domain), out) ? out : "";
}

/* mail.acme.example for the account of acme.example. */
static bool
is_below_own(const struct account *account, const char *address)
{
	char buffer[256];
	const char *domain = canonical(address, buffer);

	while ((domain = strchr(domain, '.')) && *++domain)
		if (account_has_domain(account, domain, strlen(domain)))
			return true;
	return false;
}

/* Domains that no one on the internet can own (RFC 6761, 6762, 8375 and common habit). What has no
 * A-labels is not among them: mail programs might show it as a domain that somebody owns. */
static bool
is_unroutable(const char *address)
{
	static const char *const tops[] = { "local", "localdomain", "localhost", "lan", "corp",
		"home", "internal", "intranet", "private", "invalid", "test" };
	char buffer[256];
	const char *domain = canonical(address, buffer), *top = strrchr(domain, '.');

	if (!top)
		return text_is_ascii(domain, strlen(domain));
	for (size_t i = 0; i < sizeof tops / sizeof *tops; i++)
		if (strcmp(top + 1, tops[i]) == 0)
			return true;
	return false;
}

static enum authorize
no_address(const struct content *content, bool ndr)
{
	if (!content->from_at && (ndr || content->from_nobody))
		return AUTHORIZE_PASS;
	if (content->from_count < 0)
		return AUTHORIZE_BAD_FROM;
	return content->from_count ? AUTHORIZE_LONG_FROM : AUTHORIZE_NO_FROM;
}

enum authorize
authorize_header(const struct account *account, const char *mail_from,
	const struct content *content, size_t *at, const char **address)
{
	bool ndr = *mail_from == '\0';

	if (content->from_fields == 0)
		return AUTHORIZE_PASS;
	if (content->from_fields > 1)
		return AUTHORIZE_TWO_FROM;
	if (content->from.count == 0)
		return no_address(content, ndr);
	while (*at < content->from.count) {
		*address = content->from.text[(*at)++];
		if (is_own(account, *address) || (ndr && is_unroutable(*address)))
			continue;
		if (ndr && is_below_own(account, *address))
			return AUTHORIZE_ASK;
		if (account->policy == POLICY_STRICT || !any_own(account, &content->senders))
			return AUTHORIZE_REFUSE;
		return AUTHORIZE_ASK;
	}
	return AUTHORIZE_PASS;
}
