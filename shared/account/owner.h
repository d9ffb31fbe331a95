/*
 * owner.h - whose accounts this process serves: the owner that relay.config names.
 *
 * Redis may be shared by mistake, or exchanged. So relay.config has an entry "owner" from its first
 * account on, and what control writes into Redis carries the same id (account.h); who reads it
 * compares. An id is OWNER_ID_LENGTH signs, 128 random bits; "" stands for none.
 *
 * Its secret, as long, is the same in every process and after every restart: what is derived from
 * it looks random to strangers, and does not tell which process they talk to.
 */
#ifndef SHARED_OWNER_H
#define SHARED_OWNER_H

#define OWNER_KEY "owner" /* of relay.config: {"version","id","secret"} */
#define OWNER_ID_LENGTH 32
#define OWNER_ID_SIZE (OWNER_ID_LENGTH + 1)

/* Once a process: relay.config is about to be read. Where nobody reads it, the owner is "". */
void owner_await(void);
/* For queue_config_watch(): takes the owner's entry. */
void owner_on_entry(void *arg, const char *key, const char *json);
/* What control knows sooner: the owner it is about to write. From any thread. */
void owner_set(const char *id);

enum owner_match { OWNER_SAME, OWNER_OTHER, OWNER_NOT_READ /* relay.config, so far */ };
/* From any thread. */
enum owner_match owner_compare(const char *id);
/* The secret; "" before relay.config has an owner. From any thread. */
void owner_secret(char out[OWNER_ID_SIZE]);

#endif
