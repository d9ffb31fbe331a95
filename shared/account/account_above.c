/*
 * account_above.c - whose a domain is: the closest verified domain at or above it.
 *
 * ingress -> [account_above] -> account look-ups -> Redis
 *
 * A subdomain belongs to its parent's account unless another account has verified it. The name and
 * its parents are looked up at once, so that the questions travel together. When a closer name
 * cannot be told, the answer is -EAGAIN, whatever is found above it.
 */
#include "shared/account/account.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"

#define LABELS_MAX 12

struct search;

struct candidate {
	struct search *search;
	int err;
	struct account *account;
};

struct search {
	account_cb cb;
	void *arg;
	size_t count, pending; /* the closest name comes first */
	struct candidate candidates[LABELS_MAX];
};

static void
search_end(struct search *search)
{
	size_t i = 0;

	while (i + 1 < search->count && search->candidates[i].err == -ENOENT)
		i++;
	search->cb(search->arg, search->candidates[i].err, search->candidates[i].account);
	for (i = 0; i < search->count; i++)
		account_unref(search->candidates[i].account);
	free(search);
}

static void
on_candidate(void *arg, int err, struct account *account)
{
	struct candidate *candidate = arg;
	struct search *search = candidate->search;

	candidate->err = err;
	candidate->account = account ? account_ref(account) : NULL;
	if (--search->pending == 0)
		search_end(search);
}

static size_t
count_labels(const char *domain)
{
	size_t count = 1;

	while ((domain = strchr(domain, '.'))) {
		domain++;
		count++;
	}
	return count;
}

void
account_above(struct account_store *store, const char *domain, account_cb cb, void *arg)
{
	size_t count = *domain == '[' ? 1 : count_labels(domain);
	struct search *search;

	if (count > LABELS_MAX) {
		cb(arg, -E2BIG, NULL);
		return;
	}
	search = xcalloc(1, sizeof *search);
	*search = (struct search){ .cb = cb, .arg = arg, .count = count, .pending = count };
	/* The last answer frees the search: do not touch the search after the last question. */
	for (size_t i = 0; i < count; i++) {
		search->candidates[i].search = search;
		account_by_domain(store, domain, on_candidate, &search->candidates[i]);
		domain = i + 1 < count ? strchr(domain, '.') + 1 : NULL;
	}
}
