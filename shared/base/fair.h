/*
 * fair.h - whose turn it is, and how much of a shared resource one account may have. Pure.
 *
 * Entries wait, each for an account. Deficit round robin over the accounts decides which entry is
 * next: each round gives an account a quantum of cost. The caller says what an entry costs,
 * beforehand or, when only the work tells, afterwards (fair_done()). fair_allows() bounds what one
 * account has under way, so that others find room, also those who come later.
 *
 *   fair_add() ... fair_take() ... fair_done()
 */
#ifndef SHARED_FAIR_H
#define SHARED_FAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

struct fair;
struct fair_account;

/* Work that waits or is under way. Embed it in the caller's struct and zero-initialise it. */
struct fair_entry {
	TAILQ_ENTRY(fair_entry) link;
	struct fair_account *account; /* NULL: neither waits nor is under way */
	unsigned cost;
	bool again, under_way;
};

/* An entry costs at most this many quanta, so a choice takes a few rounds at most. */
#define FAIR_QUANTA_MAX 8
/* The capacity of a resource without a bound. */
#define FAIR_ENDLESS ((unsigned)-1)

/* Whether an account that has `used` of a resource may have one more while `unused` are left. It
 * may have three times as many as are left; the last one only goes to an account that has none. */
static inline bool
fair_allows(size_t used, size_t unused)
{
	return unused && (!used || (unused > 1 && used / 3 < unused));
}

/* How many more fair_allows() grants, one after another. */
static inline size_t
fair_room(size_t used, size_t unused)
{
	size_t more = 3 * unused > used ? (3 * unused - used + 3) / 4 : 0;

	if (unused <= 1)
		return used ? 0 : unused;
	return more < unused ? more : unused - 1;
}

struct fair *fair_new(unsigned quantum);
/* The entries are the caller's; the caller must not pass them to this `fair` any more. */
void fair_free(struct fair **fair);

/* The entry waits. `again`: it was tried before. Entries of the same account that were not tried
 * before mostly go first. */
void fair_add(struct fair *fair, struct fair_entry *entry, const char *account, unsigned cost,
	bool again);
/* A second account waits for the same entry. The entry then waits for whichever of the two accounts
 * has less waiting. */
void fair_join(struct fair *fair, struct fair_entry *entry, const char *account);
/* The next entry, which goes on waiting. NULL: none waits, or `capacity` entries are under way. */
struct fair_entry *fair_peek(struct fair *fair, unsigned capacity);
/* The next entry, which is under way from now on. NULL: as for fair_peek(). */
struct fair_entry *fair_take(struct fair *fair, unsigned capacity);
/* The entry is done, and has cost `cost`. */
void fair_done(struct fair *fair, struct fair_entry *entry, unsigned cost);
/* The entry neither waits nor is under way any more. Nothing happens when it did neither. */
void fair_remove(struct fair *fair, struct fair_entry *entry);

/* The first waiting entry that `matches`; NULL: none does. */
struct fair_entry *fair_find(const struct fair *fair,
	bool (*matches)(const struct fair_entry *entry, const void *arg), const void *arg);
/* The first waiting entry of the account (fair_first_of), or of the next account in the ring that
 * is another one (fair_first_but). NULL: none waits. */
struct fair_entry *fair_first_of(const struct fair *fair, const char *account);
struct fair_entry *fair_first_but(const struct fair *fair, const char *account);
const char *fair_account_of(const struct fair_entry *entry);
size_t fair_waiting(const struct fair *fair);
/* How many waiting entries of the account were not tried before. */
size_t fair_fresh_of(const struct fair *fair, const char *account);

#endif
