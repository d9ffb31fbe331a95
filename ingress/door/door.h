/*
 * door.h - which client is let in, and which client has to go to make room. The loops share the
 * door, since the kernel spreads the connections of one address over all loops. From any thread.
 *
 * A guest is a connection, and has a place:
 *   stranger  nobody has logged in, and no customer came from its address lately (familiar.h).
 *             Strangers have a part of all places, less of them for one network, little time, and
 *             rates an address.
 *   idle      a customer, or from a customer's address, outside of a transaction
 *   busy      in a transaction: never turned out
 *
 * Where there is no room, the guest goes who has stood still longest: a stranger of the same
 * network; else any stranger; else a customer who has been idle for a while.
 */
#ifndef INGRESS_DOOR_H
#define INGRESS_DOOR_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/net.h"

struct door;
struct familiar;
struct guest;
struct loop;

enum door_answer {
	DOOR_OPEN,
	DOOR_FULL,         /* all places are taken by guests who use them */
	DOOR_ADDRESS_FULL, /* by the address itself */
	DOOR_TOO_OFTEN,    /* the rate of the address */
};

enum door_rate { RATE_CONNECTIONS, RATE_HANDSHAKES, RATE_COMMANDS, RATE_COUNT };

enum guest_place { PLACE_STRANGER, PLACE_IDLE, PLACE_BUSY };

struct door_options {
	unsigned total_max, per_address_max;
	unsigned strangers_max, strangers_per_network;
	unsigned rates[RATE_COUNT]; /* of a stranger's address, a minute or all at once */
	uint64_t idle_ms;           /* of a customer, before it may be turned out */
	uint64_t patience_ms; /* for a stranger; a third while half of their places are taken */
	struct familiar *familiar;
	void (*turn_out)(void *session); /* on the guest's loop */
};

struct door *door_new(const struct door_options *options);
/* Takes other numbers from now on; nobody is turned out for that. `familiar`, `idle_ms` and
 * `turn_out` stay as they are. */
void door_change(struct door *door, const struct door_options *options);
/* All guests must have left, and their loops must have been freed. */
void door_free(struct door **door);

/* A connection that `loop` has accepted. `client` is NULL when a PROXY header will name the
 * client: until then the connection counts as a stranger's, and for no address. DOOR_OPEN gives a
 * guest, to be seated. */
enum door_answer door_enter(struct door *door, const struct net_address *client, struct loop *loop,
	struct guest **guest_out);
unsigned door_count(struct door *door);

/* The functions below are for the guest's loop alone. door_options.turn_out gets `session`. */
void guest_seat(struct guest *guest, void *session);
/* The PROXY header has named the client. Unless the answer is DOOR_OPEN the guest has to leave. */
enum door_answer guest_name(struct guest *guest, const struct net_address *client);
/* The guest is a customer: no stranger from now on, and its address is familiar. */
void guest_know(struct guest *guest);
/* Takes a place, or the same place anew: a stranger who came further stands behind the others
 * then. */
void guest_place(struct guest *guest, enum guest_place place);
bool guest_is_stranger(const struct guest *guest);
/* Spends one of the rate. False: a stranger's address has none left. Others always may. */
bool guest_spend(struct guest *guest, enum door_rate rate);
/* The ms that a stranger has left until MAIL, 0 when the time is up. UINT64_MAX for others. */
uint64_t guest_time_left(struct guest *guest);
/* Takes NULL. */
void guest_leave(struct guest **guest);

#endif
