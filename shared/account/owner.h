/*
 * owner.h - whose accounts this process serves: the owner that relay.config names.
 *
 * Redis may be shared by mistake, or exchanged. So relay.config has an entry "owner" from its first
 * account on, and control writes the same id with everything into Redis (account.h); readers
 * compare. An id is OWNER_ID_LENGTH characters, 128 random bits; "" stands for none.
 *
 * The owner's secret, as long as the id, is the same in every process and after every restart.
 * Texts derived from the secret look random to strangers, and do not tell which process they talk
 * to.
 */
#ifndef SHARED_OWNER_H
#define SHARED_OWNER_H

#define OWNER_KEY "owner" /* of relay.config: {"version","id","secret"} */
#define OWNER_ID_LENGTH 32
#define OWNER_ID_SIZE (OWNER_ID_LENGTH + 1)

/* Once a process, before relay.config is read. In a process that never reads it the owner is "". */
void owner_await(void);
/* For queue_config_subscribe(): takes the owner's entry. */
void owner_on_entry(void *arg, const char *key, const char *json);
/* Sets the owner that control is about to write, before relay.config has it. From any thread. */
void owner_set(const char *id);

enum owner_match {
	OWNER_SAME,
	OWNER_OTHER,
	OWNER_NOT_READ /* OWNER_NOT_READ: relay.config has not been read yet */
};
/* From any thread. */
enum owner_match owner_compare(const char *id);
/* The secret; "" before relay.config has an owner. From any thread. */
void owner_secret(char out[OWNER_ID_SIZE]);

#endif
