/*
 * familiar.c - the addresses from which customers came lately.
 *
 * ingress:  session (who is identified) -> [familiar] -> door (who is let in)
 *
 * Bounded: the address that was added longest ago goes. Nothing is kept over a restart: a customer
 * is a stranger then until the first login, and strangers have places of their own.
 */
#include "ingress/door/familiar.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "ingress/door/address_table.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"

#define KEEP_MS (30ull * 24 * 3600 * 1000)

struct place {
	struct address_entry entry; /* first */
	TAILQ_ENTRY(place) age;
	uint64_t added_ms;
};

struct familiar {
	pthread_mutex_t lock; /* for all below */
	struct address_table table;
	TAILQ_HEAD(, place) places; /* the one added longest ago first */
	unsigned count, most;
};

struct familiar *
familiar_new(unsigned most)
{
	struct familiar *familiar = xcalloc(1, sizeof *familiar);

	pthread_mutex_init(&familiar->lock, NULL);
	address_table_init(&familiar->table, most);
	TAILQ_INIT(&familiar->places);
	familiar->most = most;
	return familiar;
}

static void
forget(struct familiar *familiar, struct place *place)
{
	TAILQ_REMOVE(&familiar->places, place, age);
	address_remove(&familiar->table, &place->entry);
	familiar->count--;
	free(place);
}

void
familiar_free(struct familiar **familiar_ref)
{
	struct familiar *familiar = *familiar_ref;

	if (!familiar)
		return;
	while (!TAILQ_EMPTY(&familiar->places))
		forget(familiar, TAILQ_FIRST(&familiar->places));
	address_table_free(&familiar->table);
	pthread_mutex_destroy(&familiar->lock);
	free(familiar);
	*familiar_ref = NULL;
}

void
familiar_add(struct familiar *familiar, const struct net_address *address)
{
	struct address_key key = address_key(address);
	struct place *place;

	pthread_mutex_lock(&familiar->lock);
	place = (struct place *)address_find(&familiar->table, &key);
	if (place) {
		TAILQ_REMOVE(&familiar->places, place, age);
	} else {
		if (familiar->count == familiar->most)
			forget(familiar, TAILQ_FIRST(&familiar->places));
		place = xcalloc(1, sizeof *place);
		address_insert(&familiar->table, &place->entry, &key);
		familiar->count++;
	}
	place->added_ms = clock_mono_ms();
	TAILQ_INSERT_TAIL(&familiar->places, place, age);
	pthread_mutex_unlock(&familiar->lock);
}

bool
familiar_has(struct familiar *familiar, const struct net_address *address)
{
	struct address_key key = address_key(address);
	struct place *place;
	bool has;

	pthread_mutex_lock(&familiar->lock);
	place = (struct place *)address_find(&familiar->table, &key);
	has = place && clock_mono_ms() - place->added_ms < KEEP_MS;
	if (place && !has)
		forget(familiar, place);
	pthread_mutex_unlock(&familiar->lock);
	return has;
}
