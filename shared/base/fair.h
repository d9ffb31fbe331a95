/*
 * fair.h - whose turn it is, and how much of a shared resource one account may have. Pure.
 *
 * Entries wait, each for an account. Deficit round robin over the accounts decides which is next:
 * an account gets a quantum of cost a round, and what an entry costs is its caller's to say, also
 * afterwards when only the work tells (fair_done()). What is under way of one account leaves room
 * for others, whether they are there already or not: fair_allows().
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

/* Something that waits, or is under way; embedded in the caller's own. Zero-initialise. */
struct fair_entry {
	TAILQ_ENTRY(fair_entry) link;
	struct fair_account *account; /* NULL: neither */
	unsigned cost;
	bool again, under_way;
};

/* An entry costs at most so many quanta; so no choice takes more than a few rounds. */
#define FAIR_QUANTA_MAX 8
/* The capacity of what has no bound. */
#define FAIR_ENDLESS ((unsigned)-1)

/* Whether one who has `used` of a resource may have one more, while `unused` are left: three times
 * as many as are left at most, and the last one only as the first. */
static inline bool
fair_allows(size_t used, size_t unused)
{
	return unused && (!used || (unused > 1 && used / 3 < unused));
}

/* How many more it allows, one after another. */
static inline size_t
fair_room(size_t used, size_t unused)
{
	size_t more = 3 * unused > used ? (3 * unused - used + 3) / 4 : 0;

	if (unused <= 1)
		return used ? 0 : unused;
	return more < unused ? more : unused - 1;
}

struct fair *fair_new(unsigned quantum);
/* Entries are the caller's, and must not be used with it any more. */
void fair_free(struct fair **fair);

/* Lets an entry wait. `again`: of its account, those that were not tried before mostly go first. */
void fair_add(struct fair *fair, struct fair_entry *entry, const char *account, unsigned cost,
	bool again);
/* Another account waits for it, too: an entry that waits does so for whichever of the two has less
 * waiting. */
void fair_join(struct fair *fair, struct fair_entry *entry, const char *account);
/* The next entry while `capacity` are under way at most; NULL: none waits, or may begin. It goes on
 * waiting. */
struct fair_entry *fair_peek(struct fair *fair, unsigned capacity);
/* Likewise, and it is under way from now on. */
struct fair_entry *fair_take(struct fair *fair, unsigned capacity);
/* It is over, and has cost so much. */
void fair_done(struct fair *fair, struct fair_entry *entry, unsigned cost);
/* It neither waits nor is under way any more; nothing when it was neither. */
void fair_remove(struct fair *fair, struct fair_entry *entry);

/* The first that waits and `matches`; NULL: none does. */
struct fair_entry *fair_find(const struct fair *fair,
	bool (*matches)(const struct fair_entry *entry, const void *arg), const void *arg);
/* The first of that account, or of whoever is next but that account, that waits; NULL: none does.
 */
struct fair_entry *fair_first_of(const struct fair *fair, const char *account);
struct fair_entry *fair_first_but(const struct fair *fair, const char *account);
const char *fair_account_of(const struct fair_entry *entry);
size_t fair_waiting(const struct fair *fair);
/* Those of the account that wait and were not tried before. */
size_t fair_fresh_of(const struct fair *fair, const char *account);

#endif
