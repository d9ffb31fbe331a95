/*
 * window.c - counts the records in hand, by account.
 *
 * sender:  mail -> [window]
 */
#include "sender/policy/window.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "shared/base/log.h"
#include "shared/base/named.h"

#define PATIENCE_US UINT64_C(2000000)
#define AGE_US UINT64_C(60000000)
#define CROWDED_AGE_US UINT64_C(5000000) /* the window is nearly full, so other records wait */
#define CROWD_AGE_US UINT64_C(500000)    /* the same, of the account that fills the window */

struct share {
	UT_hash_handle hh;
	unsigned weight;
	char account[];
};

struct window {
	unsigned size, weight;
	struct share *shares;
};

struct window *
window_new(unsigned size)
{
	struct window *window = xcalloc(1, sizeof *window);

	window->size = size;
	return window;
}

void
window_free(struct window **window_ref)
{
	struct share *share, *next;

	if (!*window_ref)
		return;
	HASH_ITER (hh, (*window_ref)->shares, share, next) {
		HASH_DEL((*window_ref)->shares, share);
		free(share);
	}
	free(*window_ref);
	*window_ref = NULL;
}

static struct share *
share_find(const struct window *window, const char *account)
{
	struct share *share;

	HASH_FIND_STR(window->shares, account, share);
	return share;
}

void
window_add(struct window *window, const char *account, unsigned weight)
{
	struct share *share;

	NAMED_GET(window->shares, account, account, share);
	share->weight += weight;
	window->weight += weight;
}

void
window_remove(struct window *window, const char *account, unsigned weight)
{
	struct share *share = share_find(window, account);

	share->weight -= weight;
	window->weight -= weight;
	if (share->weight)
		return;
	HASH_DEL(window->shares, share);
	free(share);
}

static bool
is_crowded(const struct window *window)
{
	return window->weight >= window->size * 3 / 4;
}

static bool
crowds(const struct window *window, const char *account)
{
	const struct share *share = share_find(window, account);

	return is_crowded(window) && share && share->weight >= window->size / 4;
}

uint64_t
window_patience_us(const struct window *window, const char *account)
{
	return crowds(window, account) ? CROWD_AGE_US : PATIENCE_US;
}

uint64_t
window_age_us(const struct window *window, const char *account)
{
	if (crowds(window, account))
		return CROWD_AGE_US;
	return is_crowded(window) ? CROWDED_AGE_US : AGE_US;
}
