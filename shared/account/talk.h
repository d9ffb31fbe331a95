/*
 * talk.h - the last sessions of accounts and strangers, in Redis for a day: what ingress saw of
 * them, for customers and support who ask why mail does not come in.
 *
 *   talk:{<account>}:sessions   the last TALK_SESSIONS of a customer
 *   talk:{<account>}:failed     of these the last TALK_FAILED that were refused something, with
 *                               the dialogue
 *   talk:{<account>}:tried      the last TALK_FAILED of clients that failed to log in as its users
 *   talk:{<address>}:stranger   the last TALK_STRANGER of clients that are nobody's; only the
 *                               TALK_ADDRESSES addresses that were seen last have any
 *
 * Each is a hash {session: record} beside a sorted set "...:order" of when they began. Records are
 * gathered for a second, and a new record of a session takes the place of the one before. However
 * many sessions there are in a second, so many go to Redis as are kept.
 */
#ifndef SHARED_TALK_H
#define SHARED_TALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

struct loop;
struct redis;
struct talks;

#define TALK_SESSIONS 50
#define TALK_FAILED 20
#define TALK_STRANGER 5
#define TALK_ADDRESSES 1000
#define TALK_RECORD_MAX 12288 /* bytes of a record: 4 KiB of dialogue, as JSON */

enum talk_shelf { TALK_SHELF_SESSIONS, TALK_SHELF_FAILED, TALK_SHELF_TRIED, TALK_SHELF_STRANGER };

/* `on_flush` comes before each sending, once a second as long as there is something to send. */
struct talks *
talks_new(struct loop *loop, struct redis *redis, void (*on_flush)(void *arg), void *arg);
/* Sends the last ones, if Redis is up. Call it before redis_free(). Takes NULL. */
void talks_free(struct talks **talks);
/* Whether a record of an account or an address would be kept: there is room, or one of the session
 * waits already. */
bool talks_wanted(struct talks *talks, enum talk_shelf shelf, const char *whose, uint64_t session);
/* A session's record, JSON in one line; `began_us` is the same in all of them. */
void talks_note(struct talks *talks, enum talk_shelf shelf, const char *whose, uint64_t session,
	uint64_t began_us, const char *record);
/* Has on_flush called within a second. */
void talks_wake(struct talks *talks);

/* One callback, as for redis_command(): records (objects) of the account and of strangers at the
 * addresses, an array in no order, borrowed; NULL on an error. */
#define TALK_READ_ADDRESSES 20
typedef void (*talks_cb)(void *arg, int err, const json_t *records);
void talks_read(struct redis *redis, const char *account, const char *const *addresses,
	size_t addresses_count, talks_cb cb, void *arg);

#endif
