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
 *   no domain, or none      refuse   refuse
 *   that has one form
 *   an empty group          pass     pass: RFC 6854, as a missing From does
 *
 *   with the null sender    as above, and, unless it is another account's:
 *   unroutable              pass     pass: Exchange's NDRs come from corp.local
 *   below an own domain     pass     pass: Postfix's and Exim's NDRs come from their host's name
 *   no domain, no address   pass     pass, unless an "@" is in what cannot be read
 *
 *   Sender, Resent-From     pass     pass, unless it is another account's, or not to be told
 *   an address in a name    pass     pass, unless it is another account's and the account's
 *                                    display_address says "refuse" (default)
 *   the same in an NDR      pass     pass, if it might be the NDR's From, or that is the account's
 *
 * "Another account's" is every domain whose closest verified parent is (account_above()). MIME's
 * multipart/report does not tell an NDR: those of Exim, qmail and old Exchanges have none.
 */
#include "ingress/message/authorize.h"

#include <string.h>

static bool
has_domain(const struct account *account, const char *domain)
{
	return account_has_domain(account, domain, strlen(domain));
}

static bool
is_own(const struct account *account, const struct originator *originator)
{
	return originator->domain && *originator->domain && has_domain(account, originator->domain);
}

bool
authorize_sender(const struct account *account, const char *mail_from)
{
	const char *at = strrchr(mail_from, '@');

	return *mail_from == '\0' || (at && has_domain(account, at + 1));
}

static bool
any_own(const struct account *account, const struct originator_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		if (is_own(account, &list->items[i]))
			return true;
	return false;
}

/* Whether the domain is below one of the account's: mail.acme.example for acme.example. */
static bool
is_below_own(const struct account *account, const char *domain)
{
	while ((domain = strchr(domain, '.')))
		if (has_domain(account, ++domain))
			return true;
	return false;
}

/* Domains that no one on the internet can own (RFC 6761, 6762, 8375 and common habit). */
static bool
is_unroutable(const char *domain)
{
	static const char *const tops[] = { "local", "localdomain", "localhost", "lan", "corp",
		"home", "internal", "intranet", "private", "invalid", "test" };
	const char *top = strrchr(domain, '.');

	if (!top)
		return *domain && *domain != '[';
	for (size_t i = 0; i < sizeof tops / sizeof *tops; i++)
		if (strcmp(top + 1, tops[i]) == 0)
			return true;
	return false;
}

/* Whether a server may name itself so in its own NDRs. */
static bool
is_host_of(const struct account *account, const char *domain)
{
	return is_unroutable(domain) || is_below_own(account, domain);
}

static enum authorize
judge_from(const struct account *account, const struct originators *all, bool ndr,
	const struct originator *from)
{
	if (is_own(account, from))
		return AUTHORIZE_PASS;
	if (!from->domain)
		return ndr ? AUTHORIZE_PASS : AUTHORIZE_REFUSE;
	if (!*from->domain)
		return AUTHORIZE_REFUSE;
	if (ndr && is_host_of(account, from->domain))
		return AUTHORIZE_ASK;
	if (account->policy == POLICY_STRICT || !any_own(account, &all->senders))
		return AUTHORIZE_REFUSE;
	return AUTHORIZE_ASK;
}

static enum authorize
judge_sender(const struct account *account, const struct originator *sender)
{
	if (!sender->domain || is_own(account, sender))
		return AUTHORIZE_PASS;
	return *sender->domain ? AUTHORIZE_ASK : AUTHORIZE_REFUSE;
}

static enum authorize
judge_name(const struct account *account, const struct originators *all, bool ndr,
	const struct originator *name)
{
	if (is_own(account, name))
		return AUTHORIZE_PASS;
	if (ndr && !any_own(account, &all->from) && !is_host_of(account, name->domain))
		return AUTHORIZE_REFUSE;
	return !*name->domain || (!ndr && account->display_address) ? AUTHORIZE_PASS
								    : AUTHORIZE_ASK;
}

static enum authorize
judge(const struct account *account, const struct originators *all, bool ndr, size_t number)
{
	const char *where;
	const struct originator *originator = authorize_originator(all, number, &where);

	if (number < all->from.count)
		return judge_from(account, all, ndr, originator);
	if (number < all->from.count + all->senders.count)
		return judge_sender(account, originator);
	return judge_name(account, all, ndr, originator);
}

const struct originator *
authorize_originator(const struct originators *all, size_t number, const char **where)
{
	*where = "From";
	if (number < all->from.count)
		return &all->from.items[number];
	number -= all->from.count;
	*where = "Sender";
	if (number < all->senders.count)
		return &all->senders.items[number];
	*where = "The name";
	return &all->names.items[number - all->senders.count];
}

static enum authorize
judge_fields(const struct originators *all, bool ndr)
{
	if (all->from_fields > 1)
		return AUTHORIZE_TWO_FROM;
	if (all->from_count > MAILBOXES_MAX)
		return AUTHORIZE_LONG_FROM;
	if (all->too_many)
		return AUTHORIZE_LONG;
	if (all->turned)
		return AUTHORIZE_TURNED;
	if (all->unreadable_sender)
		return AUTHORIZE_BAD_SENDER;
	if (all->from_fields == 0 || all->from_count > 0 ||
		(!all->from_at && (ndr || all->from_nobody)))
		return AUTHORIZE_PASS;
	return all->from_count < 0 ? AUTHORIZE_BAD_FROM : AUTHORIZE_NO_FROM;
}

enum authorize
authorize_header(const struct account *account, const char *mail_from,
	const struct originators *all, size_t *at)
{
	bool ndr = *mail_from == '\0';
	size_t count = all->from.count + all->senders.count + all->names.count;
	enum authorize verdict = judge_fields(all, ndr);

	while (verdict == AUTHORIZE_PASS && *at < count)
		verdict = judge(account, all, ndr, (*at)++);
	return verdict;
}
