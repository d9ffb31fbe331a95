/*
 * door.c - which client is let in, and which client has to go to make room.
 *
 * ingress:  ingress (accept), session -> [door] -> familiar
 *                                           `-> session_turn_out(), by the mailbox of its loop
 *
 * Owns lists and two hash tables under one lock. A customer's session takes the lock when it comes,
 * twice a message, and when it goes. An address keeps its rates for a while after its last
 * connection. Memory is bounded by connections_max and by RESTING_MAX.
 *
 * A guest who is turned out frees its place at once, and hears of it on its own loop. A guest who
 * moved on meanwhile stays: then there is one more guest than there are places.
 */
#include "ingress/door/door.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "ingress/door/address_table.h"
#include "ingress/door/familiar.h"
#include "ingress/door/stats.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/metrics/metrics.h"

#define RESTING_MAX 16384u /* addresses and networks without a connection */
#define MINUTE_US 60000000ull
#define NETWORK_RATE 8   /* the rates of an IPv6 /48 are those of so many of its /64 */
#define STRANGERS_FEW 10 /* percent of all places: below, an idle customer goes for a stranger */

TAILQ_HEAD(guests, guest); /* the one who stood still longest first */

/* An address or a network. */
struct visitor {
	struct address_entry entry; /* first */
	struct address_table *table;
	TAILQ_ENTRY(visitor) resting;
	unsigned count;
	struct guests strangers;      /* of a network */
	uint64_t full_us[RATE_COUNT]; /* when the full rate is free again */
};

struct guest {
	struct task task; /* first */
	struct door *door;
	struct loop *loop;
	void *session; /* NULL when it has gone */
	struct net_address client;
	uint64_t came_ms;
	bool stranger, known;
	/* under the door's lock */
	enum guest_place place;
	bool turned_out, posted;
	uint64_t since_ms; /* since when the guest has its place */
	TAILQ_ENTRY(guest) all, neighbours;
	struct visitor *address, *network; /* NULL before the client is known; a stranger's */
};

struct door {
	struct door_options options;
	pthread_mutex_t lock; /* for all below */
	unsigned total, strangers;
	struct guests places[2]; /* PLACE_STRANGER, PLACE_IDLE */
	struct address_table addresses, networks;
	TAILQ_HEAD(, visitor) resting;
	unsigned resting_count;
};

struct door *
door_new(const struct door_options *options)
{
	struct door *door = xcalloc(1, sizeof *door);

	door->options = *options;
	pthread_mutex_init(&door->lock, NULL);
	TAILQ_INIT(&door->places[PLACE_STRANGER]);
	TAILQ_INIT(&door->places[PLACE_IDLE]);
	TAILQ_INIT(&door->resting);
	address_table_init(&door->addresses, options->total_max + RESTING_MAX);
	address_table_init(&door->networks, options->strangers_max + RESTING_MAX);
	return door;
}

void
door_change(struct door *door, const struct door_options *options)
{
	pthread_mutex_lock(&door->lock);
	door->options.total_max = options->total_max;
	door->options.per_address_max = options->per_address_max;
	door->options.strangers_max = options->strangers_max;
	door->options.strangers_per_network = options->strangers_per_network;
	door->options.patience_ms = options->patience_ms;
	memcpy(door->options.rates, options->rates, sizeof options->rates);
	pthread_mutex_unlock(&door->lock);
}

/* ---- addresses and networks ---- */

static void
rest_end(struct door *door, struct visitor *visitor)
{
	TAILQ_REMOVE(&door->resting, visitor, resting);
	door->resting_count--;
}

static void
forget_oldest(struct door *door)
{
	struct visitor *visitor = TAILQ_FIRST(&door->resting);

	rest_end(door, visitor);
	address_remove(visitor->table, &visitor->entry);
	free(visitor);
}

static struct visitor *
visitor_get(struct door *door, struct address_table *table, struct address_key key)
{
	struct visitor *visitor = (struct visitor *)address_find(table, &key);

	if (!visitor) {
		visitor = xcalloc(1, sizeof *visitor);
		visitor->table = table;
		TAILQ_INIT(&visitor->strangers);
		address_insert(table, &visitor->entry, &key);
	} else if (visitor->count == 0) {
		rest_end(door, visitor);
	}
	visitor->count++;
	return visitor;
}

static void
visitor_put(struct door *door, struct visitor *visitor)
{
	if (!visitor || --visitor->count > 0)
		return;
	TAILQ_INSERT_TAIL(&door->resting, visitor, resting);
	if (++door->resting_count > RESTING_MAX)
		forget_oldest(door);
}

/* A bucket of one minute's worth that fills up evenly (GCRA). */
static bool
spend(struct visitor *visitor, enum door_rate rate, unsigned per_minute, uint64_t now_us)
{
	uint64_t full_us = visitor->full_us[rate] > now_us ? visitor->full_us[rate] : now_us;

	full_us += MINUTE_US / per_minute;
	if (full_us > now_us + MINUTE_US)
		return false;
	visitor->full_us[rate] = full_us;
	return true;
}

/* The rates of an IPv6 client count for its network, too: whoever has an IPv6 address has a whole
 * network of them. Neighbours in an IPv4 network are strangers to each other. */
static bool
spend_all(struct guest *guest, enum door_rate rate)
{
	unsigned per_minute = guest->door->options.rates[rate];
	uint64_t now_us = clock_mono_us();

	if (!guest->address)
		return true;
	return spend(guest->address, rate, per_minute, now_us) &&
		(!address_is_ip6(&guest->address->entry.key) ||
			spend(guest->network, rate, per_minute * NETWORK_RATE, now_us));
}

/* ---- places ---- */

static void
place_leave(struct guest *guest)
{
	struct door *door = guest->door;

	if (guest->turned_out)
		return;
	door->total--;
	if (guest->place != PLACE_BUSY)
		TAILQ_REMOVE(&door->places[guest->place], guest, all);
	if (guest->place != PLACE_STRANGER)
		return;
	door->strangers--;
	metric_add(stats.strangers, -1);
	if (guest->network)
		TAILQ_REMOVE(&guest->network->strangers, guest, neighbours);
}

static void
place_take(struct guest *guest, enum guest_place place)
{
	struct door *door = guest->door;

	door->total++;
	guest->turned_out = false;
	guest->place = place;
	guest->stranger = place == PLACE_STRANGER;
	guest->since_ms = clock_mono_ms();
	if (place != PLACE_BUSY)
		TAILQ_INSERT_TAIL(&door->places[place], guest, all);
	if (place != PLACE_STRANGER)
		return;
	door->strangers++;
	metric_add(stats.strangers, 1);
	if (guest->network)
		TAILQ_INSERT_TAIL(&guest->network->strangers, guest, neighbours);
}

static void
on_turned_out(struct task *task)
{
	struct guest *guest = (struct guest *)task;
	struct door *door = guest->door;
	bool out;

	if (!guest->session) {
		free(guest);
		return;
	}
	pthread_mutex_lock(&door->lock);
	guest->posted = false;
	out = guest->turned_out;
	pthread_mutex_unlock(&door->lock);
	if (out)
		door->options.turn_out(guest->session);
}

/* False when there is nobody to turn out. */
static bool
turn_out(struct guest *guest)
{
	if (!guest)
		return false;
	place_leave(guest);
	guest->turned_out = true;
	metric_add(stats.turned_out, 1);
	if (!guest->posted)
		loop_post(guest->loop, &guest->task);
	guest->posted = true;
	return true;
}

/* A customer who has been idle for a while. */
static struct guest *
idle_customer(const struct door *door)
{
	struct guest *guest = TAILQ_FIRST(&door->places[PLACE_IDLE]);

	return guest && clock_mono_ms() - guest->since_ms >= door->options.idle_ms ? guest : NULL;
}

/* Makes room for one more guest. While there are few strangers, a new one may well be a customer,
 * so an idle customer goes for it. */
static bool
make_room(struct door *door, bool for_stranger)
{
	struct guest *stranger = TAILQ_FIRST(&door->places[PLACE_STRANGER]);
	unsigned few = door->options.total_max * STRANGERS_FEW / 100;

	if (for_stranger && door->strangers >= door->options.strangers_max)
		return turn_out(stranger);
	if (door->total < door->options.total_max)
		return true;
	if (for_stranger && door->strangers < few && turn_out(idle_customer(door)))
		return true;
	return turn_out(stranger) || (!for_stranger && turn_out(idle_customer(door)));
}

/* Whether the address has room for one more guest, and for a stranger the network, too. */
static enum door_answer
find_client(struct guest *guest, const struct net_address *client, bool familiar)
{
	struct door *door = guest->door;

	guest->client = *client;
	guest->address = visitor_get(door, &door->addresses, address_key(client));
	if (guest->address->count > door->options.per_address_max)
		return DOOR_ADDRESS_FULL;
	if (familiar)
		return DOOR_OPEN;
	guest->network = visitor_get(door, &door->networks, address_network_key(client));
	if (!spend_all(guest, RATE_CONNECTIONS))
		return DOOR_TOO_OFTEN;
	if (guest->network->count > door->options.strangers_per_network)
		turn_out(TAILQ_FIRST(&guest->network->strangers));
	return DOOR_OPEN;
}

static void
client_leave(struct guest *guest)
{
	visitor_put(guest->door, guest->address);
	visitor_put(guest->door, guest->network);
	guest->address = guest->network = NULL;
}

/* ---- from outside ---- */

static enum door_answer
enter(struct guest *guest, const struct net_address *client, bool familiar)
{
	enum door_answer answer = client ? find_client(guest, client, familiar) : DOOR_OPEN;

	if (answer == DOOR_OPEN && !make_room(guest->door, !familiar))
		answer = DOOR_FULL;
	if (answer == DOOR_OPEN)
		place_take(guest, familiar ? PLACE_IDLE : PLACE_STRANGER);
	else
		client_leave(guest);
	return answer;
}

enum door_answer
door_enter(struct door *door, const struct net_address *client, struct loop *loop,
	struct guest **guest_out)
{
	struct guest *guest = xcalloc(1, sizeof *guest);
	bool familiar = client && familiar_has(door->options.familiar, client);
	enum door_answer answer;

	guest->task.run = on_turned_out;
	guest->door = door;
	guest->loop = loop;
	guest->came_ms = clock_mono_ms();
	pthread_mutex_lock(&door->lock);
	answer = enter(guest, client, familiar);
	pthread_mutex_unlock(&door->lock);
	if (answer != DOOR_OPEN) {
		free(guest);
		guest = NULL;
	}
	*guest_out = guest;
	return answer;
}

void
guest_seat(struct guest *guest, void *session)
{
	guest->session = session;
}

enum door_answer
guest_name(struct guest *guest, const struct net_address *client)
{
	struct door *door = guest->door;
	bool familiar = familiar_has(door->options.familiar, client);
	enum door_answer answer;

	pthread_mutex_lock(&door->lock);
	place_leave(guest);
	answer = find_client(guest, client, familiar);
	if (answer != DOOR_OPEN)
		client_leave(guest);
	place_take(guest, familiar ? PLACE_IDLE : PLACE_STRANGER);
	pthread_mutex_unlock(&door->lock);
	return answer;
}

void
guest_place(struct guest *guest, enum guest_place place)
{
	struct door *door = guest->door;

	pthread_mutex_lock(&door->lock);
	place_leave(guest);
	if (place != PLACE_STRANGER) {
		visitor_put(door, guest->network);
		guest->network = NULL;
	}
	place_take(guest, place);
	pthread_mutex_unlock(&door->lock);
}

void
guest_know(struct guest *guest)
{
	if (guest->known)
		return;
	guest->known = true;
	if (guest->address)
		familiar_add(guest->door->options.familiar, &guest->client);
	if (guest->stranger)
		guest_place(guest, PLACE_IDLE);
}

bool
guest_is_stranger(const struct guest *guest)
{
	return guest->stranger;
}

bool
guest_spend(struct guest *guest, enum door_rate rate)
{
	bool may;

	if (!guest->stranger)
		return true;
	pthread_mutex_lock(&guest->door->lock);
	may = spend_all(guest, rate);
	pthread_mutex_unlock(&guest->door->lock);
	return may;
}

uint64_t
guest_time_left(struct guest *guest)
{
	struct door *door = guest->door;
	uint64_t patience, now = clock_mono_ms();

	if (!guest->stranger)
		return UINT64_MAX;
	pthread_mutex_lock(&door->lock);
	patience = door->options.patience_ms;
	if (door->strangers > door->options.strangers_max / 2)
		patience /= 3;
	pthread_mutex_unlock(&door->lock);
	return guest->came_ms + patience > now ? guest->came_ms + patience - now : 0;
}

void
guest_leave(struct guest **guest_ref)
{
	struct guest *guest = *guest_ref;
	bool posted;

	if (!guest)
		return;
	*guest_ref = NULL;
	pthread_mutex_lock(&guest->door->lock);
	place_leave(guest);
	client_leave(guest);
	posted = guest->posted;
	guest->session = NULL;
	pthread_mutex_unlock(&guest->door->lock);
	if (!posted)
		free(guest);
}

unsigned
door_count(struct door *door)
{
	unsigned total;

	pthread_mutex_lock(&door->lock);
	total = door->total;
	pthread_mutex_unlock(&door->lock);
	return total;
}

void
door_free(struct door **door_ref)
{
	struct door *door = *door_ref;

	if (!door)
		return;
	while (!TAILQ_EMPTY(&door->resting))
		forget_oldest(door);
	address_table_free(&door->addresses);
	address_table_free(&door->networks);
	pthread_mutex_destroy(&door->lock);
	free(door);
	*door_ref = NULL;
}
