/*
 * fair.c - deficit round robin over accounts.
 *
 * An account exists here while an entry of it waits or is under way; while one waits, the account
 * stands in the ring. An entry that cost more than was expected leaves its account with a debt,
 * which the account's next rounds pay.
 */
#include "shared/base/fair.h"

#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "shared/base/log.h"
#include "shared/base/named.h"

#define AGAIN_TURN 5 /* of so many entries taken from one account, one is an `again` entry */

TAILQ_HEAD(entry_list, fair_entry);

struct fair_account {
	UT_hash_handle hh;
	TAILQ_ENTRY(fair_account) ring;
	struct entry_list fresh, again;
	size_t fresh_count, again_count;
	unsigned under_way, turn;
	int balance;
	char name[];
};

struct fair {
	int quantum;
	struct fair_account *accounts;
	TAILQ_HEAD(, fair_account) ring;
	size_t ring_count, waiting;
	unsigned under_way;
};

struct fair *
fair_new(unsigned quantum)
{
	struct fair *fair = xcalloc(1, sizeof *fair);

	fair->quantum = (int)quantum;
	TAILQ_INIT(&fair->ring);
	return fair;
}

static void
account_drop(struct fair *fair, struct fair_account *account)
{
	HASH_DEL(fair->accounts, account);
	free(account);
}

void
fair_free(struct fair **fair_ref)
{
	struct fair *fair = *fair_ref;
	struct fair_account *account, *next;

	if (!fair)
		return;
	HASH_ITER (hh, fair->accounts, account, next)
		account_drop(fair, account);
	free(fair);
	*fair_ref = NULL;
}

static struct fair_account *
account_get(struct fair *fair, const char *name)
{
	struct fair_account *account;

	HASH_FIND_STR(fair->accounts, name, account);
	if (account)
		return account;
	NAMED_NEW(name, name, account);
	TAILQ_INIT(&account->fresh);
	TAILQ_INIT(&account->again);
	HASH_ADD_STR(fair->accounts, name, account);
	return account;
}

static bool
account_waits(const struct fair_account *account)
{
	return account->fresh_count || account->again_count;
}

static unsigned
cost_within(const struct fair *fair, unsigned cost)
{
	const unsigned most = FAIR_QUANTA_MAX * (unsigned)fair->quantum;

	return cost < 1 ? 1 : cost > most ? most : cost;
}

/* While no other account waits, an account takes nothing from anybody and pays nothing. */
static bool
is_alone(const struct fair *fair, const struct fair_account *account)
{
	return fair->ring_count == (account_waits(account) ? 1 : 0);
}

static void
account_pay(const struct fair *fair, struct fair_account *account, int cost)
{
	const int debt_most = FAIR_QUANTA_MAX * fair->quantum;

	if (!is_alone(fair, account))
		account->balance -= cost;
	if (account->balance < -debt_most)
		account->balance = -debt_most;
	if (account->balance > 0 && !account_waits(account))
		account->balance = 0; /* an idle account saves nothing up for later */
}

void
fair_add(struct fair *fair, struct fair_entry *entry, const char *name, unsigned cost, bool again)
{
	struct fair_account *account = account_get(fair, name);

	if (!account_waits(account)) {
		TAILQ_INSERT_TAIL(&fair->ring, account, ring);
		fair->ring_count++;
	}
	*entry = (struct fair_entry){
		.account = account, .cost = cost_within(fair, cost), .again = again
	};
	TAILQ_INSERT_TAIL(again ? &account->again : &account->fresh, entry, link);
	account->fresh_count += !again;
	account->again_count += again;
	fair->waiting++;
}

/* The entry stops waiting. */
static void
entry_leave(struct fair *fair, struct fair_entry *entry)
{
	struct fair_account *account = entry->account;

	TAILQ_REMOVE(entry->again ? &account->again : &account->fresh, entry, link);
	account->fresh_count -= !entry->again;
	account->again_count -= entry->again;
	fair->waiting--;
	if (account_waits(account))
		return;
	TAILQ_REMOVE(&fair->ring, account, ring);
	fair->ring_count--;
}

static size_t
account_length(const struct fair_account *account)
{
	return account ? account->fresh_count + account->again_count : 0;
}

void
fair_join(struct fair *fair, struct fair_entry *entry, const char *name)
{
	const struct fair_entry was = *entry;
	struct fair_account *account;

	if (!was.account || was.under_way)
		return;
	HASH_FIND_STR(fair->accounts, name, account);
	if (account == was.account || account_length(account) + 1 >= account_length(was.account))
		return;
	fair_remove(fair, entry);
	fair_add(fair, entry, name, was.cost, was.again);
}

static struct fair_entry *
account_head(const struct fair_account *account)
{
	struct fair_entry *fresh = TAILQ_FIRST(&account->fresh);
	struct fair_entry *again = TAILQ_FIRST(&account->again);

	if (!fresh || (again && account->turn % AGAIN_TURN == AGAIN_TURN - 1))
		return again;
	return fresh;
}

struct fair_entry *
fair_peek(struct fair *fair, unsigned capacity)
{
	const unsigned unused = capacity > fair->under_way ? capacity - fair->under_way : 0;
	struct fair_account *account;
	struct fair_entry *entry;

	for (size_t refused = 0; unused && refused < fair->ring_count;) {
		account = TAILQ_FIRST(&fair->ring);
		entry = account_head(account);
		if (!fair_allows(account->under_way, unused)) {
			refused++;
		} else if ((int)entry->cost <= account->balance || fair->ring_count == 1) {
			return entry;
		} else {
			refused = 0;
			account->balance += fair->quantum;
		}
		TAILQ_REMOVE(&fair->ring, account, ring);
		TAILQ_INSERT_TAIL(&fair->ring, account, ring);
	}
	return NULL;
}

struct fair_entry *
fair_take(struct fair *fair, unsigned capacity)
{
	struct fair_entry *entry = fair_peek(fair, capacity);
	struct fair_account *account;

	if (!entry)
		return NULL;
	account = entry->account;
	account_pay(fair, account, (int)entry->cost);
	entry_leave(fair, entry);
	account->turn++;
	entry->under_way = true;
	account->under_way++;
	fair->under_way++;
	return entry;
}

static void
entry_end(struct fair *fair, struct fair_entry *entry)
{
	struct fair_account *account = entry->account;

	if (entry->under_way) {
		account->under_way--;
		fair->under_way--;
	} else {
		entry_leave(fair, entry);
	}
	*entry = (struct fair_entry){ 0 };
	if (!account_waits(account) && !account->under_way)
		account_drop(fair, account);
}

void
fair_done(struct fair *fair, struct fair_entry *entry, unsigned cost)
{
	account_pay(fair, entry->account, (int)cost_within(fair, cost) - (int)entry->cost);
	entry_end(fair, entry);
}

void
fair_remove(struct fair *fair, struct fair_entry *entry)
{
	if (entry->account)
		entry_end(fair, entry);
}

struct fair_entry *
fair_find(const struct fair *fair, bool (*matches)(const struct fair_entry *entry, const void *arg),
	const void *arg)
{
	struct fair_account *account;
	struct fair_entry *entry;

	TAILQ_FOREACH (account, &fair->ring, ring) {
		TAILQ_FOREACH (entry, &account->fresh, link)
			if (matches(entry, arg))
				return entry;
		TAILQ_FOREACH (entry, &account->again, link)
			if (matches(entry, arg))
				return entry;
	}
	return NULL;
}

struct fair_entry *
fair_first_of(const struct fair *fair, const char *name)
{
	struct fair_account *account;

	HASH_FIND_STR(fair->accounts, name, account);
	return account ? account_head(account) : NULL;
}

struct fair_entry *
fair_first_but(const struct fair *fair, const char *name)
{
	struct fair_account *account;

	TAILQ_FOREACH (account, &fair->ring, ring)
		if (strcmp(account->name, name))
			return account_head(account);
	return NULL;
}

const char *
fair_account_of(const struct fair_entry *entry)
{
	return entry->account->name;
}

size_t
fair_waiting(const struct fair *fair)
{
	return fair->waiting;
}

size_t
fair_fresh_of(const struct fair *fair, const char *name)
{
	struct fair_account *account;

	HASH_FIND_STR(fair->accounts, name, account);
	return account ? account->fresh_count : 0;
}
